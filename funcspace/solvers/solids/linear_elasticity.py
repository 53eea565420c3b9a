"""Linear elasticity of isotropic bodies, in the plane and in space."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry.domain import Domain
from funcspace.solvers.front_factor import FrontFactor
from funcspace.solvers.nodal_coefficients import nodal_values
from funcspace.solvers.problem_arguments import check_iteration, checked_workers
from funcspace.solvers.problem_data import Data, batch_shape, values_at
from funcspace.solvers.solids.block_pattern import BlockPattern
from funcspace.solvers.solids.block_solve import block_solver
from funcspace.solvers.solids.elastic_lanes import ElasticLanes
from funcspace.solvers.solids.isotropic import IsotropicModuli, Plane, check_poisson
from funcspace.solvers.solids.loading import Displacement, Loading, VectorData
from funcspace.solvers.solids.recovery import tensor_function, von_mises_function
from funcspace.solvers.solids.vector_elements import VectorElements
from funcspace.solvers.sparse_systems import Method, choose_method
from funcspace.solvers.threads import over_columns, over_threads

__all__ = ["LinearElasticity"]

FloatArray = NDArray[np.float64]


class LinearElasticity:
    r"""Small deformations of an isotropic elastic body.

    -div sigma = f,  sigma = lambda tr(eps) I + 2 mu eps,  eps = (grad u + grad u^T)/2
    u = g on supported parts (all components or some);  sigma n = t on loaded parts;  sigma n = 0 elsewhere

    lambda = E nu / ((1 + nu)(1 - 2 nu)), mu = E / (2 (1 + nu)); in plane stress lambda is replaced by
    2 lambda mu / (lambda + 2 mu). With lengths in m: u in m, E, sigma and t in Pa, f in N/m^3.

    Data may be numbers or constant vectors, callables of float64 torch points (n, d), or Functions on any space that
    reaches the domain. Functions with a batch make a batch of problems: the sparsity pattern is built once, the
    factorisation is reused where only loads and displacements vary, and samples are spread over all cores.

    Nearly incompressible bodies (nu > 0.49): P1 and Q1 elements lock, that is, come out far too stiff; take P2 or Q2.

    Parameters
    ----------
    domain : a Mesh of triangles, quadrilaterals, tetrahedra or hexahedra, or a vertex Grid, in 2 or 3 dimensions.
    element : P1, P2, Q1, Q2 or "linear"; the domain's default when None.
    young, poisson : E and nu; or
    lame_lambda, lame_mu : Lame's parameters.
    plane : "strain" or "stress", for bodies in the plane; without meaning in space.
    displacement : by part a number for all components, values (d,), or a mapping from component to number (a
        roller: {"bottom": {"uy": 0.0}}). Where parts meet, the later one holds.
    traction : t by part, values (d,).
    pressure : p by part, t = -p n with the outward normal n.
    body_force : f, values (d,).
    method : "direct", "multigrid" (conjugate gradients, smoothed aggregation with the rigid motions) or "auto", by
        the number of unknowns.
    tolerance : relative residual of the iterative method.
    max_iterations : bound on its iterations.
    workers : number of threads over a batch; all cores by default.

    Raises
    ------
    InputError : an unknown part or component, moduli out of range, data that are not finite or of a wrong shape.
    DomainError : a domain in one dimension, or a basis this equation is not solved on.
    SolverError : supports that leave a rigid motion free (named in the message), or no convergence.

    Examples
    --------
    A bar under tension, held by rollers: u_x = x t / E.

    >>> import torch
    >>> import funcspace as fs
    >>> bar = LinearElasticity(
    ...     fs.Mesh.rectangle(0.25, 2.0, 1.0),
    ...     "P1",
    ...     young=100.0,
    ...     poisson=0.3,
    ...     plane="stress",
    ...     displacement={"left": {"ux": 0.0}, "bottom": {"uy": 0.0}},
    ...     traction={"right": (5.0, 0.0)},
    ... )
    >>> u = bar.solve()
    >>> (u(torch.tensor([[2.0, 1.0]])) * 1e3).round().tolist()
    [[100.0, -15.0]]
    """

    def __init__(
        self,
        domain: Domain,
        element: str | None = None,
        *,
        young: Data | None = None,
        poisson: Data | None = None,
        lame_lambda: Data | None = None,
        lame_mu: Data | None = None,
        plane: Plane = "strain",
        displacement: Mapping[str, Displacement] | None = None,
        traction: Mapping[str, VectorData] | None = None,
        pressure: Mapping[str, Data] | None = None,
        body_force: VectorData | None = None,
        method: Method = "auto",
        tolerance: float = 1e-10,
        max_iterations: int = 500,
        workers: int | None = None,
    ) -> None:
        if plane not in ("strain", "stress"):
            raise InputError(f'plane must be "strain" or "stress"; got {plane!r}')
        check_iteration(tolerance, max_iterations)
        choose_method(method, 1, 2)
        self.moduli = IsotropicModuli(young, poisson, lame_lambda, lame_mu)
        check_poisson(poisson, plane)
        self.elements = VectorElements(domain, element)
        self.loading = Loading(
            self.elements,
            {} if displacement is None else displacement,
            {} if traction is None else traction,
            {} if pressure is None else pressure,
            body_force,
        )
        self._made: dict[str, Any] = {}
        self.plane: Plane = plane
        self.method: Method = method
        self.tolerance, self.max_iterations, self.workers = tolerance, max_iterations, checked_workers(workers)

    @property
    def space(self) -> Any:
        """The space of the displacement."""
        return self.elements.space

    def with_data(self, **data: Any) -> LinearElasticity:
        """The same body with some of its moduli, loads or displacements replaced.

        Quadrature is shared, and the sparsity pattern where the supports stay the same.
        """
        loads = ("displacement", "traction", "pressure", "body_force")
        moduli = ("young", "poisson", "lame_lambda", "lame_mu")
        unknown = sorted(set(data) - {*loads, *moduli})
        if unknown:
            raise InputError(f"with_data takes {', '.join((*moduli, *loads))}; got {unknown[0]!r}")
        other = object.__new__(LinearElasticity)
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k != "_lame"})
        given = {name: value for name, value in data.items() if name in moduli}
        if given:
            pair = set(given) <= set(self.moduli.data())
            other.moduli = IsotropicModuli(**({**self.moduli.data(), **given} if pair else given))
            check_poisson(other.moduli.poisson, self.plane)
        current = {name: getattr(self.loading, name) for name in loads}
        changed = {name: value for name, value in data.items() if name in loads}
        other.loading = Loading(self.elements, **(current | changed))
        # What either of them makes first serves both.
        other._made = self._made if other.loading.layout() == self.loading.layout() else {}
        return other

    @cached_property
    def _lame(self) -> tuple[FloatArray, ...]:
        elements = self.elements
        cells = elements.assembly.cells

        def at(datum: Any, name: str) -> FloatArray:
            return values_at(datum, cells.points, name, same_space=lambda f: elements.own_values(cells, f))

        return self.moduli.lame(at, cells.points, self.plane if elements.dim == 2 else "strain")

    @property
    def _pattern(self) -> BlockPattern:
        if "pattern" not in self._made:
            self.loading.check_supported()
            self._made["pattern"] = BlockPattern(self.elements.dofs, self.elements.dof_points, self.loading.fixed)
        return self._made["pattern"]

    @property
    def _lanes(self) -> ElasticLanes:
        if "lanes" not in self._made:
            self._made["lanes"] = ElasticLanes(self.elements, self._pattern)
        return self._made["lanes"]

    def solve(self) -> Function:
        """The displacement, with the batch shape of the data: coefficients (*batch, dofs, d).

        Where data are part of an autograd graph, so is the displacement: derivatives come from the adjoint system.
        """
        from funcspace.solvers.solids.differentiable_elasticity import has_tracked_data, solve_tracked

        batch = batch_shape({**self.moduli.data(), **self.loading.data()})
        if has_tracked_data(self):
            found = solve_tracked(self).reshape(*batch, *self.space.coefficient_shape)
            return Function(self.space, found, name="u")
        pattern, elements = self._pattern, self.elements
        load, given = self.loading.forces(), self.loading.given()
        load = load.reshape(len(load), -1)
        method = choose_method(self.method, len(pattern.free), elements.dim)
        direct = len(pattern.free) > 0 and method == "direct"
        in_lanes = direct and self._lanes.fits
        proportional = self._proportional() if in_lanes else None
        if proportional is not None:
            found = self._lanes.solve_proportional(*proportional, load, given, self.workers)
            return elements.function(found, batch)
        lame_lambda, lame_mu, _ = self._lame
        if in_lanes and max(len(lame_lambda), len(lame_mu)) > 1:
            return elements.function(self._lanes.solve(lame_lambda, lame_mu, load, given, self.workers), batch)
        matrices = max(len(lame_lambda), len(lame_mu))
        samples = max(matrices, len(load), len(given))
        out = np.empty((samples, pattern.size))

        def system(sample: int) -> tuple[Any, Any]:
            first, second = (_pick(v, sample).reshape(elements.weights.shape) for v in (lame_lambda, lame_mu))
            blocks = pattern.blocks(elements.isotropic_stiffness(first, second))
            solve = block_solver(
                pattern, blocks, method=method, tolerance=self.tolerance, max_iterations=self.max_iterations
            )
            return solve, pattern.coupling(blocks)

        def finish(rows: slice, solve: Any, coupling: Any) -> None:
            right = np.broadcast_to(load, (samples, pattern.size))[rows]
            values = np.broadcast_to(given, (samples, given.shape[1]))[rows]
            if values.any():
                right = right.copy()
                right[:, pattern.free] -= (coupling @ values.T).T
            if isinstance(solve, FrontFactor):
                solve.rows(right, pattern.free, out[rows])
            elif len(pattern.free):
                out[rows, pattern.free] = solve(np.ascontiguousarray(right[:, pattern.free].T)).T
            out[rows, pattern.fixed] = values

        if matrices == 1:
            last = self._lanes.last
            solve, coupling = last([lame_lambda, lame_mu], lambda: system(0)) if direct else system(0)
            over_columns(lambda rows: finish(rows, solve, coupling), samples, self.workers)
        else:

            def work(start: int, stop: int) -> None:
                for sample in range(start, stop):
                    finish(slice(sample, sample + 1), *system(sample))

            over_threads(work, samples, self.workers)
        return elements.function(out, batch)

    def _proportional(self) -> tuple[FloatArray, tuple[float, float]] | None:
        """Nodal values of a batch of moduli E that are P1 on the mesh, and lambda/E and mu/E, where nu is a number."""
        ratio = self.moduli.poisson
        young = nodal_values(self.elements.assembly, self.moduli.young)
        if young is None or not isinstance(ratio, int | float) or not young.min(initial=np.inf) > 0.0:
            return None
        one = IsotropicModuli(young=1.0, poisson=ratio)
        point = self.elements.points[:1]
        plane: Plane = self.plane if self.elements.dim == 2 else "strain"
        lame_lambda, lame_mu, _ = one.lame(lambda datum, _: np.full((1, 1), float(datum)), point, plane)
        return young, (float(lame_lambda[0, 0]), float(lame_mu[0, 0]))

    def strain(self, u: Function, element: str | None = None) -> Function:
        """eps(u), values (d, d), as its L2 projection into `element` (that of u by default; "P0": means over cells)."""
        strain, *_ = self._fields(u)
        return tensor_function(self.elements, strain, element, batch=u.batch_shape, letter="e", name="strain")

    def stress(self, u: Function, element: str | None = None) -> Function:
        """sigma(u), values (d, d), projected as `strain`."""
        _, stress, _ = self._fields(u)
        return tensor_function(self.elements, stress, element, batch=u.batch_shape, letter="s", name="stress")

    def von_mises(self, u: Function, element: str | None = None) -> Function:
        """The von Mises stress sqrt(3/2 s : s) of the projected stress, with the stress across the plane in it."""
        _, stress, across = self._fields(u)
        return von_mises_function(self.elements, stress, across, element, u.batch_shape)

    def energy(self, u: Function) -> Float[Tensor, "*batch"]:
        r"""The strain energy, the integral of sigma : eps / 2, in J (per metre of thickness in the plane)."""
        strain, stress, _ = self._fields(u)
        weights = self.elements.weights.ravel()
        total = np.einsum("spij,spij,p->s", stress, strain, weights)
        return torch.from_numpy(0.5 * total).reshape(u.batch_shape)

    def reaction(self, u: Function, part: str) -> Float[Tensor, "*batch d"]:
        """The force that the support of a part exerts on the body: nodal forces minus loads, summed over its dofs."""
        assembly = self.elements.assembly
        if part not in assembly.parts:
            raise InputError(f"no boundary part {part!r}; this domain has {sorted(assembly.parts)}")
        _, stress, _ = self._fields(u)
        elements, every = self.elements, slice(None)
        gradients = elements.all_gradients
        shape = (*elements.weights.shape, elements.dim, elements.dim)
        inner = np.stack(
            [elements.scatter(elements.internal_forces(s.reshape(shape), every, gradients)) for s in stress]
        )
        dofs = assembly.facet_dofs(assembly.parts[part])
        total = (inner - self.loading.forces())[:, dofs].sum(axis=1)
        return torch.from_numpy(total.reshape(*u.batch_shape, elements.dim))

    def _fields(self, u: Function) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Strain, stress (samples, points, d, d) and the stress across the plane (samples, points)."""
        elements, every = self.elements, slice(None)
        d, found = elements.dim, []
        for coefficients in elements.coefficients(u):
            gradient = elements.displacement_gradient(coefficients, every, elements.all_gradients)
            found.append(gradient.reshape(-1, d, d))
        gradient = np.stack(found)
        strain = 0.5 * (gradient + gradient.swapaxes(-1, -2))
        lame_lambda, lame_mu, across = self._lame
        if len(lame_lambda) not in (1, len(strain)):
            raise InputError(f"the moduli are a batch of {len(lame_lambda)}, the displacement one of {len(strain)}")
        trace = np.einsum("spii->sp", strain)
        stress = 2 * lame_mu[..., None, None] * strain + (lame_lambda * trace)[..., None, None] * np.eye(d)
        return strain, stress, across * trace

    def __repr__(self) -> str:
        shown = {kind: sorted(getattr(self.loading, kind)) for kind in ("displacement", "traction", "pressure")}
        text = ", ".join(f"{kind} on {parts}" for kind, parts in shown.items() if parts)
        plane = f", plane {self.plane}" if self.elements.dim == 2 else ""
        return f"LinearElasticity({self.space.element!r} on {self.space.domain!r}{plane}{', ' + text if text else ''})"


def _pick(values: FloatArray, sample: int) -> FloatArray:
    return values[sample if len(values) > 1 else 0]
