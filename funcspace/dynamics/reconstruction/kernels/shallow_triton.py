r"""The scan of `shallow_kernels` on a GPU: a program holds the state of a tile of columns of one replica in registers.

Arrays are (replica, unit, time, column), contiguous. Units and hidden units beyond the last have weights of zero, and
columns beyond the last cotangents of zero, so that what is padded adds nothing to any sum. Gradients of matrices are
left as one part for each tile, (replica, tile, ...), those of vectors as one for each column of a tile,
(replica, tile, unit, column).
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
def forward(
    A, W1, W2, h1, h2, start, targets, gain, drive, states, units, hidden, steps, columns, forced,
    CLIPPED: tl.constexpr, FORCED: tl.constexpr, DRIVEN: tl.constexpr,
    UNITS: tl.constexpr, HIDDEN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """States z_1 .. z_T from the start."""
    replica = tl.program_id(0).to(tl.int64)
    i, c, inside, held, at = tile(units, forced, steps, columns, UNITS, COLUMNS)
    k = tl.arange(0, HIDDEN)

    a = tl.load(A + replica * units + i, mask=i < units, other=0.0)[:, None]
    b1 = tl.load(h1 + replica * units + i, mask=i < units, other=0.0)[:, None]
    b2 = tl.load(h2 + replica * hidden + k, mask=k < hidden, other=0.0)[:, None]
    wide, high = (i < units)[:, None] & (k < hidden)[None, :], (k < hidden)[:, None] & (i < units)[None, :]
    w1 = tl.load(W1 + replica * units * hidden + i[:, None] * hidden + k[None, :], mask=wide, other=0.0)
    w2 = tl.load(W2 + replica * units * hidden + k[:, None] * units + i[None, :], mask=high, other=0.0)
    x = tl.load(start + replica * units * columns + i[:, None] * columns + c[None, :], mask=inside, other=0.0)

    states += replica * units * steps * columns
    targets += replica * forced * steps * columns
    drive += replica * units * steps * columns
    gain += replica * steps
    for t in range(steps):
        u = tl.dot(w2, x, input_precision="ieee", out_dtype=x.dtype)
        p = relu_of(u + b2)
        if CLIPPED:
            p -= relu_of(u)
        z = a * x + b1
        if DRIVEN:
            z += tl.load(drive + at, mask=inside, other=0.0)
        z = tl.dot(w1, p, z, input_precision="ieee", out_dtype=x.dtype)
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
    A, W1, W2, h1, h2, start, targets, gain, states, of_states,
    of_start, of_targets, of_drive, of_A, of_W1, of_W2, of_h1, of_h2, units, hidden, steps, columns, forced,
    CLIPPED: tl.constexpr, FORCED: tl.constexpr, DRIVEN: tl.constexpr, WANTED: tl.constexpr,
    UNITS: tl.constexpr, HIDDEN: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Cotangents of the start, the targets and the drive, and this tile's part of those of the weights."""
    replica = tl.program_id(0).to(tl.int64)
    part = replica * tl.num_programs(1) + tl.program_id(1)
    i, c, inside, held, at = tile(units, forced, steps, columns, UNITS, COLUMNS)
    k = tl.arange(0, HIDDEN)

    a = tl.load(A + replica * units + i, mask=i < units, other=0.0)[:, None]
    b2 = tl.load(h2 + replica * hidden + k, mask=k < hidden, other=0.0)[:, None]
    wide, high = (i < units)[:, None] & (k < hidden)[None, :], (k < hidden)[:, None] & (i < units)[None, :]
    w2 = tl.load(W2 + replica * units * hidden + k[:, None] * units + i[None, :], mask=high, other=0.0)
    w1_transposed = tl.load(W1 + replica * units * hidden + i[None, :] * hidden + k[:, None], mask=high, other=0.0)
    w2_transposed = tl.load(W2 + replica * units * hidden + k[None, :] * units + i[:, None], mask=wide, other=0.0)
    start += replica * units * columns + i[:, None] * columns + c[None, :]
    y = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_A = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_h1 = tl.full((UNITS, COLUMNS), 0.0, a.dtype)
    sum_h2 = tl.full((HIDDEN, COLUMNS), 0.0, a.dtype)
    sum_W1 = tl.full((UNITS, HIDDEN), 0.0, a.dtype)
    sum_W2 = tl.full((HIDDEN, UNITS), 0.0, a.dtype)

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

        u = tl.dot(w2, x, input_precision="ieee", out_dtype=a.dtype)
        q = tl.dot(w1_transposed, d, input_precision="ieee", out_dtype=a.dtype)
        p = relu_of(u + b2)
        on = tl.where(u + b2 > 0, q, 0.0)
        sum_h2 += on
        if CLIPPED:
            p -= relu_of(u)
            on -= tl.where(u > 0, q, 0.0)
        sum_h1 += d
        sum_A += d * x
        sum_W1 = tl.dot(d, tl.trans(p), sum_W1, input_precision="ieee", out_dtype=a.dtype)
        sum_W2 = tl.dot(on, tl.trans(x), sum_W2, input_precision="ieee", out_dtype=a.dtype)
        y = tl.dot(w2_transposed, on, a * d, input_precision="ieee", out_dtype=a.dtype)
        of_states -= columns
        of_drive -= columns
        of_targets -= columns

    tl.store(of_start + replica * units * columns + i[:, None] * columns + c[None, :], y, mask=inside)
    column = tl.arange(0, COLUMNS)[None, :]
    tl.store(of_A + part * units * COLUMNS + i[:, None] * COLUMNS + column, sum_A, mask=(i < units)[:, None])
    tl.store(of_h1 + part * units * COLUMNS + i[:, None] * COLUMNS + column, sum_h1, mask=(i < units)[:, None])
    tl.store(of_h2 + part * hidden * COLUMNS + k[:, None] * COLUMNS + column, sum_h2, mask=(k < hidden)[:, None])
    tl.store(of_W1 + part * units * hidden + i[:, None] * hidden + k[None, :], sum_W1, mask=wide)
    tl.store(of_W2 + part * units * hidden + k[:, None] * units + i[None, :], sum_W2, mask=high)
