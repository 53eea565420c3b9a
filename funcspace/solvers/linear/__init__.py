"""Linear problems beyond Poisson on meshes and grids."""

from funcspace.solvers.linear.advection_diffusion import AdvectionDiffusion
from funcspace.solvers.linear.heat import Heat
from funcspace.solvers.linear.helmholtz import Helmholtz
from funcspace.solvers.linear.wave import Wave, WaveStates

__all__ = ["AdvectionDiffusion", "Heat", "Helmholtz", "Wave", "WaveStates"]
