"""The Helmholtz equation on meshes and grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import positive_number
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.batches import SharedFactors, functions_in, solve_batch
from funcspace.solvers.linear.boundary_parts import BoundaryParts, check_parts
from funcspace.solvers.linear.time_data import check_steady
from funcspace.solvers.linear.tracked_data import has_tracked_data
from funcspace.solvers.problem_arguments import by_part, check_data, checked_workers, named
from funcspace.solvers.problem_data import batch_shape, check_coefficient, values_at
from funcspace.solvers.sparse_systems import factorise_general

__all__ = ["Helmholtz"]

FloatArray = NDArray[np.float64]

# Relative distance to a resonance below which a solution is made of rounding errors.
RESONANCE = 1e-11


class Helmholtz:
    r"""Time-harmonic waves u exp(-i omega t) with variable speed, with boundary conditions on named parts.

    -div(a grad u) - (omega/c)^2 (1 + i eta) u = f in the domain
    u = g on Dirichlet parts;  a du/dn = g on Neumann parts;  a du/dn - i (omega/c) sqrt(a) u = g on impedance parts

    n points outwards. With u in U and lengths in L: omega/c in 1 / L, f in [a] U / L^2. An impedance part lets out
    waves that arrive at a right angle; with g = (d/dn - i k) exp(i k.x) it lets a plane wave in. Without impedance
    parts, loss and complex data the problem and its solution are real: standing waves, singular where omega is a
    resonance of the cavity. A loss eta > 0 keeps away from these.

    Finite elements and a sparse direct solve. Waves of elements of first order are too short by the factor
    1 - (k h)^2/24, an error that adds up over the wavelengths: for large domains use P2 or a finer mesh.

    Data may be numbers, callables of points (n, d), or Functions, with batches; f and g may be complex. Where data are
    part of an autograd graph (Functions whose coefficients require gradients, tensors, callables such as networks), so
    is the solution.

    Parameters
    ----------
    domain : a Mesh, straight or curved, or a vertex Grid.
    element : P1, P2, Q1 or Q2 on a Mesh, "linear" on a Grid.
    frequency : omega > 0, radians per unit of time.
    speed : c > 0.
    coefficient : a > 0.
    loss : eta >= 0.
    source : f.
    dirichlet : g by part name; by default 0 on all of the boundary that `neumann` and `impedance` do not name; {} for
        none.
    neumann : g by part name; parts that nothing names have g = 0.
    impedance : g by part name.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part, data that are not finite or of the wrong sign.
    DomainError : a domain or basis this equation is not solved on.
    SolverError : omega is a resonance to rounding.

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> from funcspace.solvers.linear import Helmholtz
    >>> u = Helmholtz(
    ...     fs.Grid(x=(0.0, 1.0, 201)), frequency=10.0, dirichlet={"left": 1.0}, impedance={"right": 0.0}
    ... ).solve()
    >>> wave = torch.exp(10j * u.domain.points[:, 0])
    >>> bool((u.coefficients - wave).abs().max() < 2e-3)
    True
    """

    def __init__(
        self,
        domain: Domain,
        element: str | None = None,
        *,
        frequency: float,
        speed: Any = 1.0,
        coefficient: Any = 1.0,
        loss: Any = 0.0,
        source: Any = 0.0,
        dirichlet: Mapping[str, Any] | None = None,
        neumann: Mapping[str, Any] | None = None,
        impedance: Mapping[str, Any] | None = None,
        workers: int | None = None,
    ) -> None:
        self.space = FunctionSpace(domain, element)
        self.frequency, self.workers = positive_number(frequency, "frequency"), checked_workers(workers)
        dirichlet = None if dirichlet is None else by_part(dirichlet, "dirichlet")
        neumann, impedance = by_part(neumann, "neumann"), by_part(impedance, "impedance")
        check_parts(domain, dirichlet=dirichlet, neumann=neumann, impedance=impedance)
        self._data: dict[str, Any] = {
            "speed": speed,
            "coefficient": coefficient,
            "loss": loss,
            "source": source,
            "dirichlet": dirichlet,
            "neumann": neumann,
            "impedance": impedance,
        }
        check_data(named(self._data), ("speed", "coefficient"), not_negative=("loss",))
        check_steady(**self._data)

    @cached_property
    def assembly(self) -> Assembly:
        """Quadrature and basis functions on the domain."""
        return Assembly(self.space)

    @cached_property
    def parts(self) -> BoundaryParts:
        """Where the boundary conditions act."""
        data = self._data
        return BoundaryParts(self.assembly, data["dirichlet"], natural=data["neumann"], coupled=data["impedance"])

    @cached_property
    def is_complex(self) -> bool:
        """Whether the solution is complex: impedance parts, a loss, or complex data."""
        data = self._data
        lossless = isinstance(data["loss"], int | float) and data["loss"] == 0
        if data["impedance"] or not lossless:
            return True
        point = self.space.dof_points
        assert point is not None
        given = [data["source"], *(data["dirichlet"] or {}).values(), *data["neumann"].values()]
        return any(_is_complex(value, point[:1]) for value in given)

    def solve(self) -> Function:
        """The solution, complex128 or float64, with the batch shape of the data.

        Where data are part of an autograd graph so is the solution: derivatives come from the adjoint system, with the
        same factor (see `tracked_helmholtz`).
        """
        from funcspace.solvers.linear.differentiable_helmholtz import tracked_helmholtz

        parts = self.parts  # built before threads ask for it
        assert parts is not None
        if has_tracked_data(self._data, self.assembly):
            batch = batch_shape(dict(functions_in(self._data)))
            tracked = tracked_helmholtz(self)
            return Function(self.space, tracked.reshape(*batch, *self.space.coefficient_shape), name="u")
        values = solve_batch(
            self._data, ("speed", "coefficient", "loss"), self._rows, shape=(self.assembly.size,),
            workers=self.workers, dtype=np.complex128 if self.is_complex else np.float64,
        )  # fmt: skip
        return Function(
            self.space, torch.from_numpy(values.reshape(*values.shape[:-1], *self.space.coefficient_shape)), name="u"
        )

    def _rows(self, data: dict[str, Any], shared: SharedFactors, out: NDArray[Any]) -> None:
        parts, pattern, size = self.parts, self.parts.pattern, self.assembly.size
        cells = self.assembly.cells
        dtype = torch.complex128 if self.is_complex else torch.float64
        solve, coupling = shared.get("system", lambda: self._system(data))
        load: Any = np.zeros((1, size))
        if not (isinstance(data["source"], int | float) and data["source"] == 0):
            own = lambda f: self.assembly.own_values(cells, f)  # noqa: E731
            load = cells.load(values_at(data["source"], cells.points, "source", same_space=own, dtype=dtype), size)
        for kind in ("neumann", "impedance"):
            load = load + parts.load(data[kind], kind, dtype)
        given = parts.given(data["dirichlet"], dtype)
        for sample in range(len(out)):
            right = load[sample if len(load) > 1 else 0][pattern.free].astype(out.dtype)
            edge = given[sample if len(given) > 1 else 0]
            if edge.any():
                right = right - coupling @ edge
            out[sample, pattern.free] = solve(right) if len(right) else right
            out[sample, pattern.fixed] = edge

    def _system(self, data: dict[str, Any]) -> tuple[Any, Any]:
        """A function that solves among the free dofs, and the block from the fixed ones."""
        parts, cells, pattern = self.parts, self.assembly.cells, self.parts.pattern

        def at_cells(name: str) -> Any:
            own = lambda f: self.assembly.own_values(cells, f)  # noqa: E731
            return values_at(data[name], cells.points, name, same_space=own)

        a, c, eta = at_cells("coefficient"), at_cells("speed"), at_cells("loss")
        check_coefficient(a, cells.points)
        check_coefficient(c, cells.points, "speed")
        if (eta < 0).any():
            raise InputError("loss must not be negative: waves would grow")
        square = cells.shaped(((self.frequency / c) ** 2)[0])
        stiffness, mass = cells.stiffness(cells.shaped(a[0])), cells.mass(square)
        edges = []
        for part, facets in parts.coupled.items():
            speed, along = (parts.at(part, data[name], name) for name in ("speed", "coefficient"))
            edges.append(facets.mass(facets.shaped((self.frequency / speed * np.sqrt(along))[0])))
        nothing = [np.zeros_like(block) for block in edges]
        values: Any = pattern.values([stiffness - mass, *nothing])
        if self.is_complex:
            lossy = cells.mass(square * cells.shaped(eta[0])) if eta.any() else np.zeros_like(mass)
            values = values - 1j * pattern.values([lossy, *edges])
        return self._factor(values, pattern.values([mass, *nothing])), pattern.coupling(values)

    def _factor(self, values: Any, mass: FloatArray) -> Any:
        """What solves among the free dofs, by the entries of the matrix and of the mass matrix of (omega/c)^2."""
        singular = (
            f"frequency {self.frequency:g} is a resonance of this cavity: choose another one, or give a loss or an "
            "impedance part"
        )
        solve = factorise_general(self.parts.pattern.inner(values), singular=singular)
        _check_resonance(solve, self.parts.pattern.inner(mass), singular)
        return solve

    def __repr__(self) -> str:
        return f"Helmholtz({self.space.element!r} on {self.space.domain!r}, frequency={self.frequency:g})"


def _check_resonance(solve: Any, mass: Any, singular: str) -> None:
    """Raise a SolverError where inverse iteration finds an eigenvalue of the pencil that is zero to rounding.

    With the mass matrix of (omega/c)^2 an eigenvalue is the relative distance of omega^2 to that of a resonance.
    """
    size = mass.shape[0]
    if size == 0:
        return
    # A start without symmetry, so that no mode is orthogonal to it.
    x = np.sin(1.0 + np.arange(size) ** 1.1)
    growth = 0.0
    for _ in range(3):
        x = x / math.sqrt(abs(float(np.vdot(x, mass @ x).real)))
        x = solve(mass @ x)
        growth = math.sqrt(abs(float(np.vdot(x, mass @ x).real)))
    if growth * RESONANCE > 1.0:
        raise SolverError(singular)


def _is_complex(data: Any, point: Any) -> bool:
    if isinstance(data, Function):
        return data.coefficients.is_complex()
    value: Any = data(point) if callable(data) else data
    return value.is_complex() if isinstance(value, torch.Tensor) else bool(np.iscomplexobj(value))
