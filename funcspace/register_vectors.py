"""Registers of the processor as values inside compiled kernels: eight float64 or sixteen float32 at a time.

Loads, stores and fused multiply-adds say themselves what becomes of the registers, where a compiler that turns loops
into vector instructions would have to guess. An operation takes the kind of its arguments; that of `load` and `spread`
follows from the numbers. A product is added or subtracted with one rounding, in a register or alone, so that kernels
that lay out the same operations differently give the same bits.
"""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array

__all__ = [
    "fused",
    "keep_known",
    "keep_where",
    "load",
    "minus",
    "minus_product",
    "minus_scalars",
    "minus_scaled",
    "plus",
    "positive_part",
    "reciprocal_root",
    "scaled",
    "spread",
    "store",
    "times",
]

BITS = 512
LLVM = {types.float64: (ir.DoubleType(), "f64"), types.float32: (ir.FloatType(), "f32")}


class RegisterType(types.Type):
    """So many numbers of one kind side by side."""

    def __init__(self, number):
        self.number = number
        super().__init__(name=f"Register({number})")

    @property
    def lanes(self):
        """How many numbers."""
        return BITS // self.number.bitwidth

    @property
    def llvm(self):
        """The type in the compiler's language."""
        return ir.VectorType(LLVM[self.number][0], self.lanes)

    @property
    def suffix(self):
        """The end of the names of the compiler's functions."""
        return f"v{self.lanes}{LLVM[self.number][1]}"

    def of(self, value):
        """A register that holds one number in all places."""
        return ir.Constant(self.llvm, [value] * self.lanes)


@register_model(RegisterType)
class RegisterModel(models.PrimitiveModel):
    """A register of the processor, or some of them."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.llvm)


KINDS = {number: RegisterType(number) for number in LLVM}


def _kind(number):
    if number not in KINDS:
        raise TypingError(f"registers hold float64 or float32, not {number}")
    return KINDS[number]


def _pointer(context, builder, signature, args, kind):
    start = make_array(signature.args[0])(context, builder, args[0]).data
    return builder.bitcast(builder.gep(start, [args[1]]), kind.llvm.as_pointer())


def _call(builder, name, llvm, args):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(llvm, [llvm] * len(args)), name)
    return builder.call(function, args)


def _spread(builder, kind, number):
    undefined = ir.Constant(kind.llvm, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(single, undefined, mask)


@intrinsic
def load(typingctx, array, place):
    """The numbers of a contiguous array (n,) from a place on."""
    kind = _kind(array.dtype)

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args, kind), align=kind.number.bitwidth // 8)

    return kind(array, types.intp), codegen


@intrinsic
def store(typingctx, array, place, value):
    """Write a register into a contiguous array (n,) from a place on."""
    kind = _kind(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args, kind)
        builder.store(args[2], pointer, align=kind.number.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, kind), codegen


@intrinsic
def spread(typingctx, number):
    """One number in all places."""
    kind = _kind(number)

    return kind(number), lambda context, builder, signature, args: _spread(builder, kind, args[0])


@intrinsic
def plus(typingctx, a, b):
    """The sums a + b."""
    return a(a, a), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def minus(typingctx, a, b):
    """The differences a - b."""
    return a(a, a), lambda context, builder, signature, args: builder.fsub(*args)


@intrinsic
def times(typingctx, a, b):
    """The products a b."""
    return a(a, a), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def scaled(typingctx, a, b):
    """The products a b with one number b."""

    def codegen(context, builder, signature, args):
        return builder.fmul(args[0], _spread(builder, a, args[1]))

    return a(a, a.number), codegen


@intrinsic
def fused(typingctx, a, b, c):
    """The sums a b + c."""

    def codegen(context, builder, signature, args):
        return _call(builder, f"llvm.fma.{a.suffix}", a.llvm, args)

    return a(a, a, a), codegen


@intrinsic
def minus_product(typingctx, a, b, c):
    """The differences a - b c."""

    def codegen(context, builder, signature, args):
        return _call(builder, f"llvm.fma.{a.suffix}", a.llvm, [builder.fneg(args[1]), args[2], args[0]])

    return a(a, a, a), codegen


@intrinsic
def minus_scaled(typingctx, a, b, c):
    """The differences a - b c with one number c."""

    def codegen(context, builder, signature, args):
        factors = builder.fneg(args[1]), _spread(builder, a, args[2])
        return _call(builder, f"llvm.fma.{a.suffix}", a.llvm, [*factors, args[0]])

    return a(a, a, a.number), codegen


@intrinsic
def minus_scalars(typingctx, a, b, c):
    """The difference a - b c of single float64."""

    def codegen(context, builder, signature, args):
        return _call(builder, "llvm.fma.f64", ir.DoubleType(), [builder.fneg(args[1]), args[2], args[0]])

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def reciprocal_root(typingctx, a):
    """1 / sqrt(a), each of the two operations rounded."""

    def codegen(context, builder, signature, args):
        return builder.fdiv(a.of(1.0), _call(builder, f"llvm.sqrt.{a.suffix}", a.llvm, args))

    return a(a), codegen


@intrinsic
def positive_part(typingctx, a):
    """The numbers a that are positive, zero for others."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], a.of(0.0)), args[0], a.of(0.0))

    return a(a), codegen


@intrinsic
def keep_where(typingctx, condition, a):
    """The numbers a where the condition is positive, zero elsewhere."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", args[0], a.of(0.0)), args[1], a.of(0.0))

    return a(a, a), codegen


@intrinsic
def keep_known(typingctx, condition, a):
    """The numbers a where the condition is not NaN, zero elsewhere."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("==", args[0], args[0]), args[1], a.of(0.0))

    return a(a, a), codegen
