"""Gaussian random fields of Matern type: spectral on boxes, sparse solves on meshes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import entries_of, is_whole, number_of, true_or_false
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid, Mesh
from funcspace.geometry.domain import Domain
from funcspace.solvers.box_modes import AxisModes, BoundaryKind, at_points, shell_order, synthesise
from funcspace.solvers.problem_arguments import checked_domain, checked_workers, sampling
from funcspace.solvers.threads import over_threads

__all__ = ["GaussianField", "sample_generator", "unit_sigma"]

FloatArray = NDArray[np.float64]
Method = Literal["spectral", "spde"]


class GaussianField:
    r"""Random fields with a Matern-type covariance operator.

    u ~ N(0, sigma^2 tau^(2 alpha - d) (-Lap + tau^2)^(-alpha))

    On the unit square this is the scaling of the Darcy data of the literature, with
    tau^(alpha - 1) (|k|^2 + tau^2)^(-alpha/2) per mode. Away from the boundary the pointwise variance is
    sigma^2 Gamma(alpha - d/2) / (Gamma(alpha) (4 pi)^(d/2)) whatever tau, and correlation reaches over a distance of
    about sqrt(8 alpha - 4 d)/tau; samples have nearly alpha - d/2 derivatives.

    "spectral" sums eigenfunctions of the Laplacian on the box around the domain, as many as the grid resolves, by
    fast cosine, sine and Fourier transforms (at the points of a mesh or cloud: by their values, `modes` per axis).
    Random numbers go to modes in an order that does not depend on the resolution, so that one seed gives one field:
    samples on two grids differ by the modes that only the finer one has. "spde" solves (K + tau^2 M) u = M^(1/2) xi
    on the mesh, alpha/2 times, with piecewise linear elements and lumped mass (Lindgren, Rue and Lindstrom, J. R.
    Stat. Soc. B 73, 2011); it needs an even alpha and the field belongs to that mesh.

    Parameters
    ----------
    domain : a Grid (any periodic axes), Mesh or PointCloud of 1 to 3 dimensions.
    alpha : smoothness, greater than d/2.
    tau : inverse length, in the inverse of the domain's unit.
    sigma : factor of the amplitude; `unit_sigma(alpha, d)` makes the pointwise variance 1.
    boundary : "neumann", "dirichlet" or "periodic", for all axes or one per axis; periodic axes of a Grid are
        periodic always.
    method : "spectral", the default on grids and clouds, or "spde", the default on meshes.
    mean : added to the field.
    zero_mean : leave out the constant mode (spectral only).
    modes : number of modes per axis where the domain is not an equispaced grid.

    Raises
    ------
    InputError : a parameter out of range, or a method that the domain does not have.

    Examples
    --------
    >>> import funcspace as fs
    >>> field = GaussianField(fs.Grid(x=(0.0, 1.0, 33), y=(0.0, 1.0, 33)), alpha=2.0, tau=3.0)
    >>> field.sample(4, seed=0).values.shape
    torch.Size([4, 33, 33])
    """

    def __init__(
        self,
        domain: Domain,
        alpha: float = 2.0,
        tau: float = 3.0,
        sigma: float = 1.0,
        *,
        boundary: BoundaryKind | Sequence[BoundaryKind] = "neumann",
        method: Method | None = None,
        mean: float = 0.0,
        zero_mean: bool = False,
        modes: int | Sequence[int] | None = None,
    ) -> None:
        d = checked_domain(domain).dim
        if d > 3:
            raise InputError(f"Gaussian fields are made in 1 to 3 dimensions; the domain has {d}")
        if not number_of(alpha) > d / 2:
            raise InputError(f"alpha must exceed d/2 = {d / 2} for the field to have values at points; got {alpha}")
        if not (number_of(tau) > 0 and number_of(sigma) >= 0 and math.isfinite(number_of(mean))):
            raise InputError(
                "tau must be positive, sigma not negative, mean finite; got "
                f"tau={tau!r}, sigma={sigma!r}, mean={mean!r}"
            )
        chosen: Any = ("spde" if isinstance(domain, Mesh) else "spectral") if method is None else method
        if chosen not in ("spectral", "spde"):
            raise InputError(f'method must be "spectral" or "spde"; got {method!r}')
        self.domain, self.alpha, self.tau, self.sigma, self.mean = (
            domain,
            float(alpha),
            float(tau),
            float(sigma),
            float(mean),
        )
        self.method: Method = chosen
        self.zero_mean = true_or_false(zero_mean, "zero_mean")
        self.boundary = self._boundary(boundary)
        self._modes = None if modes is None else (modes,) * d if is_whole(modes) else entries_of(modes)
        if self._modes is not None and not (len(self._modes) == d and all(is_whole(m) and m > 0 for m in self._modes)):
            raise InputError(f"modes must be one positive whole number or one per axis; got {modes!r}")
        if chosen == "spde":
            if not isinstance(domain, Mesh):
                raise InputError('method "spde" needs a Mesh; grids and clouds take "spectral"')
            if self.alpha % 2 or self.zero_mean or len(set(self.boundary)) > 1 or self.boundary[0] == "periodic":
                raise InputError(
                    "on a mesh the field solves a sparse system alpha/2 times: alpha must be even, boundary one of "
                    f"'neumann' and 'dirichlet', zero_mean False; got alpha={alpha}, boundary={boundary!r}, "
                    f'zero_mean={zero_mean}. method="spectral" has no such limits'
                )

    def _boundary(self, boundary: BoundaryKind | Sequence[BoundaryKind]) -> tuple[BoundaryKind, ...]:
        given = (boundary,) * self.domain.dim if isinstance(boundary, str) else entries_of(boundary)
        kinds: list[Any] = list(given)
        if len(kinds) != self.domain.dim or any(kind not in ("neumann", "dirichlet", "periodic") for kind in kinds):
            raise InputError(
                f"boundary must be 'neumann', 'dirichlet' or 'periodic', once or once per axis; got {boundary!r}"
            )
        if isinstance(self.domain, Grid):
            for number, axis in enumerate(self.domain.grid_axes):
                if axis.periodic:
                    kinds[number] = "periodic"
                elif kinds[number] == "periodic" and axis.samples == "vertices":
                    raise InputError(
                        f"axis {axis.name!r} holds both ends of the period; give the Grid periodic=({axis.name!r},)"
                    )
        return tuple(kinds)

    @cached_property
    def space(self) -> FunctionSpace:
        """The space of the samples: the default basis of the domain."""
        return FunctionSpace(self.domain, "P1" if self.method == "spde" and self._simplicial else None)

    @property
    def _simplicial(self) -> bool:
        return isinstance(self.domain, Mesh) and self.domain.cell_type in ("interval", "triangle", "tetrahedron")

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0, workers: int | None = None) -> Function:
        """Draw samples first, ..., first + n - 1 of a seed, as one Function with a batch axis.

        Sample i depends on (seed, i) alone: neither on n nor on the number of threads.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one from the operating system.
        first : number of the first sample.
        workers : number of threads; all cores by default.
        """
        n, entropy, first = sampling(n, seed, first)
        values = np.empty((n, self.space.n_dofs))
        draw = self._sampler

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                values[i] = draw(sample_generator(entropy, first + i)).ravel()

        over_threads(work, n, checked_workers(workers))
        values += self.mean
        return Function(self.space, torch.from_numpy(values.reshape(n, *self.space.coefficient_shape)), name="g")

    @cached_property
    def _sampler(self) -> Callable[[np.random.Generator], FloatArray]:
        return self._spde() if self.method == "spde" else self._spectral()

    @cached_property
    def axis_modes(self) -> tuple[AxisModes, ...]:
        """The modes along each axis of the box."""
        bounds = self.domain.bounds.numpy()
        if isinstance(self.domain, Grid):
            given = self._mode_counts(self.domain.shape)
            found = []
            for kind, axis, count in zip(self.boundary, self.domain.grid_axes, given, strict=True):
                if axis.is_uniform:
                    found.append(AxisModes.on_axis(kind, axis.start, axis.length, axis.count, axis.samples))
                else:
                    found.append(AxisModes(kind, axis.start, axis.length, count, axis.count, "points"))
            return tuple(found)
        lengths = bounds[1] - bounds[0]
        n = max(2, round(len(self.domain.points) ** (1.0 / self.domain.dim)))
        counts = self._mode_counts(tuple(min(2 * n, (1024, 256, 64)[self.domain.dim - 1]) for _ in lengths))
        return tuple(
            AxisModes(kind, float(low), float(length), count, 0, "points")
            for kind, low, length, count in zip(self.boundary, bounds[0], lengths, counts, strict=True)
        )

    def _mode_counts(self, default: tuple[int, ...]) -> tuple[int, ...]:
        return default if self._modes is None else self._modes

    @cached_property
    def amplitudes(self) -> FloatArray:
        """Standard deviation of the coefficient of each mode."""
        square = np.zeros(())
        for modes in self.axis_modes:
            square = np.add.outer(square, modes.wavenumbers**2)
        scale = self.sigma * self.tau ** (self.alpha - 0.5 * self.domain.dim)
        result = scale * (square + self.tau**2) ** (-0.5 * self.alpha)
        if self.zero_mean and "dirichlet" not in self.boundary:
            result[(0,) * result.ndim] = 0.0
        return result

    def _spectral(self) -> Callable[[np.random.Generator], FloatArray]:
        modes = self.axis_modes
        amplitudes = self.amplitudes
        order = shell_order(amplitudes.shape)
        highest = int(order.max()) + 1
        fast = all(line.placement != "points" for line in modes)
        axes = [axis.coordinates.numpy() for axis in self.domain.grid_axes] if isinstance(self.domain, Grid) else None
        points = np.empty((0, 0)) if axes else self._points()

        def draw(generator: np.random.Generator) -> FloatArray:
            coefficients = generator.standard_normal(highest)[order].reshape(amplitudes.shape) * amplitudes
            if fast:
                return synthesise(modes, coefficients)
            if axes is None:
                return at_points(modes, coefficients, points)
            for line, coordinates in zip(modes, axes, strict=True):
                coefficients = np.tensordot(coefficients, line.at(coordinates), axes=(0, 1))
            return coefficients

        return draw

    def _points(self) -> Any:
        points = self.space.dof_points
        assert points is not None
        return points.numpy()

    def _spde(self) -> Callable[[np.random.Generator], FloatArray]:
        from scipy.sparse import diags
        from scipy.sparse.linalg import splu

        mass = np.asarray(self.space.mass.matrix.sum(axis=1)).ravel()
        operator = (self.space.stiffness.matrix + diags(self.tau**2 * mass)).tocsc()
        free = np.arange(self.space.n_dofs)
        if self.boundary[0] == "dirichlet":
            free = np.setdiff1d(free, self.space.dofs("boundary").numpy())
        solve = splu(operator[free][:, free], permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
        root = np.sqrt(mass[free])
        scale = self.sigma * self.tau ** (self.alpha - 0.5 * self.domain.dim)

        def draw(generator: np.random.Generator) -> FloatArray:
            load = root * generator.standard_normal(self.space.n_dofs)[free]
            for power in range(int(self.alpha) // 2):
                load = solve(load if power == 0 else mass[free] * load)
            values = np.zeros(self.space.n_dofs)
            values[free] = scale * load
            return values

        return draw

    def __repr__(self) -> str:
        return (
            f"GaussianField(alpha={self.alpha:g}, tau={self.tau:g}, sigma={self.sigma:g}, "
            f"boundary={self.boundary[0]!r}, method={self.method!r}) on {self.domain!r}"
        )


def sample_generator(entropy: Any, index: int) -> np.random.Generator:
    """The random numbers of sample `index` of a seed: those of the index-th child of its SeedSequence."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=(index,))))


def unit_sigma(alpha: float, dim: int, *, tau: float | None = None, lengths: Sequence[float] | None = None) -> float:
    """The sigma that makes the pointwise variance 1.

    Without a box: far from any boundary, where tau does not matter. With tau and the lengths of a box: on average
    over the box, for the Neumann condition, which raises the variance near the boundary and, by its constant mode,
    everywhere once 1/tau is not small.

    >>> round(unit_sigma(2.0, 2), 4)
    3.5449
    >>> round(unit_sigma(2.0, 2, tau=100.0, lengths=(1.0, 1.0)), 2)
    3.5
    """
    if tau is None or lengths is None:
        return math.sqrt(math.gamma(alpha) * (4.0 * math.pi) ** (0.5 * dim) / math.gamma(alpha - 0.5 * dim))
    square = np.zeros(())
    for length in lengths:
        square = np.add.outer(square, (np.pi * np.arange((4096, 512, 96)[dim - 1]) / length) ** 2)
    variance = tau ** (2.0 * alpha - dim) * ((square + tau**2) ** -alpha).sum() / math.prod(lengths)
    return 1.0 / math.sqrt(float(variance))
