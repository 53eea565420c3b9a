"""The annotations that the package ships: measured by `benchmarks/annotate.py`, in `measured.json`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.delay_system import DelaySystem
    from funcspace.dynamics.catalogue.system import System

__all__ = ["FILE_NAME", "check_values", "measured", "measured_annotations"]

FILE_NAME = "measured.json"


@functools.cache
def measured() -> Mapping[str, Any]:
    """The whole file: "version", "protocol", and by kind ("flow", "map", "delay") and name the records."""
    return json.loads(files("funcspace.dynamics.annotations").joinpath(FILE_NAME).read_text(encoding="utf-8"))


def measured_annotations(kind: str, name: str, dysts: Mapping[str, Any]) -> Annotations:
    """The annotations of a system of the database; those of dysts alone where nothing was measured."""
    return Annotations.from_record(measured().get(kind, {}).get(name, {}), dysts)


def check_values(system: System | DelaySystem) -> list[float]:
    """The right-hand side near the initial state, to nine digits: which equations annotations belong to."""
    state = 1.01 * system.initial + 1e-3
    earlier = [0.97 * state] * len(system.delays) if system.kind == "delay" else []
    return [float(f"{value:.9g}") for value in np.ravel(system.rhs(state, *earlier, t=0.3))]
