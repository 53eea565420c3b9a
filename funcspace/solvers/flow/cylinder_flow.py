"""Flow around a cylinder in a channel: the DFG benchmark, and data sets around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import entries_of, number_of, positive_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.functions.ragged import RaggedFunction
from funcspace.geometry import Grid, Mesh, Times
from funcspace.solvers.flow.cylinder_mesh import channel_with_cylinder
from funcspace.solvers.flow.flow_samples import Spread, checked_roughness, constant_fields, side_profile, spread
from funcspace.solvers.flow.flow_solution import Flow
from funcspace.solvers.flow.navier_stokes import NavierStokes
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import checked_times, checked_workers, sampling
from funcspace.solvers.threads import over_threads

__all__ = ["CylinderFlow"]

FloatArray = NDArray[np.float64]

LENGTH, HEIGHT, RADIUS, CENTER = 2.2, 0.41, 0.05, (0.2, 0.2)
PROFILE_POINTS = 65
TILT = 0.2
STROUHAL = 0.3


class CylinderFlow:
    r"""Flow in the channel [0, 2.2] x [0, 0.41] around a cylinder of diameter D = 0.1 (Schäfer and Turek, 1996).

    .. math::
        \partial_t u + u \cdot \nabla u - \nu \Delta u + \nabla p = 0, \quad \nabla\cdot u = 0, \quad
        \nu = U D / Re,

    with the inflow u = (g(y), 0) of mean U at the left, no slip on walls and cylinder, and a free outlet. With the
    parabolic profile :math:`g = 6 U y (H - y) / H^2` the flow is steady at small Re and periodic at Re = 100.

    ==========================================  ======================================================================
    DFG 2D-1: Re = 20, U = 0.2, steady          drag 5.57953523384, lift 0.010618948146, pressure drop 0.11752016697
    DFG 2D-2: Re = 100, U = 1, periodic         largest drag 3.22 ... 3.24, largest lift 0.99 ... 1.01, Strouhal
                                                number 0.295 ... 0.305
    ==========================================  ======================================================================

    Data: input "inflow" g over the height (on a Grid) and, for flow in time, "initial", the velocity at the first of
    the times; parameters "reynolds" and, where it varies, the center "x", "y"; outputs "velocity" and "pressure" on the
    mesh, or over Times * mesh. Where the center varies, each sample has a mesh of its own.

    Parameters
    ----------
    h : size of the cells behind the cylinder; see `channel_with_cylinder`.
    reynolds : Re, or a range (low, high) from which each sample draws it uniformly.
    mean_velocity : U.
    roughness : deviation of the profile from the parabola: g is multiplied by a random cosine series of this size, and
        scaled to mean U.
    center : (x, y) of the cylinder, each a number or a range.
    times : instants at which to return flow in time; steady flow when None. They count from the end of the spin-up.
    step : largest time step, in units of D / U; a twentieth by default.
    spin_up : time that the flow in time runs before, in units of D / U, from a tilted start; a random part of a period
        of shedding is added to it.
    cells : "triangle" or "quadrilateral".
    workers : number of threads; all cores by default.

    Raises
    ------
    InputError : ranges that are none, a cylinder that touches a wall, times together with a varying center.
    SolverError : no convergence.

    Examples
    --------
    >>> flow = CylinderFlow(0.41 / 8, reynolds=20.0, mean_velocity=0.2).solve()
    >>> drag, lift = CylinderFlow.coefficients(flow, 0.2).tolist()
    >>> round(drag, 2)
    5.58
    """

    def __init__(
        self,
        h: float = HEIGHT / 16.0,
        *,
        reynolds: Spread = (5.0, 40.0),
        mean_velocity: float = 1.0,
        roughness: float = 0.0,
        center: Sequence[Spread] = CENTER,
        times: Times | None = None,
        step: float = 0.05,
        spin_up: float = 40.0,
        cells: Literal["triangle", "quadrilateral"] = "triangle",
        workers: int | None = None,
    ) -> None:
        self.h, self.workers = positive_number(h, "h"), checked_workers(workers)
        self.cells: Literal["triangle", "quadrilateral"] = cells
        self.reynolds = spread(reynolds, "reynolds")
        self.mean_velocity = spread(mean_velocity, "mean_velocity")[0]
        place = entries_of(center)
        if len(place) != 2:
            raise InputError(f"center must be (x, y), each a number or a range; got {center!r}")
        self.center = (spread(place[0], "the center's x"), spread(place[1], "the center's y"))
        self.roughness = checked_roughness(roughness)
        if times is not None and (self.moves or checked_times(times).count < 2):
            raise InputError(
                "flow in time needs two instants or more, and a center that does not vary: trajectories of one set "
                "share their mesh"
            )
        if not number_of(spin_up) >= 0:
            raise InputError(f"spin_up must be a number that is not negative, got {spin_up!r}")
        self.times, self.step, self.spin_up = times, positive_number(step, "step"), number_of(spin_up)
        for x in self.center[0]:
            for y in self.center[1]:
                self._mesh_at((x, y))

    @property
    def moves(self) -> bool:
        """Whether the center of the cylinder varies from sample to sample."""
        return any(low < high for low, high in self.center)

    @property
    def time_unit(self) -> float:
        """D / U, the time in which the fluid passes the cylinder."""
        return 2.0 * RADIUS / self.mean_velocity

    @cached_property
    def mesh(self) -> Mesh:
        """The mesh at the middle of the center's range."""
        return self._mesh_at((0.5 * sum(self.center[0]), 0.5 * sum(self.center[1])))

    def _mesh_at(self, center: tuple[float, float]) -> Mesh:
        return channel_with_cylinder(
            self.h, length=LENGTH, height=HEIGHT, center=center, radius=RADIUS, cells=self.cells
        )

    def inflow(self, y: Tensor) -> Tensor:
        """The parabolic profile at heights y."""
        return 6.0 * self.mean_velocity * y * (HEIGHT - y) / HEIGHT**2

    def problem(
        self,
        reynolds: float | Function | None = None,
        *,
        inflow: Callable[[Tensor], Tensor] | Function | None = None,
        mesh: Mesh | None = None,
    ) -> NavierStokes:
        """The equations for one Reynolds number and profile: a callable of heights, or a velocity on the mesh.

        By default those in the middle of the range and the parabola.
        """
        number = 0.5 * sum(self.reynolds) if reynolds is None else reynolds
        viscosity: Any = 2.0 * RADIUS * self.mean_velocity
        if isinstance(number, Function):
            viscosity = number.with_coefficients(viscosity / number.coefficients)
        else:
            viscosity = viscosity / spread(number, "reynolds")[0]
        profile = self.inflow if inflow is None else inflow
        entering = profile if isinstance(profile, Function) else lambda x: _along_x(profile(x[:, 1]))
        return NavierStokes(
            self.mesh if mesh is None else mesh, viscosity=viscosity,
            velocity={"inlet": entering, "walls": 0, "cylinder": 0}, workers=self.workers,
        )  # fmt: skip

    def solve(self, reynolds: float | None = None) -> Flow:
        """Steady flow of the parabolic profile at one Reynolds number."""
        return self.problem(reynolds).solve()

    @staticmethod
    def coefficients(flow: Flow, mean_velocity: float = 1.0) -> Float[Tensor, "*batch 2"]:
        r"""Drag and lift coefficients :math:`2 F / (U^2 D)` of a flow in this channel."""
        return flow.force("cylinder") / (mean_velocity**2 * RADIUS)

    @staticmethod
    def pressure_drop(flow: Flow) -> Float[Tensor, "*batch"]:
        """The pressure at the front of the cylinder at (0.2, 0.2) minus that at its back."""
        x, y = CENTER
        return flow.pressure_difference((x - RADIUS, y), (x + RADIUS, y))

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed (float64); sample i depends on (seed, i) alone.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.
        """
        n, chosen, first = sampling(n, seed, first)
        draws = [self._draw(chosen, first + i) for i in range(n)]
        grid = Grid(y=(0.0, HEIGHT, PROFILE_POINTS))
        heights = grid.points[:, 0].numpy() / HEIGHT
        rows = torch.from_numpy(np.stack([draw["inflow"](heights) for draw in draws]))
        inputs: dict[str, Any] = {"inflow": Function(FunctionSpace(grid, components=("inflow",)), rows, name="inflow")}
        parameters = {"reynolds": torch.tensor([draw["reynolds"] for draw in draws], dtype=torch.float64)}
        if self.moves:
            for name in ("x", "y"):
                parameters[name] = torch.tensor([draw[name] for draw in draws], dtype=torch.float64)
            outputs = self._apart(draws)
        else:
            steady = self.times is None
            outputs = _fields(self._together(draws).solve()) if steady else self._trajectories(draws, inputs)
        attributes = {
            "problem": "Navier-Stokes flow around a cylinder in a channel", "h": self.h, "roughness": self.roughness,
            "mean_velocity": self.mean_velocity, "seed": chosen, "first": first,
        }  # fmt: skip
        boundary = {
            "walls": {"type": "dirichlet", "value": 0.0},
            "cylinder": {"type": "dirichlet", "value": 0.0},
            "outlet": {"type": "do-nothing"},
        }
        return OperatorData(inputs, outputs, parameters, boundary, attributes)

    def _draw(self, entropy: Any, index: int) -> dict[str, Any]:
        generator = sample_generator(entropy, index)
        found = {
            "reynolds": float(generator.uniform(*self.reynolds)),
            "x": float(generator.uniform(*self.center[0])),
            "y": float(generator.uniform(*self.center[1])),
            "phase": float(generator.uniform()),
        }
        found["inflow"] = side_profile(generator, self.roughness, lambda s: 6.0 * self.mean_velocity * s * (1.0 - s))
        return found

    def _apart(self, draws: list[dict[str, Any]]) -> dict[str, Any]:
        """Steady flows on a mesh per sample."""
        flows = []
        for draw in draws:
            problem = self.problem(
                draw["reynolds"], inflow=_of_heights(draw["inflow"]), mesh=self._mesh_at((draw["x"], draw["y"]))
            )
            flows.append(problem.solve())
        fields = [_fields(flow) for flow in flows]
        return {name: RaggedFunction.pack([field[name] for field in fields]) for name in fields[0]}

    @cached_property
    def _plain(self) -> NavierStokes:
        return self.problem()

    def _together(self, draws: list[dict[str, Any]]) -> NavierStokes:
        """All samples as one batch on one mesh."""
        elements = self._plain.problem.elements
        inlet = elements.scalar.dofs("inlet").numpy()
        heights = elements.dof_points[inlet, 1] / HEIGHT
        entering = np.zeros((len(draws), elements.n_velocity, 2))
        for row, draw in zip(entering, draws, strict=True):
            row[inlet, 0] = draw["inflow"](heights)
        numbers = constant_fields(elements, np.array([draw["reynolds"] for draw in draws]), "reynolds")
        return self.problem(numbers, inflow=Function(elements.velocity, torch.from_numpy(entering)))

    def _trajectories(self, draws: list[dict[str, Any]], inputs: dict[str, Any]) -> dict[str, Any]:
        """Flow at the times, after a spin-up of its own length for each sample."""
        times = self.times
        assert times is not None
        parts: list[Any] = [None] * len(draws)

        def one(number: int) -> None:
            problem = self._together([draws[number]])
            duration = (self.spin_up + draws[number]["phase"] / STROUHAL) * self.time_unit
            instants = torch.cat([times.instants[:1] - duration, times.instants])
            history = problem.evolve(Times.at(instants), self.tilted, step=self.step * self.time_unit)
            parts[number] = (history.velocity.coefficients[0, 1:], history.pressure.coefficients[0, 1:])

        over_threads(lambda start, stop: [one(i) for i in range(start, stop)], len(draws), self.workers)
        elements = self._plain.problem.elements
        domain = times * self.mesh
        spaces = [
            FunctionSpace(domain, f"linear * {space.element}", components=space.components)
            for space in (elements.velocity, elements.pressure)
        ]
        velocity, pressure = (torch.stack(values) for values in zip(*parts, strict=True))
        inputs["initial"] = Function(elements.velocity, velocity[:, 0].clone(), name="initial")
        return {
            "velocity": Function(spaces[0], velocity, name="velocity"),
            "pressure": Function(spaces[1], pressure, name="pressure"),
        }

    def tilted(self, x: Tensor) -> Tensor:
        """A velocity to start from, without the symmetry that would delay the shedding of vortices."""
        speed = self.mean_velocity
        across = TILT * speed * torch.sin(torch.pi * x[:, 1] / HEIGHT)
        return torch.stack([torch.full_like(across, speed), across], dim=1)

    def __repr__(self) -> str:
        low, high = self.reynolds
        number = f"{low:g}" if low == high else f"{low:g} ... {high:g}"
        return f"CylinderFlow(h={self.h:.3g}, Re {number}{', in time' if self.times is not None else ''})"


def _fields(flow: Flow) -> dict[str, Any]:
    return {"velocity": flow.velocity, "pressure": flow.pressure}


def _along_x(u: Tensor) -> Tensor:
    return torch.stack([u, torch.zeros_like(u)], dim=1)


def _of_heights(profile: Callable[[FloatArray], FloatArray]) -> Callable[[Tensor], Tensor]:
    return lambda y: torch.from_numpy(profile(y.numpy() / HEIGHT))
