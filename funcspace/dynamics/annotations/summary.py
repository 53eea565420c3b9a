"""Exponents and the kind of motion, from the exponents of stretches of orbits."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations, KindOfMotion
from funcspace.dynamics.catalogue.lyapunov import LocalExponents, over_stretches
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.invariants import kaplan_yorke_dimension
from funcspace.errors import SolverError

__all__ = ["BLOCKS", "ERRORS", "FEWEST_EFOLDS", "check_enough", "summary", "unit_of"]

BLOCKS = 40
# A positive exponent makes lengths grow by more than this factor, as a logarithm, in the later half of an orbit; where
# they grow by a power of time, as near regular orbits, it is one or two.
FEWEST_EFOLDS, ERRORS = 5.0, 3.0


def unit_of(system: Any) -> float:
    """The unit in which orbits are long: the period, an iteration of a map."""
    if system.kind == "delay":
        return system.time_unit
    return 1.0 if system.kind == "map" or system.period is None else system.period


def check_enough(system: Any, counted: np.ndarray, duration: float) -> None:
    """Raise a SolverError where too few stretches (blocks, orbits) count."""
    if counted.sum() < 4 or counted.any(axis=0).sum() < 2:
        raise SolverError(f"most orbits of {system.name} cannot be continued for {duration:.4g} units of time")


def summary(system: Any, local: LocalExponents, counted: np.ndarray) -> Annotations:
    """The spectrum over the stretches that count, and the kind of motion that it speaks of.

    Where the exponents are the largest of more, as those of a delay equation, and add up to a positive number, the
    Kaplan-Yorke dimension is left out.
    """
    check_enough(system, counted, local.duration)
    rates = local.rates
    value, error, by_orbit = over_stretches(rates, counted)
    half = counted.copy()
    half[: len(counted) // 2] = False
    half = half if half.any() else counted
    length = local.duration * half.sum() / max(1, half.any(axis=0).sum())
    order = np.argsort(-value, kind="stable")
    growth = rates[half].mean(axis=0)[order] * length
    spectrum = Estimate(value[order], error[order], {"orbits": by_orbit[:, order]})
    positive = int(((spectrum.value > ERRORS * spectrum.error) & (growth > FEWEST_EFOLDS)).sum())
    vanishing = int((np.abs(growth) < FEWEST_EFOLDS).sum())
    if positive:
        kind: KindOfMotion = "hyperchaotic" if positive > 1 else "chaotic"
    else:
        fewest = 1 if system.kind == "map" else 2
        kind = "quasi-periodic" if vanishing >= fewest and growth[0] > -FEWEST_EFOLDS else "regular"
    complete = system.kind != "delay"
    return Annotations(
        kind=kind,
        largest_exponent=Estimate(float(spectrum.value[0]), float(spectrum.error[0])),
        spectrum=spectrum,
        kaplan_yorke_dimension=kaplan_yorke_dimension(spectrum) if complete or spectrum.value.sum() < 0 else None,
        mean_divergence=float(local.divergences[counted].mean()) if complete else None,
        periods=local.duration * int(counted.sum()) / unit_of(system),
    )
