"""Frozen data: trajectories that stay the same when solvers, starts or the database change."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.dynamics.catalogue.registry import system
from funcspace.dynamics.catalogue.sampling import as_function, standardised
from funcspace.dynamics.frozen_data.frozen_record import FrozenRecord, Kind, Split, frozen_record
from funcspace.dynamics.frozen_data.segments import segments_of
from funcspace.errors import InputError, SolverError
from funcspace.functions import Function

__all__ = ["frozen", "integrated"]

LARGEST_GAP = 1e-5


def frozen(
    name: str,
    split: Split = "train",
    *,
    kind: Kind | None = None,
    version: int = 1,
    wrapped: bool = False,
    standardise: bool = False,
) -> Function:
    """A trajectory of the database that every installation has the same: 5,000 points, of a flow 100 per period.

    Chaos amplifies the last bit, so that a seed alone does not fix a long trajectory: another compiler makes another
    one. A version therefore records a state every so often (of most flows once per period, of a map every 10
    iterations, of a delay equation every few periods), and each segment is integrated from its own. Samples then agree
    between machines to about 1e-9, and scores with them. Each segment must end at the next recorded state, which shows
    that equations and solver are still those of the version.

    Parameters
    ----------
    name : a system of the database; `frozen_record(name, split)` says what it is made from, and its content hash.
    split : "train" or "test", two independent orbits on the attractor.
    kind : "flow", "map" or "delay", where a name is that of two systems (Duffing); the flow without it.
    version : of the data.
    wrapped : give bounded coordinates in place of growing angles.
    standardise : shift and scale components to mean 0 and variance 1 over the training split.

    Returns
    -------
    Function
        Over Times, coefficients (5000, dimension).

    Raises
    ------
    InputError
        For an unknown name, split, kind or version.
    SolverError
        When what is integrated is no longer what was recorded.

    Examples
    --------
    >>> import funcspace as fs
    >>> fs.dynamics.frozen("Lorenz", "test")
    Function 'Lorenz': linear on Times(0.0, 0.015008, 5000), values (3,), float64
    """
    record = frozen_record(name, split, kind=kind, version=version)
    found: Any = system(name, kind=record.kind)
    if wrapped and record.kind == "delay":
        raise InputError(f"{name} is a delay equation; wrapped=True is for flows and maps")
    values = _shown(found, record, wrapped)
    if standardise:
        other = record if split == "train" else frozen_record(name, "train", kind=record.kind, version=version)
        training = values if split == "train" else _shown(found, other, wrapped)
        values = standardised(values, training)
    components = found.variables if not (wrapped and found.equations.wrapped) else None
    return as_function(values, record.spacing, name, components)


def _shown(found: Any, record: FrozenRecord, wrapped: bool) -> np.ndarray:
    values = integrated(found, record)
    return found.equations.wrap(values, record.parameters) if wrapped else values


def integrated(found: Any, record: FrozenRecord) -> np.ndarray:
    """The samples (points, dimension) of a record, once every segment is found to end at the next checkpoint."""
    if record.parameters.shape != found.packed.shape:
        raise SolverError(_changed(record, "its parameters are others"))
    values, ends = segments_of(found, record)
    scale = np.tile(record.scale, ends.shape[1] // len(record.scale))
    gaps = np.abs(ends - record.checkpoints[1:]) / scale
    if not gaps.max() < LARGEST_GAP:
        k = int(gaps.max(axis=1).argmax())
        raise SolverError(_changed(record, f"segment {k} ends {gaps[k].max():.2g} scales from where it did"))
    return values.reshape(-1, values.shape[-1])


def _changed(record: FrozenRecord, how: str) -> str:
    return (
        f"{record.name} is no longer what version {record.version} of the frozen data recorded: {how}. Its equations "
        "in the installed dysts, or the solver, have changed"
    )
