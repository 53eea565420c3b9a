"""Domains, where functions live: grids, meshes, clouds, times and their products."""

from funcspace.geometry import signed_distance
from funcspace.geometry.cloud import PointCloud
from funcspace.geometry.domain import Domain
from funcspace.geometry.grid import Grid
from funcspace.geometry.grid_axis import GridAxis
from funcspace.geometry.meshes.mesh import Mesh
from funcspace.geometry.meshes.mesh_quality import MeshQuality
from funcspace.geometry.meshes.point_location import Location
from funcspace.geometry.product import ProductDomain
from funcspace.geometry.times import Times

__all__ = [
    "Domain",
    "Grid",
    "GridAxis",
    "Location",
    "Mesh",
    "MeshQuality",
    "PointCloud",
    "ProductDomain",
    "Times",
    "signed_distance",
]
