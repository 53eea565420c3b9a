"""Segments of frozen trajectories, each from its own checkpoint: of flows, maps and delay equations."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.dynamics.catalogue.delay_history import FIT, NODES, Pieces
from funcspace.dynamics.frozen_data.frozen_record import FrozenRecord
from funcspace.dynamics.integrators.outcome import DONE
from funcspace.dynamics.integrators.solve import ABSOLUTE, Guards, solve, writable
from funcspace.errors import SolverError

__all__ = ["delay_state", "pieces_of_state", "segments_of"]


def segments_of(found: Any, record: FrozenRecord) -> tuple[np.ndarray, np.ndarray]:
    """The samples (segments, points, dimension), and the states (segments, entries) that the segments end in."""
    return {"flow": _flow, "map": _map, "delay": _delay}[record.kind](found, record)


def _flow(found: Any, record: FrozenRecord) -> tuple[np.ndarray, np.ndarray]:
    segments, points, packed = len(record.checkpoints) - 1, record.points, record.parameters[None]
    times = record.spacing * np.arange(points + 1)
    options = {"tolerance": record.tolerance, "scale": record.scale, "method": record.method, "name": found.name}
    if found.equations.explicit_time:
        parts = []
        for k in range(segments):
            first = record.start + k * points * record.spacing
            parts.append(solve(found.equations, record.checkpoints[k : k + 1], packed, first + times, **options).values)
        values = np.concatenate(parts)
    else:
        rows = np.broadcast_to(packed, (segments, packed.shape[1]))
        values = solve(found.equations, record.checkpoints[:-1], rows, times, **options).values
    return values[:, :-1], values[:, -1]


def _map(found: Any, record: FrozenRecord) -> tuple[np.ndarray, np.ndarray]:
    from funcspace.dynamics.integrators.iterate import iterate

    first, d = writable(record.checkpoints[:-1]), found.dimension
    values, report = np.empty((len(first), record.points + 1, d)), np.zeros((len(first), 2 + d))
    packed = writable(np.broadcast_to(record.parameters, (len(first), len(record.parameters))))
    iterate(found.equations.field_address, 0, len(first), first, packed, 0, 1, Guards().limit, values, report)
    failed = np.flatnonzero(report[:, 0] != DONE)
    if failed.size:
        raise SolverError(f"segment {failed[0]} of {record.name} grows beyond {Guards().limit:g}")
    return values[:, :-1], values[:, -1]


def _delay(found: Any, record: FrozenRecord) -> tuple[np.ndarray, np.ndarray]:
    from funcspace.dynamics.integrators.delay import breaking_points, solution_pieces

    delays, guards = found.delay_rows(record.parameters[None])[0], Guards()
    reach, d = float(delays.max()), found.dimension
    times = record.spacing * np.arange(record.points)
    end = record.spacing * record.points
    values, ends = [], []
    for k, state in enumerate(record.checkpoints[:-1]):
        history = pieces_of_state(state, reach, d)
        knots, coefficients, code = solution_pieces(
            found.equations.field_address,
            writable(history.knots),
            writable(history.coefficients),
            writable(delays),
            breaking_points(delays, end),
            record.start + k * end,
            writable(record.parameters[None]),
            end,
            record.tolerance,
            writable(ABSOLUTE * record.tolerance * record.scale),
            guards.limit / ABSOLUTE,
            guards.max_steps,
        )
        if code != DONE:
            raise SolverError(f"segment {k} of {record.name} ends before its time")
        solution = Pieces(knots, coefficients)
        values.append(solution(times))
        ends.append(delay_state(solution, end, reach, history.knots.shape[0]))
    return np.stack(values), np.stack(ends)


def delay_state(solution: Pieces, end: float, reach: float, pieces: int) -> np.ndarray:
    """The last `reach` of a solution before `end` as a state: its values at the nodes of so many equal pieces.

    Pieces of degree 7 through eight Chebyshev nodes each share their ends, so that entries are
    (7 pieces + 1) dimension.
    """
    nodes = (np.arange(pieces)[:, None] + NODES[:-1]).ravel() / pieces
    return solution(end + reach * (np.append(nodes, 1.0) - 1.0)).ravel()


def pieces_of_state(state: np.ndarray, reach: float, dimension: int) -> Pieces:
    """A state as a history that ends at time 0."""
    values, inner = state.reshape(-1, dimension), len(NODES) - 1
    count = (len(values) - 1) // inner
    places = inner * np.arange(count)[:, None] + np.arange(inner + 1)
    knots = np.stack([reach * (np.arange(count) / count - 1.0), np.full(count, reach / count)], axis=1)
    return Pieces(knots, np.einsum("cn,pnd->pcd", FIT, values[places]))
