"""Solids: linear elasticity, hyperelasticity, and data sets of deformed bodies."""

from funcspace.solvers.solids.linear_elasticity import LinearElasticity

__all__ = ["LinearElasticity"]
