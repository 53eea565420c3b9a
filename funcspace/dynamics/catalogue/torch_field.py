"""Right-hand sides written in torch: batched, differentiable, on the device where their tensors are."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from funcspace.arguments import is_number
from funcspace.dynamics.catalogue.formula import packed_parameters
from funcspace.dynamics.integrators.solve import Guards, as_guards, check_tolerance
from funcspace.errors import InputError, SolverError

__all__ = ["NEEDS_COMPILED", "TorchField", "in_torch"]

NEEDS_COMPILED = "need compiled equations; write the right-hand side with numpy instead of torch"
METHODS = ("auto", "Tsit5", "RK4")


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
        self.explicit_time = True
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
        found = self._called(time, flat, self._named(_tensor(parameters).to(given))).reshape(given.shape)
        return found.detach().numpy() if isinstance(state, np.ndarray) else found

    def _called(self, time: Any, states: torch.Tensor, parameters: Mapping[str, Any]) -> torch.Tensor:
        result = self.function(time, states, **parameters)
        if not isinstance(result, torch.Tensor) or result.shape != states.shape:
            shape = tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
            raise InputError(f"a torch right-hand side maps (batch, {self.dimension}) to the same shape; got {shape}")
        return result

    def try_out(self, start: np.ndarray, packed: np.ndarray) -> None:
        """Call the function near a state, and find out whether it depends on time.

        Raises
        ------
        InputError
            When it fails, or does not give derivatives of the shape of the states.
        """
        states = torch.from_numpy(np.stack([start, 1.1 * start + 0.01]))
        try:
            with torch.no_grad():
                now, later = (self.evaluate(states, t, packed) for t in (0.0, 0.7))
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            name = getattr(self.function, "__name__", type(self.function).__name__)
            raise InputError(
                f"{name} must take a time and float64 states (batch, {self.dimension}) and return their derivatives "
                f"(of a module, the weights must be float64 too: module.double()); at the initial state it fails: "
                f"{error}"
            ) from error
        self.explicit_time = not torch.equal(now, later)

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
        raise InputError(f"this would {NEEDS_COMPILED}")

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
        guards: Guards | None = None,
        name: str = "the system",
        **_: Any,
    ) -> np.ndarray:
        """Samples (batch, times, dimension), by Tsit5 over the whole batch, or RK4 with a constant step.

        Tolerances below 1e-10 are taken as 1e-10.
        """
        from funcspace.dynamics.integrators.batched import integrate_batched

        if method not in METHODS:
            raise InputError(f"torch functions are integrated by one of {', '.join(METHODS)}; got method={method!r}")
        if method != "RK4" and step is not None:
            raise InputError(f'method {method!r} finds its steps; step={step!r} is for "RK4"')
        if method == "RK4" and not (is_number(step) and step > 0):
            raise InputError(f"method 'RK4' takes constant steps; give a positive step=..., got {step!r}")
        check_tolerance(tolerance)
        limits = as_guards(guards)
        initial = torch.from_numpy(np.array(first))
        same = bool((packed == packed[:1]).all())
        named = self._named(torch.from_numpy(np.array(packed[0] if same else packed)))
        with torch.no_grad():
            values = integrate_batched(
                lambda t, x: self._called(t, x, named),
                initial,
                torch.from_numpy(times),
                tolerance=max(tolerance, 1e-10),
                scale=scale,
                method="RK4" if method == "RK4" else "Tsit5",
                step=step,
                name=name,
            )
        large = np.argwhere(np.abs(values.numpy()) > limits.limit * np.asarray(scale, dtype=np.float64))
        if len(large):
            row, k = large[0][:2]
            raise SolverError(
                f"trajectory {row} of {name} left the bound |x| <= {limits.limit:g} scale before time {times[k]:.6g}; "
                "start elsewhere, change parameters, or raise the guard",
                state=values[row, max(k - 1, 0)].clone(),
            )
        return values.numpy()
