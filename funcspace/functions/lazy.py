"""Functions whose coefficients stay on disk until they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.function import Function
from funcspace.functions.space import FunctionSpace

__all__ = ["LazyFunction"]


@dataclass(frozen=True, eq=False, repr=False)
class LazyFunction:
    """A batch of functions in an array on disk; slices stay on disk, `load()` and `coefficients` read.

    Attributes
    ----------
    space : the space of every function.
    array : anything with `shape` and `__getitem__`, such as a Zarr array: (samples, *coefficient shape).
    rows : which samples of the array belong to this batch, in order.
    """

    space: FunctionSpace
    array: Any
    rows: np.ndarray
    name: str = "u"
    units: str = ""

    @classmethod
    def over(cls, space: FunctionSpace, array: Any, *, name: str = "u", units: str = "") -> LazyFunction:
        """All samples of an array."""
        return cls(space, array, np.arange(array.shape[0]), name, units)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """One batch axis."""
        return (len(self.rows),)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the coefficients."""
        return torch.from_numpy(np.empty(0, dtype=np.dtype(self.array.dtype).newbyteorder("="))).dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """The Function at an integer (read), or the lazy batch at a slice or list (not read)."""
        if isinstance(index, int | np.integer):
            return replace(self, rows=self.rows[[int(index)]]).load()[0]
        return replace(self, rows=self.rows[index if isinstance(index, slice) else np.asarray(index)])

    def __iter__(self) -> Iterator[Function]:
        return (self[i] for i in range(len(self)))

    @property
    def coefficients(self) -> Tensor:
        """Read the samples of this batch: through the array's own `rows` if it has one, else contiguous runs at once.

        Raises
        ------
        InputError
            When they hold NaN or infinity.
        """
        shape = self.space.coefficient_shape
        if hasattr(self.array, "rows"):
            return self._checked(np.asarray(self.array.rows(self.rows)).reshape(len(self.rows), *shape))
        result = np.empty((len(self.rows), *shape), dtype=self.array.dtype)
        order = np.argsort(self.rows, kind="stable")
        ordered = self.rows[order]
        breaks = np.flatnonzero(np.diff(ordered) != 1) + 1
        for run in np.split(np.arange(len(ordered)), breaks):
            if run.size:
                block = np.asarray(self.array[int(ordered[run[0]]) : int(ordered[run[-1]]) + 1])
                result[order[run]] = block.reshape(len(run), *shape)
        return self._checked(result)

    def _checked(self, values: np.ndarray) -> Tensor:
        finite = np.isfinite(values)
        if not finite.all():
            bad = int(np.argmin(finite.reshape(len(values), -1).all(axis=1)))
            raise InputError(
                f"{self.name!r} holds NaN or infinity, first at sample {int(self.rows[bad])} of the file; "
                "drop or repair those samples before training"
            )
        return torch.from_numpy(values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("=")))

    def load(self) -> Function:
        """The batch in memory."""
        return Function(self.space, self.coefficients, name=self.name, units=self.units)

    def norm(self, kind: str = "L2") -> Tensor:
        """Norms of the functions; reads them."""
        return self.load().norm(kind)

    def __repr__(self) -> str:
        return f"LazyFunction {self.name!r}: {len(self)} functions on disk, {self.space!r}"
