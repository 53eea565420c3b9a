"""Two-dimensional Riemann problems: four constant states, one in each quadrant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import entries_of, is_whole, number_of, positive_number
from funcspace.errors import InputError

__all__ = ["LAX_LIU", "FourStates", "lax_liu"]

State = tuple[float, float, float, float]


@dataclass(frozen=True)
class FourStates:
    """(density, x velocity, y velocity, pressure) in each quadrant about a point; a callable of points.

    Attributes
    ----------
    upper_right, upper_left, lower_left, lower_right : the states of quadrants 1 to 4.
    centre : the point.
    time : when published solutions of the configuration are shown.

    Raises
    ------
    InputError
        When a state is not admissible.
    """

    upper_right: State
    upper_left: State
    lower_left: State
    lower_right: State
    centre: tuple[float, float] = (0.5, 0.5)
    time: float = 0.2

    def __post_init__(self) -> None:
        for name in ("upper_right", "upper_left", "lower_left", "lower_right"):
            state = getattr(self, name)
            numbers = [number_of(value) for value in entries_of(state)]
            if len(numbers) != 4 or not np.isfinite(numbers).all() or numbers[0] <= 0.0 or numbers[3] <= 0.0:
                raise InputError(
                    f"{name} must be (density, x velocity, y velocity, pressure) with positive density and pressure; "
                    f"got {state!r}"
                )
        centre = [number_of(value) for value in entries_of(self.centre)]
        if len(centre) != 2 or not np.isfinite(centre).all():
            raise InputError(f"centre must be two finite coordinates; got {self.centre!r}")
        positive_number(self.time, "time")

    def __call__(self, points: Any) -> NDArray[np.float64]:
        """Density, velocities and pressure at points (n, 2): (n, 4)."""
        x = np.asarray(points, dtype=np.float64)
        right, up = (x[:, :1] >= self.centre[0]), (x[:, 1:2] >= self.centre[1])
        upper = np.where(right, np.array(self.upper_right), np.array(self.upper_left))
        lower = np.where(right, np.array(self.lower_right), np.array(self.lower_left))
        return np.where(up, upper, lower)


def lax_liu(number: int) -> FourStates:
    """One of the nineteen configurations whose interfaces each emit a single elementary wave.

    P. D. Lax and X.-D. Liu, SIAM J. Sci. Comput. 19 (1998); the times are those of A. Kurganov and E. Tadmor, Numer.
    Methods Partial Differ. Equ. 18 (2002). On the unit square with gamma = 1.4 and open boundaries.

    Raises
    ------
    InputError
        When the number is not 1 to 19.

    Examples
    --------
    >>> lax_liu(3).upper_right, lax_liu(3).time
    ((1.5, 0.0, 0.0, 1.5), 0.3)
    """
    if not (is_whole(number) and number in LAX_LIU):
        raise InputError(f"the configurations of Lax and Liu have the numbers 1 to {len(LAX_LIU)}; got {number!r}")
    return LAX_LIU[number]


# density, x velocity, y velocity, pressure; quadrants counter-clockwise from the upper right one
LAX_LIU = {
    1: FourStates(
        (1.0, 0.0, 0.0, 1.0), (0.5197, -0.7259, 0.0, 0.4),
        (0.1072, -0.7259, -1.4045, 0.0439), (0.2579, 0.0, -1.4045, 0.15), time=0.2,
    ),
    2: FourStates(
        (1.0, 0.0, 0.0, 1.0), (0.5197, -0.7259, 0.0, 0.4),
        (1.0, -0.7259, -0.7259, 1.0), (0.5197, 0.0, -0.7259, 0.4), time=0.2,
    ),
    3: FourStates(
        (1.5, 0.0, 0.0, 1.5), (0.5323, 1.206, 0.0, 0.3),
        (0.138, 1.206, 1.206, 0.029), (0.5323, 0.0, 1.206, 0.3), time=0.3,
    ),
    4: FourStates(
        (1.1, 0.0, 0.0, 1.1), (0.5065, 0.8939, 0.0, 0.35),
        (1.1, 0.8939, 0.8939, 1.1), (0.5065, 0.0, 0.8939, 0.35), time=0.25,
    ),
    5: FourStates(
        (1.0, -0.75, -0.5, 1.0), (2.0, -0.75, 0.5, 1.0),
        (1.0, 0.75, 0.5, 1.0), (3.0, 0.75, -0.5, 1.0), time=0.23,
    ),
    6: FourStates(
        (1.0, 0.75, -0.5, 1.0), (2.0, 0.75, 0.5, 1.0),
        (1.0, -0.75, 0.5, 1.0), (3.0, -0.75, -0.5, 1.0), time=0.3,
    ),
    7: FourStates(
        (1.0, 0.1, 0.1, 1.0), (0.5197, -0.6259, 0.1, 0.4),
        (0.8, 0.1, 0.1, 0.4), (0.5197, 0.1, -0.6259, 0.4), time=0.25,
    ),
    8: FourStates(
        (0.5197, 0.1, 0.1, 0.4), (1.0, -0.6259, 0.1, 1.0),
        (0.8, 0.1, 0.1, 1.0), (1.0, 0.1, -0.6259, 1.0), time=0.25,
    ),
    9: FourStates(
        (1.0, 0.0, 0.3, 1.0), (2.0, 0.0, -0.3, 1.0),
        (1.039, 0.0, -0.8133, 0.4), (0.5197, 0.0, -0.4259, 0.4), time=0.3,
    ),
    10: FourStates(
        (1.0, 0.0, 0.4297, 1.0), (0.5, 0.0, 0.6076, 1.0),
        (0.2281, 0.0, -0.6076, 0.3333), (0.4562, 0.0, -0.4297, 0.3333), time=0.15,
    ),
    11: FourStates(
        (1.0, 0.1, 0.0, 1.0), (0.5313, 0.8276, 0.0, 0.4),
        (0.8, 0.1, 0.0, 0.4), (0.5313, 0.1, 0.7276, 0.4), time=0.3,
    ),
    12: FourStates(
        (0.5313, 0.0, 0.0, 0.4), (1.0, 0.7276, 0.0, 1.0),
        (0.8, 0.0, 0.0, 1.0), (1.0, 0.0, 0.7276, 1.0), time=0.25,
    ),
    13: FourStates(
        (1.0, 0.0, -0.3, 1.0), (2.0, 0.0, 0.3, 1.0),
        (1.0625, 0.0, 0.8145, 0.4), (0.5313, 0.0, 0.4276, 0.4), time=0.3,
    ),
    14: FourStates(
        (2.0, 0.0, -0.5606, 8.0), (1.0, 0.0, -1.2172, 8.0),
        (0.4736, 0.0, 1.2172, 2.6667), (0.9474, 0.0, 1.1606, 2.6667), time=0.1,
    ),
    15: FourStates(
        (1.0, 0.1, -0.3, 1.0), (0.5197, -0.6259, -0.3, 0.4),
        (0.8, 0.1, -0.3, 0.4), (0.5313, 0.1, 0.4276, 0.4), time=0.2,
    ),
    16: FourStates(
        (0.5313, 0.1, 0.1, 0.4), (1.0222, -0.6179, 0.1, 1.0),
        (0.8, 0.1, 0.1, 1.0), (1.0, 0.1, 0.8276, 1.0), time=0.2,
    ),
    17: FourStates(
        (1.0, 0.0, -0.4, 1.0), (2.0, 0.0, -0.3, 1.0),
        (1.0625, 0.0, 0.2145, 0.4), (0.5197, 0.0, -1.1259, 0.4), time=0.3,
    ),
    18: FourStates(
        (1.0, 0.0, 1.0, 1.0), (2.0, 0.0, -0.3, 1.0),
        (1.0625, 0.0, 0.2145, 0.4), (0.5197, 0.0, 0.2741, 0.4), time=0.2,
    ),
    19: FourStates(
        (1.0, 0.0, 0.3, 1.0), (2.0, 0.0, -0.3, 1.0),
        (1.0625, 0.0, 0.2145, 0.4), (0.5197, 0.0, -0.4259, 0.4), time=0.3,
    ),
}  # fmt: skip
