"""Bases and coefficient vectors of scikit-fem against ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcspace.errors import DomainError, InputError
from funcspace.functions.elements.elements import element_names
from funcspace.functions.elements.finite_elements import FiniteElementBasis
from funcspace.functions.elements.nesting import same_cells
from funcspace.functions.fem.dof_link import DofLink, FloatArray, IntArray, reference_change, reference_points
from funcspace.functions.fem.remembered import recall, remember
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["skfem_link"]


def skfem_link(basis: Any, *, mesh: Mesh | None = None, components: Sequence[str] | str | None = None) -> DofLink:
    """The link of a scikit-fem basis to a space on our mesh of its mesh.

    Parameters
    ----------
    basis : skfem.CellBasis, FacetBasis or any other with `mesh`, `elem` and `dofs`; what counts is its dofs.
    mesh : our mesh with the same cells; made from the basis when None.
    components : names of the components of a value.
    """
    if not all(hasattr(basis, name) for name in ("mesh", "elem", "dofs")):
        raise InputError(f"expected a scikit-fem basis; got {type(basis).__name__}")
    plain = mesh is None and components is None
    if plain:
        known = recall(basis, np.empty(0))
        if known is not None:
            return known
    ours = recall(basis.mesh, np.empty(0))
    if ours is None:
        ours = remember(basis.mesh, np.empty(0), Mesh.from_skfem(basis.mesh))
    if mesh is not None:
        if not same_cells(mesh, ours):
            raise DomainError(f"{mesh!r} is not the mesh of the scikit-fem basis, {ours!r}")
        ours = mesh
    link = _linked(basis, ours, components)
    return remember(basis, np.empty(0), link) if plain else link


def _linked(basis: Any, mesh: Mesh, components: Sequence[str] | str | None) -> DofLink:
    scalar, block = _scalar_element(basis.elem)
    owner = f"the scikit-fem basis of {type(scalar).__name__}" + (f" times {block}" if block > 1 else "")
    if not hasattr(scalar, "lbasis") or not hasattr(scalar, "orient"):
        raise InputError(f"{owner} has no counterpart here")
    plain, order, scale = _match(scalar, mesh, owner)
    shape = ((block,) if block > 1 or scalar is not basis.elem else ()) + plain.intrinsic_shape
    space = FunctionSpace(mesh, plain.name, components=components, value_shape=shape or None)
    cells, count = plain.cell_dofs.shape
    theirs = np.asarray(basis.dofs.element_dofs).T.astype(np.int64)
    if theirs.shape != (cells, count * block):
        raise DomainError(f"{owner} has dofs {theirs.shape} by cell; expected {(cells, count * block)}")
    mapping = mesh.to_skfem()._mapping()
    signs = np.stack([np.asarray(scalar.orient(mapping, int(i))) for i in order], axis=1)
    factors = scale * signs * plain._tabulation._signs
    return DofLink.from_cells(space, theirs.reshape(cells, count, block)[:, order], factors, int(basis.dofs.N), owner)


def _scalar_element(element: Any) -> tuple[Any, int]:
    """The element of one component, and the number of components."""
    if type(element).__name__ != "ElementVector":
        return element, 1
    inner = element.elem
    return inner, int(element.dim)


def _match(element: Any, mesh: Mesh, owner: str) -> tuple[FiniteElementBasis, IntArray, FloatArray]:
    points = reference_points(mesh.reference)
    count = int(element._bfun_counts().sum())
    theirs = np.stack([np.atleast_2d(element.lbasis(points.T, i)[0]).T for i in range(count)], axis=1)
    theirs = np.broadcast_to(theirs, (len(points), *theirs.shape[1:]))
    for name in element_names(mesh.cell_type):
        basis = FunctionSpace(mesh, name).basis
        assert isinstance(basis, FiniteElementBasis)
        values = basis._tabulation._reference(points)[0]
        if values.shape == theirs.shape and _discontinuous(element) == _discontinuous(basis.element.skfem):
            try:
                return basis, *reference_change(theirs, values, owner)
            except InputError:
                continue
    known = ", ".join(element_names(mesh.cell_type))
    raise InputError(f"{owner} has no counterpart here; on {mesh.cell_type} cells there are {known}")


def _discontinuous(element: Any) -> bool:
    """Whether all dofs sit inside the cells."""
    return not (element.nodal_dofs or element.facet_dofs or element.edge_dofs)
