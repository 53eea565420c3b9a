"""Evaluation of a graph on arrays: NumPy, or torch with its gradients and devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcspace.dynamics.compiled.expression import BINARY, UNARY, Graph

__all__ = ["evaluate"]

_NUMPY: Mapping[str, Callable[..., Any]] = {
    **UNARY,
    **BINARY,
    "lt": lambda a, b: np.less(a, b).astype(np.float64),
    "le": lambda a, b: np.less_equal(a, b).astype(np.float64),
    "eq": lambda a, b: np.equal(a, b).astype(np.float64),
    "select": lambda c, a, b: np.where(np.not_equal(c, 0.0), a, b),
}


def _torch_operations(like: Any) -> Mapping[str, Callable[..., Any]]:
    import torch

    def tensor(value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.full_like(like, value)

    names = ("sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "floor", "sign")

    def unary(name: str) -> Callable[..., Any]:
        function = getattr(torch, name)
        return lambda a: function(tensor(a))

    def compare(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, b: function(tensor(a), tensor(b)).to(like.dtype)

    return {
        **BINARY,
        "neg": lambda a: -a,
        "abs": abs,
        **{name: unary(name) for name in names},
        "atan2": lambda a, b: torch.atan2(tensor(a), tensor(b)),
        "min": lambda a, b: torch.minimum(tensor(a), tensor(b)),
        "max": lambda a, b: torch.maximum(tensor(a), tensor(b)),
        "lt": compare(torch.lt),
        "le": compare(torch.le),
        "eq": compare(torch.eq),
        "select": lambda c, a, b: torch.where(tensor(c) != 0, tensor(a), tensor(b)),
    }


def evaluate(graph: Graph, outputs: Sequence[int], state: Any, time: Any, parameters: Any) -> Any:
    """The outputs, stacked along the last axis, for states (..., dimension) and parameters (..., entries).

    Leading axes broadcast; `time` is a number or has the leading axes. NumPy arrays give an array, torch tensors a
    tensor of the same type and device, differentiable in state, time and parameters.
    """
    in_torch = not isinstance(state, np.ndarray)
    operations = _torch_operations(state[..., 0]) if in_torch else _NUMPY
    values: list[Any] = []
    for node in graph.nodes:
        match node[0]:
            case "constant":
                values.append(node[1])
            case "state":
                values.append(state[..., node[1]])
            case "parameter":
                values.append(parameters[..., node[1]])
            case "time":
                values.append(time)
            case operation:
                values.append(operations[operation](*(values[i] for i in node[1:])))
    found = [values[i] for i in outputs]
    if in_torch:
        import torch

        tensors = [v if isinstance(v, torch.Tensor) else torch.full_like(state[..., 0], v) for v in found]
        return torch.stack(torch.broadcast_tensors(*tensors, state[..., 0])[:-1], dim=-1)
    spread = np.broadcast_arrays(*found, state[..., 0])[:-1]
    return np.stack(spread, axis=-1)
