"""Pairs of input and output functions: what operators are learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from funcspace.errors import DomainError, InputError
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.domain import Domain

__all__ = ["OperatorData"]

Column = Function | LazyFunction | RaggedFunction


@dataclass(frozen=True, eq=False, repr=False)
class OperatorData(Dataset[dict[str, Tensor]]):
    """Samples of an operator: named input and output functions, scalar parameters, and boundary data.

    Attributes
    ----------
    inputs, outputs : functions by name, each a batch over the samples (or ragged, or lazy on disk).
    parameters : one number per sample, by name.
    boundary : what is known on named boundary parts, such as `{"boundary": {"type": "dirichlet", "value": 0.0}}`.
    attributes : anything worth keeping: the recipe, the seed, the source.

    Raises
    ------
    InputError
        When there is nothing in it, sample counts differ, names repeat, or data in memory hold NaN or infinity.
    """

    inputs: Mapping[str, Column]
    outputs: Mapping[str, Column]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)
    boundary: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.inputs and not self.outputs:
            raise InputError("OperatorData needs at least one function")
        repeated = set(self.inputs) & set(self.outputs)
        if repeated:
            raise InputError(f"{sorted(repeated)[0]!r} is both an input and an output; give them different names")
        counts = {name: _count(name, column) for name, column in self._columns().items()}
        counts |= {name: len(values) for name, values in self.parameters.items()}
        if len(set(counts.values())) != 1:
            raise InputError(f"all functions and parameters must have as many samples; got {counts}")
        if next(iter(counts.values())) == 0:
            raise InputError("OperatorData is empty: there are no samples")
        for name, column in self._columns().items():
            if not isinstance(column, LazyFunction):
                check_finite(column, name)
        for name, values in self.parameters.items():
            if not bool(torch.isfinite(values).all()):
                raise InputError(f"parameter {name!r} holds NaN or infinity at sample {_first_bad(values)}")

    @classmethod
    def from_arrays(
        cls,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        domain: Domain | Mapping[str, Domain],
        *,
        element: str | Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        boundary: Mapping[str, Any] | None = None,
        units: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> OperatorData:
        """Build from arrays `(samples, *grid shape[, components])` or `(samples, dofs[, components])`.

        Parameters
        ----------
        domain : the domain of all functions, or one per name.
        element : the basis, for all or per name; the domain's default when None.
        parameters : one number per sample, by name.
        boundary : per boundary part a number (a Dirichlet value) or a mapping with "type" and "value".

        Raises
        ------
        InputError
            When an array does not fit its domain, or holds NaN or infinity.
        """

        def column(name: str, array: Any) -> Function:
            place = domain[name] if isinstance(domain, Mapping) else domain
            basis = element.get(name) if isinstance(element, Mapping) else element
            return function_from_array(name, array, place, basis, (units or {}).get(name, ""))

        for mapping in (domain, element):
            if isinstance(mapping, Mapping):
                missing = [name for name in (*inputs, *outputs) if name not in mapping]
                if missing and mapping is domain:
                    raise InputError(f"no domain was given for {missing[0]!r}")
        return cls(
            {name: column(name, array) for name, array in inputs.items()},
            {name: column(name, array) for name, array in outputs.items()},
            {name: torch.as_tensor(np.asarray(values)) for name, values in (parameters or {}).items()},
            {
                part: dict(value) if isinstance(value, Mapping) else {"type": "dirichlet", "value": float(value)}
                for part, value in (boundary or {}).items()
            },
            dict(attributes or {}),
        )

    def _columns(self) -> dict[str, Column]:
        return {**self.inputs, **self.outputs}

    def __len__(self) -> int:
        return len(next(iter(self._columns().values())))

    def __getitem__(self, index: Any) -> Any:
        """Sample `index` as a dict of tensors by name; for a slice or a list of indices, the OperatorData of those samples."""
        if isinstance(index, int | np.integer):
            i = range(len(self))[int(index)]
            sample = {name: column[i].coefficients for name, column in self._columns().items()}
            return sample | {name: values[i] for name, values in self.parameters.items()}
        rows = index if isinstance(index, slice) else np.arange(len(self))[np.asarray(index)]
        picked = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return OperatorData(
            {name: _select(column, rows) for name, column in self.inputs.items()},
            {name: _select(column, rows) for name, column in self.outputs.items()},
            {name: values[picked] for name, values in self.parameters.items()},
            self.boundary,
            self.attributes,
        )

    def split(self, *sizes: int | float, seed: int | None = None) -> tuple[OperatorData, ...]:
        """Cut into consecutive parts of the given sizes (counts, or fractions below 1) and the rest.

        Parameters
        ----------
        seed : shuffle the samples first with this seed; in order when None.

        Raises
        ------
        InputError
            When the sizes are not positive or leave nothing for the last part.
        """
        counts = [round(size * len(self)) if isinstance(size, float) and size < 1 else int(size) for size in sizes]
        if not counts or min(counts) < 1 or sum(counts) >= len(self):
            raise InputError(
                f"split sizes {sizes} must be positive and leave at least one of the {len(self)} samples for the rest"
            )
        order = np.arange(len(self)) if seed is None else np.random.default_rng(seed).permutation(len(self))
        edges = np.cumsum([0, *counts, len(self) - sum(counts)])
        if seed is None:
            return tuple(self[int(a) : int(b)] for a, b in zip(edges[:-1], edges[1:], strict=True))
        return tuple(self[order[a:b]] for a, b in zip(edges[:-1], edges[1:], strict=True))

    def in_memory(self) -> OperatorData:
        """The same data with everything that is lazy read into memory."""
        return OperatorData(
            {n: c.load() if isinstance(c, LazyFunction) else c for n, c in self.inputs.items()},
            {n: c.load() if isinstance(c, LazyFunction) else c for n, c in self.outputs.items()},
            self.parameters,
            self.boundary,
            self.attributes,
        )

    def save(self, path: Any) -> None:
        """Write to netCDF (`.nc`) or Zarr (`.zarr`); the file appears whole or not at all."""
        from funcspace.functions.data_files import save_data

        save_data(self, path)

    @classmethod
    def load(cls, path: Any, *, lazy: bool | None = None) -> OperatorData:
        """Read a file written by `save`.

        Parameters
        ----------
        lazy : leave the coefficients on disk until they are used; by default when they would fill a quarter of the
            free memory or more.
        """
        from funcspace.functions.data_files import load_data

        return load_data(path, lazy=lazy)

    def __repr__(self) -> str:
        lines = [f"OperatorData: {len(self):,} samples"]
        for kind, columns in (("inputs", self.inputs), ("outputs", self.outputs)):
            lines += [f"  {kind:8s} {column!r}" for column in columns.values()]
        if self.parameters:
            lines.append(f"  parameters {', '.join(self.parameters)}")
        if self.boundary:
            lines.append(f"  boundary {', '.join(self.boundary)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{kind}</td><td><b>{name}</b></td><td>{column!r}</td></tr>".replace("<Function", "Function")
            for kind, columns in (("input", self.inputs), ("output", self.outputs))
            for name, column in columns.items()
        )
        return f"<div><b>OperatorData</b>, {len(self):,} samples<table>{rows}</table></div>"


def function_from_array(name: str, array: Any, domain: Domain, element: str | None, units: str = "") -> Function:
    """A batch of functions from an array `(samples, *layout[, components])`, checked against the domain."""
    values = array if isinstance(array, Tensor) else torch.as_tensor(np.asarray(array))
    if not (values.is_floating_point() or values.is_complex()):
        values = values.to(torch.float64)
    scalar = FunctionSpace(domain, element)
    for layout in (scalar.layout, scalar.dof_shape):
        rank = len(layout)
        if tuple(values.shape[1 : 1 + rank]) == layout and values.ndim in (1 + rank, 2 + rank):
            trailing = tuple(values.shape[1 + rank :])
            count = trailing[0] if trailing else 1
            names = (name,) if count == 1 else tuple(f"{name}{i}" for i in range(count))
            space = FunctionSpace(domain, element, components=names)
            return Function(space, values.reshape(len(values), *space.coefficient_shape), name=name, units=units)
    raise InputError(
        f"array {name!r} must have shape (samples, {', '.join(map(str, scalar.layout))}[, components]) on {domain!r}; "
        f"got {tuple(values.shape)}"
    )


def check_finite(column: Function | RaggedFunction, name: str) -> None:
    """Raise an InputError that names the first sample with NaN or infinity."""
    c = column.coefficients
    if bool(torch.isfinite(c).all()):
        return
    if isinstance(column, RaggedFunction):
        bad = next(i for i, f in enumerate(column) if not bool(torch.isfinite(f.coefficients).all()))
    else:
        bad = _first_bad(c)
    raise InputError(
        f"{name!r} holds NaN or infinity, first at sample {bad}; drop or repair those samples before training"
    )


def same_space(column: Column, name: str) -> FunctionSpace:
    """The one space of a column.

    Raises
    ------
    DomainError
        When the samples live on different domains.
    """
    if isinstance(column, RaggedFunction):
        raise DomainError(f"{name!r} lives on a different domain per sample; this needs one common domain")
    return column.space


def _first_bad(values: Tensor) -> int:
    flat = torch.isfinite(values).reshape(len(values), -1).all(dim=1)
    return int(torch.nonzero(~flat)[0])


def _count(name: str, column: Column) -> int:
    if len(column.batch_shape) != 1:
        raise InputError(f"{name!r} must have one batch axis over the samples; its batch shape is {column.batch_shape}")
    return column.batch_shape[0]


def _select(column: Column, rows: slice | np.ndarray) -> Column:
    if isinstance(column, Function) and isinstance(rows, np.ndarray):
        return column[torch.from_numpy(rows)]
    return column[rows]


