"""Function spaces: a domain, a basis, and every linear map that a model, a loss or a solver needs of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.functions.bases.make_basis import make_basis
from funcspace.functions.basis import Basis, Outside, Quadrature, finer_rule, projection_between
from funcspace.functions.fem.space_exchange import SpaceExchange
from funcspace.functions.maps.linear_map import LinearMap, ReshapedMap, valuewise
from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.functions.sampling import sample
from funcspace.geometry.domain import as_points, content_fingerprint

if TYPE_CHECKING:
    from funcspace.functions.function import Function

__all__ = ["FunctionSpace"]

CACHED_EVALUATIONS = 16
Restriction = Literal["l2", "injection", "adjoint"]


class FunctionSpace(SpaceExchange):
    r"""The span of a basis on a domain, :math:`V = \{ \sum_i c_i \phi_i : c_i \in \mathbb{R}^{value} \}`.

    ============  ====================================================================
    domain        elements
    ============  ====================================================================
    Grid          "linear" (default), "cubic", "fourier", "constant" (cell means)
    Mesh          "P0", "P1", "P2" on simplices, "P0", "Q1", "Q2" on quadrilaterals and
                  hexahedra, "RT" and "N1curl"; default "P1" or "Q1"
    Times         "linear" (default), "cubic" (cubic Hermite with the slopes of the spline)
    PointCloud    "least_squares" (default), "nearest": declared approximate between the points
    Times * D     "linear * P1" and the like; default: the defaults of the factors
    ============  ====================================================================

    Parameters
    ----------
    domain : where the functions live.
    element : name of the basis; the domain's default when None.
    components : names of the components of a value; one name makes scalar functions, k names vectors in R^k.
    value_shape : shape of a value where it is not simply a vector, such as (2, 2); names are then made up unless given.

    Raises
    ------
    InputError
        When the domain has no such element, or names and shape disagree.

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> V = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 65)), "linear")
    >>> f = V.interpolate(lambda x: x[..., 0] ** 2)
    >>> round(float(f(torch.tensor([[0.5]]))), 6)
    0.25
    """

    def __init__(
        self,
        domain: Any,
        element: str | Sequence[str] | None = None,
        *,
        components: Sequence[str] | str | None = None,
        value_shape: Sequence[int] | None = None,
    ) -> None:
        # the members of the protocol are looked up on the type: some of them are costly to compute
        if not all(hasattr(type(domain), name) for name in ("points", "measure", "boundary", "fingerprint")):
            raise InputError(f"a FunctionSpace lives on a domain such as a Grid or a Mesh, got {type(domain).__name__}")
        self.domain = domain
        self.basis: Basis = make_basis(domain, element)
        self.component_shape, self.components = _components(components, value_shape, self.basis.intrinsic_shape)
        self._evaluations: OrderedDict[tuple[Any, ...], LinearMap] = OrderedDict()

    @property
    def element(self) -> str:
        """Name of the basis."""
        return self.basis.name

    @property
    def layout(self) -> tuple[int, ...]:
        """How the dofs unfold into array axes: the shape of a grid, (n,) on a mesh, (time, ...) on products."""
        return self.basis.layout

    @property
    def dof_shape(self) -> tuple[int, ...]:
        """Axes of the coefficients that number dofs: (n,), or (time, n) on a product domain."""
        return self.basis.dof_shape

    @property
    def n_dofs(self) -> int:
        """Number of basis functions; each carries one coefficient per component."""
        return math.prod(self.basis.dof_shape)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Shape of a function value: () scalar, (k,) vector, (k, l) tensor."""
        return (*self.component_shape, *self.basis.intrinsic_shape)

    @property
    def coefficient_shape(self) -> tuple[int, ...]:
        """Shape of the coefficients of one function, (*dof_shape, *component_shape)."""
        return (*self.dof_shape, *self.component_shape)

    @property
    def dof_points(self) -> Float[Tensor, "n d"] | None:
        """Coordinates of nodal dofs; None where the dofs are moments (RT, N1curl)."""
        return self.basis.dof_points

    @property
    def is_exact(self) -> bool:
        """False on clouds, where values between the points are a reconstruction."""
        return self.basis.exact

    @property
    def fingerprint(self) -> str:
        """Hash of domain, element and value shape; equal fingerprints may share maps and normalisers."""
        return content_fingerprint(["space", self.domain.fingerprint, self.basis.name, self.component_shape])

    def evaluation(
        self, points: Any, derivative: Literal["gradient"] | int | None = None, outside: Outside = "raise"
    ) -> LinearMap:
        """The map from coefficients to values `(m, *value)` or gradients `(m, *value, d)` at points (m, d).

        Parameters
        ----------
        points : (m, d) coordinates.
        derivative : None or 0 for values, "gradient" or 1 for gradients.
        outside : what to do with points outside the domain: "raise", "nan", or "nearest" (value at the closest point).

        Raises
        ------
        OutsideError
            When points lie outside and `outside="raise"`.
        """
        if derivative not in (None, 0, 1, "gradient", "value"):
            raise InputError(f'derivative must be None or "gradient", got {derivative!r}')
        where = as_points(points, self.domain.dim)
        gradient = derivative in (1, "gradient")
        key = (content_fingerprint([where]), gradient, outside)
        if key in self._evaluations:
            self._evaluations.move_to_end(key)
            return self._evaluations[key]
        scalar = self.basis.evaluation(where, gradient, outside)
        result = valuewise(scalar, self.component_shape, trailing=len(scalar.codomain_shape) - 1)
        self._evaluations[key] = result
        if len(self._evaluations) > CACHED_EVALUATIONS:
            self._evaluations.popitem(last=False)
        return result

    def interpolate(self, source: Any, *, name: str = "u", units: str = "", outside: Outside = "raise") -> Function:
        """The function of this space that agrees with `source` at the dofs.

        Nodal bases take values at `dof_points`; the others (RT, N1curl) are projected in L2.

        Parameters
        ----------
        source : a number, one value, a callable `(n, d) -> (n,) or (n, *value)` of float64 coordinates, or a Function.
        outside : for a Function on another domain, what to do with dofs outside it.
        """
        from funcspace.functions.function import Function

        if isinstance(source, Function):
            source = self._in_order(source)
            if source.space.fingerprint == self.fingerprint:
                return Function(self, source.coefficients, name=source.name, units=source.units)
            return Function(self, self._interpolated(source, outside), name=source.name, units=source.units)
        if self.basis.nodal:
            assert self.dof_points is not None
            values = sample(source, self.dof_points, self.value_shape)
            return Function(self, values.reshape(self.coefficient_shape), name=name, units=units)
        rule = self.basis.quadrature()
        values = sample(source, rule.points, self.value_shape)
        return Function(self, self._project_values(values, rule), name=name, units=units)

    def _in_order(self, source: Function) -> Function:
        """A function with its components in the order that they have here, where they have the same names."""
        names = source.space.components
        if not in_another_order(names, self.components) or len(source.space.component_shape) != 1:
            return source
        order = [names.index(name) for name in self.components]
        space = FunctionSpace(
            source.space.domain, source.space.element, components=self.components, value_shape=source.space.value_shape
        )
        return replace(source, space=space, coefficients=source.coefficients[..., order])

    def _check_names(self, other: FunctionSpace) -> None:
        """Raise a DomainError where axes or components have the same names in another order."""
        mine, theirs = (tuple(getattr(space.domain, "axis_names", ())) for space in (self, other))
        for what, one, two in (("axes", mine, theirs), ("components", self.components, other.components)):
            if in_another_order(one, two):
                raise DomainError(
                    f"the {what} of the two spaces have the same names in another order, {one} and {two}; make one "
                    "space in the order of the other"
                )

    def _interpolated(self, source: Function, outside: Outside) -> Tensor:
        self._check_names(source.space)
        if source.space.value_shape != self.value_shape:
            raise DomainError(
                f"cannot interpolate values of shape {source.space.value_shape} "
                f"into a space of values {self.value_shape}"
            )
        if self.basis.nodal and not source.space.basis.intrinsic_shape:
            return source.space.prolongation(self, outside=outside)(source.coefficients)
        rule = None if self.basis.nodal else self.basis.quadrature()
        points = self.dof_points if rule is None else rule.points
        assert points is not None
        values = source.space.evaluation(points, outside=outside)(
            source.coefficients
        )  # raises where points lie outside
        if rule is not None and self._fills_the_domain_of(source.space):
            return self.projection(source.space)(source.coefficients)
        if rule is None:
            return values.reshape(*source.batch_shape, *self.coefficient_shape)
        return self._project_values(values, rule)

    def _fills_the_domain_of(self, other: FunctionSpace) -> bool:
        """Whether the two domains are one but for their meshes, as far as bounds and measure tell."""
        bounds, others = self.domain.bounds, other.domain.bounds
        volumes = [float(space.basis.quadrature().weights.sum()) for space in (self, other)]
        return torch.allclose(bounds, others, rtol=1e-9) and math.isclose(*volumes, rel_tol=1e-9)

    def _project_values(self, values: Tensor, rule: Quadrature) -> Tensor:
        """L2 projection of values `(*batch, q, *value)` at quadrature points."""
        shape = (-1, *([1] * len(self.value_shape)))
        loads = valuewise_quadrature(rule, self.component_shape).T(values * rule.weights.to(values).reshape(shape))
        return self._mass_inverse(loads)

    @property
    def mass(self) -> LinearMap:
        r"""Mass map, :math:`(M c)_i = \int \phi_i \sum_j c_j \phi_j`."""
        return valuewise(self.basis.mass(), self.component_shape)

    @property
    def stiffness(self) -> LinearMap:
        r"""Stiffness map, :math:`(K c)_i = \int \nabla\phi_i \cdot \sum_j c_j \nabla\phi_j`."""
        return valuewise(self.basis.stiffness(), self.component_shape)

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """Points, weights, and the maps to values `(q, *value)` and gradients `(q, *value, d)` there."""
        rule = self.basis.quadrature(degree)
        gradients = rule.gradients
        if gradients is not None:
            gradients = valuewise(gradients, self.component_shape, trailing=len(gradients.codomain_shape) - 1)
        return Quadrature(rule.points, rule.weights, valuewise_quadrature(rule, self.component_shape), gradients)

    @cached_property
    def _mass_inverse(self) -> LinearMap:
        return valuewise(self.basis.mass().inverse(), self.component_shape)

    @cached_property
    def integrals(self) -> Float[Tensor, "*dofs"]:
        """Integrals of the functions of a nodal basis, which add up to one everywhere; shape `dof_shape`."""
        return self.basis.mass()(torch.ones(self.dof_shape, dtype=torch.float64))

    def projection(self, other: FunctionSpace) -> LinearMap:
        r"""The L2 projection from `other` into this space, :math:`M^{-1} B` with :math:`B_{ij} = \int \phi_i \psi_j`.

        Spaces on grids over one box (and on products with them) are projected axis by axis, exactly. Otherwise
        integrals use the rule with more points, that of the finer of two meshes, which is exact where that mesh refines
        the other.
        """
        self._check_names(other)
        if other.value_shape != self.value_shape:
            raise DomainError(f"cannot project values of shape {other.value_shape} onto values of {self.value_shape}")
        if other.component_shape == self.component_shape:
            return valuewise(projection_between(self.basis, other.basis), self.component_shape)
        # vector elements and vectors of scalar elements meet in their values
        finer, rule = finer_rule(self.basis, other.basis)
        to_self, to_other = (
            valuewise_quadrature(rule, space.component_shape)
            if space.basis is finer
            else space.evaluation(rule.points, outside="nearest")
            for space in (self, other)
        )
        weights = np.repeat(rule.weights.numpy(), math.prod(self.value_shape))
        product = to_self.matrix.T.multiply(weights[None, :]) @ to_other.matrix
        return self._mass_inverse @ SparseMap(product, other.coefficient_shape, self.coefficient_shape)

    def dofs(self, part: str) -> Int[Tensor, " k"]:
        """Flat indices of the dofs on a named boundary part.

        Raises
        ------
        InputError
            When the domain has no part of that name; the known ones are listed.
        """
        if part not in self.domain.boundary:
            raise InputError(f"no boundary part {part!r}; this domain has {sorted(self.domain.boundary)}")
        return self.basis.boundary_dofs(part)

    def trace(self, part: str) -> LinearMap:
        """The map that picks coefficients on a boundary part, shape (k, *components); its adjoint pads with zeros."""
        chosen = self.dofs(part).numpy()
        picks = sp_selection(chosen, self.n_dofs)
        return valuewise(SparseMap(picks, self.dof_shape, (len(chosen),)), self.component_shape)

    def prolongation(self, finer: FunctionSpace, *, outside: Outside = "raise") -> LinearMap:
        """The map into the nodal space `finer`: interpolation, exact where `finer` contains this space."""
        self._check_names(finer)
        if not finer.basis.nodal:
            raise DomainError(f"{finer!r} has no nodal values to interpolate at; use its projection(...)")
        structured = self.basis.refinement(finer.basis)
        if structured is not None:
            return valuewise(structured, self.component_shape)
        assert finer.dof_points is not None
        scalar = self.basis.evaluation(finer.dof_points, False, outside)
        if self.basis.intrinsic_shape or finer.dof_shape == scalar.codomain_shape:
            return valuewise(scalar, self.component_shape, trailing=len(self.basis.intrinsic_shape))
        return valuewise(ReshapedMap(scalar, self.dof_shape, finer.dof_shape), self.component_shape)

    def restriction(self, coarser: FunctionSpace, kind: Restriction = "l2") -> LinearMap:
        r"""The map into a coarser space.

        ============  ===========================================================================
        "l2"          :math:`M_c^{-1} P^T M`: the L2 projection; leaves functions of the coarse space alone
        "injection"   values at the coarse nodes
        "adjoint"     :math:`P^T`, the right one for loads and residuals
        ============  ===========================================================================
        """
        if kind == "l2":
            return coarser.projection(self)
        if kind == "injection":
            return self.prolongation(coarser)
        if kind == "adjoint":
            return coarser.prolongation(self).adjoint()
        raise InputError(f'kind must be "l2", "injection" or "adjoint", got {kind!r}')

    def with_components(self, *components: str) -> FunctionSpace:
        """The same basis with other component names."""
        return FunctionSpace(self.domain, self.basis.name, components=components)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes build their own maps."""
        return _rebuilt, (self.domain, self.element, self.components, self.value_shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FunctionSpace)
            and self.fingerprint == other.fingerprint
            and self.components == other.components
        )

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        value = "" if not self.value_shape else f", values {self.value_shape}"
        return f"FunctionSpace({self.element!r} on {self.domain!r}, {self.n_dofs:,} dofs{value})"

    def _repr_html_(self) -> str:
        inner = getattr(self.domain, "_repr_html_", lambda: repr(self.domain))()
        return (
            f"<div><b>FunctionSpace</b> {self.element}, {self.n_dofs:,} dofs, "
            f"components {', '.join(self.components)}{inner}</div>"
        )


def _rebuilt(domain: Any, element: str, components: Any, value_shape: Any) -> FunctionSpace:
    return FunctionSpace(domain, element, components=components, value_shape=value_shape)


def valuewise_quadrature(rule: Quadrature, component_shape: tuple[int, ...]) -> LinearMap:
    """The rule's value map for each component."""
    return valuewise(rule.values, component_shape, trailing=len(rule.values.codomain_shape) - 1)


