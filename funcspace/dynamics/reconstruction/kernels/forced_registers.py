"""What the scans with sixteen columns in a register share: sums in memory, and how forcing changes a state."""

# The first argument of an intrinsic is the compiler's own.
# pyright: reportCallIssue=false
import numba

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS
from funcspace.register_vectors import fused, keep_known, load, minus, plus, store, times

__all__ = ["add_product_to", "add_to", "pulled", "released"]


@numba.njit(inline="always", **OPTIONS)
def add_to(array, place, a):
    """Add a to the sixteen numbers of an array from a place on."""
    store(array, place, plus(load(array, place), a))


@numba.njit(inline="always", **OPTIONS)
def add_product_to(array, place, a, b):
    """Add a b to the sixteen numbers of an array from a place on."""
    store(array, place, fused(a, b, load(array, place)))


@numba.njit(inline="always", **OPTIONS)
def pulled(z, g, targets, place):
    """The states z pulled to z + g (target - z) where the target is known."""
    d = load(targets, place)
    return fused(g, keep_known(d, minus(d, z)), z)


@numba.njit(inline="always", **OPTIONS)
def released(y, g, targets, of_targets, place, wanted):
    """The cotangent of z from that of `pulled`; that of the target is stored where it is wanted."""
    pull = keep_known(load(targets, place), times(g, y))
    if wanted:
        store(of_targets, place, pull)
    return minus(y, pull)
