"""Newmark's scheme for linear oscillations with given components, in summed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import SolverError
from funcspace.solvers.assembly import SparsePattern
from funcspace.solvers.linear.batches import SharedFactors, put_rows
from funcspace.solvers.linear.time_data import Interval

__all__ = ["OscillatingSystem", "element_frequency", "newmark"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class OscillatingSystem:
    r"""M u'' + C u' + K u = f(t) on the free dofs, u = g(t) on the fixed ones.

    With w^{n+1/2} = (u^{n+1} - u^n)/dt Newmark's scheme of gamma = 1/2 reads

    (M + dt/2 C + beta dt^2 K) (w^{n+1/2} - w^{n-1/2}) = dt (f^n - K u^n - C w^{n-1/2})

    one solve per step, in which given components enter by their values alone. Without C and f it keeps

    E^{n+1/2} = (w.M w + m.K m + (beta - 1/4) dt^2 w.K w)/2,  m = (u^n + u^{n+1})/2

    Attributes
    ----------
    pattern : sparsity of M, C and K.
    mass, damping, stiffness : their entries in the pattern.
    load : f at a time, (samples or 1, size).
    given : g at a time, (samples or 1, fixed dofs).
    factorise : entries of a matrix in the pattern to a function that solves with its block among the free dofs.
    """

    pattern: SparsePattern
    mass: FloatArray
    damping: FloatArray
    stiffness: FloatArray
    load: Callable[[float], FloatArray]
    given: Callable[[float], FloatArray]
    factorise: Callable[[FloatArray], Callable[[FloatArray], FloatArray]]


def newmark(
    system: OscillatingSystem,
    start: tuple[FloatArray, FloatArray],
    schedule: tuple[float, list[Interval]],
    beta: float,
    shared: SharedFactors,
    out: FloatArray,
) -> None:
    """Write displacements, and where there is room velocities and energy: (samples, instants, size or 2 size + 1).

    A velocity is the mean of the two half-steps around its instant. An energy is that of the half-step before its
    instant, at the first instant that of the one after it.

    Raises
    ------
    SolverError
        When a state is not finite; `.state` holds the last good displacement.
    """
    t, stretches = schedule
    pattern = system.pattern
    samples, size = len(out), pattern.size
    fixed = _columns(system.given(t), samples)
    u, v = (_columns(values, samples) for values in start)
    u[pattern.fixed] = fixed
    record = _Record(out[..., :size])
    if out.shape[2] > size:
        record = _Record(out[..., :size], out[..., size:-1], out[..., -1])
        if not stretches:  # one instant, without a half-step to tell its energy
            mass, stiffness = pattern.whole(system.mass), pattern.whole(system.stiffness)
            record.energies[:, 0] = 0.5 * (v * (mass @ v) + u * (stiffness @ u)).sum(axis=0)  # type: ignore[index]
    record.put(0, u, v)
    row = 0
    for dt, group in groupby(stretches, key=lambda stretch: stretch.step):
        ends = np.cumsum([stretch.count for stretch in group]).tolist()
        rows = {step: row + 1 + number for number, step in enumerate(ends)}
        u, v = _EqualSteps(system, beta, dt, shared).run((u, v), t, rows, record, first=row == 0)
        row += len(ends)
        t += ends[-1] * dt


@dataclass
class _Record:
    """What is kept at the instants of the output."""

    displacements: FloatArray
    velocities: FloatArray | None = None
    energies: FloatArray | None = None

    def put(self, row: int, u: FloatArray, v: FloatArray) -> None:
        put_rows(self.displacements, row, slice(None), u)
        if self.velocities is not None:
            put_rows(self.velocities, row, slice(None), v)


class _EqualSteps:
    """Steps of one length from a displacement and a velocity."""

    def __init__(self, system: OscillatingSystem, beta: float, dt: float, shared: SharedFactors) -> None:
        self.system, self.beta, self.dt, self._shared = system, beta, dt, shared
        whole = system.pattern.whole
        self._mass, self._stiffness = whole(system.mass), whole(system.stiffness)
        self._forces = [
            whole(values)[system.pattern.free] for values in (system.stiffness, system.damping) if values.any()
        ]
        self._damped = bool(system.damping.any())
        self._solvers: dict[float, Any] = {}

    def run(
        self, state: tuple[FloatArray, FloatArray], t: float, rows: dict[int, int], record: _Record, *, first: bool
    ) -> tuple[FloatArray, FloatArray]:
        """The state after the last step of `rows`, which tells where the states of some steps are kept."""
        u, v = state
        system, dt, fixed = self.system, self.dt, self.system.pattern.fixed
        total = max(rows)
        before, w = u, v
        jump = np.zeros((len(fixed), u.shape[1]))
        for step in range(total + 1):
            now = t + step * dt
            # The first step is symmetric about its instant, where the velocity is known in place of a half-step.
            weight = 1.0 if step else 2.0
            given = None if step == total else _columns(system.given(now + dt), u.shape[1])
            # Beyond the last step the given components go on with the acceleration that they had.
            if given is not None:
                jump = weight * ((given - u[fixed]) / dt - w[fixed])
            delta = self._change(now, u, w, jump, symmetric=step == 0)
            if step and (given is None or (step in rows and record.velocities is not None)):
                v = w + 0.5 * delta
            if step in rows:
                if not np.isfinite(u).all():
                    raise SolverError(
                        f"the state is not finite at time {now:g}; `.state` is the last good displacement",
                        state=record.displacements[:, rows[step] - 1],
                    )
                record.put(rows[step], u, v)
                if record.energies is not None:
                    record.energies[:, rows[step]] = self._energy(before, u)
            if given is None:
                break
            if step:
                w += delta
            else:
                w = v + 0.5 * delta
            if record.energies is None:
                u += dt * w
            else:
                before, u = u, u + dt * w
            u[fixed] = given
            if first and step == 0 and record.energies is not None:
                record.energies[:, 0] = self._energy(before, u)
        return u, v

    def _change(self, t: float, u: FloatArray, w: FloatArray, jump: FloatArray, symmetric: bool) -> FloatArray:
        """The change of w about an instant; that of the given components is known."""
        pattern, dt = self.system.pattern, self.dt
        solve, edge = self._solver(0.0 if symmetric else 0.5)
        right = np.zeros((len(pattern.free), u.shape[1]))
        for matrix, state in zip(self._forces, (u, w), strict=False):
            right -= matrix @ state
        load = self.system.load(t)
        if load.any():
            right += load[:, pattern.free].T
        right *= dt
        if jump.any():
            right -= edge @ jump
        found = solve(right) if len(pattern.free) else right
        if not len(pattern.fixed):
            return found
        delta = np.empty_like(u)
        delta[pattern.free] = found
        delta[pattern.fixed] = jump
        return delta

    def _solver(self, half: float) -> Any:
        if half not in self._solvers:
            system, dt, pattern = self.system, self.dt, self.system.pattern
            values = system.mass + half * dt * system.damping + self.beta * dt**2 * system.stiffness
            key = (dt, half if self._damped else 0.0)
            solve = self._shared.get(key, lambda: system.factorise(values))
            self._solvers[half] = solve, pattern.coupling(values)
        return self._solvers[half]

    def _energy(self, before: FloatArray, after: FloatArray) -> FloatArray:
        w, mean = (after - before) / self.dt, 0.5 * (before + after)
        energy = (w * (self._mass @ w)).sum(axis=0) + (mean * (self._stiffness @ mean)).sum(axis=0)
        if self.beta != 0.25:
            energy += (self.beta - 0.25) * self.dt**2 * (w * (self._stiffness @ w)).sum(axis=0)
        return 0.5 * energy


def element_frequency(stiffness: FloatArray, mass: FloatArray) -> float:
    """A bound on the frequencies of M and K from those of the elements, sqrt(max_e lambda_max(K_e, M_e)).

    Local matrices (elements, local, local). (Irons and Treharne, 1971.)
    """
    roots = np.linalg.cholesky(mass)
    half = np.linalg.solve(roots, stiffness)
    whole = np.linalg.solve(roots, half.transpose(0, 2, 1))
    return float(np.sqrt(np.linalg.eigvalsh(whole).max()))


def _columns(values: FloatArray, samples: int) -> FloatArray:
    return np.array(np.broadcast_to(values, (samples, values.shape[1])).T, order="C")
