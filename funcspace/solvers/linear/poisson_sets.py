"""Data sets of the Poisson equation with random sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import positive_number, whole_number
from funcspace.functions import Function
from funcspace.geometry import Mesh
from funcspace.solvers.linear.random_sums import gaussian_sum, sine_sum, sine_tables
from funcspace.solvers.linear.sampled_problem import DomainOrRule, SampledProblem, unit_square
from funcspace.solvers.poisson import Poisson

__all__ = ["PoissonGauss", "PoissonSines"]

FloatArray = NDArray[np.float64]


class PoissonSines(SampledProblem):
    r"""Poisson problems with sums of sines as sources, on a disc: "Poisson-C-Sines".

    -Lap u = f in the disc |x - (1/2, 1/2)| < 1, u = 0 on its boundary
    f = (pi / K^2) sum_{i,j=1..K} a_ij (i^2 + j^2)^{1/2} sin(pi i x) sin(pi j y),  a_ij ~ U[-1, 1]

    The recipe of the data published with RIGNO and GAOT (K = 16), whose solutions have mean 0 and standard deviation
    6.49e-4. On the unit square the solution would be a diagonal map of the amplitudes; on the disc it is not.

    Parameters
    ----------
    domain : a plane Mesh or Grid, or a callable of a numpy Generator that makes one for each sample; by default the
        disc with a mesh of size `h`.
    modes : K.
    h : mesh size of the disc; the default makes 16,207 nodes.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : modes below 1.

    Examples
    --------
    >>> data = PoissonSines(h=0.1).sample(2, seed=0)
    >>> data.inputs["f"].batch_shape, 1e-4 < float(data.outputs["u"].coefficients.std()) < 1e-2
    ((2,), True)
    """

    input_names = ("f",)

    def __init__(
        self,
        domain: DomainOrRule | None = None,
        modes: int = 16,
        *,
        h: float = 1.0 / 66.0,
        workers: int | None = None,
    ) -> None:
        self.modes = modes = whole_number(modes, "modes")
        super().__init__(Mesh.disc(positive_number(h, "h"), center=(0.5, 0.5)) if domain is None else domain, workers)
        square = np.arange(1, modes + 1) ** 2
        self._weights = np.pi / modes**2 * np.sqrt(np.add.outer(square, square))

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and law of the sources."""
        return {"problem": "-Lap u = f, u = 0 on the boundary", "source": "sines", "modes": self.modes}

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        return self._weights * generator.uniform(-1.0, 1.0, (self.modes, self.modes))

    def _tables(self, points: FloatArray) -> Any:
        return sine_tables(points, self.modes)

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        return (sine_sum(numbers, tables),)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        return _poisson(inputs[0], workers)


class PoissonGauss(SampledProblem):
    r"""Poisson problems with a few Gaussians as source: after "Poisson-Gauss".

    -Lap u = f in the domain, u = 0 on its boundary
    f = sum_{m=1..n} a_m / (2 pi s_m^2) exp(-|x - mu_m|^2 / (2 s_m^2)),
    n ~ Geometric(0.4), a_m ~ 0.43 U[-1, 1], s_m ~ U[0.01, 0.05], mu_m ~ U over the box of the domain

    The data published with Poseidon and GAOT state that f is a sum of Gaussians; the laws here are chosen such that the
    standard deviations on the unit square are the published ones (f 4.755, u 0.0240). They are not the authors' own.

    Parameters
    ----------
    domain : a plane Mesh or Grid, or a callable of a numpy Generator that makes one for each sample; by default the
        unit square with `resolution` vertices per side.
    resolution : of the default domain.
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : a resolution below 3.

    Examples
    --------
    A plate with a hole somewhere, another one for each sample:

    >>> import funcspace as fs
    >>> def plate(generator):
    ...     hole = (*generator.uniform(0.3, 0.7, 2), generator.uniform(0.1, 0.2))
    ...     return fs.Mesh.perforated_plate(0.1, holes=[hole])
    >>> data = PoissonGauss(plate).sample(3, seed=0)
    >>> len(data), type(data.outputs["u"]).__name__
    (3, 'RaggedFunction')
    """

    input_names = ("f",)

    def __init__(
        self, domain: DomainOrRule | None = None, resolution: int = 128, *, workers: int | None = None
    ) -> None:
        super().__init__(unit_square(resolution) if domain is None else domain, workers)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Problem and law of the sources."""
        return {"problem": "-Lap u = f, u = 0 on the boundary", "source": "gaussians"}

    def _draw(self, generator: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        count = int(generator.geometric(0.4))
        centres = generator.uniform(0.0, 1.0, (count, 2))
        widths = generator.uniform(0.01, 0.05, count)
        amplitudes = 0.43 * generator.uniform(-1.0, 1.0, count)
        return centres, widths, amplitudes / (2.0 * np.pi * widths**2)

    def _tables(self, points: FloatArray) -> Any:
        return points, points.min(axis=0), np.ptp(points, axis=0)

    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        points, low, lengths = tables
        centres, widths, amplitudes = numbers
        return (gaussian_sum(points, low + lengths * centres, widths, amplitudes),)

    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        return _poisson(inputs[0], workers)


def _poisson(source: Function, workers: int | None) -> Function:
    space = source.space
    return Poisson(space.domain, space.element, source=source, dirichlet={"boundary": 0.0}, workers=workers).solve()
