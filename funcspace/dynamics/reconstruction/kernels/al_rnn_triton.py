r"""The scan of `al_rnn_kernels` on a GPU: a program holds the state of a tile of columns of one replica in registers.

Arrays are (replica, unit, time, column), contiguous. Units beyond the last have weights of zero, and columns beyond the
last cotangents of zero, so that what is padded adds nothing to any sum. Gradients of matrices are left as one part for
each tile, (replica, tile, ...), those of vectors as one for each column of a tile, (replica, tile, unit, column).
"""

from typing import no_type_check

# Triton is found on some machines only.
# pyright: reportMissingImports=false
import triton
import triton.language as tl

from funcspace.dynamics.reconstruction.kernels.forcing_triton import pulled, released, relu_of, tile

__all__ = ["backward", "forward"]


@triton.jit
@no_type_check
def _centring(i, units, like):
    """The matrix that takes the mean over units away."""
    square = (i < units)[:, None] & (i < units)[None, :]
    one = tl.full((1, 1), 1.0, like.dtype)
    return tl.where(i[:, None] == i[None, :], one, 0.0) - tl.where(square, one / units, 0.0)


@triton.jit
@no_type_check
def _activations(x, i, first, centring, CENTRED):
    f = x
    if CENTRED:
        f = tl.dot(centring, x, input_precision="ieee", out_dtype=x.dtype)
    return tl.where((i < first)[:, None], f, relu_of(f))


@triton.jit
@no_type_check
def forward(
    A, W, h, start, targets, gain, drive, states, first, units, steps, columns, forced,
    CENTRED: tl.constexpr, FORCED: tl.constexpr, DRIVEN: tl.constexpr, UNITS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """States z_1 .. z_T from the start; `first` is the first unit with a ReLU."""
    replica = tl.program_id(0).to(tl.int64)
    i, c, inside, held, at = tile(units, forced, steps, columns, UNITS, COLUMNS)

    a = tl.load(A + replica * units + i, mask=i < units, other=0.0)[:, None]
    b = tl.load(h + replica * units + i, mask=i < units, other=0.0)[:, None]
    square = (i < units)[:, None] & (i < units)[None, :]
    w = tl.load(W + replica * units * units + i[:, None] * units + i[None, :], mask=square, other=0.0)
    centring = _centring(i, units, a)
    x = tl.load(start + replica * units * columns + i[:, None] * columns + c[None, :], mask=inside, other=0.0)

    states += replica * units * steps * columns
    targets += replica * forced * steps * columns
    drive += replica * units * steps * columns
    gain += replica * steps
    for t in range(steps):
        z = a * x + b
        if DRIVEN:
            z += tl.load(drive + at, mask=inside, other=0.0)
        z = tl.dot(w, _activations(x, i, first, centring, CENTRED), z, input_precision="ieee", out_dtype=z.dtype)
        tl.store(states + at, z, mask=inside)
        x = z
        if FORCED:
            x = pulled(z, tl.load(targets + at, mask=held, other=float("nan")), tl.load(gain + t))
        states += columns
        targets += columns
        drive += columns


@triton.jit
@no_type_check
def backward(
    A, W, h, start, targets, gain, states, of_states, of_start, of_targets, of_drive, of_A, of_W, of_h,
    first, units, steps, columns, forced,
    CENTRED: tl.constexpr, FORCED: tl.constexpr, DRIVEN: tl.constexpr, WANTED: tl.constexpr,
    UNITS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Cotangents of the start, the targets and the drive, and this tile's part of those of the weights."""
    replica = tl.program_id(0).to(tl.int64)
    part = replica * tl.num_programs(1) + tl.program_id(1)
    i, c, inside, held, at = tile(units, forced, steps, columns, UNITS, COLUMNS)

    a = tl.load(A + replica * units + i, mask=i < units, other=0.0)[:, None]
    square = (i < units)[:, None] & (i < units)[None, :]
    transposed = tl.load(W + replica * units * units + i[None, :] * units + i[:, None], mask=square, other=0.0)
    centring = _centring(i, units, a)
    start += replica * units * columns + i[:, None] * columns + c[None, :]
    y = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_A = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_h = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_W = tl.full((UNITS, UNITS), 0.0, a.dtype)

    last = (replica * units * steps + steps - 1) * columns
    states += last
    of_states += last
    of_drive += last
    targets += (replica * forced * steps + steps - 1) * columns
    of_targets += (replica * forced * steps + steps - 1) * columns
    gain += replica * steps
    g = tl.load(gain + steps - 1)
    wanted = tl.load(targets + at, mask=held, other=float("nan"))
    for t in range(steps - 1, -1, -1):
        if FORCED:
            if WANTED:
                tl.store(of_targets + at, tl.where(wanted == wanted, g * y, 0.0), mask=held)
            y = released(y, wanted, g)
        d = y + tl.load(of_states + at, mask=inside, other=0.0)
        if DRIVEN:
            tl.store(of_drive + at, d, mask=inside)
        states -= columns
        targets -= columns
        x = tl.load(states + at, mask=inside & (t > 0), other=0.0)
        if FORCED:
            g = tl.load(gain + t - 1, mask=t > 0, other=0.0)
            wanted = tl.load(targets + at, mask=held & (t > 0), other=float("nan"))
            x = pulled(x, wanted, g)
        x += tl.load(start, mask=inside & (t == 0), other=0.0)

        f = _activations(x, i, first, centring, CENTRED)
        sum_h += d
        sum_A += d * x
        sum_W = tl.dot(d, tl.trans(f), sum_W, input_precision="ieee", out_dtype=a.dtype)
        through = tl.dot(transposed, d, input_precision="ieee", out_dtype=a.dtype)
        through = tl.where((i < first)[:, None] | (f > 0), through, 0.0)
        if CENTRED:
            through = tl.dot(centring, through, input_precision="ieee", out_dtype=a.dtype)
        y = a * d + through
        of_states -= columns
        of_drive -= columns
        of_targets -= columns

    tl.store(of_start + replica * units * columns + i[:, None] * columns + c[None, :], y, mask=inside)
    at = i[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    tl.store(of_A + part * units * COLUMNS + at, sum_A, mask=(i < units)[:, None])
    tl.store(of_h + part * units * COLUMNS + at, sum_h, mask=(i < units)[:, None])
    tl.store(of_W + part * units * units + i[:, None] * units + i[None, :], sum_W, mask=square)
