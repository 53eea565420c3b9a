"""Dynamical systems: the chaos database, families of any size, and systems of one's own."""

from funcspace.dynamics.systems.field_system import FieldSystem
from funcspace.dynamics.systems.registry import system, systems
from funcspace.dynamics.systems.system import System

__all__ = ["FieldSystem", "System", "system", "systems"]
