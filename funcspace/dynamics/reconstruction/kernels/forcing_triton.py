"""What the scans in Triton share: a program's tile, how forcing changes a state, its adjoint, and the ReLU."""

from typing import no_type_check

# Triton is found on some machines only.
# pyright: reportMissingImports=false
import triton
import triton.language as tl

__all__ = ["pulled", "released", "relu_of", "tile"]


@triton.jit
@no_type_check
def tile(units, forced, steps, columns, UNITS: tl.constexpr, COLUMNS: tl.constexpr):
    """Units and columns of a program; which there are, which are forced; places in (unit, time, column)."""
    i = tl.arange(0, UNITS)
    c = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (i < units)[:, None] & (c < columns)[None, :]
    held = (i < forced)[:, None] & (c < columns)[None, :]
    return i, c, inside, held, i[:, None].to(tl.int64) * steps * columns + c[None, :]


@triton.jit
@no_type_check
def pulled(z, wanted, gain):
    """The state z + gain (wanted - z); what is NaN forces nothing."""
    return z + gain * tl.where(wanted == wanted, wanted - z, 0.0)


@triton.jit
@no_type_check
def released(y, wanted, gain):
    """The adjoint of `pulled`: the cotangent of z from that of the forced state."""
    return tl.where(wanted == wanted, y - gain * y, y)


@triton.jit
@no_type_check
def relu_of(x):
    """The positive part of x; NaN stays NaN, so that a state that has left the finite numbers shows it."""
    return tl.where(x < 0, 0.0, x)
