"""Linear problems beyond Poisson on meshes and grids."""

from funcspace.solvers.linear.heat import Heat
from funcspace.solvers.linear.wave import Wave, WaveStates

__all__ = ["Heat", "Wave", "WaveStates"]
