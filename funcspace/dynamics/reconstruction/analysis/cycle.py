"""A periodic orbit of a piecewise-linear map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cycle"]


@dataclass(frozen=True, eq=False)
class Cycle:
    """A solution of F^k(z) = z on given linear regions; a fixed point for k = 1.

    Attributes
    ----------
    states : z_1 .. z_k, (order, latent).
    observed : the observations that belong to them, in the units of the data, (order, observed).
    regions : the regions it was solved for, (order, bits).
    multipliers : eigenvalues of the Jacobian along the cycle, largest first.
    admissible : whether each state lies in its region, so that the map really has this cycle; a virtual one otherwise.
    """

    states: NDArray[np.float64]
    observed: NDArray[np.float64]
    regions: NDArray[np.bool_]
    multipliers: NDArray[np.complex128]
    admissible: bool

    @property
    def order(self) -> int:
        """The number of states."""
        return len(self.states)

    @property
    def unstable(self) -> int:
        """How many multipliers lie outside the unit circle."""
        return int((np.abs(self.multipliers) > 1.0).sum())

    @property
    def kind(self) -> str:
        """Node, spiral or saddle, the first two stable or unstable; by the multipliers.

        A spiral's largest multiplier is complex. A saddle has multipliers on both sides of the unit circle and real
        ones outside; with complex ones outside it is called a saddle spiral.
        """
        largest = self.multipliers[: max(1, self.unstable)]
        turning = bool((np.abs(largest.imag) > 1e-9 * np.abs(largest)).any())
        if self.unstable == 0:
            return "stable spiral" if turning else "stable node"
        if self.unstable == len(self.multipliers):
            return "unstable spiral" if turning else "unstable node"
        return "saddle spiral" if turning else "saddle"

    def __repr__(self) -> str:
        what = "fixed point" if self.order == 1 else f"{self.order}-cycle"
        where = ", ".join(f"{x:.3g}" for x in self.observed[0])
        virtual = "" if self.admissible else "virtual "
        return f"Cycle({virtual}{self.kind} {what} at ({where}), |multiplier| {abs(self.multipliers[0]):.5g})"
