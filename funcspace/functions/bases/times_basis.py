"""Bases of functions of time."""

from __future__ import annotations

from collections.abc import Sequence

from funcspace.errors import InputError
from funcspace.functions.bases.cubic_line import CubicLine
from funcspace.functions.bases.grid_basis import TensorBasis
from funcspace.functions.bases.line_basis import LinearLine, LineBasis
from funcspace.geometry.times import Times

__all__ = ["TimesBasis"]


class TimesBasis(TensorBasis):
    """Functions of time with their values at the instants as coefficients.

    ==========  ====================================================================================
    "linear"    linear between the instants
    "cubic"     the cubic Hermite interpolant whose slopes make the second derivative continuous: the cubic spline
    ==========  ====================================================================================

    Slopes from finite differences would change when instants are added on the curve itself; with the spline's slopes,
    refined times reproduce a function to rounding. A single instant holds a constant.

    Raises
    ------
    InputError
        When there is no such element.
    """

    @staticmethod
    def make_lines(domain: Times, element: str) -> Sequence[LineBasis]:
        """The one basis."""
        kinds = {"linear": LinearLine, "cubic": CubicLine}
        if element not in kinds:
            raise InputError(f"Times have the elements {', '.join(kinds)}; got {element!r}")
        return [kinds[element](domain.instants.numpy(), domain.start, domain.stop)]
