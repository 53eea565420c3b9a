"""Reference solvers that make training data, and the random fields that they start from."""

from funcspace.solvers.coefficients import GaussianRecipe
from funcspace.solvers.conservation import Euler, FourStates, Inflow, RiemannProblem, lax_liu, riemann_solution
from funcspace.solvers.darcy import Darcy
from funcspace.solvers.flow import CylinderFlow, LidDrivenCavity, NavierStokes, Stokes
from funcspace.solvers.gaussian_fields import GaussianField
from funcspace.solvers.generation import Generation, generate
from funcspace.solvers.linear import (
    AdvectionDiffusion,
    Heat,
    HeatSines,
    Helmholtz,
    HelmholtzCavity,
    PoissonGauss,
    PoissonSines,
    Wave,
    WaveLayers,
    WaveSines,
    WaveStates,
)
from funcspace.solvers.poisson import Poisson
from funcspace.solvers.registry import problem, problems
from funcspace.solvers.solids import (
    HeterogeneousPlate,
    HoledCell,
    Hyperelasticity,
    LinearElasticity,
    LoadState,
    MooneyRivlin,
    NeoHookean,
    carried,
    deformed,
)
from funcspace.solvers.sparse_solve import sparse_solve
from funcspace.solvers.spectral import (
    AllenCahn,
    Burgers,
    CahnHilliard,
    GrayScott,
    KolmogorovFlow,
    KortewegDeVries,
    KuramotoSivashinsky,
    ShallowWater,
    TorusNavierStokes,
)

__all__ = [
    "AdvectionDiffusion",
    "AllenCahn",
    "Burgers",
    "CahnHilliard",
    "CylinderFlow",
    "Darcy",
    "Euler",
    "FourStates",
    "GaussianField",
    "GaussianRecipe",
    "Generation",
    "GrayScott",
    "Heat",
    "HeatSines",
    "Helmholtz",
    "HelmholtzCavity",
    "HeterogeneousPlate",
    "HoledCell",
    "Hyperelasticity",
    "Inflow",
    "KolmogorovFlow",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LidDrivenCavity",
    "LinearElasticity",
    "LoadState",
    "MooneyRivlin",
    "NavierStokes",
    "NeoHookean",
    "Poisson",
    "PoissonGauss",
    "PoissonSines",
    "RiemannProblem",
    "ShallowWater",
    "Stokes",
    "TorusNavierStokes",
    "Wave",
    "WaveLayers",
    "WaveSines",
    "WaveStates",
    "carried",
    "deformed",
    "generate",
    "lax_liu",
    "problem",
    "problems",
    "riemann_solution",
    "sparse_solve",
]
