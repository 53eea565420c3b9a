"""Pseudo-spectral solvers on periodic grids, in torch: Fourier modes, exponential time differencing, batches."""

from funcspace.solvers.spectral.allen_cahn import AllenCahn
from funcspace.solvers.spectral.burgers import Burgers
from funcspace.solvers.spectral.cahn_hilliard import CahnHilliard
from funcspace.solvers.spectral.etdrk4 import Etdrk4
from funcspace.solvers.spectral.flow_map import FlowMap
from funcspace.solvers.spectral.gray_scott import GrayScott, RandomDrops
from funcspace.solvers.spectral.kolmogorov_flow import KolmogorovFlow
from funcspace.solvers.spectral.korteweg_de_vries import KortewegDeVries
from funcspace.solvers.spectral.kuramoto_sivashinsky import KuramotoSivashinsky
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import SpectralProblem
from funcspace.solvers.spectral.shallow_water import HeightField, ShallowWater
from funcspace.solvers.spectral.torus_navier_stokes import TorusNavierStokes

__all__ = [
    "AllenCahn",
    "Burgers",
    "CahnHilliard",
    "Etdrk4",
    "FlowMap",
    "GrayScott",
    "HeightField",
    "KolmogorovFlow",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "Modes",
    "Numerics",
    "RandomDrops",
    "ShallowWater",
    "SpectralProblem",
    "TorusNavierStokes",
]
