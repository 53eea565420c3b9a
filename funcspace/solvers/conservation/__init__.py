"""Conservation laws by finite volumes, and the exact solutions that they are checked against."""

from funcspace.solvers.conservation.euler import Euler
from funcspace.solvers.conservation.four_states import FourStates, lax_liu
from funcspace.solvers.conservation.gas_boundaries import Inflow
from funcspace.solvers.conservation.riemann import RiemannProblem, riemann_solution, star_state

__all__ = ["Euler", "FourStates", "Inflow", "RiemannProblem", "lax_liu", "riemann_solution", "star_state"]
