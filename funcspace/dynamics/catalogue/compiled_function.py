"""Right-hand sides that cannot be traced: compiled by numba, with a Jacobian by central differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

__all__ = ["CompiledFunction"]

STEP = 6e-6


class CompiledFunction:
    """A Python function `(t, state, parameters...) -> derivatives` with branches or loops, compiled by numba.

    It offers what a `Formula` offers; derivatives are central differences, accurate to about nine digits.

    Raises
    ------
    InputError
        When numba cannot compile the function, with numba's reason and line.
    """

    smooth = False
    separable = False
    explicit_time = True
    wrapped: tuple[int, ...] = ()

    def __init__(
        self,
        function: Callable[..., Any],
        dimension: int,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        discrete: bool = False,
    ) -> None:
        self.function, self.dimension, self.shapes, self.discrete = function, dimension, dict(shapes), discrete
        if any(shape for shape in self.shapes.values()):
            raise InputError(
                "a right-hand side that branches on the state takes numbers as parameters, not arrays; write it "
                "without branches (numpy.where, numpy.maximum) or give its entries one by one"
            )
        self.variables: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(CompiledFunction, discrete=self.discrete), (self.function, self.dimension, self.shapes)

    @property
    def entries(self) -> int:
        """Number of parameters."""
        return len(self.shapes)

    def pack(self, parameters: Mapping[str, Any]) -> np.ndarray:
        """The parameters as a vector, or (batch, entries) where one has a batch axis."""
        values = [np.asarray(parameters[name], dtype=np.float64) for name in self.shapes]
        return np.stack(np.broadcast_arrays(*values), axis=-1) if values else np.empty(0)

    @cached_property
    def _source(self) -> Any:
        """The compiled function (t, state, p, out) that the addresses are made from."""
        numba: Any = import_module("numba")

        plain = getattr(self.function, "py_func", self.function)
        inner = numba.njit(plain, error_model="numpy")
        names = list(inspect.signature(plain).parameters)[: (1 if self.discrete else 2) + self.entries]
        lead = "state" if self.discrete else "t, state"
        order = {name: i for i, name in enumerate(self.shapes)}
        given = [f"p[{order[name]}]" for name in names if name in order]
        text = (
            f"def call(t, state, p, out):\n"
            f"    result = inner({', '.join([lead, *given])})\n"
            f"    for i in range({self.dimension}):\n"
            f"        out[i] = result[i]\n"
        )
        scope: dict[str, Any] = {"inner": inner}
        exec(compile(text, "<right-hand side>", "exec"), scope)
        call: Any = numba.njit(scope["call"], error_model="numpy")
        array = numba.types.Array(numba.float64, 1, "C")
        try:
            call.compile((numba.float64, array, array, array))
        except numba.errors.NumbaError as error:
            reason = str(error).strip().splitlines()
            raise InputError(
                f"the right-hand side {plain.__name__!r} can be neither traced nor compiled: "
                f"{' '.join(line.strip() for line in reason[:6])}. Use plain numbers, loops, math and numpy in it"
            ) from error
        return call

    def _pointer(self, jacobian: bool) -> Any:
        numba: Any = import_module("numba")

        call, d, entries = self._source, self.dimension, max(1, self.entries)
        kind = numba.types.CPointer(numba.float64)
        signature = numba.void(numba.float64, kind, kind, kind)
        if not jacobian:

            @numba.cfunc(signature)
            def field(t, state, p, out):  # type: ignore[no-untyped-def]
                call(t, numba.carray(state, d), numba.carray(p, entries), numba.carray(out, d))

            return field

        @numba.cfunc(signature)
        def differences(t, state, p, out):  # type: ignore[no-untyped-def]
            x, q, j = numba.carray(state, d), numba.carray(p, entries), numba.carray(out, (d, d))
            moved, high, low = x.copy(), np.empty(d), np.empty(d)
            for k in range(d):
                step = STEP * max(1.0, abs(x[k]))
                moved[k] = x[k] + step
                call(t, moved, q, high)
                moved[k] = x[k] - step
                call(t, moved, q, low)
                moved[k] = x[k]
                for i in range(d):
                    j[i, k] = (high[i] - low[i]) / (2.0 * step)

        return differences

    @cached_property
    def _field(self) -> Any:
        return self._pointer(False)

    @cached_property
    def _jacobian(self) -> Any:
        return self._pointer(True)

    @cached_property
    def _extended(self) -> Any:
        numba: Any = import_module("numba")

        call, d, entries = self._source, self.dimension, self.entries
        kind = numba.types.CPointer(numba.float64)

        @numba.cfunc(numba.void(numba.float64, kind, kind, kind))
        def extended(t, state, p, out):  # type: ignore[no-untyped-def]
            q = numba.carray(p, entries + 1)
            count = int(q[entries])
            x, f = numba.carray(state, (count + 1) * d + 1), numba.carray(out, (count + 1) * d + 1)
            point, base = x[:d].copy(), np.empty(d)
            call(t, point, q, base)
            f[:d] = base
            high, low, trace = np.empty(d), np.empty(d), 0.0
            j = np.empty((d, d))
            for k in range(d):
                step = STEP * max(1.0, abs(x[k]))
                point[k] = x[k] + step
                call(t, point, q, high)
                point[k] = x[k] - step
                call(t, point, q, low)
                point[k] = x[k]
                for i in range(d):
                    j[i, k] = (high[i] - low[i]) / (2.0 * step)
                trace += j[k, k]
            for v in range(count):
                for i in range(d):
                    total = 0.0
                    for k in range(d):
                        total += j[i, k] * x[(v + 1) * d + k]
                    f[(v + 1) * d + i] = total
            f[(count + 1) * d] = trace

        return extended

    @property
    def field_address(self) -> int:
        """Address of the compiled right-hand side."""
        return self._field.address

    @property
    def jacobian_address(self) -> int:
        """Address of the compiled Jacobian."""
        return self._jacobian.address

    @property
    def extended_address(self) -> int:
        """Address of the compiled right-hand side with tangent vectors."""
        return self._extended.address

    def _each(self, state: Any, time: Any, parameters: Any, size: int, call: Callable[..., None]) -> np.ndarray:
        if not isinstance(state, np.ndarray):
            raise InputError(
                "this right-hand side branches on the state and has no torch version; write it without branches, "
                "with numpy.where, numpy.maximum or abs, or give a torch function"
            )
        lead = state.shape[:-1]
        flat = np.ascontiguousarray(state, dtype=np.float64).reshape(-1, self.dimension)
        moments = np.broadcast_to(np.asarray(time, dtype=np.float64), lead).ravel()
        rows = np.broadcast_to(parameters, (*lead, max(1, self.entries)) if self.entries else (*lead, 0))
        rows = np.ascontiguousarray(rows).reshape(len(flat), -1)
        out = np.empty((len(flat), size))
        for row in range(len(flat)):
            call(float(moments[row]), flat[row], rows[row], out[row])
        return out.reshape(*lead, size)

    def evaluate(self, state: Any, time: Any, parameters: Any) -> np.ndarray:
        """The components at states (..., dimension)."""
        return self._each(state, time, parameters, self.dimension, self._source)

    def jacobian(self, state: Any, time: Any, parameters: Any) -> np.ndarray:
        """The Jacobian at states (..., dimension), by central differences."""
        d = self.dimension

        def call(t: float, x: np.ndarray, p: np.ndarray, out: np.ndarray) -> None:
            high, low = np.empty(d), np.empty(d)
            matrix = out.reshape(d, d)
            for k in range(d):
                step = np.zeros(d)
                step[k] = STEP * max(1.0, abs(x[k]))
                self._source(t, x + step, p, high)
                self._source(t, x - step, p, low)
                matrix[:, k] = (high - low) / (2.0 * step[k])

        flat = self._each(state, time, parameters, d * d, call)
        return flat.reshape(*flat.shape[:-1], d, d)

    def divergence(self, state: Any, time: Any, parameters: Any) -> np.ndarray:
        """The trace of the Jacobian."""
        return np.trace(self.jacobian(state, time, parameters), axis1=-2, axis2=-1)

    def wrap(self, state: Any, parameters: Any) -> Any:
        """The state: there are no bounded coordinates."""
        return state
