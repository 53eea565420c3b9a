"""What the scans in Triton share: how forcing changes a state, its adjoint, and the ReLU."""

from typing import no_type_check

# Triton is found on some machines only.
# pyright: reportMissingImports=false
import triton
import triton.language as tl

__all__ = ["pulled", "released", "relu_of"]


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
