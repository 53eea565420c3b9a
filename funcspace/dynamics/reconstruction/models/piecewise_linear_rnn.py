"""What all piecewise-linear recurrent maps have in common."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from funcspace.arguments import is_whole, require_counts
from funcspace.dynamics.reconstruction.models.forced_model import ForcedModel
from funcspace.dynamics.reconstruction.models.initial_weights import glorot
from funcspace.dynamics.reconstruction.models.observation import Observation, ObservationKind
from funcspace.dynamics.reconstruction.scan import Family, compiled_scan, has_compiled_scan, plain_scan
from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Times

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.analysis.cycle import Cycle
    from funcspace.dynamics.reconstruction.analysis.manifold import Manifold, ManifoldKind
    from funcspace.dynamics.reconstruction.analysis.symbols import SymbolicCode

__all__ = ["PiecewiseLinearRNN"]

WEIGHTS: dict[Family, tuple[str, ...]] = {  # in the order of the scans
    "al_rnn": ("A", "W", "h"),
    "shallow": ("A", "W1", "W2", "h1", "h2"),
    "dendritic": ("A", "W", "h", "slopes", "thresholds"),
}


class PiecewiseLinearRNN(ForcedModel):
    r"""A map z_t = F(z_{t-1}) + C s_t that is affine on each of finitely many regions, with observations of z.

    With `replicas=R` all weights carry a leading axis of R models, which train together, unless `independent` is False:
    then they share weights. Observations are standardised: `mean` and `scale` hold those of the data that the model was
    trained on.

    Subclasses say how a step, its regions and its affine pieces look.
    """

    family: Family

    def __init__(
        self,
        observed: int,
        latent: int,
        *,
        inputs: int,
        observation: ObservationKind,
        replicas: int | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        counts = {"observed": observed, "latent": latent, "replicas": 1 if replicas is None else replicas}
        require_counts(**counts)
        if not (is_whole(inputs) and inputs >= 0):
            raise InputError(f"inputs must be a whole number that is not negative, got {inputs!r}")
        self.observed, self.latent, self.inputs, self.replicas = observed, latent, inputs, replicas
        self.observation = Observation(observation, observed, latent, replicas=self._lead, generator=generator)
        if inputs:
            self.C = nn.Parameter(glorot((*self._lead, latent, inputs), generator))
        self.register_buffer("mean", torch.zeros(*self._lead, observed))
        self.register_buffer("scale", torch.ones(*self._lead, observed))

    @property
    def _lead(self) -> tuple[int, ...]:
        return () if self.replicas is None else (self.replicas,)

    @abstractmethod
    def step(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent"]:
        """One step without input; with replicas the first axis of z numbers them."""

    @abstractmethod
    def region(self, z: Float[Tensor, "... latent"]) -> Bool[Tensor, "... bit"]:
        """The linear region of each state, a bit for each kink: whether the state lies above it."""

    @abstractmethod
    def kinks(self) -> tuple[Float[Tensor, "bit latent"], Float[Tensor, " bit"]]:
        """F and g of the hyperplanes F z + g = 0 on which the map bends, in the order of the bits of regions."""

    @abstractmethod
    def affine(
        self, region: Bool[Tensor, "... bit"]
    ) -> tuple[Float[Tensor, "... latent latent"], Float[Tensor, "... latent"]]:
        """J and c of z -> J z + c on regions; of a model without replicas."""

    @abstractmethod
    def scan_weights(self) -> tuple[list[Tensor], tuple[Any, ...]]:
        """Weights and options of the compiled scan of the model's family."""

    def named_weights(self) -> dict[str, Tensor]:
        """The weights of the map by the names that they have in its formula."""
        return dict(zip(WEIGHTS[self.family], self.scan_weights()[0], strict=True))

    @abstractmethod
    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """What a weight on the latent map penalises."""

    def attractor_penalty(self, share: float) -> Float[Tensor, "*replicas"]:
        """How far the last units, `share` of them rounded down, are from the identity: |1 - A|^2 + |W|^2 + |h|^2."""
        weights = self.named_weights()
        matrix, bias = ("W1", "h1") if self.family == "shallow" else ("W", "h")
        kept = max(1, int(share * self.latent + 1e-9))
        total = (1.0 - weights["A"][..., -kept:]).square().sum(dim=-1)
        total = total + weights[matrix][..., -kept:, :].square().sum(dim=(-2, -1))
        return total + weights[bias][..., -kept:].square().sum(dim=-1)

    def observation_penalty(self) -> Float[Tensor, "*replicas"]:
        """What a weight on the observation penalises; see `Observation`."""
        return self.observation.penalty()

    def jacobian(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... latent latent"]:
        """The derivative of a step; on a kink that of the lower side."""
        return self.affine(self.region(z))[0]

    @property
    def forceable(self) -> int:
        """How many units the data can force, counted from the first."""
        return self.observation.forced

    def observe(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... observed"]:
        """Observations of latent states."""
        return self.observation.observe(z)

    def start(self, x: Float[Tensor, "... observed"]) -> Float[Tensor, "... latent"]:
        """The latent state that belongs to an observation."""
        return self.observation.start(x)

    def scan(
        self,
        start: Float[Tensor, "*replicas latent column"],
        steps: int,
        *,
        targets: Float[Tensor, "*replicas forced time column"] | None = None,
        gain: Float[Tensor, "*replicas time"] | None = None,
        inputs: Float[Tensor, "*replicas input time column"] | None = None,
        compiled: bool | None = None,
    ) -> Float[Tensor, "*replicas latent time column"]:
        """States of a batch of sequences (columns), forced where the gain says so; see `plain_scan`.

        Parameters
        ----------
        compiled : whether to take the compiled loop; by default where there is one: on the CPU, and on GPUs if Triton
            is installed and the map fits (see `scan`).
        """
        with_replicas = self.replicas is not None
        lead: Any = (lambda t: t) if with_replicas else (lambda t: None if t is None else t[None])
        drive = None if inputs is None else torch.einsum("...mk,...ktb->...mtb", self.C, inputs)
        weights, options = self.scan_weights()
        weights = [lead(w) for w in weights]
        if compiled is None:
            compiled = has_compiled_scan(self.family, weights, lead(start))
        forcing = {"targets": lead(targets), "gain": lead(gain), "drive": lead(drive)}
        if compiled:
            found = compiled_scan(self.family, weights, options, lead(start), steps, **forcing)
        else:
            step = self.step if with_replicas else (lambda z: self.step(z[0])[None])
            found = plain_scan(step, lead(start), steps, **forcing)
        return found if with_replicas else found[0]

    @torch.no_grad()
    def generate(
        self,
        start: Float[Tensor, "*replicas batch observed"],
        steps: int,
        *,
        inputs: Float[Tensor, "*replicas batch time input"] | None = None,
    ) -> Float[Tensor, "*replicas batch time observed"]:
        """Observations of a free run from the latent states of `start`; the start itself is not repeated."""
        latent = self.generate_latent(self.start(start), steps, inputs=inputs)
        return self.observe(latent)

    @torch.no_grad()
    def generate_latent(
        self,
        start: Float[Tensor, "*replicas batch latent"],
        steps: int,
        *,
        inputs: Float[Tensor, "*replicas batch time input"] | None = None,
    ) -> Float[Tensor, "*replicas batch time latent"]:
        """Latent states of a free run."""
        drive = None if inputs is None else inputs.mT.movedim(-3, -1)
        states = self.scan(start.mT, steps, inputs=drive)
        return states.movedim(-1, -3).mT

    def forward(
        self,
        window: Float[Tensor, "*replicas observed instant column"],
        gain: Float[Tensor, "*replicas time"],
        inputs: Float[Tensor, "*replicas input time column"] | None = None,
        *,
        forced: int | None = None,
        latent: bool = False,
    ) -> Float[Tensor, "*replicas component time column"]:
        """Observations 1 .. T predicted from observation 0, forced towards the others as the gain says.

        With `forced` only so many first units are; with `latent` the states are returned in place of observations.
        Missing observations are NaN; they force nothing, and a missing start is taken as zero.
        """
        last = window.movedim(-3, -1)
        start = self.observation.start(last[..., 0, :, :].nan_to_num(nan=0.0))
        if self.observation.kind == "identity":
            targets = window[..., 1:, :]
        else:
            # what is missing must not reach the weights: zero times NaN is NaN in their gradients
            seen = last[..., 1:, :, :]
            lifted = self.observation.targets(seen.nan_to_num(nan=0.0))
            targets = lifted.masked_fill(seen.isnan().any(dim=-1, keepdim=True), torch.nan).movedim(-1, -3)
        targets = targets[..., : self.forceable if forced is None else forced, :, :]
        states = self.scan(start.mT, window.shape[-2] - 1, targets=targets, gain=gain, inputs=inputs)
        return states if latent else self.observe_columns(states)

    def observe_columns(
        self, states: Float[Tensor, "*replicas latent time column"]
    ) -> Float[Tensor, "*replicas observed time column"]:
        """Observations of latent states as a scan returns them."""
        return self.observe(states.movedim(-3, -1)).movedim(-1, -3)

    def replica(self, index: int) -> PiecewiseLinearRNN:
        """One of the replicas, as a model of its own."""
        if self.replicas is None:
            raise InputError("this model has no replicas to choose from")
        if not -self.replicas <= index < self.replicas:
            raise InputError(f"there is no replica {index}; the model has {self.replicas}")
        kind: Any = type(self)
        single = kind(**(self.config | {"replicas": None}))
        single = single.to(next(self.parameters()))
        single.load_state_dict({name: value[index] for name, value in self.state_dict().items()})
        return single

    def fixed_points(self, candidates: Any = None, *, restarts: int = 40, seed: int = 0) -> list[Cycle]:
        """The fixed points, admissible ones first, then virtual ones, whose region does not hold them.

        Exhaustive where there are at most 2^14 regions or `candidates` are given; else a search, which finds only
        admissible ones. A region whose J has a multiplier of exactly one has no fixed point or a whole line of them,
        and none is returned of it.

        Parameters
        ----------
        candidates : regions to try, (count, bits); such as those of `symbolic_code(orbit).regions`.
        restarts, seed : of the search.
        """
        from funcspace.dynamics.reconstruction.analysis.find_cycles import find_cycles, find_fixed_points

        single = self._for_analysis()
        bits = single.region(torch.zeros(1, self.latent, dtype=torch.float64)).shape[-1]
        if candidates is None and bits > 14:
            return find_cycles(single, 1, regions=None, restarts=restarts, seed=seed)
        return find_fixed_points(single, self._bits(candidates, "candidates"))

    def cycles(
        self, max_order: int = 8, *, regions: Any = None, restarts: int = 40, seed: int = 0
    ) -> dict[int, list[Cycle]]:
        """The admissible cycles of each order up to `max_order`, by order; fixed points are those of order 1.

        Exhaustive where there are few words over the regions, a search elsewhere; see `find_cycles`.

        Parameters
        ----------
        regions : regions that words are made of, (count, bits), such as those an orbit visits; all by default.
        restarts : random words to try after the last success.
        """
        from funcspace.dynamics.reconstruction.analysis.find_cycles import find_cycles

        require_counts(max_order=max_order)
        single = self._for_analysis()
        known = self._bits(regions, "regions")
        orders = range(1, max_order + 1)
        return {k: find_cycles(single, k, regions=known, restarts=restarts, seed=seed) for k in orders}

    def manifold(
        self,
        point: Cycle,
        kind: ManifoldKind = "unstable",
        *,
        steps: int = 50,
        extent: float | None = None,
        most: int = 100_000,
        samples: int = 1000,
        regions: Any = None,
        seed: int = 0,
    ) -> Manifold:
        """The stable or unstable manifold of a fixed point or cycle; see `find_manifold`.

        Parameters
        ----------
        point : one of `fixed_points()` or `cycles()`, admissible.
        kind : "unstable" follows the map; "stable" the inverses of its affine pieces, all of them where several lead to
            a state.
        steps : turns around the cycle to follow it for.
        extent : only what is within this distance of the origin of the standardised latent space is followed; ten times
            that of the cycle by default.
        most : no further than this many points.
        samples : points that a manifold of more than one dimension starts from.
        regions : whose inverses a stable manifold is followed through, (count, bits); all by default.
        seed : of the samples.
        """
        from funcspace.dynamics.reconstruction.analysis.manifold import find_manifold

        known = self._bits(regions, "regions")
        return find_manifold(
            self._for_analysis(), point, kind, steps=steps, extent=extent, most=most, samples=samples, regions=known,
            seed=seed,
        )  # fmt: skip

    def symbolic_code(self, orbit: Any, *, steps: int | None = None, transient: int = 0) -> SymbolicCode:
        """The regions along an orbit.

        Parameters
        ----------
        orbit : a trajectory, a Function over Times in the units of the data, each state of which is lifted into the
            latent space; or latent states (time, latent).
        steps : run freely from the orbit's first state instead, and take this many states. Units that are not read out
            then remember the past, as a lifted state does not: only so are the regions those of the model's own
            attractor.
        transient : steps of that run before the states that count.
        """
        from funcspace.dynamics.reconstruction.analysis.symbols import SymbolicCode

        single = self._for_analysis()
        step = 1.0
        if isinstance(orbit, Function) and isinstance(orbit.space.domain, Times) and not orbit.batch_shape:
            if len(orbit.space.components) != self.observed:
                raise InputError(
                    f"the model observes {self.observed} components; the orbit has {orbit.space.components}"
                )
            values = torch.as_tensor(orbit.coefficients, dtype=torch.float64)
            step = orbit.space.domain.step or 1.0
            states = single.start((values.reshape(-1, self.observed) - single.mean) / single.scale)
        elif isinstance(orbit, Tensor | np.ndarray) and tuple(orbit.shape[1:]) == (self.latent,):
            states = torch.as_tensor(np.ascontiguousarray(orbit) if isinstance(orbit, np.ndarray) else orbit).double()
        else:
            shape = f" of shape {tuple(orbit.shape)}" if isinstance(orbit, Tensor | np.ndarray) else ""
            what = repr(orbit) if isinstance(orbit, Function) else f"{type(orbit).__name__}{shape}"
            raise InputError(
                f"expected one trajectory, a Function over Times, or latent states (time, {self.latent}); got {what}"
            )
        if steps is not None:
            require_counts(steps=steps)
            if not (is_whole(transient) and transient >= 0):
                raise InputError(f"transient must be a whole number of steps that is not negative; got {transient!r}")
            states = single.generate_latent(states[:1], transient + steps)[0, transient:]
        elif transient:
            raise InputError("transient goes with steps, the length of a free run")
        if not bool(states.isfinite().all()):
            raise InputError("the orbit holds NaN or infinity, which lies in no region")
        return SymbolicCode.of(single.region(states).numpy(), step)

    def equations(self, style: Literal["numpy", "latex"] = "numpy") -> str:
        """The map as the source of NumPy functions `step(z)` and `observe(z)`, or as LaTeX, without the observation.

        Of a model with external inputs s it is `step(z, s)`.
        """
        from funcspace.dynamics.reconstruction.analysis.equations import as_latex, as_numpy

        if style not in ("numpy", "latex"):
            raise InputError(f'style must be "numpy" or "latex", got {style!r}')
        return as_latex(self._for_analysis()) if style == "latex" else as_numpy(self._for_analysis())

    def _bits(self, regions: Any, name: str) -> Bool[Tensor, "count bit"] | None:
        """Regions as the caller gives them, checked; None stays."""
        if regions is None:
            return None
        known = torch.as_tensor(np.array(regions, dtype=bool) if not isinstance(regions, Tensor) else regions).bool()
        bits = self.region(next(self.parameters()).new_zeros(self.latent)).shape[-1]
        if known.ndim != 2 or known.shape[1] != bits:
            raise InputError(f"{name} must be regions (count, bits={bits}) of this map; got {tuple(known.shape)}")
        return known

    def _for_analysis(self) -> PiecewiseLinearRNN:
        """A copy in double precision on the CPU."""
        self._single()
        return copy.deepcopy(self).to("cpu", torch.float64).requires_grad_(False).eval()

    def _row(self, vector: Tensor, z: Tensor) -> Tensor:
        """A vector per replica, shaped to meet the states (replica, ..., latent)."""
        if self.replicas is None:
            return vector
        return vector.reshape(self.replicas, *([1] * (z.ndim - 2)), vector.shape[-1])

    def _single(self) -> None:
        if self.replicas is not None:
            raise InputError(f"choose one of the {self.replicas} replicas first: model.replica(index)")
