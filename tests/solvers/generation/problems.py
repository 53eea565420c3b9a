"""Small problems that the tests of generation share; worker processes import them from here."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

import funcspace as fs
from funcspace.solvers.gaussian_fields import sample_generator


class Waves:
    """a = random sines, u = their integral on an interval; the samples of `failing` do not converge."""

    def __init__(self, points: int = 33, *, failing: tuple[int, ...] = (), amplitude: float = 1.0) -> None:
        self.grid = fs.Grid(x=(0.0, 1.0, points))
        self.failing, self.amplitude = failing, amplitude

    def one(self, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        if index in self.failing:
            raise fs.SolverError(f"no convergence of wave {index}")
        generator = sample_generator(seed, index)
        x = self.grid.points[:, 0].numpy()
        c = self.amplitude * generator.standard_normal(4)
        k = np.pi * np.arange(1, 5)
        return np.sin(np.outer(x, k)) @ c, (1 - np.cos(np.outer(x, k))) @ (c / k), float(generator.uniform())

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> fs.OperatorData:
        a, u, nu = zip(*(self.one(seed, first + i) for i in range(n)), strict=True)
        return fs.OperatorData.from_arrays(
            {"a": np.stack(a)},
            {"u": np.stack(u)},
            self.grid,
            parameters={"nu": np.array(nu)},
            attributes={"seed": seed, "first": first},
        )

    def __repr__(self) -> str:
        return f"Waves({self.amplitude})"


class Interrupted(Waves):
    """Waves whose process is killed while it makes a sample, as long as a file is there."""

    def __init__(self, switch: Path, at: int, **options: float) -> None:
        super().__init__(**options)
        self.switch, self.at = switch, at

    def one(self, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        if index == self.at and self.switch.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().one(seed, index)


class Slow(Waves):
    """Waves that take their time, in a number of processes that can be seen."""

    def one(self, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        time.sleep(0.02)
        return super().one(seed, index)


class Miscounted(Waves):
    """Makes one sample too few."""

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> fs.OperatorData:
        return super().sample(n - 1, seed, first=first)


class Scaled(Waves):
    """Waves through a law of the caller, with something in it that cannot be sent."""

    def __init__(self, law: Any) -> None:
        super().__init__()
        self.law = law

    @cached_property
    def lock(self) -> Any:
        return threading.Lock()

    def one(self, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        a, u, nu = super().one(seed, index)
        with self.lock:
            return self.law(a), u, nu


class Patches:
    """A linear function on a rectangle with a mesh of its own in each sample."""

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> fs.OperatorData:
        functions = []
        for i in range(first, first + n):
            generator = sample_generator(seed, i)
            mesh = fs.Mesh.rectangle(generator.uniform(0.3, 0.5))
            slope = torch.from_numpy(generator.standard_normal(2))
            functions.append(fs.FunctionSpace(mesh, "P1").interpolate(lambda x, c=slope: x @ c, name="f"))
        squares = [f.with_coefficients(f.coefficients**2).renamed("g") for f in functions]
        pack = fs.RaggedFunction.pack
        return fs.OperatorData({"f": pack(functions)}, {"g": pack(squares)}, {}, {}, {"seed": seed, "first": first})
