"""Linear maps held as sparse matrices, as factors per axis, or as a factorised matrix to solve with."""

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
from funcspace.functions.maps.linear_map import LinearMap, ReshapedMap

__all__ = ["FunctionMap", "KroneckerMap", "RowProductMap", "SolveMap", "SparseMap"]

# Below these numbers of entries a factor along an axis is applied as a dense matrix.
DENSE_SPARSE_ENTRIES = 1 << 16
DENSE_OTHER_ENTRIES = 1 << 20
# A row product holds at most this many intermediate numbers at a time, and keeps rows up to this many.
CHUNK_ENTRIES = 1 << 22


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
        if not csr.has_canonical_format:
            csr = csr.copy()  # it may share its arrays with the one that was given
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
        dtype = torch.float32 if like.dtype in (torch.float16, torch.bfloat16) else like.dtype
        key = (transpose, like.device, dtype)
        if key not in self._tensors:
            csr = sp.csr_matrix(self._csr.T) if transpose else self._csr
            small = max(csr.nnz, *csr.shape) < np.iinfo(np.int32).max
            index = np.int32 if small else np.int64
            with torch.inference_mode(False), warnings.catch_warnings():
                # What is used of the beta feature, products with dense matrices, is covered by the tests.
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                self._tensors[key] = torch.sparse_csr_tensor(
                    torch.from_numpy(csr.indptr.astype(index)),
                    torch.from_numpy(csr.indices.astype(index)),
                    torch.from_numpy(np.ascontiguousarray(csr.data)).to(dtype),
                    size=csr.shape,
                    device=like.device,
                    check_invariants=False,
                )
        return self._tensors[key]

    def apply(self, x: Tensor, transpose: bool) -> Tensor:
        """Multiply flat vectors `(batch, columns)`; not recorded by autograd."""
        matrix = self._tensor(transpose, x)
        return (matrix @ x.to(matrix.dtype).T).T.to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        y = _Product.apply(x.reshape(len(x), self.shape[1]), self, False)
        return y.reshape(len(x), *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        x = _Product.apply(y.reshape(len(y), self.shape[0]), self, True)
        return x.reshape(len(y), *self.domain_shape)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tensors": {}}


class _Product(torch.autograd.Function):
    """A linear map of flat vectors whose derivative is its adjoint: differentiable at will, and under vmap."""

    @staticmethod
    def forward(x: Tensor, owner: Any, transpose: bool) -> Tensor:
        return owner.apply(x, transpose)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.owner, ctx.transpose = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradients[0], ctx.owner, not ctx.transpose), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _Product.apply(tangents[0], ctx.owner, ctx.transpose)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        x, owner, transpose = args
        spread = x.movedim(in_dims[0], 0)
        y = _Product.apply(spread.reshape(-1, spread.shape[-1]), owner, transpose)
        return y.reshape(*spread.shape[:2], y.shape[-1]), 0


