"""Solids: linear elasticity, hyperelasticity, and data sets of deformed bodies."""

from funcspace.solvers.solids.equilibrium import LoadState
from funcspace.solvers.solids.hyperelasticity import Hyperelasticity
from funcspace.solvers.solids.linear_elasticity import LinearElasticity
from funcspace.solvers.solids.strain_energies import MooneyRivlin, NeoHookean

__all__ = ["Hyperelasticity", "LinearElasticity", "LoadState", "MooneyRivlin", "NeoHookean"]
