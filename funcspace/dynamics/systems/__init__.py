"""Dynamical systems: the chaos database, families of any size, and systems of one's own."""

from funcspace.dynamics.systems.registry import system, systems
from funcspace.dynamics.systems.system import System

__all__ = ["System", "system", "systems"]
