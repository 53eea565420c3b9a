"""Sparse linear solves as a torch operation, differentiable through the adjoint system."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import InputError, SolverError
from funcspace.solvers.problem_arguments import checked_workers
from funcspace.solvers.threads import over_threads

__all__ = ["sparse_solve"]

FloatArray = NDArray[np.float64]
# Solves for right-hand sides (samples, n); the flag asks for the transposed systems.
Solver = Callable[[FloatArray, bool], FloatArray]


def sparse_solve(
    entries: Float[Tensor, "*matrices nonzeros"],
    right: Float[Tensor, "*loads n"],
    rows: Int[Tensor, " nonzeros"],
    columns: Int[Tensor, " nonzeros"],
    *,
    workers: int | None = None,
) -> Float[Tensor, "*batch n"]:
    r"""Solutions of sparse systems, differentiable in the entries and the right-hand sides.

    A x = b;  with A^T y = dL/dx:  dL/db = y,  dL/dA_ij = -y_i x_j on the sparsity pattern

    The factors of the forward solve serve backward too; they belong to the one call, so any number of calls may come
    before `backward`, and derivatives of any order exist. Computed in float64 on the CPU.

    Parameters
    ----------
    entries : values of the matrices at (rows, columns); entries at one place add up.
    right : right-hand sides. The batch shapes of `entries` and `right` broadcast; a matrix without a batch is
        factorised once.
    rows, columns : where the entries stand.
    workers : number of threads over the batch; all cores by default.

    Raises
    ------
    InputError : shapes that do not fit, an index out of range, values that are not finite.
    SolverError : a singular matrix.

    Examples
    --------
    >>> import torch
    >>> entries = torch.tensor([2.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    >>> x = sparse_solve(entries, torch.tensor([4.0, 3.0]).double(), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    >>> x.tolist()
    [1.5, 1.0]
    >>> torch.autograd.grad(x[0], entries)[0].tolist()
    [-0.75, -0.5, 0.16666666666666666]
    """
    for name, values in {"entries": entries, "right": right, "rows": rows, "columns": columns}.items():
        if not isinstance(values, Tensor) or not values.ndim:
            raise InputError(f"{name} must be a tensor of one axis or more; got {values!r}")
    workers = checked_workers(workers)
    n = right.shape[-1]
    if rows.shape != columns.shape or rows.ndim != 1 or entries.shape[-1:] != rows.shape:
        raise InputError(
            f"rows, columns and the last axis of entries must have one length; got {tuple(rows.shape)}, "
            f"{tuple(columns.shape)}, {tuple(entries.shape)}"
        )
    for name, index in (("rows", rows), ("columns", columns)):
        if len(index) and (int(index.min()) < 0 or int(index.max()) >= n):
            raise InputError(f"{name} must lie in 0 .. {n - 1} for right-hand sides of length {n}")
    for name, values in (("entries", entries), ("right", right)):
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"{name} must be finite")
    batch = torch.broadcast_shapes(entries.shape[:-1], right.shape[:-1])
    values, loads = entries.to("cpu", torch.float64), right.to("cpu", torch.float64).expand(*batch, n).reshape(-1, n)
    single = math.prod(values.shape[:-1]) == 1
    values = values.reshape(1, -1) if single else values.expand(*batch, len(rows)).reshape(-1, len(rows))
    places = (rows.to("cpu", torch.int64), columns.to("cpu", torch.int64))
    solver = _factorised(values, *places, n, workers)
    found = _Solve.apply(values.expand(len(loads), -1), loads, *places, solver, False)
    return found.reshape(*batch, n).to(right.device)


def _factorised(entries: Tensor, rows: Tensor, columns: Tensor, n: int, workers: int | None) -> Solver:
    """Factors of the matrices of entries (samples or 1, nonzeros)."""
    import scipy.sparse as sp
    from scipy.sparse.linalg import splu

    values, i, j = entries.detach().numpy(), rows.numpy(), columns.numpy()
    factors: list[Any] = [None] * len(values)

    def factor(start: int, stop: int) -> None:
        for sample in range(start, stop):
            matrix = sp.csc_matrix((values[sample], (i, j)), shape=(n, n))
            try:
                factors[sample] = splu(matrix)
            except RuntimeError as error:
                raise SolverError(f"the matrix of sample {sample} is singular") from error

    over_threads(factor, len(values), workers)

    def solve(right: FloatArray, transposed: bool) -> FloatArray:
        kind = "T" if transposed else "N"
        if len(factors) == 1:
            return np.ascontiguousarray(factors[0].solve(np.ascontiguousarray(right.T), kind).T)
        found = np.empty_like(right)

        def work(start: int, stop: int) -> None:
            for sample in range(start, stop):
                found[sample] = factors[sample].solve(right[sample], kind)

        over_threads(work, len(right), workers)
        return found

    return solve


class _Solve(torch.autograd.Function):
    """The solution of A x = b, or of the transposed system; its backward is a solve of the other kind."""

    @staticmethod
    def forward(
        ctx: Any, entries: Tensor, right: Tensor, rows: Tensor, columns: Tensor, solver: Solver, transposed: bool
    ) -> Tensor:
        found = torch.from_numpy(solver(np.ascontiguousarray(right.detach().numpy()), transposed))
        ctx.save_for_backward(entries, rows, columns, found)
        ctx.solver, ctx.transposed = solver, transposed
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None, None, None]:
        entries, rows, columns, found = ctx.saved_tensors
        adjoint = _Solve.apply(entries, gradients[0], rows, columns, ctx.solver, not ctx.transposed)
        of_entries = None
        if ctx.needs_input_grad[0]:
            left, across = (columns, rows) if ctx.transposed else (rows, columns)
            of_entries = -adjoint[:, left] * found[:, across]
        return of_entries, adjoint, None, None, None, None