def sp_selection(chosen: np.ndarray, count: int) -> Any:
    """The 0/1 matrix that picks entries `chosen` of a vector."""
    import scipy.sparse as sp

    rows = np.arange(len(chosen))
    return sp.csr_matrix((np.ones(len(chosen)), (rows, chosen)), shape=(len(chosen), count))


def in_another_order(one: Sequence[str], two: Sequence[str]) -> bool:
    """Whether two sequences hold the same names, but not in the same order."""
    return tuple(one) != tuple(two) and sorted(one) == sorted(two)


def _components(
    components: Sequence[str] | str | None, value_shape: Sequence[int] | None, intrinsic: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Shape of the coefficients per dof, and the component names."""
    names = (components,) if isinstance(components, str) else None if components is None else tuple(components)
    if names is not None and (len(names) == 0 or len(set(names)) != len(names)):
        raise InputError(f"components must be distinct names, got {names}")
    if value_shape is None:
        names = names or ("u",)
        return (() if len(names) == 1 else (len(names),)), names
    shape = tuple(int(n) for n in value_shape)
    if intrinsic:
        if shape[len(shape) - len(intrinsic) :] != intrinsic:
            raise InputError(
                f"this element has vector values of shape {intrinsic}; value_shape {shape} does not end so"
            )
        shape = shape[: len(shape) - len(intrinsic)]
    count = math.prod(shape)
    if names is None:
        names = ("u",) if count == 1 else tuple(f"u{i}" for i in range(count))
    if len(names) != count:
        raise InputError(
            f"value_shape {tuple(value_shape)} has {count} components, but {len(names)} names came: {names}"
        )
    return shape, names
