r"""Stochastic differential equations of compiled right-hand sides, with constant steps.

.. math:: dx = f(t, x)\,dt + G(t, x)\,dW \quad \text{(Ito)}

Euler and Maruyama: :math:`x_{n+1} = x_n + f h + G \Delta W`, of strong order 1/2, and 1 where G is constant. Milstein,
for G diagonal with entries g_i(x_i): :math:`\dots + \tfrac12 g_i g_i' (\Delta W_i^2 - h)`, of strong order 1.
P. E. Kloeden and E. Platen, Numerical Solution of Stochastic Differential Equations (1992), chapter 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.outcome import BLOWN_UP, DONE, NOT_FINITE
from funcspace.errors import SolverError

__all__ = ["Diffusion", "solve_stochastic"]

CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class Diffusion:
    r"""The matrix G of an equation.

    Attributes
    ----------
    entries : G where it is constant, flat; otherwise room for what the function at `address` writes.
    address : of the function (t, x*, p*, out*), 0 where G is constant.
    diagonal : whether the entries are the diagonal of G; otherwise they are G, row by row.
    milstein : whether the function writes :math:`\tfrac12 g_i g_i'` after the diagonal.
    sources : number of independent Wiener processes.
    """

    entries: np.ndarray
    address: int
    diagonal: bool
    milstein: bool
    sources: int


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(field, noise, diagonal, milstein, g, x, p, row, t, h, increments, every, limits, out):  # type: ignore[no-untyped-def]
    """As many steps as there are increments (steps, sources); every `every`-th state to out, the last to row 0 of x."""
    d, sources, code = x.shape[1], increments.shape[1], DONE
    for step in range(increments.shape[0]):
        call_field(field, t + step * h, x, 0, p, row, x, 1)
        if noise != 0:
            call_field(noise, t + step * h, x, 0, p, row, g, 0)
        for i in range(d):
            change = h * x[1, i]
            if diagonal:
                dw = increments[step, i]
                change += g[0, i] * dw
                if milstein:
                    change += g[0, d + i] * (dw * dw - h)
            else:
                for j in range(sources):
                    change += g[0, i * sources + j] * increments[step, j]
            x[0, i] += change
            if not abs(x[0, i]) <= limits[i]:
                code = BLOWN_UP if np.isfinite(x[0, i]) else NOT_FINITE
        if code != DONE:
            return code, step
        if (step + 1) % every == 0:
            for i in range(d):
                out[(step + 1) // every - 1, i] = x[0, i]
    return code, increments.shape[0]


def solve_stochastic(
    field: int,
    diffusion: Diffusion,
    initial: np.ndarray,
    parameters: np.ndarray,
    *,
    origins: np.ndarray,
    spacing: float,
    count: int,
    step: float,
    transient: float,
    increments: Callable[[int, int, float], Callable[[int], np.ndarray]],
    limits: np.ndarray,
    workers: int | None = 1,
    name: str = "the system",
) -> np.ndarray:
    """Samples (batch, count, dimension), `spacing` apart, the first after a time `transient`.

    Parameters
    ----------
    field : address of the right-hand side.
    initial, parameters : (batch, dimension) and (batch, entries).
    origins : (batch,), the time at which each solution starts.
    step : longest step; as many equal ones are taken as lead exactly from sample to sample.
    increments : `increments(row, part, h)` gives the source of increments of the Wiener processes, (steps, sources) for
        a number of steps of length h, of trajectory `row`; part 0 is the transient, part 1 the rest.
    limits : (dimension,), the largest magnitudes.

    Raises
    ------
    SolverError
        When a solution grows beyond the limits.
    """
    from funcspace.solvers.threads import over_threads

    batch, d = initial.shape
    values = np.empty((batch, count, d))
    packed = np.require(parameters, dtype=np.float64, requirements=["C", "W"])

    def run(row: int, part: int, x: np.ndarray, g: np.ndarray, start: float, duration: float, out: np.ndarray) -> None:
        samples = len(out)
        each = max(1, int(np.ceil(duration / max(1, samples) / step - 1e-9)))
        total = each * max(1, samples)
        h, source, done = duration / total, increments(row, part, duration / total), 0
        every = each if samples else total + 1
        chunk = max(1, CHUNK // each) * each if samples else CHUNK
        while done < total:
            steps = min(chunk, total - done)
            code, reached = _advance(
                field, diffusion.address, diffusion.diagonal, diffusion.milstein, g, x, packed, row, start + done * h,
                h, source(steps), every, limits, out[done // each :],
            )  # fmt: skip
            if code != DONE:
                time = start + (done + reached) * h
                shown = ", ".join(f"{v:.6g}" for v in x[0, :6])
                raise SolverError(
                    f"trajectory {row} of {name} left its bounds at time {time:.6g}, in the state ({shown}); take a "
                    "smaller step or weaker noise, start elsewhere, or raise the guard",
                    state=x[0].copy(),
                )
            done += steps

    def work(start: int, stop: int) -> None:
        for row in range(start, stop):
            x, g = np.zeros((2, d)), diffusion.entries[None].copy()
            x[0] = initial[row]
            if transient:
                run(row, 0, x, g, origins[row], transient, np.empty((0, d)))
            values[row, 0] = x[0]
            if count > 1:
                run(row, 1, x, g, origins[row] + transient, spacing * (count - 1), values[row, 1:])

    over_threads(work, batch, workers)
    return values
