"""A function: coefficients in a function space, with a name and a unit; a batch on one space is one Function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.utils._pytree
from jaxtyping import Shaped
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.functions.basis import Outside
from funcspace.functions.devices import checked_place
from funcspace.functions.fem.function_exchange import FunctionExchange
from funcspace.functions.space import FunctionSpace, in_another_order
from funcspace.geometry.product import ProductDomain
from funcspace.geometry.times import Times

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Function"]


@dataclass(frozen=True, eq=False, repr=False)
class Function(FunctionExchange):
    """Coefficients `(*batch, [time,] dofs, *components)` on a space.

    Attributes
    ----------
    space : the function space.
    coefficients : torch tensor whose trailing shape is `space.coefficient_shape`; all axes before it are batch axes.
    name : what the function is called in data sets, files and plots.
    units : its unit, free text.

    Raises
    ------
    InputError
        When the coefficients do not end in the space's coefficient shape or are not floating point.
    """

    space: FunctionSpace
    coefficients: Shaped[Tensor, " ..."]
    name: str = "u"
    units: str = ""

    def __post_init__(self) -> None:
        c = self.coefficients
        if not isinstance(c, Tensor):
            raise InputError(f"coefficients of {self.name!r} must be a torch tensor, got {type(c).__name__}")
        expected = self.space.coefficient_shape
        rank = len(expected)
        if c.ndim < rank or tuple(c.shape[c.ndim - rank :]) != expected:
            raise InputError(
                f"coefficients of {self.name!r} must have shape (*batch, {', '.join(map(str, expected))}) on "
                f"{self.space!r}; got {tuple(c.shape)}"
            )
        if not (c.is_floating_point() or c.is_complex()):
            raise InputError(f"coefficients of {self.name!r} must be floating point, got {c.dtype}")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch axes; () for a single function."""
        return tuple(self.coefficients.shape[: self.coefficients.ndim - len(self.space.coefficient_shape)])

    @property
    def domain(self) -> Any:
        """The domain of the space."""
        return self.space.domain

    @property
    def dtype(self) -> torch.dtype:
        """Type of the coefficients."""
        return self.coefficients.dtype

    @property
    def device(self) -> torch.device:
        """Device of the coefficients."""
        return self.coefficients.device

    @property
    def values(self) -> Shaped[Tensor, " ..."]:
        """Coefficients unfolded to array axes: `(*batch, *grid shape, *components)` on a grid."""
        return self.coefficients.reshape(*self.batch_shape, *self.space.layout, *self.space.component_shape)

    def numpy(self) -> np.ndarray:
        """`values` as a NumPy array."""
        return self.values.detach().cpu().numpy()

    def __call__(self, points: Any, outside: Outside = "raise") -> Shaped[Tensor, " ..."]:
        """Values at points (m, d): `(*batch, m, *value)`."""
        return self.space.evaluation(points, outside=outside)(self.coefficients)

    def gradient(self, points: Any, outside: Outside = "raise") -> Shaped[Tensor, " ..."]:
        """Gradients at points (m, d): `(*batch, m, *value, d)`."""
        return self.space.evaluation(points, derivative="gradient", outside=outside)(self.coefficients)

    def norm(self, kind: str = "L2") -> Shaped[Tensor, "*batch"]:
        r"""A norm over the domain, one number per function of the batch.

        ==========  =======================================================================
        "L2"        :math:`(\int |u|^2)^{1/2} = (c^T M c)^{1/2}`
        "H1_semi"   :math:`(\int |\nabla u|^2)^{1/2} = (c^T K c)^{1/2}`
        "H1"        :math:`(\|u\|_{L2}^2 + |u|_{H1}^2)^{1/2}`
        "max"       largest magnitude among the nodal values
        ==========  =======================================================================
        """
        c = self.coefficients
        if kind == "max":
            return c.abs().reshape(*self.batch_shape, -1).amax(dim=-1)
        if kind not in ("L2", "H1", "H1_semi"):
            raise InputError(f'norm must be "L2", "H1", "H1_semi" or "max", got {kind!r}')
        total = torch.zeros(self.batch_shape, dtype=c.abs().dtype, device=c.device)
        if kind != "H1_semi":
            total = total + self._form(self.space.mass)
        if kind != "L2":
            total = total + self._form(self.space.stiffness)
        return total.clamp_min(0).sqrt()

    def _form(self, form: Callable[[Tensor], Tensor]) -> Tensor:
        c = self.coefficients
        return (c.conj() * form(c)).real.reshape(*self.batch_shape, -1).sum(dim=-1)

    def inner(self, other: Function) -> Shaped[Tensor, "*batch"]:
        r"""The L2 inner product :math:`\int u \cdot v` with a function of the same space."""
        self._same_space(other)
        product = self.coefficients.conj() * self.space.mass(other.coefficients)
        return product.reshape(*product.shape[: product.ndim - len(self.space.coefficient_shape)], -1).sum(dim=-1)

    def integral(self) -> Shaped[Tensor, " ..."]:
        r"""The integral :math:`\int u` over the domain: `(*batch, *value)`."""
        space, batch = self.space, self.batch_shape
        if space.basis.nodal:
            values, weights = self.coefficients.reshape(*batch, space.n_dofs, *space.component_shape), space.integrals
        else:
            rule = space.quadrature()
            values, weights = rule.values(self.coefficients), rule.weights
        return torch.tensordot(values.movedim(len(batch), -1), weights.reshape(-1).to(values), dims=1)

    def mean(self) -> Shaped[Tensor, " ..."]:
        """The integral divided by the size of the domain."""
        weights = self.space.integrals if self.space.basis.nodal else self.space.quadrature().weights
        return self.integral() / weights.sum().to(self.coefficients)

    def to(self, target: Any, *, outside: Outside = "raise") -> Function:
        """Move to another space (interpolation; projection for RT and N1curl), device or dtype."""
        if isinstance(target, FunctionSpace):
            return target.interpolate(self, outside=outside)
        return replace(self, coefficients=self.coefficients.to(checked_place(target)))

    def with_coefficients(self, coefficients: Tensor) -> Function:
        """The function of the same space, name and unit with other coefficients."""
        return replace(self, coefficients=coefficients)

    def renamed(self, name: str, units: str | None = None) -> Function:
        """The same function under another name."""
        return replace(self, name=name, units=self.units if units is None else units)

    def component(self, name: str) -> Function:
        """One component of a vector-valued function, by name."""
        if name not in self.space.components:
            raise InputError(f"no component {name!r}; this function has {self.space.components}")
        count = len(self.space.component_shape)
        flat = self.coefficients.flatten(start_dim=-count) if count > 1 else self.coefficients
        picked = flat[..., self.space.components.index(name)] if count else flat
        return Function(self.space.with_components(name), picked, name=f"{self.name}.{name}", units=self.units)

    def __len__(self) -> int:
        if self.batch_shape:
            return self.batch_shape[0]
        if self._in_time:
            return self.coefficients.shape[0]
        raise TypeError("a single function has no length")

    @property
    def _in_time(self) -> bool:
        return isinstance(self.space.domain, Times | ProductDomain)

    def __getitem__(self, index: Any) -> Function:
        """Functions of the batch; of a single function over Times (or a product) the function over a slice of them.

        A slice of one instant keeps the time axis: `trajectory[:1]` is the initial state, over one instant.
        """
        if self.batch_shape:
            return replace(self, coefficients=self.coefficients[self._of_the_batch(index)])
        if self._in_time and isinstance(index, slice):
            old = self.space
            space = FunctionSpace(
                old.domain[index], old.element, components=old.components, value_shape=old.value_shape
            )
            return Function(space, self.coefficients[index], name=self.name, units=self.units)
        if self._in_time:
            raise InputError(f"a single function over time is indexed by a slice of its instants, got {index!r}")
        raise InputError("a single function has no batch axis to index")

    def _of_the_batch(self, index: Any) -> Any:
        """The index with its ellipsis written out, none of it for axes behind those of the batch."""
        items = index if isinstance(index, tuple) else (index,)
        taken = [0 if item is Ellipsis or item is None else _axes_taken(item) for item in items]
        left = len(self.batch_shape) - sum(taken)
        if left < 0:
            raise InputError(f"a batch of shape {self.batch_shape} takes indices for its own axes only; got {index!r}")
        if not any(item is Ellipsis for item in items):
            return index
        return tuple(each for item in items for each in ((slice(None),) * left if item is Ellipsis else (item,)))

    def __iter__(self) -> Any:
        if not self.batch_shape:
            raise TypeError("a single function cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def _same_space(self, other: Function) -> None:
        if other.space.fingerprint != self.space.fingerprint:
            raise DomainError(
                f"the functions live on different spaces, {self.space!r} and {other.space!r}; use .to(space)"
            )
        mine, theirs = self.space.components, other.space.components
        if in_another_order(mine, theirs):
            raise DomainError(f"the components are in different orders, {mine} and {theirs}; use .to(space)")

    def _combine(self, other: Any, operation: Callable[[Any, Any], Tensor]) -> Function:
        if isinstance(other, Function):
            self._same_space(other)
            if self.units and other.units and self.units != other.units:
                raise InputError(
                    f"a function in {self.units!r} and one in {other.units!r} cannot be added; convert one"
                )
            return replace(self, coefficients=operation(self.coefficients, other.coefficients))
        return replace(self, coefficients=operation(self.coefficients, other))

    def __add__(self, other: Function) -> Function:
        return self._combine(self._only_functions(other), lambda a, b: a + b)

    def __sub__(self, other: Function) -> Function:
        return self._combine(self._only_functions(other), lambda a, b: a - b)

    def __mul__(self, factor: Any) -> Function:
        """Multiply by a number, or by one number per function of the batch."""
        return self._combine(self._factor(factor), lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, factor: Any) -> Function:
        return self._combine(self._factor(factor), lambda a, b: a / b)

    def _factor(self, factor: Any) -> Any:
        if isinstance(factor, Function):
            raise InputError("the product of two functions is not in the space; multiply values at points instead")
        if isinstance(factor, int | float | complex):
            return factor
        numbers = torch.as_tensor(factor).to(self.device)
        if numbers.ndim == 0:
            return numbers
        if tuple(numbers.shape) != self.batch_shape:
            raise InputError(
                f"a Function is multiplied by a number or by one number per function, shape {self.batch_shape}; "
                f"got {tuple(numbers.shape)}"
            )
        return numbers.reshape(*self.batch_shape, *([1] * len(self.space.coefficient_shape)))

    def __neg__(self) -> Function:
        return replace(self, coefficients=-self.coefficients)

    def _only_functions(self, other: Any) -> Function:
        if not isinstance(other, Function):
            raise InputError(f"a Function can be added to a Function of the same space, not to {type(other).__name__}")
        return other

    def plot(self, **options: Any) -> Any:
        """Draw the function (the first of a batch) on its domain and return the matplotlib axes."""
        from funcspace.functions.plots import plot

        return plot(self, **options)

    def to_xarray(self) -> xr.Dataset:
        """An xarray Dataset that holds the function, its domain and its space, in CF and UGRID terms."""
        from funcspace.functions.files.xarray_io import function_to_xarray

        return function_to_xarray(self)

    @classmethod
    def from_xarray(cls, dataset: Any, name: str | None = None) -> Function:
        """The function stored by `to_xarray`, or one read from a plain DataArray on rectilinear coordinates."""
        from funcspace.functions.files.xarray_io import function_from_xarray

        return function_from_xarray(dataset, name)

    def to_file(self, path: Any) -> None:
        """Write to netCDF (`.nc`) or Zarr (`.zarr`), exactly, or to a mesh file (`.vtu`, `.xdmf`, ...) for ParaView."""
        from funcspace.functions.files.function_files import function_to_file

        function_to_file(self, path)

    @classmethod
    def from_file(cls, path: Any, name: str | None = None) -> Function:
        """The function in a netCDF file or Zarr store, or one of the data on points or cells of a mesh file."""
        from funcspace.functions.files.function_files import function_from_file

        return function_from_file(path, name)

    def __repr__(self) -> str:
        value = f", values {self.space.value_shape}" if self.space.value_shape else ""
        batch = f", batch {self.batch_shape}" if self.batch_shape else ""
        unit = f" [{self.units}]" if self.units else ""
        kind = str(self.coefficients.dtype).removeprefix("torch.") if isinstance(self.coefficients, Tensor) else "?"
        return f"Function {self.name!r}{unit}: {self.space.element} on {self.space.domain!r}{batch}{value}, {kind}"

    def _repr_html_(self) -> str:
        c = self.coefficients.detach()
        size = math.prod(c.shape)
        low, high = (float(c.abs().min()), float(c.abs().max())) if c.is_complex() else (float(c.min()), float(c.max()))
        return (
            f"<div><b>Function {self.name}</b> {self.units} &mdash; batch {self.batch_shape or 'none'}, "
            f"{c.dtype}, {size:,} coefficients in [{low:.4g}, {high:.4g}]{self.space._repr_html_()}</div>"
        )


def _unflattened(children: Any, context: Any) -> Function:
    """The Function of a pytree; transformations also put placeholders where the coefficients belong."""
    space, name, units = context
    (coefficients,) = children
    if isinstance(coefficients, Tensor):
        return Function(space, coefficients, name=name, units=units)
    placeholder = object.__new__(Function)
    for key, value in {"space": space, "coefficients": coefficients, "name": name, "units": units}.items():
        object.__setattr__(placeholder, key, value)
    return placeholder


torch.utils._pytree.register_pytree_node(
    Function,
    lambda f: ([f.coefficients], (f.space, f.name, f.units)),
    _unflattened,
    serialized_type_name="funcspace.Function",
)


def _axes_taken(item: Any) -> int:
    """How many axes an index other than an ellipsis picks from: masks have several."""
    mask = getattr(item, "dtype", None) in (torch.bool, np.dtype(bool))
    return item.ndim if mask else 1
