"""Shallow piecewise-linear recurrent networks of many subjects that share what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.initial_weights import contracting, glorot, uniform
from funcspace.dynamics.reconstruction.models.observation import Observation, ObservationKind
from funcspace.dynamics.reconstruction.models.shallow_plrnn import ClippedShallowPLRNN, ShallowMap, ShallowPLRNN
from funcspace.dynamics.reconstruction.windows import PerReplica, Recording
from funcspace.errors import InputError

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
    from funcspace.training import Algorithm

__all__ = ["HierarchicalPLRNN"]

FEATURE_FACTOR = 10.0


class HierarchicalPLRNN(ShallowMap):
    r"""A shallow PLRNN for each of many subjects, its weights linear in a few features of the subject.

    theta_s = sum_k p_sk P_k,   theta = (A, W1, W2, h1, h2) of the shallow PLRNN,   p_s in R^d

    The tensors P are common to all subjects, the features p_s are the subject's own: what is common is learned from
    all, and what a subject adds are d numbers, which tend to follow the control parameters of a family of systems.
    Brenner, Weber, Koppe, Durstewitz: Learning interpretable hierarchical dynamical systems models from time series
    data, ICLR 2025.

    Subjects are the replicas of the model: train it with `GeneralizedTeacherForcing` or `SparseTeacherForcing` on
    `PerReplica([recording of subject 0, ...])`. Features learn at ten times the rate of what is shared, as in the
    reference. All recordings are standardised by their common mean and scale, so that subjects stay comparable.
    `replica(s)` is the shallow PLRNN of a subject.

    Ours minimises the squared error, where the reference can learn a noise variance for each subject, and starts at the
    usual random weights of a shallow PLRNN, to which the Glorot tensors of the reference (of gain 0.1) are added; the
    lift of the observations into the latent space is common to all.

    Parameters
    ----------
    observed : N, number of observed components.
    latent : M, number of units; N by default.
    hidden : H.
    subjects : S.
    features : d.
    clipped : whether hidden units are clipped, which bounds orbits where max|A| < 1.
    observation : see `Observation`; one for all subjects.
    seed : of the initial weights.

    Examples
    --------
    >>> model = HierarchicalPLRNN(observed=3, latent=10, hidden=50, subjects=64, features=6)
    >>> sum(p.numel() for p in model.parameters())  # 6 (2 M + 2 M H + H) + 64 * 6 + (M - N) N
    6825
    >>> model.replica(5).step(torch.zeros(10)).shape
    torch.Size([10])
    """

    independent = False
    adapts: Tensor

    def __init__(
        self,
        observed: int,
        latent: int | None = None,
        hidden: int = 50,
        *,
        subjects: int,
        features: int = 6,
        clipped: bool = True,
        observation: ObservationKind = "identity",
        seed: int = 0,
    ) -> None:
        require_counts(subjects=subjects, features=features, hidden=hidden)
        generator = torch.Generator().manual_seed(seed)
        latent = observed if latent is None else latent
        super().__init__(observed, latent, inputs=0, observation=observation, replicas=subjects, generator=generator)
        self.observation = Observation(observation, observed, latent, generator=generator)
        self.hidden, self.features, self.clipped, self._seed = hidden, features, clipped, seed
        self.register_buffer("adapts", torch.tensor(False))
        first = uniform((features,), generator, 1.0)
        self.p = nn.Parameter(first.repeat(subjects, 1))
        starts = {
            "A": contracting((), latent, generator).diagonal().contiguous(),
            "W1": uniform((latent, hidden), generator),
            "W2": uniform((hidden, latent), generator),
            "h1": torch.zeros(latent),
            "h2": uniform((hidden,), generator) if clipped else torch.zeros(hidden),
        }
        for name, start in starts.items():
            # so that the first features give `start`, and other ones lead away from it
            flat = start.reshape(1, -1)
            varied = 0.1 * glorot((features, flat.shape[1]), generator)
            varied = varied - torch.outer(first, first @ varied) / first.square().sum()
            tensor = varied + first[:, None] * flat / first.square().sum()
            setattr(self, f"P_{name}", nn.Parameter(tensor.reshape(features, *start.shape)))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "latent": self.latent, "hidden": self.hidden, "subjects": self.subjects,
            "features": self.features, "clipped": self.clipped, "observation": self.observation.kind,
            "seed": self._seed,
        }  # fmt: skip

    @property
    def subjects(self) -> int:
        """S."""
        assert self.replicas is not None
        return self.replicas

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """What is shared, and the features with ten times its rate; of subjects to adapt to, the features alone."""
        if bool(self.adapts):
            return [([self.p], 1.0)]
        return [([p for p in self.parameters() if p is not self.p], 1.0), ([self.p], FEATURE_FACTOR)]

    def standardise(self, recordings: list[Recording]) -> list[Recording]:
        """By mean and scale of all recordings together; of subjects to adapt to, by those of the first training."""
        if len(recordings) != self.replicas:
            raise InputError(
                f"each of the {self.replicas} subjects learns from a recording of its own: give "
                "PerReplica([recording of subject 0, ...])"
            )
        if not bool(self.adapts):
            pooled = replace(recordings[0], values=tuple(v for r in recordings for v in r.values))
            self.mean.copy_(pooled.mean)
            self.scale.copy_(pooled.scale)
        centre, spread = self.mean[0].cpu().double(), self.scale[0].cpu().double()
        return [replace(recording, centre=centre, spread=spread) for recording in recordings]

    def replica(self, index: int) -> ClippedShallowPLRNN | ShallowPLRNN:
        """The shallow PLRNN of a subject, as a model of its own."""
        if not -self.subjects <= index < self.subjects:
            raise InputError(f"there is no subject {index}; the model has {self.subjects}")
        kind: Any = ClippedShallowPLRNN if self.clipped else ShallowPLRNN
        single = kind(self.observed, self.latent, self.hidden, observation=self.observation.kind, seed=self._seed)
        weights = {name: getattr(self, name)[index] for name in ("A", "W1", "W2", "h1", "h2", "mean", "scale")}
        weights |= {f"observation.{name}": value for name, value in self.observation.state_dict().items()}
        single = single.to(self.p)
        single.load_state_dict({name: value.detach() for name, value in weights.items()})
        return single

    def for_subjects(self, subjects: int) -> HierarchicalPLRNN:
        """The same model for as many other subjects, whose features start at the mean of those known.

        Only the features learn; what is shared stays, and so do mean and scale.
        """
        kind: Any = type(self)
        other: HierarchicalPLRNN = kind(**(self.config | {"subjects": subjects})).to(self.p)
        state = self.state_dict()
        state["p"] = self.p.detach().mean(dim=0).repeat(subjects, 1)
        for name in ("mean", "scale"):
            state[name] = state[name][:1].repeat(subjects, 1)
        state["adapts"] = torch.tensor(True)
        other.load_state_dict(state)
        other.requires_grad_(False)
        other.p.requires_grad_(True)
        return other

    def adapt(
        self,
        recordings: Sequence[Any],
        algorithm: Algorithm,
        *,
        epochs: int = 100,
        learning_rate: float = 1e-2,
        seed: int = 0,
    ) -> Reconstruction:
        """Find the features of other subjects, all else held fixed.

        Parameters
        ----------
        recordings : one Function over Times, or sequence of Functions, for each subject.
        algorithm : such as `GeneralizedTeacherForcing`.
        epochs, learning_rate, seed : as in `fit`.

        Returns
        -------
        Reconstruction
            Of a model `for_subjects(len(recordings))`; its features are `reconstruction.model.p`.
        """
        from funcspace.training import fit

        if not isinstance(recordings, Sequence) or not len(recordings):
            raise InputError("recordings must be a sequence with a recording for each subject")
        model = self.for_subjects(len(recordings))
        return fit(
            model, PerReplica(recordings), algorithm=algorithm, epochs=epochs, learning_rate=learning_rate, seed=seed,
            progress=False, precision="64" if self.p.dtype == torch.float64 else "32",
        )  # fmt: skip

    def _weight(self, name: str) -> Tensor:
        return torch.einsum("sk,k...->s...", self.p, getattr(self, f"P_{name}"))

    @property
    def A(self) -> Float[Tensor, "subject latent"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Diagonals of each subject."""
        return self._weight("A")

    @property
    def W1(self) -> Float[Tensor, "subject latent hidden"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Outer weights of each subject."""
        return self._weight("W1")

    @property
    def W2(self) -> Float[Tensor, "subject hidden latent"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Inner weights of each subject."""
        return self._weight("W2")

    @property
    def h1(self) -> Float[Tensor, "subject latent"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Outer biases of each subject."""
        return self._weight("h1")

    @property
    def h2(self) -> Float[Tensor, "subject hidden"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Inner biases of each subject."""
        return self._weight("h2")
