"""Data sets of the Helmholtz equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import positive_number, true_or_false
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry.domain import Domain
from funcspace.solvers.linear.helmholtz import Helmholtz
from funcspace.solvers.linear.random_sums import cosine_modes
from funcspace.solvers.linear.sampled_problem import SampledProblem, one_domain, unit_square

__all__ = ["HelmholtzCavity"]

FloatArray = NDArray[np.float64]


class HelmholtzCavity(SampledProblem):
    r"""Standing waves in a cavity of random speed that a window in its lid drives.

    -Lap u - (omega / c)^2 u = 0 in (0, 1)^2, du/dn = 1 on 0.35 <= x <= 0.65 of the top, 0 on the rest of the boundary
    c = 20 + tanh(g),  g = sum_k lambda_k^{1/2} xi_k phi_k,  xi_k ~ N(0, 1)

    with the cosine modes phi_k of unit L2 norm, lambda_k = (pi^2 |k|^2 + 9)^-2, over the first 100 modes but the
    constant, omega = 1000: the recipe of de Hoop, Huang, Qian and Stuart (2022), used for MgNO. omega/c is about 50,
    the 101 x 101 vertices are 12.6 per wavelength. Nothing damps the waves, so that the amplitude of samples near a
    resonance is large. With `absorbing=True` the rest of the boundary lets waves out, and the solution is complex: the
    output "u" has two real components, "u_re" and "u_im".

    Parameters
    ----------
    domain : a plane Grid or Mesh with a part "top"; by default the unit square with `resolution` vertices per side.
    resolution : of the default domain.
    frequency : omega.
    absorbing : impedance in place of Neumann conditions; the window adds its flux to that of the waves that leave.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : a resolution below 3, a domain without a part "top" or drawn for each sample.
    SolverError : a sample whose cavity resonates.

    Examples
    --------
    >>> data = HelmholtzCavity(resolution=21, frequency=200.0).sample(2, seed=0)
    >>> c = data.inputs["c"].coefficients
    >>> bool((c > 19).all() & (c < 21).all())
    True
    """

    input_names = ("c",)

    def __init__(
        self,
        domain: Domain | None = None,
        resolution: int = 101,
        *,
        frequency: float = 1000.0,
        absorbing: bool = False,
        workers: int | None = None,
    ) -> None:
        super().__init__(unit_square(resolution) if domain is None else one_domain(domain), workers)
        if "top" not in self.domain.boundary:
            raise InputError(f"the window is in the part 'top'; this domain has {sorted(self.domain.boundary)}")
        self.frequency = positive_number(frequency, "frequency")
        self.absorbing = true_or_false(absorbing, "absorbing")
        self._modes = cosine_modes(100)
        eigenvalues = (np.pi**2 * (self._modes**2).sum(axis=1) + 9.0) ** -2.0
        # The L2 norm of cos(pi k x) is 1 for k = 0 and 1/sqrt(2) otherwise.
        self._scales = np.sqrt(eigenvalues * 2.0 ** (self._modes > 0).sum(axis=1))

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and law of the speeds."""
        edge = "absorbing" if self.absorbing else "reflecting"
        return {
            "problem": f"-Lap u - (omega/c)^2 u = 0, flux 1 in a window of the top, {edge} boundary",
            "speed": "20 + tanh(g)",
            "frequency": self.frequency,
        }

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        return self._scales * generator.standard_normal(len(self._modes))

    def _tables(self, points: FloatArray) -> Any:
        first, second = (np.cos(np.pi * np.outer(points[:, axis], self._modes[:, axis])) for axis in (0, 1))
        return first * second

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        return (20.0 + np.tanh(tables @ numbers),)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        c = inputs[0]
        domain = c.space.domain

        def window(x: torch.Tensor) -> torch.Tensor:
            return ((x[:, 0] >= 0.35) & (x[:, 0] <= 0.65)).double()

        conditions: dict[str, Any] = {"neumann": {"top": window}}
        if self.absorbing:
            others = {part: 0.0 for part in domain.boundary if part not in ("boundary", "top")}
            conditions = {"impedance": others | {"top": window}}
        u = Helmholtz(
            domain, c.space.element, frequency=self.frequency, speed=c, dirichlet={}, workers=workers, **conditions
        ).solve()
        if not u.coefficients.is_complex():
            return u
        space = FunctionSpace(domain, c.space.element, components=("u_re", "u_im"))
        return Function(space, torch.view_as_real(u.coefficients).contiguous(), name="u")
