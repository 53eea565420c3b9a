"""Linear problems beyond Poisson on meshes and grids, and the data sets made of them."""

from funcspace.solvers.linear.advection_diffusion import AdvectionDiffusion
from funcspace.solvers.linear.heat import Heat
from funcspace.solvers.linear.heat_sets import HeatSines
from funcspace.solvers.linear.helmholtz import Helmholtz
from funcspace.solvers.linear.helmholtz_sets import HelmholtzCavity
from funcspace.solvers.linear.poisson_sets import PoissonGauss, PoissonSines
from funcspace.solvers.linear.wave import Wave, WaveStates
from funcspace.solvers.linear.wave_sets import WaveLayers, WaveSines

__all__ = [
    "AdvectionDiffusion",
    "Heat",
    "HeatSines",
    "Helmholtz",
    "HelmholtzCavity",
    "PoissonGauss",
    "PoissonSines",
    "Wave",
    "WaveLayers",
    "WaveSines",
    "WaveStates",
]
