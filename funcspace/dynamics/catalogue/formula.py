"""A formula: the right-hand side of a system as expressions of its state, time and named parameters."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcspace.dynamics.compiled.differentiation import jacobian
from funcspace.dynamics.compiled.evaluation import evaluate
from funcspace.dynamics.compiled.expression import ExpressionArray, Graph, TracingError
from funcspace.dynamics.compiled.llvm_code import extended_address, field_address
from funcspace.dynamics.compiled.tracing import entries, retargeted
from funcspace.dynamics.pickling import by_fields
from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

__all__ = ["Formula", "packed_parameters", "parameter_arguments", "symbols"]


def packed_parameters(shapes: Mapping[str, tuple[int, ...]], parameters: Mapping[str, Any]) -> np.ndarray:
    """Parameters by name as one vector, or (batch, entries) where some have a leading batch axis."""
    columns, batch = [], 1
    for name, shape in shapes.items():
        value = np.asarray(parameters[name], dtype=np.float64)
        lead = value.shape[: value.ndim - len(shape)]
        columns.append(value.reshape(*lead, int(np.prod(shape))))
        batch = max(batch, lead[0] if lead else 1)
    if all(column.ndim == 1 for column in columns):
        return np.concatenate([np.empty(0), *columns])
    return np.concatenate([np.broadcast_to(c, (batch, c.shape[-1])) for c in columns], axis=1)


@dataclass(frozen=True, eq=False)
class Formula:
    r"""Components :math:`f_i(t, x, p)` of a right-hand side, with exact derivatives and machine code.

    Attributes
    ----------
    graph, outputs : the expressions and the numbers of the nodes that are the components.
    dimension : length of the state x.
    shapes : shape of each parameter by name, in the order in which they fill p: () for a number.
    wrapped : the nodes of bounded coordinates to show instead of the state, where the state has unbounded angles.
    variables : names of the components of the state; empty where nobody named them.

    Examples
    --------
    >>> formula = Formula.traced(lambda t, x, rate: -rate * x, 1, {"rate": ()})
    >>> formula.evaluate(np.array([3.0]), 0.0, np.array([2.0])), formula.jacobian(np.array([3.0]), 0.0, np.array([2.0]))
    (array([-6.]), array([[-2.]]))
    """

    graph: Graph
    outputs: tuple[int, ...]
    dimension: int
    shapes: Mapping[str, tuple[int, ...]]
    wrapped: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()

    __reduce__ = by_fields

    @classmethod
    def traced(
        cls,
        function: Callable[..., Any],
        dimension: int,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        discrete: bool = False,
    ) -> Formula:
        """From a Python function `(t, state, **parameters)`, of a map `(state, **parameters)`.

        Raises
        ------
        TracingError
            When the function needs the values of the state, for example to branch on them.
        InputError
            When it returns another number of components than the state has.
        """
        graph = Graph()
        state, parameters = symbols(graph, dimension, shapes)
        arguments = (state,) if discrete else (graph.time(), state)
        return cls(graph, traced_components(function, arguments, parameters, graph, dimension), dimension, dict(shapes))

    @property
    def entries(self) -> int:
        """Length of p."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The vector p of parameters given by name; a batch (batch, entries) where some have a leading batch axis."""
        return packed_parameters(self.shapes, parameters)

    def evaluate(self, state: Any, time: Any, parameters: Any) -> Any:
        """The components at states (..., dimension): an array or tensor like the state."""
        return self._at(self.outputs, state, time, parameters)

    def jacobian(self, state: Any, time: Any, parameters: Any) -> Any:
        r"""The matrix :math:`\partial f_i / \partial x_j` at states (..., dimension): (..., dimension, dimension)."""
        flat = self._at(self.jacobian_nodes, state, time, parameters)
        return flat.reshape(*flat.shape[:-1], self.dimension, self.dimension)

    def divergence(self, state: Any, time: Any, parameters: Any) -> Any:
        r"""The rate at which volumes grow, :math:`\sum_i \partial f_i / \partial x_i`."""
        nodes = [self.jacobian_nodes[i * (self.dimension + 1)] for i in range(self.dimension)]
        return self._at(nodes, state, time, parameters).sum(-1)

    def wrap(self, state: Any, parameters: Any) -> Any:
        """The bounded coordinates of states; the states themselves where none are needed."""
        return self._at(self.wrapped, state, 0.0, parameters) if self.wrapped else state

    def _at(self, nodes: Sequence[int], state: Any, time: Any, parameters: Any) -> Any:
        graph, places = self.graph.reduced(nodes)
        if isinstance(state, np.ndarray):
            with np.errstate(all="ignore"):
                return evaluate(graph, places, state, time, parameters)
        return evaluate(graph, places, state, time, parameters)

    @cached_property
    def jacobian_nodes(self) -> tuple[int, ...]:
        """The nodes of the Jacobian, row by row."""
        return tuple(entry for row in jacobian(self.graph, self.outputs, self.dimension) for entry in row)

    @cached_property
    def smooth(self) -> bool:
        """Whether no absolute value, sign, comparison or rounding occurs in it."""
        kinks = {"abs", "sign", "min", "max", "lt", "le", "eq", "select", "floor"}
        return not any(node[0] in kinks for node in self.graph.reduced(self.outputs)[0].nodes)

    @cached_property
    def explicit_time(self) -> bool:
        """Whether time itself occurs in it."""
        return ("time",) in self.graph.reduced(self.outputs)[0].nodes

    @cached_property
    def separable(self) -> bool:
        r"""Whether, for x = (q, p) in halves, q' depends on p alone and p' on q alone."""
        half = self.dimension // 2
        blocks = np.array([self.graph.number(node) == 0.0 for node in self.jacobian_nodes])
        blocks = blocks.reshape(self.dimension, self.dimension)
        return self.dimension % 2 == 0 and bool(blocks[:half, :half].all() and blocks[half:, half:].all())

    @cached_property
    def field_address(self) -> int:
        """Address of the compiled right-hand side."""
        return field_address(self.graph, self.outputs)

    @cached_property
    def jacobian_address(self) -> int:
        """Address of the compiled Jacobian."""
        return field_address(self.graph, self.jacobian_nodes)

    @cached_property
    def extended_address(self) -> int:
        """Address of the compiled right-hand side with tangent vectors."""
        return extended_address(self.graph, self.outputs, self.dimension, self.entries)

    def to_json(self) -> str:
        """As text."""
        graph, places = self.graph.reduced([*self.outputs, *self.wrapped])
        content = {
            "nodes": json.loads(graph.to_json()),
            "outputs": places[: len(self.outputs)],
            "wrapped": places[len(self.outputs) :],
            "dimension": self.dimension,
            "variables": list(self.variables),
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Formula:
        """From the text of `to_json`."""
        content = json.loads(text)
        shapes = {name: tuple(shape) for name, shape in content["shapes"].items()}
        return cls(
            Graph(content["nodes"]),
            tuple(content["outputs"]),
            content["dimension"],
            shapes,
            tuple(content["wrapped"]),
            tuple(content["variables"]),
        )


def traced_components(
    function: Callable[..., Any], arguments: Sequence[Any], parameters: Mapping[str, Any], graph: Graph, dimension: int
) -> tuple[int, ...]:
    """The nodes of what a right-hand side returns for expressions; raises as `Formula.traced` does."""
    try:
        result = retargeted(function)(*arguments, **parameters)
    except (TracingError, TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as error:
        raise TracingError(f"{getattr(function, '__name__', function)!r} cannot be traced: {error}") from error
    found = entries(result, graph)
    if len(found) != dimension:
        raise InputError(
            f"the right-hand side must return as many derivatives as the state has components, {dimension}; "
            f"it returned {len(found)}"
        )
    return tuple(e.index for e in found)


def symbols(graph: Graph, dimension: int, shapes: Mapping[str, tuple[int, ...]]) -> tuple[np.ndarray, dict[str, Any]]:
    """The state as an array of expressions, and the parameters by name as expressions or arrays of them."""
    state = np.empty(dimension, dtype=object).view(ExpressionArray)
    for i in range(dimension):
        state[i] = graph.state(i)
    parameters: dict[str, Any] = {}
    first = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        if shape:
            array = np.empty(size, dtype=object).view(ExpressionArray)
            for i in range(size):
                array[i] = graph.parameter(first + i)
            parameters[name] = array.reshape(shape)
        else:
            parameters[name] = graph.parameter(first)
        first += size
    return state, parameters


def parameter_arguments(function: Callable[..., Any], skip: int) -> dict[str, Any]:
    """The parameters of a right-hand side: arguments with a default after the first `skip`.

    >>> parameter_arguments(lambda t, state, rate=2.0: -rate * state, 2)
    {'rate': 2.0}
    """
    found = {}
    for place, argument in enumerate(inspect.signature(function).parameters.values()):
        if place < skip or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if argument.default is argument.empty:
            raise InputError(
                f"argument {argument.name!r} of the right-hand side has no default; parameters follow the state "
                f"and have one, such as {argument.name}=1.0"
            )
        try:
            np.asarray(argument.default, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"parameter {argument.name!r} of the right-hand side must be a number or an array; its default is "
                f"{argument.default!r}"
            ) from error
        found[argument.name] = argument.default
    return found
