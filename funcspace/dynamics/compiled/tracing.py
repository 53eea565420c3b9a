"""Tracing: a plain Python function is run once on expressions, and the graph of what it does is kept."""

from __future__ import annotations

import builtins
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from funcspace.dynamics.compiled.expression import Expression, Graph, TracingError

__all__ = ["TRACED", "entries", "retargeted", "traceable"]


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    def over_arrays(*arguments: Any) -> Any:
        arrays = [np.asarray(a, dtype=object) if isinstance(a, np.ndarray | list | tuple) else a for a in arguments]
        if not any(isinstance(a, np.ndarray) and a.ndim for a in arrays):
            return function(*arguments)
        spread = np.broadcast_arrays(*[a if isinstance(a, np.ndarray) else _cell(a) for a in arrays])
        result = np.empty(spread[0].shape, dtype=object)
        for place in np.ndindex(result.shape):
            result[place] = function(*(array[place] for array in spread))
        return result

    return over_arrays


def _cell(value: Any) -> np.ndarray:
    cell = np.empty((), dtype=object)
    cell[()] = value
    return cell


def _unary(operation: str, plain: Callable[[Any], Any]) -> Callable[..., Any]:
    return _elementwise(lambda a: a._unary(operation) if isinstance(a, Expression) else plain(a))


def _binary(operation: str, plain: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, Expression):
            return a._binary(operation, b)
        return b._binary(operation, a, swapped=True) if isinstance(b, Expression) else plain(a, b)

    return _elementwise(apply)


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, Expression):
        return a if condition else b
    graph = condition.graph
    return Expression(graph, graph.select(condition.index, graph.lift(a).index, graph.lift(b).index))  # type: ignore[union-attr]


def _heaviside(x: Any, at_zero: Any) -> Any:
    if not isinstance(x, Expression):
        return np.heaviside(x, at_zero)
    return _where(x > 0.0, 1.0, _where(x < 0.0, 0.0, at_zero))


def _logistic(x: Any) -> Any:
    return 1.0 / (1.0 + TRACED["exp"](-x))


def _mod(a: Any, b: Any) -> Any:
    return a - TRACED["floor"](a / b) * b


def _hypot(a: Any, b: Any) -> Any:
    return TRACED["sqrt"](a * a + b * b)


def _clip(x: Any, low: Any, high: Any) -> Any:
    return TRACED["minimum"](TRACED["maximum"](x, low), high)


_UNARY_NAMES = {
    "negative": "neg",
    "absolute": "abs",
    "abs": "abs",
    "fabs": "abs",
    "sqrt": "sqrt",
    "exp": "exp",
    "log": "log",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "floor": "floor",
    "sign": "sign",
}
_BINARY_NAMES = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "power": "pow",
    "arctan2": "atan2",
    "minimum": "min",
    "maximum": "max",
    "less": "lt",
    "less_equal": "le",
    "equal": "eq",
}
TRACED: dict[str, Callable[..., Any]] = {
    **{name: _unary(operation, getattr(np, name)) for name, operation in _UNARY_NAMES.items()},
    **{name: _binary(operation, getattr(np, name)) for name, operation in _BINARY_NAMES.items()},
    "greater": _elementwise(lambda a, b: TRACED["less"](b, a)),
    "greater_equal": _elementwise(lambda a, b: TRACED["less_equal"](b, a)),
    "square": _elementwise(lambda a: a * a),
    "reciprocal": _elementwise(lambda a: 1.0 / a),
    "mod": _elementwise(_mod),
    "remainder": _elementwise(_mod),
    "heaviside": _elementwise(_heaviside),
    "where": _elementwise(_where),
    "clip": _elementwise(_clip),
    "hypot": _elementwise(_hypot),
    "expit": _elementwise(_logistic),
}
# The names of the module math that differ from NumPy's.
_MATH = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "pow": "power",
    "fmod": "mod",
    "copysign": "",
    "fsum": "",
}


def _extreme(name: str) -> Callable[..., Any]:
    def extreme(values: Any, axis: int | None = None) -> Any:
        array = np.asarray(values, dtype=object)
        array = array.ravel() if axis is None else np.moveaxis(array, axis, 0)
        result = array[0]
        for row in array[1:]:
            result = TRACED[name](result, row)
        return result

    return extreme


def _blank(fill: float) -> Callable[..., Any]:
    def blank(shape: Any, *_: Any, **__: Any) -> np.ndarray:
        return np.full(shape, fill, dtype=object)

    return blank


