"""Eight float64 in one register inside compiled kernels: loads, stores and fused multiply-adds of eight at a time.

A product is subtracted with one rounding, in eight numbers or in one, so that kernels that lay out the same operations
differently give the same bits.
"""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array

__all__ = [
    "load",
    "minus_product",
    "minus_scalars",
    "minus_scaled",
    "plus",
    "plus_scaled",
    "reciprocal_root",
    "scaled",
    "store",
    "times",
    "zero",
]

DOUBLE = ir.DoubleType()
VECTOR = ir.VectorType(DOUBLE, 8)


class EightDoublesType(types.Type):
    """Eight float64 side by side."""

    def __init__(self):
        super().__init__(name="EightDoubles")


EIGHT = EightDoublesType()


@register_model(EightDoublesType)
class EightDoublesModel(models.PrimitiveModel):
    """A register of the processor, or some of them."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, VECTOR)


def _pointer(context, builder, signature, args):
    start = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.bitcast(builder.gep(start, [args[1]]), VECTOR.as_pointer())


def _spread(builder, number):
    single = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
    return builder.shuffle_vector(single, ir.Constant(VECTOR, ir.Undefined), mask)


def _fused(builder, kind, name, a, b, c):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [b, c, a])


@intrinsic
def load(typingctx, array, place):
    """Eight numbers of a contiguous array (n,) from a place on."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args), align=8)

    return EIGHT(array, types.intp), codegen


@intrinsic
def store(typingctx, array, place, value):
    """Write eight numbers into a contiguous array (n,) from a place on."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, EIGHT), codegen


@intrinsic
def zero(typingctx):
    """Eight zeros."""
    return EIGHT(), lambda context, builder, signature, args: ir.Constant(VECTOR, [0.0] * 8)


@intrinsic
def plus(typingctx, a, b):
    """The sum a + b."""
    return EIGHT(EIGHT, EIGHT), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def times(typingctx, a, b):
    """The products a b."""
    return EIGHT(EIGHT, EIGHT), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def scaled(typingctx, a, b):
    """The products a b with one number b."""

    def codegen(context, builder, signature, args):
        return builder.fmul(args[0], _spread(builder, args[1]))

    return EIGHT(EIGHT, types.float64), codegen


@intrinsic
def reciprocal_root(typingctx, a):
    """1 / sqrt(a), each of the two operations rounded."""

    def codegen(context, builder, signature, args):
        name = "llvm.sqrt.v8f64"
        root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR]), name)
        return builder.fdiv(ir.Constant(VECTOR, [1.0] * 8), builder.call(root, args))

    return EIGHT(EIGHT), codegen


@intrinsic
def minus_product(typingctx, a, b, c):
    """The difference a - b c."""

    def codegen(context, builder, signature, args):
        return _fused(builder, VECTOR, "llvm.fma.v8f64", args[0], builder.fneg(args[1]), args[2])

    return EIGHT(EIGHT, EIGHT, EIGHT), codegen


@intrinsic
def minus_scaled(typingctx, a, b, c):
    """The difference a - b c with one number c."""

    def codegen(context, builder, signature, args):
        return _fused(builder, VECTOR, "llvm.fma.v8f64", args[0], builder.fneg(args[1]), _spread(builder, args[2]))

    return EIGHT(EIGHT, EIGHT, types.float64), codegen


@intrinsic
def plus_scaled(typingctx, a, b, c):
    """The sum a + b c with one number c."""

    def codegen(context, builder, signature, args):
        return _fused(builder, VECTOR, "llvm.fma.v8f64", args[0], args[1], _spread(builder, args[2]))

    return EIGHT(EIGHT, EIGHT, types.float64), codegen


@intrinsic
def minus_scalars(typingctx, a, b, c):
    """The difference a - b c of single numbers."""

    def codegen(context, builder, signature, args):
        return _fused(builder, DOUBLE, "llvm.fma.f64", args[0], builder.fneg(args[1]), args[2])

    return types.float64(types.float64, types.float64, types.float64), codegen
