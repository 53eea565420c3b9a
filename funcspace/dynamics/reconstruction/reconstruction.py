"""A trained recurrent map with the scale of its data: a system that generates trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.reconstruction.free_run_scores import free_run_scores
from funcspace.dynamics.reconstruction.models.history_model import HistoryModel
from funcspace.dynamics.reconstruction.recordings_for import check_components, driven
from funcspace.dynamics.reconstruction.windows import PerReplica, Recording, as_recording
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace
from funcspace.functions.devices import checked_place
from funcspace.geometry import Times

if TYPE_CHECKING:
    from os import PathLike

    from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN

__all__ = ["Reconstruction"]


@dataclass(eq=False, repr=False)
class Reconstruction:
    """A recurrent map, or replicas of one, that was trained on trajectories.

    Attributes
    ----------
    model : the trained map, on standardised components; it holds their mean and scale.
    step : time of one step of the map.
    components, name, units, time_unit : of the data.
    history : one record per epoch.
    provenance : versions, seed and settings of the training.
    steps : the steps of the replicas, where they learned from data with differing ones; such replicas run one by one.
    """

    model: Any
    step: float
    components: tuple[str, ...]
    name: str = "u"
    units: str = ""
    time_unit: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    steps: tuple[float, ...] = ()

    @classmethod
    def of(cls, model: nn.Module, recordings: Sequence[Recording]) -> Reconstruction:
        """A model and what it learned from."""
        first = recordings[0]
        steps = tuple(r.step for r in recordings)
        found = cls(model, first.step, first.components, first.name, first.units, first.time_unit)
        found.steps = steps if len(set(steps)) > 1 else ()
        return found

    @property
    def mean(self) -> Tensor:
        """Mean of each component in the data, (*replicas, components), float64."""
        return self.model.mean.detach().cpu().double()

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each component in the data, (*replicas, components), float64."""
        return self.model.scale.detach().cpu().double()

    @property
    def replicas(self) -> int | None:
        """Number of models, None for a single one."""
        return self.model.replicas

    @property
    def context(self) -> int:
        """Instants that a free run needs to start from."""
        return self.model.context if isinstance(self.model, HistoryModel) else 1

    def replica(self, index: int) -> Reconstruction:
        """One of the replicas."""
        if self.replicas is None:
            raise InputError("this model has no replicas to choose from")
        model: PiecewiseLinearRNN = self.model.replica(index)
        return Reconstruction(
            model.eval(), self._step_of(index), self.components, self.name, self.units, self.time_unit,
            self.history, self.provenance | {"replica": index},
        )  # fmt: skip

    def _step_of(self, index: int) -> float:
        return self.steps[index] if self.steps else self.step

    def rollout(self, initial: Function, steps: int, *, inputs: Function | None = None) -> Function:
        """A free run of the map.

        Parameters
        ----------
        initial : the state to start from, a Function over Times, single or batched. Its last instant counts; models
            such as NVAR need `context` of them and make use of all.
        steps : how many times to apply the map.
        inputs : external inputs of the steps, a Function over `steps` instants, for a model that takes some; zeros for
            a run without.

        Returns
        -------
        Function
            `steps + 1` states over Times, the last initial one first, in the dtype of the initial one; with replicas
            each starts from it, and the replicas are a batch axis in front.

        Raises
        ------
        InputError
            When the initial state has other components, another step, too few instants, or is not finite; when inputs
            are missing or do not fit.
        """
        require_counts(steps=steps)
        if self.steps:
            raise InputError("the replicas make steps of different lengths; run one: reconstruction.replica(index)")
        past = self._states(initial)
        batch = past.shape[:-2]
        past = past.reshape(-1, *past.shape[-2:])
        flat = past[:, -1]
        driving = self._driving(inputs, steps, batch)
        if self.replicas is not None:
            flat = flat.expand(self.replicas, *flat.shape)
            driving = None if driving is None else driving.expand(self.replicas, *driving.shape)
        mean, scale = (self._broadcast(t) for t in (self.mean, self.scale))
        weight = next(self.model.parameters())
        if isinstance(self.model, HistoryModel):
            self._check_context(past)
            generated = self.model.generate(((past - mean) / scale).to(weight), steps)
        else:
            standard = ((flat - mean) / scale).to(weight)
            generated = self.model.generate(standard, steps, inputs=None if driving is None else driving.to(weight))
        states = generated.to("cpu", torch.float64) * scale[..., None, :] + mean[..., None, :]
        whole = torch.cat([flat[..., None, :], states], dim=-2)
        lead = () if self.replicas is None else (self.replicas,)
        shape = (*lead, *batch, steps + 1, len(self.components))
        times = Times(initial.space.domain.stop, self.step, steps + 1, self.time_unit)
        space = FunctionSpace(times, components=self.components)
        values = whole.reshape(*shape[:-2], *space.coefficient_shape)
        return Function(space, values.to(initial.dtype), name=self.name, units=self.units)

    def __call__(self, trajectory: Function, *, inputs: Function | None = None) -> Function:
        """The state one step after each state of a trajectory, over the instants one step later.

        Of models that need a context, the states that follow its first full one and all after it. `inputs` are the
        external inputs at these later instants, for a model that takes some.
        """
        states = self._states(trajectory)
        flat = states.reshape(-1, states.shape[-1])
        weight = next(self.model.parameters())
        if self.replicas is not None:
            raise InputError("choose one of the replicas first: reconstruction.replica(index)")
        if isinstance(self.model, HistoryModel):
            self._check_context(states)
            with torch.no_grad():
                history = ((states - self.mean) / self.scale).to(weight)
                following = self.model.follow(history.reshape(-1, *states.shape[-2:])).flatten(0, 1)
        else:
            driving = self._driving(inputs, states.shape[-2], states.shape[:-2])
            drive = None if driving is None else driving.reshape(len(flat), 1, -1).to(weight)
            following = self.model.generate(((flat - self.mean) / self.scale).to(weight), 1, inputs=drive)[:, 0]
        values = following.to("cpu", torch.float64) * self.scale + self.mean
        first = trajectory.space.domain.start + self.context * self.step
        times = Times(first, self.step, states.shape[-2] - self.context + 1, self.time_unit)
        space = FunctionSpace(times, components=self.components)
        return Function(
            space, values.reshape(*states.shape[:-2], *space.coefficient_shape).to(trajectory.dtype), name=self.name
        )

    def evaluate(
        self, test: Any, *, inputs: Any = None, bins: int | None = None, smoothing: float = 20.0, horizon: int = 20
    ) -> dict[str, Any]:
        """Scores of a free run beside test trajectories; arrays of one value per replica where there are several.

        State-space divergence, spectral distance and n-step prediction error, by the protocol of the published tables:
        start at the first state of each test trajectory, run freely for 1.25 times its length, leave out the first
        quarter, compare with all of the test; on standardised components. Medians over trajectories. Models that need a
        context start after that of each test trajectory, and their prediction error is a mean over at most about a
        thousand starts. Models with external inputs run under those of the test, over its instants; the first quarter
        is left out of both.

        Parameters
        ----------
        test : trajectories as for training; `PerReplica` gives each replica a test of its own.
        inputs : external inputs at the instants of the test.
        bins, smoothing, horizon : of the three scores.

        Raises
        ------
        InputError
            When the test has other components, another step, NaN, or lacks the inputs that the model takes.
        """
        each = test.data if isinstance(test, PerReplica) else [test]
        if isinstance(test, PerReplica) and len(each) != self.replicas:
            raise InputError(f"PerReplica holds {len(each)} tests; the model has replicas={self.replicas}")
        drives = driven(inputs, len(each))
        recordings = [as_recording(one, drive, name="test") for one, drive in zip(each, drives, strict=True)]
        found = self.scores(recordings, bins=bins, smoothing=smoothing, horizon=horizon)
        return {name: values if self.replicas is not None else float(values[0]) for name, values in found.items()}

    def scores(
        self, recordings: Sequence[Recording], *, bins: int | None = None, smoothing: float = 20.0, horizon: int = 20
    ) -> dict[str, np.ndarray]:
        """What `evaluate` gives, one value per replica; of one recording for all of them or of one for each."""
        check_components(recordings, len(self.components), "test")
        found: list[dict[str, float]] = []
        for i in range(self.replicas or 1):
            recording = recordings[i if len(recordings) > 1 else 0]
            self._check_step(recording.step, self._step_of(i), "the test")
            model = self.model if self.replicas is None else self.model.replica(i)
            found.append(
                free_run_scores(
                    model, recording, context=self.context, bins=bins, smoothing=smoothing, horizon=horizon
                )
            )  # fmt: skip
        return {name: np.array([scores[name] for scores in found]) for name in found[0]}

    def lyapunov_spectrum(
        self,
        steps: int = 50_000,
        *,
        initial: Function | None = None,
        transient: int = 5_000,
        count: int | None = None,
        every: int = 1,
        blocks: int = 20,
        seed: int = 0,
    ) -> Estimate:
        """Lyapunov exponents of the model along a free run, per unit of time of the data, largest first.

        External inputs, of a model that takes some, are zero.

        Parameters
        ----------
        steps : of the free run that exponents are averaged over.
        initial : where it starts, as for `rollout`; by default at the mean of the data, slightly disturbed.
        transient : steps before.
        count : only so many of the largest; all of the latent space by default.
        every, blocks, seed : as in `metrics.lyapunov_spectrum`.

        Returns
        -------
        Estimate
            Exponents (count,), or (replicas, count); NaN for a replica whose free run is not bounded.

        Raises
        ------
        SolverError : the free run is not bounded, of a single model or of every replica.
        """
        from funcspace.dynamics.reconstruction.analysis.lyapunov import free_run_spectrum

        found: dict[int, Estimate] = {}
        lost = None
        for i in range(self.replicas or 1):
            model = self.model if self.replicas is None else self.model.replica(i)
            if initial is None:
                generator = torch.Generator().manual_seed(seed)
                history = 0.1 * torch.randn(self.context, len(self.components), generator=generator).double()
            else:
                history = (self._states(initial) - model.mean.double()) / model.scale.double()
                if int(np.prod(history.shape[:-2])) != 1:
                    raise InputError(f"exponents are those of one free run; got a batch of {tuple(history.shape[:-2])}")
                history = history.reshape(history.shape[-2:])
                self._check_context(history)
            try:
                spectrum = free_run_spectrum(
                    model, history, steps, transient=transient, dt=self._step_of(i), count=count, every=every,
                    blocks=blocks, seed=seed,
                )  # fmt: skip
            except SolverError as error:
                if self.replicas is None:
                    raise
                lost = error
            else:
                found[i] = spectrum
        if self.replicas is None:
            return found[0]
        if lost is not None and not found:
            raise lost
        shape = next(iter(found.values())).value.shape
        unknown = Estimate(np.full(shape, np.nan), np.full(shape, np.nan))
        rows = [found.get(i, unknown) for i in range(self.replicas)]
        return Estimate(np.stack([e.value for e in rows]), np.stack([e.error for e in rows]), {"steps": steps})

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write weights, arguments, scale and provenance to one folder; whole or not at all. `fs.load` reads it."""
        from funcspace.dynamics.reconstruction.reconstruction_files import save_reconstruction

        return save_reconstruction(self, Path(folder))

    def to(self, device: Any) -> Reconstruction:
        """Move the model to a device; initial states follow, runs come back to the CPU."""
        self.model.to(checked_place(device))
        return self

    @property
    def parameters(self) -> int:
        """Number of trainable numbers of one model, or of all replicas where they share weights."""
        shared = not getattr(self.model, "independent", True)
        return sum(p.numel() for p in self.model.parameters()) // (1 if shared else self.replicas or 1)

    def _check_context(self, states: Tensor) -> None:
        if states.shape[-2] < self.context:
            raise InputError(
                f"{type(self.model).__name__} starts from at least {self.context} instants; got {states.shape[-2]}"
            )

    @staticmethod
    def _check_step(step: float | None, own: float, what: str) -> None:
        if step is None or not np.isclose(step, own, rtol=1e-6, atol=0.0):
            raise InputError(f"this model makes steps of {own:g}; {what} has steps of {step}")

    def _broadcast(self, vector: Tensor) -> Tensor:
        return vector[:, None, :] if vector.ndim == 2 else vector

    def _states(self, function: Any) -> Tensor:
        if not isinstance(function, Function) or not isinstance(function.space.domain, Times):
            raise InputError(f"expected a trajectory, a Function over Times; got {type(function).__name__}")
        times = function.space.domain
        if function.space.components != self.components and len(function.space.components) != len(self.components):
            raise InputError(
                f"this model was trained on the components {self.components}; got {function.space.components}"
            )
        if times.count > 1:
            self._check_step(times.step, self.step, "the trajectory")
        states = function.coefficients.detach().to("cpu", torch.float64)
        states = states.reshape(*function.batch_shape, times.count, len(self.components))
        if not bool(states.isfinite().all()):
            raise InputError("the trajectory holds NaN or infinity")
        return states

    def _driving(self, inputs: Any, steps: int, batch: tuple[int, ...]) -> Tensor | None:
        """Inputs of the steps of each trajectory, (batch, steps, inputs); None where the model takes none."""
        wanted = getattr(self.model, "inputs", 0)
        if inputs is None and not wanted:
            return None
        if not wanted:
            raise InputError(f"this {type(self.model).__name__} takes no external inputs")
        if not isinstance(inputs, Function) or not isinstance(inputs.space.domain, Times):
            raise InputError(
                f"the model takes {wanted} external inputs: inputs must be a Function over {steps} instants, one for "
                f"each step; got {type(inputs).__name__}"
            )
        values = inputs.coefficients.detach().to("cpu", torch.float64)
        values = values.reshape(*inputs.batch_shape, -1, len(inputs.space.components))
        if values.shape[-2] != steps or values.shape[-1] != wanted:
            raise InputError(
                f"inputs must hold {wanted} components at {steps} instants; got {values.shape[-1]} at "
                f"{values.shape[-2]}"
            )
        if inputs.space.domain.count > 1:
            self._check_step(inputs.space.domain.step, self.step, "the input")
        if inputs.batch_shape not in ((), tuple(batch)):
            raise InputError(
                f"inputs must be single, or of the batch {tuple(batch)} of the states; got {tuple(inputs.batch_shape)}"
            )
        if not bool(values.isfinite().all()):
            raise InputError("the inputs hold NaN or infinity")
        return values.expand(*batch, steps, wanted).reshape(-1, steps, wanted)

    def __repr__(self) -> str:
        several = "" if self.replicas is None else f"{self.replicas} replicas of "
        return (
            f"Reconstruction({several}{type(self.model).__name__}: {', '.join(self.components)}, latent "
            f"{self.model.latent}, {self.parameters:,} parameters, step {self.step:g})"
        )
