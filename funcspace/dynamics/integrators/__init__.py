"""Integrators compiled once for all systems: right-hand sides come as addresses of machine code."""

from funcspace.dynamics.integrators.batched import integrate_batched
from funcspace.dynamics.integrators.solve import Outcome, solve

__all__ = ["Outcome", "integrate_batched", "solve"]
