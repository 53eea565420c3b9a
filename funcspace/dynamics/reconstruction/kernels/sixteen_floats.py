"""Sixteen float32 as one value inside compiled kernels: loads, stores and fused multiply-adds of sixteen at a time."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic, reportCallIssue=false
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS

__all__ = [
    "add",
    "add_product_to",
    "add_to",
    "fma",
    "keep_where",
    "load",
    "mul",
    "pulled",
    "released",
    "relu_of",
    "spread",
    "store",
    "sub",
]

FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, 16)
ZEROS = ir.Constant(VECTOR, [0.0] * 16)


class SixteenFloatsType(types.Type):
    """Sixteen float32 side by side."""

    def __init__(self):
        super().__init__(name="SixteenFloats")


SIXTEEN = SixteenFloatsType()


@register_model(SixteenFloatsType)
class SixteenFloatsModel(models.PrimitiveModel):
    """A register of the processor, or some of them."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, VECTOR)


def _pointer(context, builder, signature, args):
    start = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.bitcast(builder.gep(start, [args[1]]), VECTOR.as_pointer())


@intrinsic
def load(typingctx, array, place):
    """Sixteen numbers of a contiguous float32 array (n,) from a place on."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args), align=4)

    return SIXTEEN(array, types.intp), codegen


@intrinsic
def store(typingctx, array, place, value):
    """Write sixteen numbers into a contiguous float32 array (n,) from a place on."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, SIXTEEN), codegen


@intrinsic
def spread(typingctx, number):
    """One number sixteen times."""

    def codegen(context, builder, signature, args):
        single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 16), [0] * 16)
        return builder.shuffle_vector(single, ir.Constant(VECTOR, ir.Undefined), mask)

    return SIXTEEN(types.float32), codegen


@intrinsic
def add(typingctx, a, b):
    """The sums a + b."""
    return SIXTEEN(SIXTEEN, SIXTEEN), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def sub(typingctx, a, b):
    """The differences a - b."""
    return SIXTEEN(SIXTEEN, SIXTEEN), lambda context, builder, signature, args: builder.fsub(*args)


@intrinsic
def mul(typingctx, a, b):
    """The products a b."""
    return SIXTEEN(SIXTEEN, SIXTEEN), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def fma(typingctx, a, b, c):
    """The sums a b + c, rounded once."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32"), args)

    return SIXTEEN(SIXTEEN, SIXTEEN, SIXTEEN), codegen


@intrinsic
def relu_of(typingctx, a):
    """The numbers a that are positive, zero for others."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], ZEROS), args[0], ZEROS)

    return SIXTEEN(SIXTEEN), codegen


@intrinsic
def keep_where(typingctx, condition, a):
    """The numbers a where the condition is positive, zero elsewhere."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], ZEROS), args[1], ZEROS)

    return SIXTEEN(SIXTEEN, SIXTEEN), codegen


@intrinsic
def keep_known(typingctx, condition, a):
    """The numbers a where the condition is not NaN, zero elsewhere."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("==", args[0], args[0]), args[1], ZEROS)

    return SIXTEEN(SIXTEEN, SIXTEEN), codegen


@numba.njit(inline="always", **OPTIONS)
def add_to(array, place, a):
    """Add a to the sixteen numbers of an array from a place on."""
    store(array, place, add(load(array, place), a))


@numba.njit(inline="always", **OPTIONS)
def add_product_to(array, place, a, b):
    """Add a b to the sixteen numbers of an array from a place on."""
    store(array, place, fma(a, b, load(array, place)))


@numba.njit(inline="always", **OPTIONS)
def pulled(z, g, targets, place):
    """The states z pulled to z + g (target - z) where the target is known."""
    d = load(targets, place)
    return fma(g, keep_known(d, sub(d, z)), z)


@numba.njit(inline="always", **OPTIONS)
def released(y, g, targets, of_targets, place, wanted):
    """The cotangent of z from that of `pulled`; that of the target is stored where it is wanted."""
    pull = keep_known(load(targets, place), mul(g, y))
    if wanted:
        store(of_targets, place, pull)
    return sub(y, pull)
