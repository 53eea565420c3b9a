"""Derivatives of expressions, exact, by forward accumulation over the graph."""

from __future__ import annotations

from collections.abc import Sequence

from funcspace.dynamics.compiled.expression import Expression, Graph, operands

__all__ = ["jacobian"]


def jacobian(graph: Graph, outputs: Sequence[int], dimension: int, kind: str = "state") -> list[list[int]]:
    r"""The nodes of :math:`\partial f_i / \partial x_j`; x are the nodes of a kind, "state" or "parameter".

    At a kink (|x|, sign, step function, minimum) it is the derivative of the branch that the value belongs to; the
    derivative of a jump is left out.

    >>> graph = Graph()
    >>> x, y = graph.state(0), graph.state(1)
    >>> rows = jacobian(graph, [(x * y).index], 2)
    >>> rows[0] == [y.index, x.index]
    True
    """
    zero = graph.put("constant", 0.0)
    size = max(outputs, default=-1) + 1
    columns = []
    for j in range(dimension):
        derivative: dict[int, int] = {}
        for i in range(size):
            node = graph.nodes[i]
            if node == (kind, j):
                derivative[i] = graph.put("constant", 1.0)
            elif any(k in derivative for k in operands(node)):
                slope = _chain(graph, i, derivative).index
                if graph.number(slope) != 0.0:
                    derivative[i] = slope
        columns.append(derivative)
    return [[column.get(i, zero) for column in columns] for i in outputs]


def _chain(graph: Graph, number: int, derivative: dict[int, int]) -> Expression:
    node = graph.nodes[number]
    value, operation = Expression(graph, number), node[0]
    arguments = [Expression(graph, k) for k in node[1:]]
    zero = graph.constant(0.0)
    slopes = [Expression(graph, derivative[k]) if k in derivative else zero for k in node[1:]]
    a, da = arguments[0], slopes[0]
    if len(arguments) == 1:
        return _unary_slope(operation, a, value) * da if operation not in ("floor", "sign") else zero
    b, db = arguments[1], slopes[1]
    match operation:
        case "add":
            return da + db
        case "sub":
            return da - db
        case "mul":
            return da * b + a * db
        case "div":
            return (da - value * db) / b
        case "pow":
            return b * a ** (b - 1.0) * da + (value * a.log() * db if db.index != zero.index else zero)
        case "atan2":
            return (b * da - a * db) / (a * a + b * b)
        case "min":
            return Expression(graph, graph.select((a <= b).index, da.index, db.index))
        case "max":
            return Expression(graph, graph.select((b <= a).index, da.index, db.index))
        case "select":
            return Expression(graph, graph.select(a.index, db.index, slopes[2].index))
    return zero


def _unary_slope(operation: str, a: Expression, value: Expression) -> Expression:
    match operation:
        case "neg":
            return a.graph.constant(-1.0)
        case "abs":
            return a._unary("sign")
        case "sqrt":
            # At 0, where a clipped argument arrives with slope 0, infinity times zero would spoil the product.
            zero = a.graph.constant(0.0)
            positive = (zero < a).index
            return Expression(a.graph, a.graph.select(positive, (0.5 / value).index, zero.index))
        case "exp":
            return value
        case "log":
            return 1.0 / a
        case "sin":
            return a.cos()
        case "cos":
            return -a.sin()
        case "tan":
            return 1.0 + value * value
        case "asin":
            return 1.0 / (1.0 - a * a).sqrt()
        case "acos":
            return -1.0 / (1.0 - a * a).sqrt()
        case "atan":
            return 1.0 / (1.0 + a * a)
        case "sinh":
            return a.cosh()
        case "cosh":
            return a.sinh()
        case "tanh":
            return 1.0 - value * value
    raise AssertionError(operation)
