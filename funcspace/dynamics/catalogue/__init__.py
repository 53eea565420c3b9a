"""Dynamical systems: the chaos database, families of any size, and systems of one's own."""

from funcspace.dynamics.catalogue.delay_system import DelaySystem
from funcspace.dynamics.catalogue.field_system import FieldSystem
from funcspace.dynamics.catalogue.registry import system, systems
from funcspace.dynamics.catalogue.system import System

__all__ = ["DelaySystem", "FieldSystem", "System", "system", "systems"]
