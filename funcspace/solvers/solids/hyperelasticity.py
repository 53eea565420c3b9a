"""Hyperelastic bodies under large deformations, with any strain energy density written in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import whole_number
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function
from funcspace.geometry.domain import Domain
from funcspace.solvers.problem_arguments import check_iteration, checked_workers
from funcspace.solvers.problem_data import batch_shape, values_at
from funcspace.solvers.solids.block_pattern import BlockPattern
from funcspace.solvers.solids.block_solve import block_solver
from funcspace.solvers.solids.equilibrium import Equilibrium, LoadState, NewtonOptions
from funcspace.solvers.solids.loading import Displacement, Loading, VectorData
from funcspace.solvers.solids.pointwise_law import EnergyFunction, HyperelasticPlane, PointwiseLaw, volume_ratio
from funcspace.solvers.solids.recovery import tensor_function, von_mises_function
from funcspace.solvers.solids.vector_elements import VectorElements
from funcspace.solvers.sparse_systems import Method, choose_method
from funcspace.solvers.threads import over_threads

__all__ = ["Hyperelasticity"]

FloatArray = NDArray[np.float64]

# Rules that integrate the energy of a linear or quadratic displacement as well as the displacement is resolved.
DEGREES = {"P1": 1, "P2": 4, "Q1": 3, "Q2": 5, "linear": 3}


class Hyperelasticity:
    r"""Equilibria of a body whose energy is a function of its deformation gradient.

    Pi(u) = int psi(I + grad u) dX - int f . u dX - int t . u dS  is stationary,
    that is  -Div P = f,  P = dpsi/dF,  P N = t on loaded parts,  u = g on supported parts

    on the undeformed body (total Lagrangian, dead loads: f and t keep direction and size). With lengths in m: u in m,
    psi in J/m^3, P and t in Pa, f in N/m^3. In the plane: plane strain (F_33 = 1), or an incompressible sheet in
    plane stress (F_33 = 1/det F, so that psi sees volume-preserving deformations only).

    Stress and tangent are derivatives of psi by torch.func; the load goes up in steps that halve themselves where
    Newton's method (with a line search on Pi) does not converge, and Newton converges quadratically. Data are as for
    `LinearElasticity`; a batch of data is a batch of problems. Nearly incompressible bodies take P2 or Q2 elements.

    Parameters
    ----------
    domain : a Mesh or vertex Grid in 2 or 3 dimensions.
    element : P1, P2, Q1, Q2 or "linear"; the domain's default when None.
    energy : `NeoHookean(...)`, `MooneyRivlin(...)`, or any function of F (3, 3) that returns a number in float64, such
        as a torch module; it is called under `torch.func.vmap`.
    plane : "strain" or "incompressible", for bodies in the plane.
    displacement, traction, pressure, body_force : as for `LinearElasticity`; a pressure is a dead load along the normal
        of the undeformed body.
    steps : number of load steps that are tried first.
    max_halvings : how often a step may be halved.
    max_iterations : bound on Newton's iterations in a step.
    tolerance : out-of-balance forces relative to the forces in the body.
    method : of the linear solves: "direct", "multigrid" or "auto".
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : as `LinearElasticity`; an energy that is no float64 number.
    SolverError : supports that leave a rigid motion free, or no equilibrium: `.state` is the last `LoadState`, with its
        displacement and load factor.

    Examples
    --------
    A cube pulled to twice its length; psi gives the force.

    >>> import funcspace as fs
    >>> from funcspace.solvers.solids import NeoHookean
    >>> cube = Hyperelasticity(
    ...     fs.Mesh.box(1.0),
    ...     "P1",
    ...     energy=NeoHookean(lame_lambda=0.0, lame_mu=1.0),
    ...     displacement={"left": {"ux": 0.0}, "bottom": {"uy": 0.0}, "front": {"uz": 0.0}, "right": {"ux": 1.0}},
    ... )
    >>> u = cube.solve()
    >>> (cube.reaction(u, "right") * 1e6).round().tolist()  # mu (2 - 1/2)
    [1500000.0, 0.0, 0.0]
    """

    def __init__(
        self,
        domain: Domain,
        element: str | None = None,
        *,
        energy: EnergyFunction,
        plane: HyperelasticPlane = "strain",
        displacement: Mapping[str, Displacement] | None = None,
        traction: Mapping[str, VectorData] | None = None,
        pressure: Mapping[str, Any] | None = None,
        body_force: VectorData | None = None,
        steps: int = 1,
        max_halvings: int = 8,
        max_iterations: int = 25,
        tolerance: float = 1e-10,
        method: Method = "auto",
        workers: int | None = None,
    ) -> None:
        if plane not in ("strain", "incompressible"):
            raise InputError(f'plane must be "strain" or "incompressible"; got {plane!r}')
        if not callable(energy):
            raise InputError(f"energy must be a function of F (3, 3), such as NeoHookean(...); got {energy!r}")
        for name, value, least in (
            ("steps", steps, 1),
            ("max_halvings", max_halvings, 0),
            ("max_iterations", max_iterations, 1),
        ):
            whole_number(value, name, least)
        check_iteration(tolerance, 1)
        choose_method(method, 1, 2)
        scalar = VectorElements(domain, element)
        degree = DEGREES[scalar.space.element] + (2 if getattr(domain, "is_curved", False) else 0)
        self.elements = VectorElements(domain, element, degree)
        self.loading = Loading(
            scalar,
            {} if displacement is None else displacement,
            {} if traction is None else traction,
            {} if pressure is None else pressure,
            body_force,
        )
        self.law = PointwiseLaw(energy, domain.dim, plane)
        self.options = NewtonOptions(steps, max_halvings, max_iterations, tolerance)
        self.method: Method = method
        self.workers = checked_workers(workers)

    @property
    def space(self) -> Any:
        """The space of the displacement."""
        return self.elements.space

    @cached_property
    def _pattern(self) -> BlockPattern:
        self.loading.check_supported()
        return BlockPattern(self.elements.dofs, self.elements.dof_points, self.loading.fixed)

    @cached_property
    def _values(self) -> dict[str, FloatArray]:
        """The law's parameters at the quadrature points, (samples or 1, n) each."""
        elements = self.elements
        cells = elements.assembly.cells

        def at(datum: Any, name: str) -> FloatArray:
            return values_at(datum, cells.points, name, same_space=lambda f: elements.own_values(cells, f))

        found = {name: at(datum, name) for name, datum in self.law.data().items()}
        self.law.check(found, cells.points)
        return found

    def _equilibrium(self, sample: int, load: FloatArray, given: FloatArray) -> Equilibrium:
        pattern, elements = self._pattern, self.elements
        method = choose_method(self.method, len(pattern.free), elements.dim)

        def solver(blocks: FloatArray) -> Any:
            return block_solver(pattern, blocks, method=method, tolerance=1e-10, max_iterations=500)

        values = [_pick(column, sample) for column in self._values.values()]
        return Equilibrium(
            elements, self.law, pattern, values=values, load=_pick(load, sample), given=_pick(given, sample),
            solver=solver, options=self.options,
        )  # fmt: skip

    def solve(self) -> Function:
        """The displacement under the whole load, with the batch shape of the data: coefficients (*batch, dofs, d)."""
        batch = batch_shape({**self.law.data(), **self.loading.data()})
        pattern, load, given = self._pattern, self.loading.forces(), self.loading.given()
        samples = max(len(load), len(given), *(len(column) for column in self._values.values()), 1)
        found = np.empty((samples, self.elements.nodes, self.elements.dim))
        # filled before threads share them
        _ = pattern.diagonal, self.elements.all_gradients

        def work(start: int, stop: int) -> None:
            for sample in range(start, stop):
                try:
                    states = self._equilibrium(sample, load, given).follow([1.0], np.zeros(found.shape[1:]))
                except SolverError as error:
                    if samples == 1:
                        raise
                    raise SolverError(f"sample {sample}: {error}", state=error.state) from error
                found[sample] = states[-1].displacement.coefficients.numpy()

        over_threads(work, samples, self.workers)
        return self.elements.function(found, batch)

    def follow(self, factors: Sequence[float] = (1.0,)) -> list[LoadState]:
        """Equilibria at ascending load factors, such as `torch.linspace(0.1, 1.0, 10)`, each from the one before it.

        Raises
        ------
        InputError
            When the data are a batch, or the factors do not ascend from above 0.
        SolverError
            As `solve`.
        """
        if batch_shape({**self.law.data(), **self.loading.data()}):
            raise InputError("follow takes one load at a time; give single functions, or solve() for the batch")
        targets = [float(factor) for factor in factors]
        if not targets or targets[0] <= 0.0 or any(b <= a for a, b in pairwise(targets)):
            raise InputError(f"load factors must ascend from above 0; got {targets[:6]}")
        equilibrium = self._equilibrium(0, self.loading.forces(), self.loading.given())
        return equilibrium.follow(targets, np.zeros((self.elements.nodes, self.elements.dim)))

    def energy(self, u: Function) -> Float[Tensor, "*batch"]:
        """The stored energy, the integral of psi, in J (per metre of thickness in the plane)."""
        total = [
            float(self.law.energies(h, values) @ self.elements.weights.ravel()) for h, values in self._gradients(u)
        ]
        return torch.tensor(total, dtype=torch.float64).reshape(u.batch_shape)

    def forces(self, u: Function) -> Float[Tensor, "*batch dofs d"]:
        """Nodal forces of the stress, the derivative of `energy` with respect to the coefficients of u."""
        elements, every, found = self.elements, slice(None), []
        for h, values in self._gradients(u):
            _, stress = self.law.stresses(h, values)
            shaped = stress.reshape(*elements.weights.shape, elements.dim, elements.dim)
            found.append(elements.scatter(elements.internal_forces(shaped, every, elements.all_gradients)))
        return torch.from_numpy(np.stack(found)).reshape(*u.batch_shape, elements.nodes, elements.dim)

    def tangent(self, u: Function) -> Any:
        """The derivative of `forces` as a sparse matrix; row and column d n + i belong to component i of dof n.

        Raises
        ------
        InputError
            When u is a batch.
        """
        if u.batch_shape:
            raise InputError(f"the tangent of one displacement is a matrix; got a batch of shape {u.batch_shape}")
        elements, every = self.elements, slice(None)
        ((h, values),) = self._gradients(u)
        *_, moduli = self.law.tangents(h, values)
        shaped = moduli.reshape(*elements.weights.shape, *(elements.dim,) * 4)
        pattern = BlockPattern(elements.dofs, elements.dof_points, np.empty(0, dtype=np.int64))
        return pattern.whole(pattern.blocks(elements.tangent(shaped, every, elements.all_gradients))).tocsr()

    def reaction(self, u: Function, part: str) -> Float[Tensor, "*batch d"]:
        """The force that the support of a part exerts on the body, summed over its dofs."""
        assembly = self.elements.assembly
        if part not in assembly.parts:
            raise InputError(f"no boundary part {part!r}; this domain has {sorted(assembly.parts)}")
        dofs = torch.from_numpy(assembly.facet_dofs(assembly.parts[part]))
        load = torch.from_numpy(self.loading.forces())
        flat = self.forces(u).reshape(-1, self.elements.nodes, self.elements.dim) - load
        return flat[:, dofs].sum(dim=1).reshape(*u.batch_shape, self.elements.dim)

    def stress(self, u: Function, element: str | None = None) -> Function:
        """The Cauchy stress P F^T / J in the undeformed body's coordinates, projected as `LinearElasticity.stress`."""
        stress = np.stack([self._cauchy(h, values) for h, values in self._gradients(u)])
        return tensor_function(self.elements, stress, element, batch=u.batch_shape, letter="s", name="stress")

    def von_mises(self, u: Function, element: str | None = None) -> Function:
        """The von Mises stress of the projected Cauchy stress, with the stress across the plane in it."""
        fields = [(self._cauchy(h, v), self._across(h, v)) for h, v in self._gradients(u)]
        stress, across = (np.stack(column) for column in zip(*fields, strict=True))
        return von_mises_function(self.elements, stress, across, element, u.batch_shape)

    def _across(self, h: FloatArray, values: list[FloatArray]) -> FloatArray:
        return self.law.across(h, values) if self.elements.dim == 2 else np.zeros(len(h))

    def _cauchy(self, h: FloatArray, values: list[FloatArray]) -> FloatArray:
        _, stress = self.law.stresses(h, values)
        volume = np.ones(len(h)) if self.elements.dim == 2 and self.law.plane == "incompressible" else volume_ratio(h)
        return stress @ (h + np.eye(h.shape[-1])).swapaxes(-1, -2) / volume[:, None, None]

    def _gradients(self, u: Function) -> list[tuple[FloatArray, list[FloatArray]]]:
        """For each function of a batch H (n, d, d) and the law's parameters at the quadrature points."""
        elements, every = self.elements, slice(None)
        found = []
        coefficients = elements.coefficients(u)
        for sample, c in enumerate(coefficients):
            h = elements.displacement_gradient(c, every, elements.all_gradients)
            values = [_pick(column, sample) for column in self._values.values()]
            found.append((h.reshape(-1, elements.dim, elements.dim), values))
        sizes = {len(column) for column in self._values.values()} - {1, len(coefficients)}
        if sizes:
            raise InputError(f"the law's parameters are a batch of {sizes.pop()}, the displacement {len(coefficients)}")
        return found

    def __repr__(self) -> str:
        shown = {kind: sorted(getattr(self.loading, kind)) for kind in ("displacement", "traction", "pressure")}
        text = ", ".join(f"{kind} on {parts}" for kind, parts in shown.items() if parts)
        energy = type(self.law.energy).__name__
        return (
            f"Hyperelasticity({self.space.element!r} on {self.space.domain!r}, {energy}{', ' + text if text else ''})"
        )


def _pick(values: FloatArray, sample: int) -> FloatArray:
    return values[sample if len(values) > 1 else 0]
