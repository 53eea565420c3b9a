"""What training on windows with forcing asks of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.windows import Recording, standardised_by
from funcspace.errors import InputError

__all__ = ["ForcedModel", "pulled"]


class ForcedModel(nn.Module, ABC):
    """A model of standardised components that predicts along a window while the data pull on its states.

    Attributes
    ----------
    observed, inputs : numbers of components and of external inputs.
    replicas : number of models that are trained at once; None for a single one without an axis for them.
    independent : whether replicas share no weights.
    mean, scale : of the data that it was trained on.
    """

    observed: int
    inputs: int = 0
    replicas: int | None = None
    independent: bool = True
    mean: Tensor
    scale: Tensor

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments, plain data."""

    @abstractmethod
    def forward(
        self,
        window: Float[Tensor, "*replicas observed instant column"],
        gain: Float[Tensor, "*replicas time"],
        inputs: Float[Tensor, "*replicas input time column"] | None = None,
        *,
        forced: int | None = None,
    ) -> Float[Tensor, "*replicas observed time column"]:
        """Observations 1 .. T predicted from observation 0, forced towards the others as the gain says.

        With `forced` only so many of the first units are, of those that can be. Missing observations are NaN; they
        force nothing, and a missing start is taken as zero.
        """

    @property
    def forceable(self) -> int:
        """How many units the data can force."""
        return self.observed

    def standardise(self, recordings: list[Recording]) -> list[Recording]:
        """Take over mean and scale of what is to be learned from, one recording for all replicas or one for each."""
        return standardised_by(self, recordings)

    def latent_penalty(self) -> Float[Tensor, "*replicas"]:
        """What a weight on the map penalises."""
        raise self._nothing("latent_weight")

    def observation_penalty(self) -> Float[Tensor, "*replicas"]:
        """What a weight on the observation penalises."""
        raise self._nothing("observation_weight")

    def attractor_penalty(self, share: float) -> Float[Tensor, "*replicas"]:
        """How far the map of the last units, `share` of them, is from the identity."""
        raise self._nothing("attractor_weight")

    @property
    def bending(self) -> slice:
        """The units whose signs tell the linear regions."""
        raise self._no_regions()

    def region_maps(
        self,
    ) -> tuple[Float[Tensor, "*replicas pattern latent latent"], Float[Tensor, "*replicas pattern latent"]]:
        """J and c of z -> J z + c on the linear regions, in the order of `sign_patterns`."""
        raise self._no_regions()

    def extra_repr(self) -> str:
        """Constructor arguments and the number of weights."""
        shown = ", ".join(f"{k}={v!r}" for k, v in self.config.items() if k != "seed" and v is not None)
        return f"{shown}, {sum(p.numel() for p in self.parameters()):,} parameters"

    def _no_regions(self) -> InputError:
        return InputError(
            f"{type(self).__name__} has no few units whose signs tell its linear regions, which region_weight and "
            "keep_topology go by; they are for ALRNN"
        )

    def _nothing(self, weight: str) -> InputError:
        return InputError(f"{type(self).__name__} has nothing that {weight} weighs; leave it at 0")


def pulled(
    prediction: Float[Tensor, "*batch observed"],
    target: Float[Tensor, "*batch observed"],
    gain: float,
    forced: int | None = None,
) -> Float[Tensor, "*batch observed"]:
    """The prediction moved a share `gain` of the way to the target; left where the target is missing.

    With `forced` only so many first components are moved.
    """
    if gain == 0.0:
        return prediction
    held = torch.where(target.isnan(), prediction, target)
    if forced is not None:
        held = torch.cat([held[..., :forced], prediction[..., forced:]], dim=-1)
    return held if gain == 1.0 else prediction + gain * (held - prediction)
