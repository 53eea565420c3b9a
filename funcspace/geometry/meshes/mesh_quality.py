"""The quality of a mesh in numbers: angles, scaled Jacobians, aspect ratios, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from funcspace.geometry.meshes.mesh_checks import corner_determinants
from funcspace.geometry.meshes.reference_cells import FloatArray, ReferenceCell

if TYPE_CHECKING:
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["MeshQuality"]

# the value of det / product of edge lengths in the regular cell
REGULAR = {"interval": 1.0, "triangle": np.sqrt(3) / 2, "tetrahedron": np.sqrt(0.5)}


@dataclass(frozen=True)
class MeshQuality:
    """Quality of the cells, measured on their corners.

    Attributes
    ----------
    cell_type, n_cells, n_points, n_boundary_facets : what the mesh is.
    min_angle, mean_angle, max_angle : in degrees: of corners in the plane, of dihedral angles in tetrahedra, of
        edges that meet at a corner in hexahedra; `mean_angle` is the mean over cells of the smallest. NaN for
        intervals.
    min_scaled_jacobian, mean_scaled_jacobian : determinant over product of edge lengths, the least over a cell's
        corners, 1 for the regular cell and 0 for a degenerate one.
    max_aspect_ratio, mean_aspect_ratio : longest over shortest edge of a cell.
    h_min, h_mean, h_max : shortest, mean and longest edge of the mesh.
    min_jacobian_ratio : least over greatest Jacobian determinant at the nodes of a cell: 1 for affine cells.
    duplicate_points : pairs of vertices at one place.
    worst_cell : the cell of least scaled Jacobian.
    """

    cell_type: str
    n_cells: int
    n_points: int
    n_boundary_facets: int
    min_angle: float
    mean_angle: float
    max_angle: float
    min_scaled_jacobian: float
    mean_scaled_jacobian: float
    max_aspect_ratio: float
    mean_aspect_ratio: float
    h_min: float
    h_mean: float
    h_max: float
    min_jacobian_ratio: float
    duplicate_points: int
    worst_cell: int

    @classmethod
    def of(cls, mesh: Mesh) -> MeshQuality:
        """Measure a mesh."""
        from scipy.spatial import cKDTree

        from funcspace.geometry.meshes.mesh_topology import unique_entities

        reference, points, cells = mesh.reference, mesh.points.numpy(), mesh.cells.numpy()
        corners = points[cells]
        lengths = np.stack([np.linalg.norm(corners[:, b] - corners[:, a], axis=1) for a, b in reference.edges], axis=1)
        scaled, angles = _corner_measures(corners, reference)
        if reference.name == "tetrahedron":
            angles = _dihedral_angles(corners)
        edges, _ = unique_entities(cells, reference.edges)
        edge_lengths = np.linalg.norm(points[edges[:, 1]] - points[edges[:, 0]], axis=1)
        determinants, _ = corner_determinants(mesh.nodes.numpy(), mesh.cell_nodes.numpy(), reference, mesh.degree)
        determinants = np.abs(determinants)
        aspect = lengths.max(axis=1) / lengths.min(axis=1)
        pairs = cKDTree(points).query_pairs(1e-9 * float(edge_lengths.min()))
        return cls(
            cell_type=mesh.cell_type,
            n_cells=mesh.n_cells,
            n_points=len(points),
            n_boundary_facets=len(mesh.topology.boundary_facets),
            min_angle=float(angles.min()),
            mean_angle=float(angles.min(axis=1).mean()),
            max_angle=float(angles.max()),
            min_scaled_jacobian=float(scaled.min()),
            mean_scaled_jacobian=float(scaled.mean()),
            max_aspect_ratio=float(aspect.max()),
            mean_aspect_ratio=float(aspect.mean()),
            h_min=float(edge_lengths.min()),
            h_mean=float(edge_lengths.mean()),
            h_max=float(edge_lengths.max()),
            min_jacobian_ratio=float((determinants.min(axis=1) / determinants.max(axis=1)).min()),
            duplicate_points=len(pairs),
            worst_cell=int(scaled.argmin()),
        )

    def __repr__(self) -> str:
        rows = [
            f"MeshQuality({self.cell_type}, {self.n_cells:,} cells, {self.n_points:,} points)",
            f"  edge length       min {self.h_min:.4g}, mean {self.h_mean:.4g}, max {self.h_max:.4g}",
            f"  scaled Jacobian   min {self.min_scaled_jacobian:.3f} (cell {self.worst_cell}), "
            f"mean {self.mean_scaled_jacobian:.3f}",
            f"  aspect ratio      mean {self.mean_aspect_ratio:.2f}, max {self.max_aspect_ratio:.2f}",
        ]
        if np.isfinite(self.min_angle):
            rows.insert(
                2,
                f"  angle             min {self.min_angle:.1f}, mean of the smallest {self.mean_angle:.1f}, "
                f"max {self.max_angle:.1f}",
            )
        if self.min_jacobian_ratio < 1 - 1e-9:
            rows.append(f"  Jacobian ratio    min {self.min_jacobian_ratio:.3f}")
        rows.append(f"  boundary facets   {self.n_boundary_facets:,}")
        rows.append(f"  duplicate points  {self.duplicate_points:,}")
        return "\n".join(rows)


def _corner_measures(corners: FloatArray, reference: ReferenceCell) -> tuple[FloatArray, FloatArray]:
    """Scaled Jacobian of each cell (m,) and the angles between edges that meet at a corner, in degrees (m, angles)."""
    scaled, angles = [], []
    for corner in range(reference.n_corners):
        ends = [b if a == corner else a for a, b in reference.edges if corner in (a, b)]
        vectors = corners[:, ends] - corners[:, corner : corner + 1]
        vectors = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
        scaled.append(np.abs(np.linalg.det(vectors)))
        for i in range(len(ends)):
            for j in range(i + 1, len(ends)):
                cosine = (vectors[:, i] * vectors[:, j]).sum(axis=1)
                angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if not angles:
        angles.append(np.full(len(corners), np.nan))
    # the least corner of a simplex is the one with the greatest product of edge lengths; the regular cell scores 1
    return np.stack(scaled, axis=1).min(axis=1) / REGULAR.get(reference.name, 1.0), np.stack(angles, axis=1)


def _dihedral_angles(corners: FloatArray) -> FloatArray:
    result = []
    for a, b in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        c, d = (k for k in range(4) if k not in (a, b))
        axis = corners[:, b] - corners[:, a]
        axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
        u, v = corners[:, c] - corners[:, a], corners[:, d] - corners[:, a]
        u = u - (u * axis).sum(axis=1, keepdims=True) * axis
        v = v - (v * axis).sum(axis=1, keepdims=True) * axis
        cosine = (u * v).sum(axis=1) / (np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1))
        result.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(result, axis=1)
