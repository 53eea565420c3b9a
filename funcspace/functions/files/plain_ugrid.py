"""Meshes in UGRID data sets that other programs wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MeshLocation", "mesh_location"]

CELLS = ("face", "edge")


@dataclass(frozen=True)
class MeshLocation:
    """A topology variable of a Dataset, and the dimension of its nodes or faces that a variable lies on."""

    dataset: Any
    topology: str
    dim: str
    element: str | None

    def mesh(self) -> Any:
        """The mesh of the topology: faces of one kind in two dimensions, edges in one.

        Raises
        ------
        InputError
            When coordinates or connectivity are missing, or faces have differing numbers of corners.
        """
        from funcspace.geometry.meshes.mesh import Mesh

        attrs = self.dataset[self.topology].attrs
        try:
            names = str(attrs["node_coordinates"]).split()
            columns = [np.asarray(self.dataset[name].values, dtype=np.float64) for name in names]
            cells = self._corners(str(attrs["face_node_connectivity"]))
        except KeyError as error:
            raise InputError(f"the UGRID topology {self.topology!r} lacks {error}") from error
        axes = [name.rsplit("_", 1)[-1] for name in names]
        axes = (
            axes
            if len(set(axes)) == len(axes) and all(len(axis) < 3 for axis in axes)
            else ["x", "y", "z"][: len(names)]
        )
        units = {
            axis: str(self.dataset[name].attrs["units"])
            for axis, name in zip(axes, names, strict=True)
            if self.dataset[name].attrs.get("units")
        }
        return Mesh(np.stack(columns, axis=1), cells, axis_names=axes, units=units)

    def _corners(self, name: str) -> np.ndarray:
        variable = self.dataset[name]
        values = np.asarray(variable.values, dtype=np.float64)
        fill = variable.attrs.get("_FillValue", variable.encoding.get("_FillValue"))
        missing = ~np.isfinite(values) | (values < 0) | (values == fill if fill is not None else False)
        if variable.dims[0] != self._face_dim():
            values, missing = values.T, missing.T
        width = int((~missing).sum(axis=1).max())
        odd = np.flatnonzero(missing[:, :width].any(axis=1))
        if odd.size:
            raise InputError(
                f"the faces of {self.topology!r} have not all the same number of corners (face {odd[0]} has fewer); "
                "a Mesh has cells of one kind"
            )
        return values[:, :width].astype(np.int64) - int(variable.attrs.get("start_index", 0))

    def _face_dim(self) -> str:
        attrs = self.dataset[self.topology].attrs
        dims = self.dataset[str(attrs["face_node_connectivity"])].dims
        return str(attrs.get("face_dimension", dims[0]))


def mesh_location(array: xr.DataArray, dataset: xr.Dataset) -> MeshLocation | None:
    """Where a variable lies on a two-dimensional UGRID mesh of its data set; None where it does not."""
    for key, variable in dataset.variables.items():
        attrs = variable.attrs
        if attrs.get("cf_role") != "mesh_topology" or "face_node_connectivity" not in attrs:
            continue
        coordinates = str(attrs.get("node_coordinates", "")).split()
        connectivity = str(attrs["face_node_connectivity"])
        if not coordinates or coordinates[0] not in dataset.variables or connectivity not in dataset.variables:
            continue
        nodes = str(dataset[coordinates[0]].dims[0])
        faces = str(attrs.get("face_dimension", dataset[connectivity].dims[0]))
        for dim, element in ((nodes, None), (faces, "P0")):
            if dim in array.dims:
                return MeshLocation(dataset, str(key), dim, element)
    return None
