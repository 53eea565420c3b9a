"""Calls of compiled right-hand sides by their address, from code that numba compiles."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["call_field"]


@intrinsic
def _call_field(typingctx, address, time, state, i, parameters, j, out, k):  # type: ignore[no-untyped-def]
    """Call the function at an address: (time, state[i], parameters[j], out[k]); rows of contiguous float64 arrays.

    The driver is compiled without knowing which function it will call, so that one compiled driver, kept on disk,
    serves every system.
    """
    arguments = (address, time, state, i, parameters, j, out, k)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        double, pointer = ir.DoubleType(), ir.DoubleType().as_pointer()

        def row(array: int) -> Any:
            kind, value, number = signature.args[array], values[array], values[array + 1]
            number = context.cast(builder, number, signature.args[array + 1], types.int64)
            view = context.make_array(kind)(context, builder, value)
            width = cgutils.unpack_tuple(builder, view.shape, kind.ndim)[-1]
            return builder.gep(view.data, [builder.mul(number, width)])

        kind = ir.FunctionType(ir.VoidType(), (double, pointer, pointer, pointer))
        function = builder.inttoptr(values[0], kind.as_pointer())
        moment = context.cast(builder, values[1], signature.args[1], types.float64)
        builder.call(function, (moment, row(2), row(4), row(6)))
        return context.get_dummy_value()

    return types.none(*arguments), generate


call_field: Any = _call_field  # numba supplies the first argument
