"""Linear maps held as sparse matrices, as Kronecker factors, or as a factorised matrix to solve with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from funcspace.errors import InputError, SolverError
from funcspace.functions.linear_map import LinearMap

__all__ = ["KroneckerMap", "SolveMap", "SparseMap"]

DENSE_FACTOR_ENTRIES = 1 << 20


class SparseMap(LinearMap):
    """A map given by a sparse matrix on flattened coefficients; the transposed matrix is kept for the adjoint.

    Parameters
    ----------
    matrix : any SciPy sparse matrix of shape (rows, columns).
    domain_shape, codomain_shape : how the flat vectors unfold; flat by default.
    """

    def __init__(
        self, matrix: Any, domain_shape: Sequence[int] | None = None, codomain_shape: Sequence[int] | None = None
    ) -> None:
        csr = sp.csr_matrix(matrix)
        csr.sum_duplicates()
        rows, columns = csr.shape
        domain_shape = (columns,) if domain_shape is None else tuple(domain_shape)
        codomain_shape = (rows,) if codomain_shape is None else tuple(codomain_shape)
        if math.prod(domain_shape) != columns or math.prod(codomain_shape) != rows:
            raise InputError(
                f"a matrix of shape {csr.shape} cannot map {domain_shape} to {codomain_shape}: sizes differ"
            )
        super().__init__(domain_shape, codomain_shape)
        self._csr = csr
        self._tensors: dict[tuple[bool, torch.device, torch.dtype], Tensor] = {}

    def _matrix(self) -> sp.csr_matrix:
        return self._csr

    def _tensor(self, transpose: bool, like: Tensor) -> Tensor:
        key = (transpose, like.device, like.dtype)
        if key not in self._tensors:
            csr = sp.csr_matrix(self._csr.T) if transpose else self._csr
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
                self._tensors[key] = torch.sparse_csr_tensor(
                    torch.from_numpy(csr.indptr.astype(np.int64)),
                    torch.from_numpy(csr.indices.astype(np.int64)),
                    torch.from_numpy(np.ascontiguousarray(csr.data)).to(like.dtype),
                    size=csr.shape,
                    device=like.device,
                )
        return self._tensors[key]

    def apply(self, x: Tensor, transpose: bool) -> Tensor:
        """Multiply flat vectors `(batch, columns)`; not recorded by autograd."""
        return (self._tensor(transpose, x) @ x.T).T

    def forward(self, x: Tensor) -> Tensor:
        y = _Product.apply(x.reshape(x.shape[0], -1), self, False)
        return y.reshape(x.shape[0], *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        x = _Product.apply(y.reshape(y.shape[0], -1), self, True)
        return x.reshape(y.shape[0], *self.domain_shape)


class _Product(torch.autograd.Function):
    """Sparse product whose derivative is the transposed product; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, owner: Any, transpose: bool) -> Tensor:
        ctx.owner, ctx.transpose = owner, transpose
        return owner.apply(x, transpose)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradients[0], ctx.owner, not ctx.transpose), None, None


