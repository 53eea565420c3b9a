"""Data sets of the heat equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import positive_number, whole_number
from funcspace.functions import Function
from funcspace.geometry import Mesh, Times
from funcspace.geometry.domain import Domain
from funcspace.solvers.linear.heat import Heat
from funcspace.solvers.linear.random_sums import sine_sum, sine_tables
from funcspace.solvers.linear.sampled_problem import SampledProblem, one_domain
from funcspace.solvers.problem_arguments import checked_times

__all__ = ["HeatSines"]

FloatArray = NDArray[np.float64]


class HeatSines(SampledProblem):
    r"""Cooling from sums of sines on the L-shape: "Heat-L-Sines".

    u_t = Lap u in (0, 1)^2 without [1/2, 1]^2, u = 0 on its boundary
    u_0 = -(1/d) sum_{m=1..d} mu_m m^{-1/2} sin(pi m x) sin(pi m y),  mu_m ~ U[0, 1]

    The recipe of the data published with RIGNO and GAOT: d = 16, 21 instants from 0 to 0.002, backward Euler with steps
    of 5e-5. The published data have mean -0.0094 and standard deviation 0.0201, which fit mu ~ U[0, 1] and not the
    U[-1, 1] of their description.

    Parameters
    ----------
    domain : a plane Mesh or Grid; by default the L-shape with a mesh of size `h`.
    modes : d.
    h : mesh size; the default makes 14,145 nodes.
    times : instants of the output.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : modes below 1, or a domain that is drawn for each sample.

    Examples
    --------
    >>> data = HeatSines(h=0.1).sample(2, seed=0)
    >>> data.outputs["u"].domain.times
    Times(0.0, 0.0001, 21)
    """

    input_names = ("u0",)

    def __init__(
        self,
        domain: Domain | None = None,
        modes: int = 16,
        *,
        h: float = 1.0 / 136.0,
        times: Times | None = None,
        workers: int | None = None,
    ) -> None:
        super().__init__(l_shape(positive_number(h, "h")) if domain is None else one_domain(domain), workers)
        self.modes = whole_number(modes, "modes")
        self.times = Times(0.0, 1e-4, 21) if times is None else checked_times(times)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and law of the initial states."""
        return {"problem": "u_t = Lap u, u = 0 on the boundary", "initial": "diagonal sines", "modes": self.modes}

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        m = np.arange(1, self.modes + 1)
        return np.diag(-generator.uniform(0.0, 1.0, self.modes) / np.sqrt(m) / self.modes)

    def _tables(self, points: FloatArray) -> Any:
        return sine_tables(points, self.modes)

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        return (sine_sum(numbers, tables),)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        space = inputs[0].space
        return Heat(
            space.domain, self.times, space.element, initial=inputs[0], dirichlet={"boundary": 0.0}, step=5e-5,
            theta=1.0, workers=workers,
        ).solve()  # fmt: skip


def l_shape(h: float) -> Mesh:
    """The unit square without its upper right quarter."""
    mesh = Mesh.l_shape(2.0 * h)
    x = mesh.points
    turned = (1.0 + x @ x.new_tensor([[0.0, 1.0], [-1.0, 0.0]])) / 2.0
    return Mesh(turned, mesh.cells)
