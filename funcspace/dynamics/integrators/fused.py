"""Sums of products with one rounding per product, said outright.

A compiler that is free to join products with sums does so in one way or another, depending on what else the process
has compiled, and a chaotic orbit makes whole digits of the difference. Joined here, the bits follow from the numbers.
"""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["combination_of", "fused"]


def _fma(builder, *factors_and_summand):
    double = ir.DoubleType()
    kind = ir.FunctionType(double, (double, double, double))
    return builder.call(builder.module.declare_intrinsic("llvm.fma", [double], kind), factors_and_summand)


@intrinsic
def _fused(typingctx, a, b, c):
    """The number a b + c, rounded once."""

    def generate(context, builder, signature, values):
        return _fma(builder, *values)

    return types.float64(types.float64, types.float64, types.float64), generate


fused: Any = _fused  # numba supplies the first argument


def combination_of(table, first) -> Any:
    """The compiled function (s, w, i) -> sum_j table[s, j] w[first + j, i], where s is a number in the source.

    table (rows, stages); its zeros are left out. The sum runs from left to right, each product fused to what precedes.
    """
    rows = np.asarray(table, dtype=np.float64)

    @intrinsic(prefer_literal=True)
    def combination(typingctx, s, w, i):
        if not isinstance(s, types.IntegerLiteral):
            raise TypingError(f"the row of a combination is a number in the source; got {s}")
        entries = [(int(j), float(rows[s.literal_value, j])) for j in np.flatnonzero(rows[s.literal_value])]

        def generate(context, builder, signature, values):
            kind = signature.args[1]
            array = context.make_array(kind)(context, builder, values[1])
            column = context.cast(builder, values[2], signature.args[2], types.intp)
            total = None
            for j, entry in entries:
                place = [context.get_constant(types.intp, first + j), column]
                value = builder.load(cgutils.get_item_pointer(context, builder, kind, array, place))
                weight = ir.Constant(ir.DoubleType(), entry)
                total = builder.fmul(weight, value) if total is None else _fma(builder, weight, value, total)
            return total

        return types.float64(s, w, i), generate

    return combination
