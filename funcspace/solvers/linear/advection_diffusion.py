"""Advection and diffusion on meshes and grids."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import true_or_false
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Mesh, Times
from funcspace.geometry.domain import Domain
from funcspace.solvers.assembly import Assembly
from funcspace.solvers.linear.batches import SharedFactors, solve_batch
from funcspace.solvers.linear.boundary_parts import BoundaryParts, check_parts, check_robin
from funcspace.solvers.linear.nodal_data import given_in_time, load_in_time, nodal_values, sources_in_time
from funcspace.solvers.linear.streamline_upwind import StreamlineUpwind
from funcspace.solvers.linear.theta_scheme import ThetaSystem, check_theta, damped_steps, integrate
from funcspace.solvers.linear.time_data import check_steady, intervals, varies_in_time
from funcspace.solvers.problem_arguments import by_part, check_data, checked_workers, named
from funcspace.solvers.problem_data import Data, check_coefficient, values_at
from funcspace.solvers.sparse_systems import factorise_general

__all__ = ["AdvectionDiffusion"]

FloatArray = NDArray[np.float64]
SINGULAR = "the system is singular: advection and diffusion need a Dirichlet or Robin part, an inflow, or a reaction"


class AdvectionDiffusion:
    r"""Transport by a velocity field and by diffusion, steady or in time, with boundary conditions on named parts.

    u_t + b.grad u - div(k grad u) + r u = f in the domain
    u = g on Dirichlet parts;  k du/dn = g on Neumann parts;  k du/dn + alpha u = g on Robin parts

    n points outwards. With u in U, lengths in L and times in T: b in L / T, k in L^2 / T, r in 1 / T, f in U / T. An
    outflow is a Neumann part with g = 0. Where b is free of divergence, b.grad u = div(b u).

    Finite elements with streamline upwinding (SUPG), which keeps the order of the elements and makes layers thinner
    than a cell spread over few cells, where Galerkin's method oscillates all over the domain. It is not monotone: in
    the plane the nodes right beside a layer that the mesh does not resolve overshoot by up to a fifth of its jump, by
    half of it where values are prescribed at an outflow. In time the theta scheme, see `Heat`.

    Data may be numbers, callables of points (n, d), or Functions, with batches; b is a tuple, a callable (n, d) ->
    (n, d), or a Function of d components, and does not depend on time. Source and boundary values may: callables of
    (points, t), or Functions over Times * domain.

    Parameters
    ----------
    domain : a Mesh with straight cells or a vertex Grid.
    element : P1, P2 or Q1 on a Mesh, "linear" on a Grid.
    velocity : b.
    diffusion : k > 0.
    reaction : r.
    source : f.
    dirichlet : g by part name; by default 0 on all of the boundary that `neumann` and `robin` do not name; {} for none.
    neumann : g by part name.
    robin : (alpha, g) by part name.
    times : instants of the output; None for the steady problem.
    initial : u at the first instant.
    step : longest time step; by default the steps are those of `times`.
    theta, damped : see `Heat`.
    stabilised : False for Galerkin's method.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part, a step that is not positive, data that are not finite or of the wrong sign or shape.
    DomainError : a domain or basis this equation is not solved on.
    SolverError : a singular system.

    Examples
    --------
    >>> import math
    >>> import funcspace as fs
    >>> from funcspace.solvers.linear import AdvectionDiffusion
    >>> ends = {"left": 0.0, "right": 1.0}
    >>> u = AdvectionDiffusion(fs.Grid(x=(0.0, 1.0, 11)), velocity=(1.0,), diffusion=0.02, dirichlet=ends).solve()
    >>> exact = (math.exp(0.9 / 0.02) - 1) / (math.exp(1 / 0.02) - 1)
    >>> abs(float(u.values[9]) - exact) < 1e-12
    True
    """

    def __init__(
        self,
        domain: Domain,
        element: str | None = None,
        *,
        velocity: Any,
        diffusion: Data,
        reaction: Data = 0.0,
        source: Any = 0.0,
        dirichlet: Mapping[str, Any] | None = None,
        neumann: Mapping[str, Any] | None = None,
        robin: Mapping[str, tuple[Any, Any]] | None = None,
        times: Times | None = None,
        initial: Data = 0.0,
        step: float | None = None,
        theta: float = 0.5,
        damped: int | None = None,
        stabilised: bool = True,
        workers: int | None = None,
    ) -> None:
        self.space = FunctionSpace(domain, element)
        if self.space.element not in ("P1", "P2", "Q1", "linear") or (isinstance(domain, Mesh) and domain.is_curved):
            raise InputError(
                'streamline upwinding takes P1, P2 and Q1 on straight cells and "linear" on a Grid; got '
                f"{self.space.element!r} on {domain!r}"
            )
        if times is None and step is not None:
            raise InputError("a step needs times=...: without times the problem is steady")
        self.times = times
        self._stretches = [] if times is None else intervals(times, step)
        check_theta(theta)
        self.theta, self.damped = float(theta), damped_steps(damped, theta)
        self.stabilised, self.workers = true_or_false(stabilised, "stabilised"), checked_workers(workers)
        dirichlet = None if dirichlet is None else by_part(dirichlet, "dirichlet")
        neumann, robin = by_part(neumann, "neumann"), by_part(robin, "robin")
        check_parts(domain, dirichlet=dirichlet, neumann=neumann, robin=robin)
        check_robin(robin)
        alphas = {part: pair[0] for part, pair in robin.items()}
        b = velocity if isinstance(velocity, Function) or callable(velocity) else _vector(velocity)
        check_steady(velocity=b, diffusion=diffusion, reaction=reaction, robin_alpha=alphas, initial=initial)
        self._data: dict[str, Any] = {
            "velocity": b,
            "diffusion": diffusion,
            "reaction": reaction,
            "source": source,
            "initial": initial,
            "dirichlet": dirichlet,
            "neumann": neumann,
            "alpha": alphas,
            "robin": {part: pair[1] for part, pair in robin.items()},
        }
        check_data(named(self._data), ("diffusion",))
        if times is None and varies_in_time([v for n, v in self._data.items() if n != "velocity"]):
            raise InputError("data that depend on time need times=...: without times the problem is steady")

    @cached_property
    def assembly(self) -> Assembly:
        """Quadrature and basis functions on the domain."""
        return Assembly(self.space)

    @cached_property
    def parts(self) -> BoundaryParts:
        """Where the boundary conditions act."""
        given = self._data["dirichlet"]
        return BoundaryParts(self.assembly, given, natural=self._data["neumann"], coupled=self._data["robin"])

    def solve(self) -> Function:
        """The solution over the domain, or over times * domain, with the batch shape of the data."""
        parts = self.parts  # built before threads ask for it
        assert parts is not None
        size, times = self.assembly.size, self.times
        values = solve_batch(
            self._data, ("velocity", "diffusion", "reaction", "alpha"), self._states,
            shape=(size,) if times is None else (times.count, size), workers=self.workers,
        )  # fmt: skip
        space = self.space
        if times is not None:
            space = FunctionSpace(times * space.domain, f"linear * {space.element}")
        batch = values.shape[: -1 if times is None else -2]
        return Function(space, torch.from_numpy(values.reshape(*batch, *space.coefficient_shape)), name="u")

    def _states(self, data: dict[str, Any], shared: SharedFactors, out: FloatArray) -> None:
        parts, pattern, assembly = self.parts, self.parts.pattern, self.assembly
        upwind, mass, operator = shared.get("matrices", lambda: self._matrices(data))
        load = load_in_time(
            assembly, parts, sources_in_time(assembly, data["source"], upwind.load),
            {"neumann": data["neumann"], "robin": data["robin"]},
        )  # fmt: skip
        given = given_in_time(parts, data["dirichlet"])

        def factorise(values: Any) -> Any:
            return factorise_general(pattern.inner(values), singular=SINGULAR, many=True)

        if self.times is not None:
            system = ThetaSystem(pattern, mass, operator, load, given, factorise)
            start = nodal_values(assembly, data["initial"], "initial")
            schedule = (self.times.start, self._stretches)
            integrate(system, start, schedule, theta=self.theta, damped=self.damped, shared=shared, out=out)
            return
        loads, edges = load(0.0), given(0.0)
        samples = len(out)
        solve = shared.get("solve", lambda: factorise(operator))
        right = np.array(np.broadcast_to(loads[:, pattern.free], (samples, len(pattern.free))).T, order="C")
        edges = np.array(np.broadcast_to(edges, (samples, len(pattern.fixed))), order="C")
        if edges.any():
            right -= pattern.coupling(operator) @ np.ascontiguousarray(edges.T)
        out[:, pattern.free] = (solve(right) if len(right) else right).T
        out[:, pattern.fixed] = edges

    def _matrices(self, data: dict[str, Any]) -> tuple[StreamlineUpwind, FloatArray, FloatArray]:
        """The method, and the entries of the mass matrix and the operator, for data without a batch."""
        parts, cells, d = self.parts, self.assembly.cells, self.space.domain.dim

        def at_cells(name: str, shapes: tuple[tuple[int, ...], ...] = ((),)) -> FloatArray:
            own = lambda f: self.assembly.own_values(cells, f)  # noqa: E731
            return cells.shaped(values_at(data[name], cells.points, name, shapes=shapes, same_space=own)[0])

        b, k, r = at_cells("velocity", ((d,),)), at_cells("diffusion"), at_cells("reaction")
        check_coefficient(k.reshape(1, -1), cells.points, "diffusion")
        step = max((stretch.step for stretch in self._stretches), default=None)
        upwind = StreamlineUpwind(
            cells, b, k, r, step=step, quadratic=self.space.element == "P2", active=self.stabilised
        )
        edges = []
        for part, facets in parts.coupled.items():
            alpha = parts.at(part, data["alpha"][part], f"robin[{part!r}] alpha")
            edges.append(facets.mass(facets.shaped(alpha[0])))
        nothing = [np.zeros_like(block) for block in edges]
        values = parts.pattern.values
        mass = values([upwind.mass(), *nothing]) if self.times is not None else np.zeros(0)
        return upwind, mass, values([upwind.operator(), *edges])

    def __repr__(self) -> str:
        when = "steady" if self.times is None else repr(self.times)
        return f"AdvectionDiffusion({self.space.element!r} on {self.space.domain!r}, {when})"


def _vector(velocity: Any) -> FloatArray:
    try:
        return np.asarray(velocity, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"velocity must be a vector, a callable or a Function; got {velocity!r}") from error
