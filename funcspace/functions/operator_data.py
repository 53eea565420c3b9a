"""Pairs of input and output functions: what operators are learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
import torch
import torch.utils._pytree
from torch import Tensor
from torch.utils.data import Dataset

from funcspace.arguments import whole_number
from funcspace.errors import DomainError, InputError
from funcspace.functions.devices import checked_place
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.domain import Domain
from funcspace.geometry.grid_axis import Samples
from funcspace.geometry.number_tensor import number_tensor

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
        for role in ("inputs", "outputs", "parameters", "boundary", "attributes"):
            _check_named(role, getattr(self, role))
        if not self.inputs and not self.outputs:
            raise InputError("OperatorData needs at least one function")
        groups = {"input": self.inputs, "output": self.outputs, "parameter": self.parameters}
        for (one, a), (other, b) in combinations(groups.items(), 2):
            repeated = sorted(set(a) & set(b))
            if repeated:
                raise InputError(f"{repeated[0]!r} is both an {one} and an {other}; give them different names")
        counts = {name: _count(name, column) for name, column in self._columns().items()}
        for name, values in self.parameters.items():
            if values.ndim != 1:
                raise InputError(
                    f"parameter {name!r} must have shape (samples,), one number each; got {tuple(values.shape)}"
                )
            counts[name] = len(values)
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
            When an array does not fit its domain, holds NaN or infinity or is masked, or a name is unknown.
        """
        given = {"inputs": inputs, "outputs": outputs, "parameters": parameters, "boundary": boundary, "units": units}
        for role, mapping in given.items():
            _check_named(role, {} if mapping is None else mapping)

        def column(name: str, array: Any) -> Function:
            place = domain[name] if isinstance(domain, Mapping) else domain
            basis = element.get(name) if isinstance(element, Mapping) else element
            return function_from_array(name, array, place, basis, (units or {}).get(name, ""))

        names = [*inputs, *outputs]
        for what, mapping in (("domain", domain), ("element", element), ("units", units)):
            unknown = [name for name in mapping if name not in names] if isinstance(mapping, Mapping) else []
            if unknown:
                raise InputError(f"{what} names {unknown[0]!r}, but the functions are {names}")
        missing = [name for name in names if name not in domain] if isinstance(domain, Mapping) else []
        if missing:
            raise InputError(f"no domain was given for {missing[0]!r}")
        return cls(
            {name: column(name, array) for name, array in inputs.items()},
            {name: column(name, array) for name, array in outputs.items()},
            {name: number_tensor(values, f"parameter {name!r}") for name, values in (parameters or {}).items()},
            _boundary_entries(boundary or {}, domain),
            dict(attributes or {}),
        )

    def _columns(self) -> dict[str, Column]:
        return {**self.inputs, **self.outputs}

    def __len__(self) -> int:
        return len(next(iter(self._columns().values())))

    def __getitem__(self, index: Any) -> Any:
        """Sample `index` as a dict of tensors by name; for a slice or a list, the OperatorData of those samples."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there is no sample {index}: there are {len(self)}, numbered from 0")
            i = int(index) % len(self)
            sample = {name: column[i].coefficients for name, column in self._columns().items()}
            return sample | {name: values[i] for name, values in self.parameters.items()}
        rows: Any = _picked(index, len(self))
        if rows.size == 0:
            raise InputError(f"no samples are left: {index!r} picks none of {len(self)}")
        if isinstance(index, slice) and (index.step is None or index.step > 0):
            rows = index
        picked = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return self._with(
            {name: _select(column, rows) for name, column in self.inputs.items()},
            {name: _select(column, rows) for name, column in self.outputs.items()},
            {name: values[picked] for name, values in self.parameters.items()},
        )

    def _with(self, inputs: Any, outputs: Any, parameters: Any) -> OperatorData:
        """Functions derived from those of these data, which were checked already."""
        return _unchecked((inputs, outputs, parameters), (self.boundary, self.attributes))

    def to(self, target: Any) -> OperatorData:
        """Move what is in memory to a device, functions to a dtype too; what is lazy stays on disk."""

        def moved(columns: Mapping[str, Column]) -> dict[str, Column]:
            return {n: c if isinstance(c, LazyFunction) else c.to(target) for n, c in columns.items()}

        checked_place(target)
        parameters = (
            self.parameters
            if isinstance(target, torch.dtype)
            else {n: v.to(target) for n, v in self.parameters.items()}
        )
        return self._with(moved(self.inputs), moved(self.outputs), parameters)

    def split(self, *sizes: Any, seed: int | None = None) -> tuple[OperatorData, ...]:
        """Cut into consecutive parts of the given sizes (counts, or fractions below 1) and the rest.

        Parameters
        ----------
        seed : shuffle the samples first with this seed; in order when None.

        Raises
        ------
        InputError
            When the sizes are not positive or leave nothing for the last part, or the seed is no whole number.
        """
        seed = None if seed is None else whole_number(seed, "seed", least=0)
        counts = [_part_size(size, len(self)) for size in sizes]
        if not counts or min(counts) < 1 or sum(counts) >= len(self):
            raise InputError(
                f"split sizes {sizes} must be positive and leave at least one of the {len(self)} samples for the rest, "
                f"which is the last part; they stand for {counts}"
            )
        order = np.arange(len(self)) if seed is None else np.random.default_rng(seed).permutation(len(self))
        edges = np.cumsum([0, *counts, len(self) - sum(counts)])
        if seed is None:
            return tuple(self[int(a) : int(b)] for a, b in pairwise(edges))
        return tuple(self[order[a:b]] for a, b in pairwise(edges))

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
        from funcspace.functions.files.data_files import save_data

        save_data(self, path)

    @classmethod
    def load(cls, path: Any, *, lazy: bool | None = None) -> OperatorData:
        """Read a file written by `save`.

        Parameters
        ----------
        lazy : leave the coefficients on disk until they are used; by default when they would fill a quarter of the
            free memory or more.
        """
        from funcspace.functions.files.data_files import load_data

        return load_data(path, lazy=lazy)

    @classmethod
    def read(
        cls,
        path: Any,
        *,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        parameters: Sequence[str] | None = None,
        domain: Domain | None = None,
        element: str | None = None,
        task: Literal["step", "trajectory"] | None = None,
        stride: int | None = None,
        instants: Any = None,
        periodic: Sequence[str] | None = None,
        samples: Samples | None = None,
        lazy: bool | None = None,
    ) -> OperatorData:
        """Read a file of any known layout: The Well, PDEBench, GAOT, NumPy, MATLAB, HDF5, xarray; see `read_data`."""
        from funcspace.functions.files.readers import read_data

        return read_data(
            path,
            inputs=inputs,
            outputs=outputs,
            parameters=parameters,
            domain=domain,
            element=element,
            task=task,
            stride=stride,
            instants=instants,
            periodic=periodic,
            samples=samples,
            lazy=lazy,
        )

    @classmethod
    def from_xarray(
        cls,
        dataset: Any,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        parameters: Sequence[str] = (),
        element: str | None = None,
        periodic: Iterable[str] = (),
        samples: Samples = "vertices",
        sample_dim: str | None = None,
        lazy: bool = False,
    ) -> OperatorData:
        """Samples from variables of an xarray Dataset; see `readers.read_xarray`."""
        from funcspace.functions.files.readers import read_xarray

        return read_xarray(
            dataset,
            inputs,
            outputs,
            parameters=parameters,
            element=element,
            periodic=periodic,
            samples=samples,
            sample_dim=sample_dim,
            lazy=lazy,
        )

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


def _unchecked(columns: Any, rest: Any) -> OperatorData:
    """Data whose parts have passed the checks of the constructor before."""
    data = object.__new__(OperatorData)
    names = ("inputs", "outputs", "parameters", "boundary", "attributes")
    for name, value in zip(names, (*columns, *rest), strict=True):
        object.__setattr__(data, name, value)
    return data


def function_from_array(name: str, array: Any, domain: Domain, element: str | None, units: str = "") -> Function:
    """A batch of functions from an array `(samples, *layout[, components])`, checked against the domain."""
    values = number_tensor(array, f"array {name!r}")
    if values.ndim and len(values) == 0:
        raise InputError(f"array {name!r} is empty: there are no samples")
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


def _part_size(size: Any, total: int) -> int:
    """Samples of a part given by a count or by a fraction below 1."""
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if whole or (isinstance(size, float) and size.is_integer()):
        return int(size)
    if isinstance(size, float) and 0 < size < 1:
        return round(size * total)
    raise InputError(f"the size of a part is a whole number, or a fraction between 0 and 1; got {size!r}")


def _picked(index: Any, count: int) -> np.ndarray:
    """Numbers of the chosen samples, so that negative strides and masks of NumPy serve tensors too."""
    chosen = np.arange(count)[index] if _is_slice(index) else np.asarray(index)
    if chosen.size and (chosen.dtype.kind not in "biu" or chosen.ndim > 1):
        raise InputError(
            "samples are picked by a number, a slice, or a vector of numbers or of True and False, and functions by "
            f"name from .inputs and .outputs; got {index!r}"
        )
    kept = chosen if chosen.dtype == bool else chosen.astype(np.int64)
    return np.ascontiguousarray(np.arange(count)[kept])


def _is_slice(index: Any) -> bool:
    ends = (index.start, index.stop, index.step) if isinstance(index, slice) else ("",)
    return all(end is None or hasattr(end, "__index__") for end in ends)


def _check_named(role: str, given: Any) -> None:
    """Raise an InputError where something is not a mapping by name."""
    if not isinstance(given, Mapping):
        raise InputError(f'{role} must be a mapping by name, such as {role}={{"a": a}}; got {type(given).__name__}')


def _boundary_entries(boundary: Mapping[str, Any], domain: Domain | Mapping[str, Domain]) -> dict[str, dict[str, Any]]:
    """What is known on boundary parts, each of which a domain must have."""
    if not boundary:
        return {}
    domains = domain.values() if isinstance(domain, Mapping) else (domain,)
    parts = sorted({part for place in domains for part in place.boundary})
    unknown = [part for part in boundary if part not in parts]
    if unknown:
        raise InputError(f"boundary names the part {unknown[0]!r}, but the domain has {parts}")
    return {part: _boundary_entry(part, value) for part, value in boundary.items()}


def _boundary_entry(part: str, value: Any) -> dict[str, Any]:
    """A Dirichlet value for a number, else the mapping that was given."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise InputError(
            f'boundary part {part!r} takes a finite number or a mapping with "type" and "value", got {value!r}'
        )
    return {"type": "dirichlet", "value": float(value)}


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


