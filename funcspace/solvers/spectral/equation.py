"""What an equation tells the engine: its linear part, its nonlinear part and how fast that acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from funcspace.solvers.spectral.modes import Modes

__all__ = ["Equation"]


class Equation(Protocol):
    """An autonomous equation v' = L v + N(v) for the spectra of one or more components."""

    @property
    def modes(self) -> Modes:
        """The modes that the equation is cut off at."""
        ...

    @property
    def linear(self) -> Shaped[Tensor, " components *modes"]:
        """L, in double precision on the CPU."""
        ...

    @property
    def profile(self) -> tuple[Float[Tensor, " *modes"], complex]:
        """Rate of N per mode over the largest, float64, and the direction of its eigenvalues: 1j for transport."""
        ...

    def nonlinear(self, spectra: Complex[Tensor, "*batch components *modes"]) -> Complex[Tensor, " ..."]:
        """N, cut off; without operations in place, so that it can be differentiated."""
        ...

    def compiled(self) -> Callable[[Tensor], Tensor] | None:
        """The same function as `nonlinear` without gradients, where there is a faster way to it on this device."""
        ...

    def rates(self, spectra: Complex[Tensor, "batch components *modes"]) -> Float[Tensor, " batch"]:
        """The largest magnitude of an eigenvalue of the linearised N, per sample, in the inverse unit of time."""
        ...
