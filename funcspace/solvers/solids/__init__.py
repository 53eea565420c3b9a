"""Solids: linear elasticity, hyperelasticity, and data sets of deformed bodies."""

from funcspace.solvers.solids.deformation import carried, deformed
from funcspace.solvers.solids.equilibrium import LoadState
from funcspace.solvers.solids.heterogeneous_plate import HeterogeneousPlate
from funcspace.solvers.solids.holed_cell import HoledCell
from funcspace.solvers.solids.hyperelasticity import Hyperelasticity
from funcspace.solvers.solids.linear_elasticity import LinearElasticity
from funcspace.solvers.solids.strain_energies import MooneyRivlin, NeoHookean

__all__ = [
    "HeterogeneousPlate",
    "HoledCell",
    "Hyperelasticity",
    "LinearElasticity",
    "LoadState",
    "MooneyRivlin",
    "NeoHookean",
    "carried",
    "deformed",
]
