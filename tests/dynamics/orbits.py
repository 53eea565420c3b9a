"""Orbits to judge: Lorenz-63 by a Runge-Kutta ensemble, the Henon and logistic maps, and the shared recordings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


def shared_series(name: str) -> np.ndarray:
    """A recording that stands beside the repository; the test is skipped where it does not."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    with np.load(path) as file:
        return file["x"].astype(np.float64)


def lorenz_flow(state: np.ndarray) -> np.ndarray:
    x, y, z = state.T
    return np.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z], axis=-1)


@cache
def lorenz() -> np.ndarray:
    """Ten independent orbits on the attractor, 4000 samples 0.1 apart, (10, 4000, 3)."""
    count, length, every, dt = 10, 4000, 5, 0.02
    state = np.random.default_rng(0).normal(size=(count, 3)) + np.array([0.0, 0.0, 25.0])
    orbits = np.empty((length, count, 3))
    for n in range(-1000, length * every):
        if n >= 0 and n % every == 0:
            orbits[n // every] = state
        a = lorenz_flow(state)
        b = lorenz_flow(state + 0.5 * dt * a)
        c = lorenz_flow(state + 0.5 * dt * b)
        d = lorenz_flow(state + dt * c)
        state = state + dt / 6.0 * (a + 2.0 * b + 2.0 * c + d)
    return np.ascontiguousarray(orbits.transpose(1, 0, 2))


@cache
def henon(length: int) -> np.ndarray:
    points = np.empty((length + 100, 2))
    x, y = 0.1, 0.1
    for n in range(length + 100):
        x, y = 1.0 - 1.4 * x * x + y, 0.3 * x
        points[n] = x, y
    return points[100:]


@cache
def logistic(length: int, r: float = 4.0) -> np.ndarray:
    points = np.empty(length + 200)
    x = 0.3
    for n in range(length + 200):
        x = r * x * (1.0 - x)
        points[n] = x
    return points[200:]


def gaussian_like(series: np.ndarray, seed: int = 0) -> np.ndarray:
    """Independent Gaussian samples with the mean and covariance of a series (time, components)."""
    generator = np.random.default_rng(seed)
    return generator.multivariate_normal(series.mean(axis=0), np.cov(series.T), size=len(series))
