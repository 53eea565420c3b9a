"""Right-hand sides written in torch: batched, differentiable, on the device where their tensors are."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from funcspace.dynamics.catalogue.formula import packed_parameters
from funcspace.errors import InputError

__all__ = ["TorchField", "in_torch"]


def in_torch(function: Callable[..., Any]) -> bool:
    """Whether a function is a torch module or uses the module torch by name."""
    if isinstance(function, torch.nn.Module):
        return True
    plain = getattr(function, "__func__", function)
    if not isinstance(plain, types.FunctionType):
        return False
    scope = {**plain.__globals__}
    used = [scope.get(name) for name in plain.__code__.co_names]
    used += [cell.cell_contents for cell in plain.__closure__ or () if _filled(cell)]
    return any(
        value is torch
        or isinstance(value, torch.nn.Module | torch.Tensor)
        or (getattr(value, "__module__", None) or "").partition(".")[0] == "torch"
        for value in used
    )


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _tensor(values: Any) -> torch.Tensor:
    return values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values, dtype=np.float64))


class TorchField:
    """A torch function `(t, states (batch, dimension), **parameters) -> derivatives (batch, dimension)`.

    A parameter is a number, or one for each trajectory, (batch,): `a * states[:, 0]` is right for both.
    """

    smooth = False
    separable = False
    explicit_time = False
    wrapped: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()

    def __init__(
        self,
        function: Callable[..., Any],
        dimension: int,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        discrete: bool = False,
    ) -> None:
        self.function, self.dimension, self.shapes, self.discrete = function, dimension, dict(shapes), discrete
        if discrete:
            raise InputError("maps are given as plain Python functions; torch functions are flows")

    @property
    def entries(self) -> int:
        """Number of parameter entries."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The parameters as one vector, or (batch, entries) where some have a leading batch axis."""
        return packed_parameters(self.shapes, parameters)

    def _named(self, packed: torch.Tensor) -> dict[str, Any]:
        found, first = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            found[name] = packed[..., first : first + size].reshape(packed.shape[:-1] + shape)
            first += size
        return found

    def evaluate(self, state: Any, time: Any, parameters: Any) -> Any:
        """The derivatives at states (..., dimension)."""
        given = _tensor(state)
        flat = given.reshape(-1, self.dimension)
        packed = _tensor(parameters).to(given)
        result = self.function(time, flat, **self._named(packed))
        if not isinstance(result, torch.Tensor) or result.shape != flat.shape:
            shape = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
            raise InputError(f"a torch right-hand side maps (batch, {self.dimension}) to the same shape; got {shape}")
        found = result.reshape(given.shape)
        return found.detach().numpy() if isinstance(state, np.ndarray) else found

    def jacobian(self, state: Any, time: Any, parameters: Any) -> Any:
        """The Jacobian by automatic differentiation: (..., dimension, dimension)."""
        given = _tensor(state)
        flat = given.reshape(-1, self.dimension).detach().requires_grad_()
        with torch.enable_grad():
            out = self.evaluate(flat, time, parameters)
            rows = [torch.autograd.grad(out[:, i].sum(), flat, retain_graph=True)[0] for i in range(self.dimension)]
        found = torch.stack(rows, dim=1).reshape(*given.shape, self.dimension)
        return found.numpy() if isinstance(state, np.ndarray) else found

    def divergence(self, state: Any, time: Any, parameters: Any) -> Any:
        """The trace of the Jacobian."""
        matrix = self.jacobian(state, time, parameters)
        trace = torch.as_tensor(matrix).diagonal(dim1=-2, dim2=-1).sum(-1)
        return trace.numpy() if isinstance(state, np.ndarray) else trace

    def wrap(self, state: Any, parameters: Any) -> Any:
        """The state: there are no bounded coordinates."""
        return state

    @property
    def field_address(self) -> int:
        """There is no machine code of a torch function."""
        raise InputError("this needs compiled equations; write the right-hand side with numpy instead of torch")

    jacobian_address = extended_address = field_address

    def solve(
        self,
        first: np.ndarray,
        packed: np.ndarray,
        times: np.ndarray,
        *,
        tolerance: float = 1e-9,
        scale: Any = 1.0,
        method: str = "auto",
        step: float | None = None,
        name: str = "the system",
        **_: Any,
    ) -> np.ndarray:
        """Samples (batch, times, dimension), by Tsit5 over the whole batch, or RK4 with a constant step."""
        from funcspace.dynamics.integrators.batched import integrate_batched

        initial = torch.from_numpy(np.array(first))
        same = bool((packed == packed[:1]).all())
        rows = torch.from_numpy(np.array(packed[0] if same else packed))
        with torch.no_grad():
            values = integrate_batched(
                lambda t, x: self.evaluate(x, t, rows),
                initial,
                torch.from_numpy(times),
                tolerance=max(tolerance, 1e-10),
                scale=scale,
                method="RK4" if method == "RK4" else "Tsit5",
                step=step,
                name=name,
            )
        return values.numpy()
