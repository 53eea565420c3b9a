"""Data sets of a linear problem: a random input function, and the solution that belongs to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.arguments import whole_number
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace, OperatorData
from funcspace.functions.ragged import RaggedFunction
from funcspace.geometry import Grid
from funcspace.geometry.domain import Domain
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import checked_workers, grid_or_mesh, sampling
from funcspace.solvers.threads import over_threads

__all__ = ["DomainOrRule", "SampledProblem", "one_domain", "unit_square"]

FloatArray = NDArray[np.float64]
DomainOrRule = Domain | Callable[[np.random.Generator], Domain]


class SampledProblem(ABC):
    """A law of random inputs and a solver.

    Sample i depends on (seed, i) alone: the same bytes whatever the number of samples and of threads.

    Attributes
    ----------
    domain : the domain of all samples, or a callable of a numpy Generator that makes one for each sample.
    workers : number of threads; all cores by default.
    """

    input_names: tuple[str, ...]
    output_name = "u"

    def __init__(self, domain: DomainOrRule, workers: int | None) -> None:
        self.domain: Any = domain if callable(domain) else grid_or_mesh(domain, f"{type(self).__name__} is", dim=2)
        self.workers = checked_workers(workers)

    @property
    @abstractmethod
    def recipe(self) -> Mapping[str, Any]:
        """What the data set is, for its attributes."""

    @abstractmethod
    def _draw(self, generator: np.random.Generator) -> Any:
        """The random numbers of a sample."""

    @abstractmethod
    def _tables(self, points: FloatArray) -> Any:
        """What the inputs need of the points (n, d), whatever the sample."""

    @abstractmethod
    def _inputs(self, numbers: Any, tables: Any) -> tuple[FloatArray, ...]:
        """Values (n,) of each input at the points."""

    @abstractmethod
    def _solve(self, inputs: tuple[Function, ...], workers: int | None) -> Function:
        """The solution for a batch of inputs on one space."""

    @cached_property
    def space(self) -> FunctionSpace:
        """The space of the inputs.

        Raises
        ------
        InputError
            When each sample has a domain of its own.
        """
        if callable(self.domain):
            raise InputError("each sample has a space of its own: the domain is drawn for each")
        return FunctionSpace(self.domain)

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> OperatorData:
        """Samples first, ..., first + n - 1 of a seed (float64); ragged where the domain is drawn for each.

        Parameters
        ----------
        n : number of samples.
        seed : any integer >= 0; None draws a fresh one from the operating system, which `attributes["seed"]` keeps.
        first : number of the first sample, to continue a set.

        Raises
        ------
        InputError
            When n is not positive, or seed or first is negative.
        """
        n, entropy, first = sampling(n, seed, first)
        make = self._ragged if callable(self.domain) else self._batch
        inputs, output = make(n, entropy, first)
        attributes = {**self.recipe, "seed": entropy, "first": first}
        return OperatorData(
            dict(zip(self.input_names, inputs, strict=True)), {self.output_name: output}, {}, {}, attributes
        )

    def _batch(self, n: int, entropy: Any, first: int) -> tuple[list[Function], Function]:
        space = self.space
        tables = self._tables(_nodes(space))
        values = np.empty((len(self.input_names), n, space.n_dofs))

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                values[:, i] = self._inputs(self._draw(sample_generator(entropy, first + i)), tables)

        over_threads(work, n, self.workers)
        inputs = [
            Function(space, torch.from_numpy(rows.reshape(n, *space.coefficient_shape)), name=name)
            for rows, name in zip(values, self.input_names, strict=True)
        ]
        return inputs, self._solve(tuple(inputs), self.workers).renamed(self.output_name)

    def _ragged(self, n: int, entropy: Any, first: int) -> tuple[list[RaggedFunction], RaggedFunction]:
        found: list[Any] = [None] * n

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                generator = sample_generator(entropy, first + i)
                space = FunctionSpace(self.domain(generator))  # type: ignore[operator]
                rows = self._inputs(self._draw(generator), self._tables(_nodes(space)))
                inputs = tuple(
                    Function(space, torch.from_numpy(np.ascontiguousarray(row)), name=name)
                    for row, name in zip(rows, self.input_names, strict=True)
                )
                found[i] = (*inputs, self._solve(inputs, 1).renamed(self.output_name))

        over_threads(work, n, self.workers)
        *inputs, output = (RaggedFunction.pack(column) for column in zip(*found, strict=True))
        return inputs, output

    def __repr__(self) -> str:
        where = "a domain drawn for each sample" if callable(self.domain) else repr(self.domain)
        return f"{type(self).__name__} on {where}"


def unit_square(resolution: Any) -> Grid:
    """The unit square with so many vertices per side."""
    count = whole_number(resolution, "resolution", least=3)
    return Grid(x=(0.0, 1.0, count), y=(0.0, 1.0, count))


def one_domain(domain: Any) -> Domain:
    """Raise an InputError for a domain that is drawn for each sample."""
    if callable(domain):
        raise InputError("this data set has one domain for all samples; domains drawn for each need a steady problem")
    return domain


def _nodes(space: FunctionSpace) -> FloatArray:
    points = space.dof_points
    assert points is not None
    return points.numpy()