class KroneckerMap(LinearMap):
    r"""A map with one factor per axis, :math:`A_1 \otimes \dots \otimes A_d`, applied axis by axis.

    Parameters
    ----------
    factors : per axis a matrix of shape (rows_i, columns_i), sparse or dense, or a LinearMap; `None` is the identity.
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
        self.columns = tuple(int(n) for n in columns)
        parts: list[LinearMap | None] = []
        for factor, count in zip(factors, self.columns, strict=True):
            part = _flat(factor)
            if part is not None and part.domain_shape != (count,):
                raise InputError(f"a Kronecker factor has {part.domain_shape[0]} columns where {count} are expected")
            parts.append(part)
        self.factors = tuple(parts)
        self.rows = tuple(n if p is None else p.shape[0] for p, n in zip(parts, self.columns, strict=True))
        super().__init__(
            (math.prod(self.columns),) if domain_shape is None else domain_shape,
            (math.prod(self.rows),) if codomain_shape is None else codomain_shape,
        )
        self._dense: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def _dense_factor(self, axis: int, like: Tensor) -> Tensor | None:
        part = self.factors[axis]
        assert part is not None
        key = (axis, like.device, like.dtype)
        if key not in self._dense:
            if math.prod(part.shape) > (DENSE_SPARSE_ENTRIES if part.is_sparse else DENSE_OTHER_ENTRIES):
                return None
            with torch.inference_mode(False):
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
            return (matrix @ x.movedim(1 + axis, -2)).movedim(-2, 1 + axis)
        moved = x.movedim(1 + axis, -1)
        flat = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
        image = part.transposed(flat) if transpose else part.forward(flat)
        return image.reshape(*moved.shape[:-1], image.shape[-1]).movedim(-1, 1 + axis)

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        y = x.reshape(len(x), *self.columns)
        for axis in range(len(self.factors)):
            y = self._along(y, axis, transpose=False)
        return y.reshape(len(x), *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        x = y.reshape(len(y), *self.rows)
        for axis in range(len(self.factors)):
            x = self._along(x, axis, transpose=True)
        return x.reshape(len(y), *self.domain_shape)

    def inverse(self) -> LinearMap:
        """The Kronecker product of the inverses of the factors."""
        factors = [None if part is None else part.inverse() for part in self.factors]
        return KroneckerMap(factors, self.rows, self.codomain_shape, self.domain_shape)

    def _parts(self) -> Sequence[LinearMap]:
        return [part for part in self.factors if part is not None]

    def _matrix(self) -> sp.csr_matrix:
        total: Any = sp.identity(1, format="csr")
        for part, count in zip(self.factors, self.columns, strict=True):
            total = sp.kron(total, sp.identity(count) if part is None else part.matrix, format="csr")
        return sp.csr_matrix(total)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dense": {}}


def _flat(factor: Any) -> LinearMap | None:
    """A factor as a map between flat vectors."""
    if factor is None:
        return None
    if not isinstance(factor, LinearMap):
        return SparseMap(factor)
    rows, columns = factor.shape
    if (factor.domain_shape, factor.codomain_shape) == ((columns,), (rows,)):
        return factor
    return ReshapedMap(factor, (columns,), (rows,))


class RowProductMap(LinearMap):
    r"""Sums :math:`y_m = \sum_{i_1 \dots i_d} A^1_{m i_1} \cdots A^d_{m i_d} x_{i_1 \dots i_d}` for dense factors.

    The axes are contracted one after another for a chunk of rows at a time, so that the matrix of all rows and all
    columns, and even a factor with many rows, is never held.

    Parameters
    ----------
    factors : per axis a function from a slice of the rows to the dense block of those rows, shape (rows, columns_i).
    columns : number of columns per axis.
    count : number of rows.
    """

    _sparse = False

    def __init__(self, factors: Sequence[Callable[[slice], np.ndarray]], columns: Sequence[int], count: int) -> None:
        self.columns = tuple(int(n) for n in columns)
        super().__init__((math.prod(self.columns),), (count,))
        self._factors = tuple(factors)
        keeps = count * sum(self.columns) <= CHUNK_ENTRIES
        self._kept = [[factor(slice(0, count))] for factor in factors] if keeps else None

    def _block(self, axis: int, rows: slice) -> np.ndarray:
        return self._factors[axis](rows) if self._kept is None else self._kept[axis][0][rows]

    def apply(self, x: Tensor, transpose: bool) -> Tensor:
        """Contract flat vectors; not recorded by autograd."""
        batch, total = len(x), self.codomain_shape[0]
        widest = max([sum(self.columns), batch * max(1, math.prod(self.columns[1:]))])
        step = max(1, CHUNK_ENTRIES // widest)
        result = x.new_zeros(batch, self.shape[1] if transpose else total)
        for start in range(0, total, step):
            rows = slice(start, min(start + step, total))
            blocks = [torch.from_numpy(self._block(i, rows)).to(x) for i in range(len(self.columns))]
            if transpose:
                result += self._gather(x[:, rows], blocks)
            else:
                result[:, rows] = self._contract(x, blocks)
        return result

    def _contract(self, x: Tensor, blocks: list[Tensor]) -> Tensor:
        y = blocks[0] @ x.reshape(len(x), self.columns[0], math.prod(self.columns[1:]))
        for block in blocks[1:]:
            y = (block[..., None] * y.reshape(len(x), *block.shape, y.shape[-1] // block.shape[1])).sum(dim=2)
        return y.reshape(len(x), blocks[0].shape[0])

    def _gather(self, y: Tensor, blocks: list[Tensor]) -> Tensor:
        spread = y[..., None]
        for block in blocks[1:]:
            spread = (spread[..., None] * block[:, None, :]).flatten(start_dim=2)
        return (blocks[0].T @ spread).reshape(len(y), self.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        return _Product.apply(x, self, False)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return _Product.apply(y, self, True)

    def _matrix(self) -> sp.csr_matrix:
        rows = self.codomain_shape[0]
        total = np.ones((rows, 1))
        for i in range(len(self.columns)):
            total = (total[:, :, None] * self._block(i, slice(0, rows))[:, None, :]).reshape(rows, -1)
        return sp.csr_matrix(total)


class SolveMap(LinearMap):
    r"""The inverse of a regular sparse matrix, :math:`b \mapsto A^{-1} b`, by a factorisation kept in memory.

    Runs in float64 on the CPU and returns the device and dtype that came in.
    """

    _sparse = False

    def __init__(self, matrix: Any, shape: Sequence[int] | None = None) -> None:
        from scipy.sparse.linalg import splu

        self._csc = sp.csc_matrix(matrix, dtype=np.float64)
        count = self._csc.shape[0]
        if self._csc.shape != (count, count):
            raise InputError(f"only a square matrix can be solved with, got one of shape {self._csc.shape}")
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
        """Image of `x`."""
        return _Product.apply(x.reshape(len(x), self.shape[1]), self, False).reshape(x.shape)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return _Product.apply(y.reshape(len(y), self.shape[0]), self, True).reshape(y.shape)

    def inverse(self) -> LinearMap:
        """The matrix itself."""
        return SparseMap(self._csc, self.codomain_shape, self.domain_shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return SolveMap, (self._csc, self.domain_shape)

    def _matrix(self) -> sp.csr_matrix:
        return sp.csr_matrix(self._factors.solve(np.eye(self._csc.shape[0])))


class FunctionMap(LinearMap):
    """A map given by two functions, itself and its adjoint, on tensors with one batch axis."""

    _sparse = False

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
        """Image of `x`."""
        return self._forward(x)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return self._transposed(y)

    def _matrix(self) -> sp.csr_matrix:
        columns = math.prod(self.domain_shape)
        basis = torch.eye(columns, dtype=torch.float64).reshape(columns, *self.domain_shape)
        return sp.csr_matrix(self._forward(basis).reshape(columns, self.shape[0]).T.numpy())
