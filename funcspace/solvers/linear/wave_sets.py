"""Data sets of the wave equation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import positive_number, whole_number
from funcspace.functions import Function
from funcspace.geometry import Mesh, Times
from funcspace.geometry.domain import Domain
from funcspace.solvers.linear.random_sums import gaussian_sum, sine_sum, sine_tables
from funcspace.solvers.linear.sampled_problem import SampledProblem, one_domain, unit_square
from funcspace.solvers.linear.time_data import checked_step
from funcspace.solvers.linear.wave import Wave
from funcspace.solvers.problem_arguments import check_data, checked_times

__all__ = ["WaveLayers", "WaveSines"]

FloatArray = NDArray[np.float64]


class WaveSines(SampledProblem):
    r"""Vibrations of a disc from sums of sines: "Wave-C-Sines".

    u_tt = c^2 Lap u in the disc |x - (1/2, 1/2)| < 1, u = 0 on its boundary, u_t = 0 at t = 0
    u_0 = (pi / K^2) sum_{i,j=1..K} a_ij (i^2 + j^2)^{-1/2} sin(pi i x) sin(pi j y),  a_ij ~ U[-1, 1]

    The recipe of the data published with RIGNO and GAOT: K = 10, c = 2, 21 instants from 0 to 0.1, steps of 0.001. The
    published solutions have mean 0 and standard deviation 0.0113. Steps are Newmark's (beta = 1/4) here, central
    differences there.

    Parameters
    ----------
    domain : a plane Mesh or Grid; by default the disc with a mesh of size `h`.
    modes : K.
    speed : c.
    h : mesh size; the default makes 16,207 nodes.
    times : instants of the output.
    step : longest time step; None for the steps of `times`.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : modes below 1, or a domain that is drawn for each sample.

    Examples
    --------
    >>> data = WaveSines(h=0.1).sample(2, seed=0)
    >>> tuple(data.outputs["u"].coefficients.shape)
    (2, 21, 397)
    """

    input_names = ("u0",)

    def __init__(
        self,
        domain: Domain | None = None,
        modes: int = 10,
        *,
        speed: float = 2.0,
        h: float = 1.0 / 66.0,
        times: Times | None = None,
        step: float | None = 1e-3,
        workers: int | None = None,
    ) -> None:
        self.modes = modes = whole_number(modes, "modes")
        disc = Mesh.disc(positive_number(h, "h"), center=(0.5, 0.5)) if domain is None else one_domain(domain)
        super().__init__(disc, workers)
        check_data({"speed": speed}, ("speed",))
        self.speed, self.step = speed, checked_step(step)
        self.times = Times(0.0, 0.005, 21) if times is None else checked_times(times)
        square = np.arange(1, modes + 1) ** 2
        self._weights = np.pi / modes**2 / np.sqrt(np.add.outer(square, square))

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and law of the initial states."""
        return {
            "problem": "u_tt = c^2 Lap u, u = 0 on the boundary, at rest at first",
            "initial": "sines",
            "modes": self.modes,
            "speed": self.speed,
        }

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        return self._weights * generator.uniform(-1.0, 1.0, (self.modes, self.modes))

    def _tables(self, points: FloatArray) -> Any:
        return sine_tables(points, self.modes)

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        return (sine_sum(numbers, tables),)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        space = inputs[0].space
        return Wave(
            space.domain, self.times, space.element, speed=self.speed, initial=inputs[0],
            dirichlet={"boundary": 0.0}, step=self.step, workers=workers,
        ).solve()  # fmt: skip


class WaveLayers(SampledProblem):
    r"""Waves in layered media that leave through the boundary: after "Wave-Layer".

    u_tt = (c / L)^2 Lap u in the unit square, absorbing boundary, u_t = 0 at t = 0
    c = c_m between the interfaces y = d_m + t_m (x - 1/2) + 0.04 sin(2 pi (x + p_m)); three to six layers
    u_0 = sum_{m=1..n} a_m exp(-|x - mu_m|^2 / (2 s_m^2))

    Speeds c in m/s are those of rock, the side of the square is L m. The data published with Poseidon and GAOT are
    known here by their statistics alone (c: mean 3498.6, standard deviation 647.8; u: 0.0347, 0.1044); the laws are
    chosen to match them and are not the authors' own: c_m ~ U[2377, 4621], L = 8000, n ~ U{1, 2, 3},
    a_m ~ U[0.48, 1.91], s_m ~ U[0.035, 0.07], mu_m ~ U[0, 1]^2, d_m ~ U[0, 1], t_m ~ U[-0.1, 0.1], p_m ~ U[0, 1].

    Parameters
    ----------
    domain : a plane Mesh or Grid; by default the unit square with `resolution` vertices per side.
    resolution : of the default domain.
    side : L.
    times : instants of the output, in s; by default 21 from 0 to 1.
    step : longest time step, in s; None for the steps of `times`.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : a resolution below 3, or a domain that is drawn for each sample.

    Examples
    --------
    >>> data = WaveLayers(resolution=17).sample(2, seed=0)
    >>> sorted(data.inputs), float(data.inputs["c"].coefficients.min()) > 2377
    (['c', 'u0'], True)
    """

    input_names = ("c", "u0")

    def __init__(
        self,
        domain: Domain | None = None,
        resolution: int = 128,
        *,
        side: float = 8000.0,
        times: Times | None = None,
        step: float | None = 0.005,
        workers: int | None = None,
    ) -> None:
        super().__init__(unit_square(resolution) if domain is None else one_domain(domain), workers)
        self.side, self.step = positive_number(side, "side"), checked_step(step)
        self.times = Times(0.0, 0.05, 21, unit="s") if times is None else checked_times(times)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and laws of media and initial states."""
        return {
            "problem": "u_tt = (c/L)^2 Lap u, absorbing boundary, at rest at first",
            "medium": "layers",
            "initial": "gaussians",
            "side": self.side,
        }

    def _draw(self, generator: np.random.Generator) -> Any:
        layers = int(generator.integers(3, 7))
        speeds = generator.uniform(2377.0, 4621.0, layers)
        depths = np.sort(generator.uniform(0.0, 1.0, layers - 1))
        slopes = generator.uniform(-0.1, 0.1, layers - 1)
        phases = generator.uniform(0.0, 1.0, layers - 1)
        count = int(generator.integers(1, 4))
        centres = generator.uniform(0.0, 1.0, (count, 2))
        widths = generator.uniform(0.035, 0.07, count)
        amplitudes = generator.uniform(0.48, 1.91, count)
        return speeds, depths, slopes, phases, (centres, widths, amplitudes)

    def _tables(self, points: FloatArray) -> Any:
        return points

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        speeds, depths, slopes, phases, bumps = numbers
        x, y = tables[:, 0], tables[:, 1]
        layer = np.zeros(len(tables), dtype=np.int64)
        for depth, slope, phase in zip(depths, slopes, phases, strict=True):
            layer += y > depth + slope * (x - 0.5) + 0.04 * np.sin(2.0 * np.pi * (x + phase))
        return speeds[layer], gaussian_sum(tables, *bumps)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        c, start = inputs
        return Wave(
            c.space.domain, self.times, c.space.element, speed=c / self.side, initial=start, absorbing=("boundary",),
            step=self.step, workers=workers,
        ).solve()  # fmt: skip
