"""Spaces and functions of DOLFINx against ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import DomainError, InputError
from funcspace.functions.elements.finite_elements import FiniteElementBasis
from funcspace.functions.elements.nesting import same_cells
from funcspace.functions.elements.tabulation import inverse_and_determinant
from funcspace.functions.fem import dolfinx_api as api
from funcspace.functions.fem.dof_link import DofLink, reference_change, reference_points
from funcspace.functions.fem.remembered import recall, remember
from funcspace.functions.space import FunctionSpace
from funcspace.geometry.meshes.mesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["dolfinx_link"]


def _mesh_of(source: Any) -> Mesh:
    known = recall(source, source.geometry.x)
    return remember(source, source.geometry.x, Mesh.from_dolfinx(source)) if known is None else known


def dolfinx_link(
    space: Any,
    *,
    mesh: Mesh | None = None,
    facet_tags: Any = None,
    names: Mapping[str, int] | None = None,
    components: Sequence[str] | str | None = None,
) -> DofLink:
    """The link of a dolfinx.fem.FunctionSpace to a space on our mesh of its mesh.

    Parameters
    ----------
    mesh : our mesh, made by `Mesh.from_dolfinx` from the mesh of the space, with whatever named parts.
    facet_tags, names : instead of `mesh`, the named parts; see `Mesh.from_dolfinx`.
    components : names of the components of a value.
    """
    api.check_space(space)
    plain = mesh is None and facet_tags is None and names is None and components is None
    if plain:
        known = recall(space, space.mesh.geometry.x)
        if known is not None:
            return known
    ours = _mesh_of(space.mesh)
    if mesh is not None:
        if facet_tags is not None or names:
            raise InputError("give a mesh, which has its named parts, or facet_tags and names, not both")
        if not same_cells(mesh, ours):
            raise DomainError(f"{mesh!r} is not the mesh of {api.describe(space)}, {ours!r}")
        ours = mesh
    elif facet_tags is not None or names:
        ours = Mesh.from_dolfinx(space.mesh, facet_tags, names)
    link = _linked(space, ours, components)
    return remember(space, space.mesh.geometry.x, link) if plain else link


def _linked(space: Any, mesh: Mesh, components: Sequence[str] | str | None) -> DofLink:
    element, owner = api.element_name(space, mesh.cell_type), api.describe(space)
    basis = FunctionSpace(mesh, element).basis
    assert isinstance(basis, FiniteElementBasis)
    shape = api.value_shape(space, basis.intrinsic_shape)
    ours = FunctionSpace(mesh, element, components=components, value_shape=shape or None)
    points = reference_points(mesh.reference)
    order, scale = reference_change(api.tabulated(space, points), basis._tabulation._reference(points)[0], owner)
    theirs = api.cell_dofs(space)
    if theirs.shape != basis.cell_dofs.shape:
        raise DomainError(f"{owner} has dofs {theirs.shape} by cell; expected {basis.cell_dofs.shape}")
    index, factors = _by_cell(space, basis, order, scale)
    block = int(space.dofmap.bs)
    dofs = np.take_along_axis(theirs, index, axis=1)
    return DofLink.from_cells(ours, dofs[..., None] * block + np.arange(block), factors, api.size(space), owner)


def _by_cell(
    space: Any, basis: FiniteElementBasis, order: NDArray[np.int64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    r"""For each of our local dofs (cells, local) the number of theirs, and its factor.

    On a cell their functions are :math:`T \psi`, with Piola's map J/det J where ours is J/abs(det J) times a sign.
    """
    cells, count = basis.cell_dofs.shape
    index = np.broadcast_to(order, (cells, count))
    factors = np.broadcast_to(scale, (cells, count)).copy()
    found = api.cell_transformations(space, count)
    if found is not None:
        matrices, of_cell = found
        change = matrices[:, :, order] * scale  # the last axis counts our functions
        if not (np.count_nonzero(change, axis=1) == 1).all():
            raise DomainError(f"{api.describe(space)} mixes its functions between cells in a way not known here")
        rows = np.abs(change).argmax(axis=1)
        index, factors = rows[of_cell], np.take_along_axis(change, rows[:, None, :], axis=1)[:, 0][of_cell].copy()
    if not basis.nodal:
        factors *= basis._tabulation._signs
    if basis.element.family == "Hdiv":
        centre = basis.domain.reference.corners.mean(axis=0)
        jacobians = basis._map.jacobians(np.arange(cells), np.broadcast_to(centre, (cells, len(centre))))
        factors *= np.sign(inverse_and_determinant(jacobians)[1])[:, None]
    return np.ascontiguousarray(index), factors