class KroneckerMap(LinearMap):
    r"""A map with one factor per axis, :math:`A_1 \otimes \dots \otimes A_d`, applied axis by axis.

    Parameters
    ----------
    factors : one matrix of shape (rows_i, columns_i) per axis, sparse or dense; `None` is the identity.
    columns : number of columns per axis.
    domain_shape, codomain_shape : flat by default; the axes in order with the first slowest otherwise.
    """

    def __init__(
        self,
        factors: Sequence[Any],
        columns: Sequence[int],
        domain_shape: Sequence[int] | None = None,
        codomain_shape: Sequence[int] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        rows = []
        parts: list[SparseMap | None] = []
        for factor, count in zip(factors, self.columns, strict=True):
            part = None if factor is None else SparseMap(factor)
            if part is not None and part.domain_shape != (count,):
                raise InputError(f"a Kronecker factor has {part.domain_shape[0]} columns where {count} are expected")
            parts.append(part)
            rows.append(count if part is None else part.codomain_shape[0])
        self.factors, self.rows = tuple(parts), tuple(rows)
        super().__init__(
            (math.prod(self.columns),) if domain_shape is None else domain_shape,
            (math.prod(self.rows),) if codomain_shape is None else codomain_shape,
        )
        self._dense: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def _dense_factor(self, axis: int, like: Tensor) -> Tensor | None:
        part = self.factors[axis]
        assert part is not None
        if math.prod(part.shape) > DENSE_FACTOR_ENTRIES:
            return None
        key = (axis, like.device, like.dtype)
        if key not in self._dense:
            self._dense[key] = part.dense(like.dtype).to(like.device)
        return self._dense[key]

    def _along(self, x: Tensor, axis: int, transpose: bool) -> Tensor:
        part = self.factors[axis]
        if part is None:
            return x
        dense = self._dense_factor(axis, x)
        if dense is not None:
            matrix = dense.T if transpose else dense
            if axis == len(self.factors) - 1:
                return x @ matrix.T
            moved = x.movedim(1 + axis, -2)
            return (matrix @ moved).movedim(-2, 1 + axis)
        moved = x.movedim(1 + axis, -1)
        flat = moved.reshape(-1, moved.shape[-1])
        image = part.transposed(flat) if transpose else part.forward(flat)
        return image.reshape(*moved.shape[:-1], -1).movedim(-1, 1 + axis)

    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(x.shape[0], *self.columns)
        for axis in range(len(self.factors)):
            y = self._along(y, axis, transpose=False)
        return y.reshape(x.shape[0], *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        x = y.reshape(y.shape[0], *self.rows)
        for axis in range(len(self.factors)):
            x = self._along(x, axis, transpose=True)
        return x.reshape(y.shape[0], *self.domain_shape)

    def _matrix(self) -> sp.csr_matrix:
        total: Any = sp.identity(1, format="csr")
        for part, count in zip(self.factors, self.columns, strict=True):
            total = sp.kron(total, sp.identity(count) if part is None else part.matrix, format="csr")
        return sp.csr_matrix(total)


class SolveMap(LinearMap):
    r"""The inverse of a regular sparse matrix, :math:`b \mapsto A^{-1} b`, by a factorisation kept in memory.

    Runs in float64 on the CPU and returns the device and dtype that came in.
    """

    def __init__(self, matrix: Any, shape: Sequence[int] | None = None) -> None:
        from scipy.sparse.linalg import splu

        self._csc = sp.csc_matrix(matrix, dtype=np.float64)
        count = self._csc.shape[0]
        super().__init__((count,) if shape is None else shape, (count,) if shape is None else shape)
        try:
            self._factors = splu(self._csc)
        except RuntimeError as error:
            raise SolverError(f"the matrix of shape {self._csc.shape} is singular: {error}") from error

    def apply(self, x: Tensor, transpose: bool) -> Tensor:
        """Solve for flat right-hand sides `(batch, n)`; not recorded by autograd."""
        rhs = x.detach().to(device="cpu", dtype=torch.float64).numpy()
        solution = self._factors.solve(np.ascontiguousarray(rhs.T), trans="T" if transpose else "N")
        return torch.from_numpy(np.ascontiguousarray(solution.T)).to(device=x.device, dtype=x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return _Product.apply(x.reshape(x.shape[0], -1), self, False).reshape(x.shape)

    def transposed(self, y: Tensor) -> Tensor:
        return _Product.apply(y.reshape(y.shape[0], -1), self, True).reshape(y.shape)

    def _matrix(self) -> sp.csr_matrix:
        return sp.csr_matrix(self._factors.solve(np.eye(self._csc.shape[0])))


class FunctionMap(LinearMap):
    """A map given by two functions, itself and its adjoint, on tensors with one batch axis."""

    def __init__(
        self,
        domain_shape: Sequence[int],
        codomain_shape: Sequence[int],
        forward: Callable[[Tensor], Tensor],
        transposed: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(domain_shape, codomain_shape)
        self._forward, self._transposed = forward, transposed

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(x)

    def transposed(self, y: Tensor) -> Tensor:
        return self._transposed(y)

    def _matrix(self) -> sp.csr_matrix:
        columns = math.prod(self.domain_shape)
        basis = torch.eye(columns, dtype=torch.float64).reshape(columns, *self.domain_shape)
        return sp.csr_matrix(self._forward(basis).reshape(columns, -1).T.numpy())
