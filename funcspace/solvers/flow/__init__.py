"""Incompressible flow on meshes: Stokes and Navier-Stokes, and data sets of flows."""

from funcspace.solvers.flow.cylinder_flow import CylinderFlow
from funcspace.solvers.flow.cylinder_mesh import channel_with_cylinder
from funcspace.solvers.flow.flow_solution import Flow, FlowHistory, vorticity
from funcspace.solvers.flow.lid_driven_cavity import LidDrivenCavity
from funcspace.solvers.flow.navier_stokes import NavierStokes
from funcspace.solvers.flow.stokes import Stokes

__all__ = [
    "CylinderFlow",
    "Flow",
    "FlowHistory",
    "LidDrivenCavity",
    "NavierStokes",
    "Stokes",
    "channel_with_cylinder",
    "vorticity",
]
