"""Instants in time: an origin and a step, or an explicit list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.geometry.cached_property import cached_property
from funcspace.geometry.domain import content_fingerprint
from funcspace.geometry.grid_axis import is_equispaced
from funcspace.geometry.number_tensor import refuse_masked

if TYPE_CHECKING:
    from funcspace.geometry.product import ProductDomain

__all__ = ["Times"]


class Times:
    r"""The instants :math:`t_i = start + i \cdot step`, or explicit ones through `Times.at`.

    A single instant is a legal domain: a point of measure 1. Slices keep the bits of the instants.

    Parameters
    ----------
    start, step : first instant and distance of neighbours.
    count : number of instants.
    unit : unit of time, free text.

    Raises
    ------
    InputError
        When the step is not positive, there is no instant, or a number is not finite.

    Examples
    --------
    >>> import funcspace as fs
    >>> times = fs.Times(0.0, 0.5, 9)
    >>> times.duration, times[2:5]
    (4.0, Times(1.0, 0.5, 3))
    >>> times * fs.Grid(x=(0.0, 1.0, 5))
    ProductDomain(Times(0.0, 0.5, 9) * Grid(x=(0.0, 1.0, 5)))
    """

    def __init__(self, start: float | int, step: float | int, count: int, unit: str = "") -> None:
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"Times needs a whole number of instants, at least one; got count={count!r}")
        try:
            start, step = float(start), float(step)
        except (TypeError, ValueError) as error:
            raise InputError(f"Times needs numbers as start and step; got start={start!r}, step={step!r}") from error
        if not (np.isfinite(start) and np.isfinite(step) and step > 0):
            raise InputError(f"Times needs a finite start and a positive step; got start={start}, step={step}")
        self._set(start + step * np.arange(int(count)), step, unit)

    @classmethod
    def at(cls, instants: Any, unit: str = "") -> Times:
        """Explicit, strictly increasing instants; `step` is set where they turn out to be equispaced.

        >>> import funcspace as fs
        >>> fs.Times.at([0.0, 0.1, 0.4]).step is None
        True
        """
        refuse_masked(instants, "instants")
        array = instants.detach().cpu().numpy() if isinstance(instants, Tensor) else np.asarray(instants)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "fiu":
            raise InputError(
                f"Times.at needs a vector of at least one number, got shape {array.shape} of {array.dtype}"
            )
        resolution = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
        values = array.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(f"instants must be finite; instant {bad[0]} is {values[bad[0]]}")
        steps = np.diff(values)
        back = np.flatnonzero(steps <= 0)
        if back.size:
            i = int(back[0])
            raise InputError(
                f"instants must increase strictly; instants {i} and {i + 1} are {values[i]} and {values[i + 1]}"
            )
        step = None
        if values.size > 1 and is_equispaced(values, resolution):
            step = float((values[-1] - values[0]) / (values.size - 1))
        return cls._of(values, step, unit)

    @classmethod
    def _of(cls, instants: np.ndarray, step: float | None, unit: str) -> Times:
        times = cls.__new__(cls)
        times._set(instants, step, unit)
        return times

    def _set(self, instants: np.ndarray, step: float | None, unit: str) -> None:
        self._instants, self._step, self._unit = torch.from_numpy(np.ascontiguousarray(instants)), step, str(unit)

    @property
    def instants(self) -> Float[Tensor, " n"]:
        """The instants (float64)."""
        return self._instants

    @property
    def step(self) -> float | None:
        """Distance of neighbouring instants; None where they are not equispaced."""
        return self._step

    @property
    def start(self) -> float:
        """The first instant."""
        return float(self._instants[0])

    @property
    def stop(self) -> float:
        """The last instant."""
        return float(self._instants[-1])

    @property
    def count(self) -> int:
        """Number of instants."""
        return len(self._instants)

    @property
    def duration(self) -> float:
        """Time from the first to the last instant."""
        return self.stop - self.start

    @property
    def is_uniform(self) -> bool:
        """Whether the instants are equispaced."""
        return self._step is not None

    @property
    def unit(self) -> str:
        """Unit of time."""
        return self._unit

    @property
    def dim(self) -> int:
        """One coordinate."""
        return 1

    @property
    def axis_names(self) -> tuple[str, ...]:
        """The one axis is called time."""
        return ("time",)

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of time, where there is one."""
        return {"time": self._unit} if self._unit else {}

    @property
    def points(self) -> Float[Tensor, "n 1"]:
        """The instants as points."""
        return self._instants[:, None]

    @property
    def bounds(self) -> Float[Tensor, "2 1"]:
        """First and last instant."""
        return self._instants[[0, -1]][:, None]

    @cached_property
    def measure(self) -> Float[Tensor, " n"]:
        """Trapezoidal weights; 1 for a single instant."""
        if self.count == 1:
            return torch.ones(1, dtype=torch.float64)
        steps = self._instants.diff() / 2
        return torch.nn.functional.pad(steps, (0, 1)) + torch.nn.functional.pad(steps, (1, 0))

    @cached_property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """The parts "start", "end" and, both together, "boundary"."""
        first, last = torch.tensor([0]), torch.tensor([self.count - 1])
        return {"boundary": torch.unique(torch.cat([first, last])), "start": first, "end": last}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content; of equispaced instants to rounding, so that it does not matter how they were reached."""
        if self._step is None:
            return content_fingerprint(["times", self._instants, self._unit])
        origin = round(self.start / self._step, 6) + 0.0
        return content_fingerprint(["times", origin, float(f"{self._step:.12g}"), self.count, self._unit])

    def refined(self, times: int = 1) -> Times:
        """With the middle of each interval added, the number of intervals doubles."""
        instants, step = self._instants.numpy(), self._step
        for _ in range(times):
            fine = np.empty(2 * instants.size - 1)
            fine[::2], fine[1::2] = instants, 0.5 * (instants[1:] + instants[:-1])
            instants, step = fine, None if step is None else step / 2
        return Times._of(instants, step, self._unit)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        """The times of a slice, or the instant at an integer."""
        if isinstance(index, int | np.integer):
            return float(self._instants[range(self.count)[int(index)]])
        if not isinstance(index, slice):
            raise InputError(f"Times are indexed by a slice or an integer, got {index!r}")
        begin, end, stride = index.indices(self.count)
        if stride < 1:
            raise InputError(f"Times cannot run backwards; the stride of the slice is {stride}")
        if end <= begin:
            raise InputError(f"the slice {begin}:{end} of {self.count} instants is empty")
        return Times._of(
            self._instants.numpy()[index].copy(), None if self._step is None else stride * self._step, self._unit
        )

    def __mul__(self, other: Any) -> ProductDomain:
        from funcspace.geometry.product import ProductDomain

        return ProductDomain((self, other))

    def __rmul__(self, other: Any) -> Any:
        raise DomainError(f"time comes first in a product: write Times * {type(other).__name__}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Times) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        unit = f", unit={self._unit!r}" if self._unit else ""
        if self._step is not None:
            start, step = (float(f"{value:.12g}") for value in (self.start, self._step))
            return f"Times({start}, {step}, {self.count}{unit})"
        if self.count <= 4:
            return f"Times.at({self._instants.tolist()}{unit})"
        return f"Times.at(<{self.count} instants from {self.start:.6g} to {self.stop:.6g}>{unit})"

    def _repr_html_(self) -> str:
        spacing = f"step {self._step:.6g}" if self._step is not None else "not equispaced"
        return (
            f"<div><b>Times</b> {self.count} instants, {self.start:.6g} &hellip; {self.stop:.6g} {self._unit}, "
            f"{spacing}</div>"
        )
