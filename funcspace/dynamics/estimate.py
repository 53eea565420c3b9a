"""An estimated quantity: values, their standard errors, and what they were made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from funcspace.dynamics.pickling import by_fields
from funcspace.errors import InputError

__all__ = ["Estimate"]


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """A number or an array of numbers, each with its standard error.

    It behaves like its values: `float(e)` for a single number, iteration, indexing and `numpy.asarray(e)` for several.

    Attributes
    ----------
    value : the estimate, a float or an array.
    error : one standard error, of the same shape; NaN where none could be had.
    details : what else the estimator knows, by name: the curve that was fitted, the region, the blocks.

    Raises
    ------
    InputError
        When value and error differ in shape.

    Examples
    --------
    >>> dimension = Estimate(2.052, 0.011)
    >>> dimension, float(dimension)
    (Estimate(2.052 +- 0.011), 2.052)
    >>> largest, *rest = Estimate([0.906, 0.0, -14.572], [0.004, 0.002, 0.004])
    >>> largest
    0.906
    """

    value: Any
    error: Any = float("nan")
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        value = np.array(self.value, dtype=np.float64)
        error = np.array(self.error, dtype=np.float64)
        if error.ndim == 0:
            error = np.full(value.shape, float(error))
        if error.shape != value.shape:
            raise InputError(f"an Estimate needs one error per value: values {value.shape}, errors {error.shape}")
        for name, array in (("value", value), ("error", error)):
            array.setflags(write=False)
            object.__setattr__(self, name, float(array) if array.ndim == 0 else array)
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))

    __reduce__ = by_fields

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values; () for a single number."""
        return np.shape(self.value)

    def __float__(self) -> float:
        if self.shape:
            raise TypeError(f"an Estimate of shape {self.shape} is no single number; index it or use numpy.asarray")
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype=dtype)

    def _several(self) -> np.ndarray:
        if not self.shape:
            raise TypeError("an Estimate of a single number has no elements; use float(estimate)")
        return self.value

    def __len__(self) -> int:
        return len(self._several())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._several().tolist() if len(self.shape) == 1 else self._several())

    def __getitem__(self, index: Any) -> Any:
        """The values at an index: a float, or an array without errors."""
        found = self._several()[index]
        return float(found) if np.ndim(found) == 0 else found

    def __repr__(self) -> str:
        return f"Estimate({self})"

    def __str__(self) -> str:
        if not self.shape:
            return _with_error(self.value, self.error)
        flat = [_with_error(v, e) for v, e in zip(self.value.ravel()[:8], self.error.ravel()[:8], strict=True)]
        more = ", ..." if self.value.size > len(flat) else ""
        return f"[{', '.join(flat)}{more}]" + (f" of shape {self.shape}" if len(self.shape) > 1 else "")


def _with_error(value: float, error: float) -> str:
    """The value to the digits that its error leaves, two of them uncertain."""
    if not (np.isfinite(error) and np.isfinite(value) and error > 0):
        return f"{value:.6g}"
    if error < 1e-6 or error >= 1e6:
        return f"{value:.3g} +- {error:.1g}"
    digits = int(max(0, 1 - np.floor(np.log10(error))))
    return f"{value:.{digits}f} +- {error:.{digits}f}"
