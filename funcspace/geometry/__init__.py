"""Domains, where functions live: grids, meshes, clouds, times and their products."""

from funcspace.geometry.cloud import PointCloud
from funcspace.geometry.domain import Domain
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import GridAxis
from funcspace.geometry.mesh import Mesh
from funcspace.geometry.product import ProductDomain
from funcspace.geometry.times import Times

__all__ = ["Domain", "Grid", "GridAxis", "Mesh", "PointCloud", "ProductDomain", "Times"]
