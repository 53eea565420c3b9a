"""Expressions: scalar formulas of a state, time and parameters, kept as one graph in which nothing occurs twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcspace.errors import FuncspaceError

__all__ = ["BINARY", "UNARY", "Expression", "ExpressionArray", "Graph", "TracingError"]

UNARY = {
    "neg": lambda a: -a,
    "abs": abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "floor": np.floor,
    "sign": np.sign,
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "atan2": np.arctan2,
    "min": np.minimum,
    "max": np.maximum,
    "lt": lambda a, b: np.float64(a < b),
    "le": lambda a, b: np.float64(a <= b),
    "eq": lambda a, b: np.float64(a == b),
}
COMMUTATIVE = ("add", "mul", "min", "max", "eq")
LARGEST_POWER = 32


class TracingError(FuncspaceError):
    """A Python function needs the number behind an expression: it branches on it or hands it to foreign code."""


class Graph:
    """Nodes in order of evaluation: `("constant", c)`, `("state", i)`, `("time",)`, `("parameter", i)`, operations.

    An operation refers to its operands by their number, always a smaller one. Equal nodes are one node, so common
    subexpressions are shared; constants are folded and neutral elements dropped as nodes are made.

    >>> graph = Graph()
    >>> x, y = graph.state(0), graph.state(1)
    >>> (x * y + 1.0 * x * y).index == (2.0 * (x * y)).index, (y * x).index == (x * y).index
    (True, True)
    """

    def __init__(self, nodes: Sequence[Sequence[Any]] = ()) -> None:
        self.nodes: list[tuple[Any, ...]] = [tuple(node) for node in nodes]
        self._index = {node: number for number, node in enumerate(self.nodes)}

    def put(self, *node: Any) -> int:
        """The number of a node, which is made if there is none like it."""
        number = self._index.get(node)
        if number is None:
            number = len(self.nodes)
            self.nodes.append(node)
            self._index[node] = number
        return number

    def constant(self, value: float) -> Expression:
        """A number."""
        return Expression(self, self.put("constant", float(value)))

    def state(self, i: int) -> Expression:
        """Component i of the state."""
        return Expression(self, self.put("state", i))

    def parameter(self, i: int) -> Expression:
        """Entry i of the parameters."""
        return Expression(self, self.put("parameter", i))

    def time(self) -> Expression:
        """Time."""
        return Expression(self, self.put("time"))

    def number(self, i: int) -> float | None:
        """The value of a constant node, None for any other."""
        node = self.nodes[i]
        return node[1] if node[0] == "constant" else None

    def lift(self, value: Any) -> Expression | None:
        """An expression for a number; None for what is neither."""
        if isinstance(value, Expression):
            return value
        if isinstance(value, bool | int | float | np.integer | np.floating | np.bool_):
            return self.constant(float(value))
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return self.lift(value.item())
        return None

    def unary(self, operation: str, a: int) -> int:
        """The node of an operation on one operand."""
        value = self.number(a)
        if value is not None:
            with np.errstate(all="ignore"):
                return self.put("constant", float(UNARY[operation](value)))
        if operation == "neg" and self.nodes[a][0] == "neg":
            return self.nodes[a][1]
        return self.put(operation, a)

    def binary(self, operation: str, a: int, b: int) -> int:
        """The node of an operation on two operands, simplified where that is exact."""
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            with np.errstate(all="ignore"):
                return self.put("constant", float(BINARY[operation](np.float64(x), np.float64(y))))
        found = self._simplified(operation, a, b, x, y)
        if found is not None:
            return found
        if operation in COMMUTATIVE and a > b:
            a, b = b, a
        return self.put(operation, a, b)

    def _simplified(self, operation: str, a: int, b: int, x: float | None, y: float | None) -> int | None:
        zero_a, zero_b = x == 0.0, y == 0.0
        if operation == "add":
            if zero_a or zero_b:
                return b if zero_a else a
            if a == b:
                return self.binary("mul", self.put("constant", 2.0), a)
        elif operation == "sub":
            if zero_b:
                return a
            if zero_a:
                return self.unary("neg", b)
            if a == b:
                return self.put("constant", 0.0)
        elif operation == "mul":
            if zero_a or zero_b:
                return self.put("constant", 0.0)
            for factor, other in ((x, b), (y, a)):
                if factor == 1.0:
                    return other
                if factor == -1.0:
                    return self.unary("neg", other)
        elif operation == "div":
            if zero_a or y == 1.0:
                return a
        elif operation == "pow" and y is not None:
            return self._power(a, y)
        return None

    def _power(self, a: int, exponent: float) -> int | None:
        if exponent == 0.5:
            return self.unary("sqrt", a)
        if not float(exponent).is_integer() or abs(exponent) > LARGEST_POWER:
            return None
        n, result, square = abs(int(exponent)), self.put("constant", 1.0), a
        while n:
            if n & 1:
                result = self.binary("mul", result, square)
            n >>= 1
            if n:
                square = self.binary("mul", square, square)
        return result if exponent >= 0 else self.binary("div", self.put("constant", 1.0), result)

    def select(self, condition: int, a: int, b: int) -> int:
        """The node that is a where the condition is not zero, else b."""
        value = self.number(condition)
        if value is not None:
            return a if value != 0.0 else b
        return a if a == b else self.put("select", condition, a, b)

    def reduced(self, outputs: Sequence[int]) -> tuple[Graph, list[int]]:
        """The graph of what the outputs need, and where they are in it."""
        needed, stack = set(), list(outputs)
        while stack:
            i = stack.pop()
            if i not in needed:
                needed.add(i)
                stack.extend(operands(self.nodes[i]))
        graph, place = Graph(), {}
        for i in sorted(needed):
            node = self.nodes[i]
            moved = node if node[0] in LEAVES else (node[0], *(place[j] for j in node[1:]))
            place[i] = graph.put(*moved)
        return graph, [place[i] for i in outputs]

    def to_json(self) -> str:
        """The nodes as text, numbers to the last bit."""
        return json.dumps([[*node] for node in self.nodes])


LEAVES = ("constant", "state", "parameter", "time")


def operands(node: tuple[Any, ...]) -> tuple[int, ...]:
    """The numbers of the operands of a node."""
    return () if node[0] in LEAVES else node[1:]


class Expression:
    """A node of a graph, with the arithmetic of a number; NumPy's functions apply to it and to arrays of it."""

    __slots__ = ("graph", "index")

    def __init__(self, graph: Graph, index: int) -> None:
        self.graph, self.index = graph, index

    def _unary(self, operation: str) -> Expression:
        return Expression(self.graph, self.graph.unary(operation, self.index))

    def _binary(self, operation: str, other: Any, swapped: bool = False) -> Any:
        if isinstance(other, np.ndarray) and other.ndim:
            result = np.empty(other.shape, dtype=object)
            for place, entry in np.ndenumerate(other):
                result[place] = self._binary(operation, entry, swapped)
            return result
        lifted = self.graph.lift(other)
        if lifted is None:
            return NotImplemented
        a, b = (lifted.index, self.index) if swapped else (self.index, lifted.index)
        return Expression(self.graph, self.graph.binary(operation, a, b))

    def __add__(self, other: Any) -> Any:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._binary("add", other, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("sub", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("mul", other, swapped=True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("div", other, swapped=True)

    def __pow__(self, other: Any) -> Any:
        return self._binary("pow", other)

    def __rpow__(self, other: Any) -> Any:
        return self._binary("pow", other, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        return (self / other)._unary("floor")

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __neg__(self) -> Expression:
        return self._unary("neg")

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return self._unary("abs")

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("lt", other, swapped=True)

    def __ge__(self, other: Any) -> Any:
        return self._binary("le", other, swapped=True)

    def __eq__(self, other: object) -> Any:
        return self._binary("eq", other)

    def __hash__(self) -> int:
        return hash((id(self.graph), self.index))

    def _no_number(self, *_: Any) -> Any:
        raise TracingError("the value of an expression is asked for (a branch on the state, or a call into other code)")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _no_number  # type: ignore[assignment]

    # NumPy calls the methods of these names for the entries of an array of objects.
    sqrt = lambda self: self._unary("sqrt")  # noqa: E731
    exp = lambda self: self._unary("exp")  # noqa: E731
    log = lambda self: self._unary("log")  # noqa: E731
    sin = lambda self: self._unary("sin")  # noqa: E731
    cos = lambda self: self._unary("cos")  # noqa: E731
    tan = lambda self: self._unary("tan")  # noqa: E731
    arcsin = lambda self: self._unary("asin")  # noqa: E731
    arccos = lambda self: self._unary("acos")  # noqa: E731
    arctan = lambda self: self._unary("atan")  # noqa: E731
    sinh = lambda self: self._unary("sinh")  # noqa: E731
    cosh = lambda self: self._unary("cosh")  # noqa: E731
    tanh = lambda self: self._unary("tanh")  # noqa: E731
    floor = lambda self: self._unary("floor")  # noqa: E731

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from funcspace.dynamics.compiled.tracing import TRACED

        function, targets = TRACED.get(ufunc.__name__), options.pop("out", ())
        if method != "__call__" or options or function is None:
            return NotImplemented
        result = function(*inputs)
        for target in targets:
            target[...] = result
            return target
        return result

    def __repr__(self) -> str:
        return f"Expression({self.index}: {self.graph.nodes[self.index]})"


COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal)


class ExpressionArray(np.ndarray):
    """An array of expressions, whose comparisons are arrays of expressions; those of other arrays are asked for truth.

    >>> x = np.array([Graph().state(0)], dtype=object).view(ExpressionArray)
    >>> (x > 0.0)[0].graph.nodes
    [('state', 0), ('constant', 0.0), ('lt', 1, 0)]
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, ExpressionArray) else x for x in inputs]
        if "out" in options:
            targets = options["out"]
            options["out"] = tuple(x.view(np.ndarray) if isinstance(x, ExpressionArray) else x for x in targets)
        if ufunc in COMPARISONS and not any(isinstance(x, Expression) for x in plain):
            options["dtype"] = object
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(ExpressionArray) if isinstance(result, np.ndarray) and result.dtype == object else result
