"""What a mesh can be made from and turned into: scikit-fem, DOLFINx, files."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["MeshExchange"]


class MeshExchange:
    """The conversions of `Mesh`; each partner is imported when it is asked for."""

    def to_skfem(self) -> Any:
        """The mesh in scikit-fem, with the same numbering of points, cells and facets and the same named boundaries."""
        if "_skfem" not in self.__dict__:
            from funcspace.geometry.meshes.mesh_skfem import to_skfem

            self.__dict__["_skfem"] = to_skfem(cast("Mesh", self))
        return self.__dict__["_skfem"]

    @classmethod
    def from_skfem(cls, mesh: Any, *, units: Mapping[str, str] | None = None, allow_dangling: bool = False) -> Mesh:
        """A scikit-fem mesh; points, cells and named boundaries keep their numbers."""
        from funcspace.geometry.meshes.mesh_skfem import from_skfem

        return from_skfem(mesh, units=units, allow_dangling=allow_dangling)

    @classmethod
    def from_dolfinx(cls, mesh: Any, facet_tags: Any = None, names: Mapping[str, int] | None = None) -> Mesh:
        """A DOLFINx mesh (0.5 or later); named parts from facet tags, `names` maps each name to its tag."""
        from funcspace.geometry.meshes.mesh_dolfinx import from_dolfinx

        return from_dolfinx(mesh, facet_tags, names)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Mesh:
        """A mesh from any file that meshio reads; see `funcspace.geometry.meshes.mesh_files.read_mesh`."""
        from funcspace.geometry.meshes.mesh_files import read_mesh

        return read_mesh(path)[0]

    def to_file(self, path: str | PathLike[str]) -> None:
        """Write to a file of the format its extension names; see `funcspace.geometry.meshes.mesh_files.write_mesh`."""
        from funcspace.geometry.meshes.mesh_files import write_mesh

        write_mesh(path, cast("Mesh", self))