def _blank_like(fill: float) -> Callable[..., Any]:
    def blank_like(array: Any, *_: Any, **__: Any) -> np.ndarray:
        return np.full(np.shape(array), fill, dtype=object)

    return blank_like


class _Numpy:
    """NumPy for functions that are traced: elementary functions and new arrays know expressions."""

    _own: Mapping[str, Callable[..., Any]] = {
        **TRACED,
        "min": _extreme("minimum"),
        "amin": _extreme("minimum"),
        "max": _extreme("maximum"),
        "amax": _extreme("maximum"),
        "zeros": _blank(0.0),
        "empty": _blank(0.0),
        "ones": _blank(1.0),
        "zeros_like": _blank_like(0.0),
        "empty_like": _blank_like(0.0),
        "ones_like": _blank_like(1.0),
        "array": lambda values, *_, **__: np.array(values, dtype=object),
        "asarray": lambda values, *_, **__: np.asarray(values, dtype=object),
    }

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(np, name)


class _Math:
    """The module math for functions that are traced."""

    def __getattr__(self, name: str) -> Any:
        own = TRACED.get(_MATH.get(name, name))
        return getattr(math, name) if own is None else own


_NUMPY, _MATH_MODULE = _Numpy(), _Math()


def _chosen(name: str) -> Callable[..., Any]:
    plain, traced = getattr(builtins, name), {"max": "maximum", "min": "minimum"}[name]

    def chosen(*values: Any, **options: Any) -> Any:
        items = list(values[0]) if len(values) == 1 else list(values)
        if options or not any(isinstance(item, Expression) for item in items):
            return plain(*values, **options)
        result = items[0]
        for item in items[1:]:
            result = TRACED[traced](result, item)
        return result

    return chosen


_BUILTINS = {"max": _chosen("max"), "min": _chosen("min")}


def retargeted(function: Any, seen: dict[int, Any] | None = None) -> Any:
    """The function with NumPy, math, max and min replaced by what works on expressions, here and in what it calls."""
    seen = {} if seen is None else seen
    function = getattr(function, "py_func", function)
    if isinstance(function, types.MethodType):
        return types.MethodType(retargeted(function.__func__, seen), function.__self__)
    if not isinstance(function, types.FunctionType):
        return function
    if id(function) in seen:
        return seen[id(function)]
    scope = {**function.__globals__}
    copy = (
        types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, None)
        if (function.__closure__ is None)
        else None
    )
    if copy is not None:
        copy.__kwdefaults__ = function.__kwdefaults__
        seen[id(function)] = copy
    for name in _names(function.__code__):
        if name in scope:
            scope[name] = _replacement(scope[name], seen)
        elif name in _BUILTINS:
            scope[name] = _BUILTINS[name]
    if copy is None:
        cells = tuple(_moved(cell, seen) for cell in function.__closure__ or ())
        copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
        copy.__kwdefaults__ = function.__kwdefaults__
        seen[id(function)] = copy
    return copy


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _moved(cell: Any, seen: dict[int, Any]) -> Any:
    try:
        return types.CellType(_replacement(cell.cell_contents, seen))
    except ValueError:
        return cell


def _replacement(value: Any, seen: dict[int, Any]) -> Any:
    if value is np:
        return _NUMPY
    if value is math:
        return _MATH_MODULE
    if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
        return getattr(_MATH_MODULE, value.__name__)
    if isinstance(value, np.ufunc):
        return getattr(_NUMPY, value.__name__)
    if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
        module = getattr(value, "__module__", "") or ""
        return value if module.partition(".")[0] in ("numpy", "torch", "scipy") else retargeted(value, seen)
    return value


def entries(result: Any, graph: Graph) -> list[Expression]:
    """The components of what a traced function returned: a number, a sequence or an array."""
    if isinstance(result, Expression):
        return [result]
    flat = np.asarray(result, dtype=object).ravel()
    found = []
    for i, entry in enumerate(flat):
        lifted = graph.lift(entry)
        if lifted is None:
            raise TracingError(f"component {i} of the result is {type(entry).__name__}, not a number")
        found.append(lifted)
    return found


def traceable(function: Any) -> bool:
    """Whether there is Python code to run: not so for functions written in C."""
    return isinstance(getattr(function, "py_func", function), types.FunctionType | types.MethodType)