def check_real(data: OperatorData) -> None:
    """Raise an InputError that names the first function or parameter with complex numbers, which no model learns."""
    types = {name: (c if isinstance(c, LazyFunction) else c.coefficients).dtype for name, c in data._columns().items()}
    types |= {name: values.dtype for name, values in data.parameters.items()}
    for name, dtype in types.items():
        if dtype.is_complex:
            raise InputError(
                f"{name!r} is complex ({dtype}), but models learn real numbers: give its real and imaginary parts as "
                "two components, such as np.stack([a.real, a.imag], axis=-1)"
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
    if not isinstance(column, Function | LazyFunction | RaggedFunction):
        raise InputError(
            f"{name!r} must be a Function over the samples, got {type(column).__name__}; for arrays use "
            "OperatorData.from_arrays"
        )
    if len(column.batch_shape) != 1:
        raise InputError(f"{name!r} must have one batch axis over the samples; its batch shape is {column.batch_shape}")
    return column.batch_shape[0]


def _select(column: Column, rows: slice | np.ndarray) -> Column:
    if isinstance(column, Function) and isinstance(rows, np.ndarray):
        return column[torch.from_numpy(rows)]
    return column[rows]


torch.utils._pytree.register_pytree_node(
    OperatorData,
    lambda data: ([dict(data.inputs), dict(data.outputs), dict(data.parameters)], (data.boundary, data.attributes)),
    _unchecked,
    serialized_type_name="funcspace.OperatorData",
)
