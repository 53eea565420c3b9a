"""Right-hand sides of delay equations: formulas of a state and of earlier states, with machine code.

The machine code takes the state and the earlier ones, one after the other, as one vector.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from funcspace.dynamics.catalogue.formula import Formula, packed_parameters, symbols, traced_components
from funcspace.dynamics.compiled.expression import Graph
from funcspace.dynamics.compiled.llvm_code import field_address
from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

__all__ = ["CompiledDelayFunction", "DelayFormula"]


@dataclass(frozen=True, eq=False)
class DelayFormula:
    r"""Components :math:`f_i(t, x(t), x(t - \tau_1), \dots, x(t - \tau_k), p)`.

    Attributes
    ----------
    formula : of the states one after the other, (1 + k) dimension of them.
    dimension : length of the state.
    delays : number k of delays.

    Examples
    --------
    >>> decay = DelayFormula.traced(lambda t, x, before, rate: -rate * before, 1, 1, {"rate": ()})
    >>> decay.evaluate(np.array([3.0]), np.array([[5.0]]), 0.0, np.array([2.0]))
    array([-10.])
    """

    formula: Formula
    dimension: int
    delays: int

    @classmethod
    def traced(
        cls, function: Callable[..., Any], dimension: int, delays: int, shapes: Mapping[str, tuple[int, ...]]
    ) -> DelayFormula:
        """From a Python function `(t, state, *earlier, **parameters)`.

        Raises
        ------
        TracingError
            When the function needs the values of the states, for example to branch on them.
        InputError
            When it returns another number of components than the state has.
        """
        graph = Graph()
        states, parameters = symbols(graph, dimension * (1 + delays), shapes)
        arguments = (graph.time(), *states.reshape(1 + delays, dimension))
        outputs = traced_components(function, arguments, parameters, graph, dimension)
        return cls(Formula(graph, outputs, dimension * (1 + delays), dict(shapes)), dimension, delays)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each parameter by name."""
        return self.formula.shapes

    @property
    def explicit_time(self) -> bool:
        """Whether time itself occurs in it."""
        return self.formula.explicit_time

    @property
    def field_address(self) -> int:
        """Address of the compiled right-hand side."""
        return self.formula.field_address

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The parameters as one vector, or (batch, entries) where some have a leading batch axis."""
        return self.formula.pack(parameters)

    def evaluate(self, state: Any, earlier: Any, time: Any, parameters: Any) -> Any:
        """The components at states (..., dimension) and earlier states (..., delays, dimension)."""
        flat = earlier.reshape(*earlier.shape[:-2], self.delays * self.dimension)
        if isinstance(state, np.ndarray):
            return self.formula.evaluate(np.concatenate([state, flat], axis=-1), time, parameters)
        import torch

        return self.formula.evaluate(torch.cat([state, flat], dim=-1), time, parameters)

    def tangent_address(self, vectors: int) -> int:
        r"""Address of the delay equation of a state and tangent functions, each after the other.

        .. math:: \dot v = \frac{\partial f}{\partial x(t)} v(t) + \sum_k
           \frac{\partial f}{\partial x(t - \tau_k)} v(t - \tau_k)
        """
        return field_address(*self._tangent(vectors))

    def _tangent(self, vectors: int) -> tuple[Graph, list[int]]:
        d, width = self.dimension, self.dimension * (1 + vectors)
        inner, outputs = self.formula.graph.reduced([*self.formula.outputs, *self.formula.jacobian_nodes])
        graph, places = Graph(), []
        for node in inner.nodes:
            if node[0] == "state":
                block, i = divmod(node[1], d)
                places.append(graph.put("state", block * width + i))
            elif node[0] in ("constant", "time", "parameter"):
                places.append(graph.put(*node))
            else:
                places.append(graph.put(node[0], *(places[j] for j in node[1:])))
        found = [places[i] for i in outputs[:d]]
        entry = np.array([places[i] for i in outputs[d:]]).reshape(d, d * (1 + self.delays))
        for v in range(vectors):
            for i in range(d):
                total = graph.put("constant", 0.0)
                for q in range(entry.shape[1]):
                    block, j = divmod(q, d)
                    argument = graph.put("state", block * width + d * (1 + v) + j)
                    total = graph.binary("add", total, graph.binary("mul", int(entry[i, q]), argument))
                found.append(total)
        return graph, found


class CompiledDelayFunction:
    """A Python function `(t, state, *earlier, parameters...)` with branches or loops, compiled by numba.

    Raises
    ------
    InputError
        When numba cannot compile the function, with numba's reason.
    """

    explicit_time = True

    def __init__(
        self, function: Callable[..., Any], dimension: int, delays: int, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.function, self.dimension, self.delays, self.shapes = function, dimension, delays, dict(shapes)
        if any(shape for shape in self.shapes.values()):
            raise InputError(
                "a right-hand side that branches on the state takes numbers as parameters, not arrays; write it "
                "without branches (numpy.where, numpy.maximum) or give its entries one by one"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledDelayFunction, (self.function, self.dimension, self.delays, self.shapes)

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The parameters as a vector, or (batch, entries) where one has a batch axis."""
        return packed_parameters(self.shapes, parameters)

    def evaluate(self, state: Any, earlier: Any, time: Any, parameters: Any) -> np.ndarray:
        """The components at states (..., dimension) and earlier states (..., delays, dimension)."""
        if not isinstance(state, np.ndarray):
            raise InputError("this right-hand side branches on the state and has no torch version")
        lead = np.broadcast_shapes(state.shape[:-1], earlier.shape[:-2])
        states = np.broadcast_to(state, (*lead, self.dimension)).reshape(-1, self.dimension)
        before = np.broadcast_to(earlier, (*lead, *earlier.shape[-2:])).reshape(len(states), *earlier.shape[-2:])
        values = dict(zip(self.shapes, parameters, strict=True))
        rows = [self.function(time, x, *y, **values) for x, y in zip(states, before, strict=True)]
        return np.asarray(rows, dtype=np.float64).reshape(*lead, self.dimension)

    @cached_property
    def _pointer(self) -> Any:
        numba: Any = import_module("numba")

        d, size, entries_ = self.dimension, self.dimension * (1 + self.delays), max(1, len(self.shapes))
        plain = getattr(self.function, "py_func", self.function)
        inner = numba.njit(plain, error_model="numpy")
        order = {name: i for i, name in enumerate(self.shapes)}
        names = list(inspect.signature(plain).parameters)[2 + self.delays :]
        states = [f"x[{k * d}:{(k + 1) * d}]" for k in range(1 + self.delays)]
        given = [*states, *(f"p[{order[name]}]" for name in names if name in order)]
        text = (
            f"def call(t, x, p, out):\n    result = inner(t, {', '.join(given)})\n"
            f"    for i in range({d}):\n        out[i] = result[i]\n"
        )
        scope: dict[str, Any] = {"inner": inner}
        exec(compile(text, "<right-hand side>", "exec"), scope)
        call: Any = numba.njit(scope["call"], error_model="numpy")
        array, kind = numba.types.Array(numba.float64, 1, "C"), numba.types.CPointer(numba.float64)
        try:
            call.compile((numba.float64, array, array, array))
        except numba.errors.NumbaError as error:
            reason = " ".join(line.strip() for line in str(error).strip().splitlines()[:6])
            raise InputError(
                f"the right-hand side {plain.__name__!r} can be neither traced nor compiled: {reason}. Use plain "
                "numbers, loops, math and numpy in it"
            ) from error

        @numba.cfunc(numba.void(numba.float64, kind, kind, kind))
        def field(t, x, p, out):  # type: ignore[no-untyped-def]
            call(t, numba.carray(x, size), numba.carray(p, entries_), numba.carray(out, d))

        return field

    @property
    def field_address(self) -> int:
        """Address of the compiled right-hand side."""
        return self._pointer.address

    def tangent_address(self, vectors: int) -> int:
        """There are no exact derivatives of it."""
        raise InputError(
            "Lyapunov exponents need derivatives; write the right-hand side without branches, with numpy.where, "
            "numpy.maximum or abs"
        )
