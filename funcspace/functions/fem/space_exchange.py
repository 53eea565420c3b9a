"""What a function space can be made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcspace.functions.space import FunctionSpace
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["SpaceExchange"]


class SpaceExchange:
    """The conversions of `FunctionSpace`; each partner is imported when it is asked for."""

    @classmethod
    def from_dolfinx(
        cls,
        V: Any,
        *,
        mesh: Mesh | None = None,
        facet_tags: Any = None,
        names: Mapping[str, int] | None = None,
        components: Sequence[str] | str | None = None,
    ) -> FunctionSpace:
        """The space of a `dolfinx.fem.FunctionSpace` (DOLFINx 0.5 or later), on one process.

        Lagrange elements of degree 0, 1, 2, scalar, vector or tensor valued, Raviart-Thomas and Nedelec (first kind)
        elements of degree 1, on intervals, triangles, quadrilaterals, tetrahedra and hexahedra, straight or quadratic.

        Parameters
        ----------
        mesh : what `Mesh.from_dolfinx` made of the mesh of V, with its named parts; functions of all spaces given one
            mesh share its search trees.
        facet_tags, names : instead of `mesh`: a dolfinx.mesh.MeshTags of facets, and the name of each tag, which
            become the named boundary parts of the domain.
        components : names of the components of a value.

        Raises
        ------
        DomainError
            When V is mixed, or has an element without a counterpart, or `mesh` is not its mesh.
        """
        from funcspace.functions.fem.dolfinx_link import dolfinx_link

        return dolfinx_link(V, mesh=mesh, facet_tags=facet_tags, names=names, components=components).space

    @classmethod
    def from_skfem(
        cls, basis: Any, *, mesh: Mesh | None = None, components: Sequence[str] | str | None = None
    ) -> FunctionSpace:
        """The space of a scikit-fem basis; named boundaries of its mesh become parts of the domain.

        Examples
        --------
        >>> import skfem
        >>> from funcspace.functions.space import FunctionSpace
        >>> basis = skfem.CellBasis(skfem.MeshTri().refined(2), skfem.ElementVector(skfem.ElementTriP2()))
        >>> FunctionSpace.from_skfem(basis)
        FunctionSpace('P2' on Mesh(triangle, 32 cells, 25 points, h=0.354, ...), 81 dofs, values (2,))
        """
        from funcspace.functions.fem.skfem_link import skfem_link

        return skfem_link(basis, mesh=mesh, components=components).space
