"""Domains, where functions live: grids, meshes, clouds, times and their products."""

from funcspace.geometry.domain import Domain
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import GridAxis
from funcspace.geometry.mesh import Mesh

__all__ = ["Domain", "Grid", "GridAxis", "Mesh"]
