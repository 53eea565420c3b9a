"""Linear maps between coefficient spaces: batched, differentiable, on any device, each with its adjoint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Shaped
from torch import Tensor

from funcspace.errors import InputError

__all__ = [
    "AdjointMap",
    "ComposedMap",
    "IdentityMap",
    "LinearMap",
    "ReshapedMap",
    "StackedMap",
    "SumMap",
    "ValuewiseMap",
    "valuewise",
]

Shape = tuple[int, ...]


class LinearMap(ABC):
    r"""A linear map :math:`E : \mathbb{R}^{domain} \to \mathbb{R}^{codomain}` with its adjoint.

    `E @ u` takes `(*batch, *domain_shape)` to `(*batch, *codomain_shape)` and is differentiable; the dtype and device
    are those of `u`. The adjoint is the one of the Euclidean inner product of coefficients,
    :math:`\langle E u, w \rangle = \langle u, E^* w \rangle`.

    Attributes
    ----------
    domain_shape, codomain_shape : shapes without the batch axes.
    """

    def __init__(self, domain_shape: Sequence[int], codomain_shape: Sequence[int]) -> None:
        self.domain_shape: Shape = tuple(int(n) for n in domain_shape)
        self.codomain_shape: Shape = tuple(int(n) for n in codomain_shape)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Image of `x` of shape `(batch, *domain_shape)`; called with exactly one batch axis."""

    @abstractmethod
    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` of shape `(batch, *codomain_shape)` under the adjoint."""

    @abstractmethod
    def _matrix(self) -> sp.csr_matrix:
        """The map as a sparse matrix on flattened coefficients."""

    def __call__(self, coefficients: Any) -> Shaped[Tensor, " ..."]:
        """Apply the map to `(*batch, *domain_shape)`, outside of any autocast region: integrals keep their precision.

        Raises
        ------
        InputError
            When the trailing shape is not `domain_shape`.
        """
        x = torch.as_tensor(coefficients)
        rank = len(self.domain_shape)
        batch, shape = tuple(x.shape[: x.ndim - rank]), tuple(x.shape[x.ndim - rank :])
        if x.ndim < rank or shape != self.domain_shape:
            raise InputError(
                f"{type(self).__name__} expects coefficients of shape (*batch, {_listed(self.domain_shape)}), "
                f"got {tuple(x.shape)}"
            )
        if not (x.is_floating_point() or x.is_complex()):
            raise InputError(f"{type(self).__name__} expects floating-point coefficients, got {x.dtype}")
        flat = x.reshape(math.prod(batch), *self.domain_shape)
        with torch.autocast(x.device.type, enabled=False) if _autocasting(x) else nullcontext():
            if x.is_complex():
                y = torch.complex(self.forward(flat.real), self.forward(flat.imag))
            else:
                y = self.forward(flat)
        return y.reshape(*batch, *self.codomain_shape)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, LinearMap):
            return ComposedMap(self, other)
        return self(other)

    def __add__(self, other: LinearMap) -> LinearMap:
        return SumMap([(1.0, self), (1.0, other)])

    def __sub__(self, other: LinearMap) -> LinearMap:
        return SumMap([(1.0, self), (-1.0, other)])

    def __rmul__(self, factor: float | int) -> LinearMap:
        return SumMap([(float(factor), self)])

    def __mul__(self, factor: float | int) -> LinearMap:
        return SumMap([(float(factor), self)])

    def __neg__(self) -> LinearMap:
        return -1.0 * self

    def adjoint(self) -> LinearMap:
        """The map from the codomain back, :math:`E^*`."""
        return AdjointMap(self)

    def inverse(self) -> LinearMap:
        """The inverse of a regular square map.

        Raises
        ------
        InputError
            When the map is not square.
        SolverError
            When it is singular.
        """
        from funcspace.functions.sparse_map import SolveMap

        if self.shape[0] != self.shape[1]:
            raise InputError(f"{self!r} is not square and has no inverse")
        solve = SolveMap(self.matrix)
        return ReshapedMap(solve, self.codomain_shape, self.domain_shape)

    @property
    def T(self) -> LinearMap:
        """Short for `adjoint()`."""
        return self.adjoint()

    @property
    def H(self) -> LinearMap:
        """Short for `adjoint()`; all maps here are real."""
        return self.adjoint()

    def to(self, *_: Any, **__: Any) -> LinearMap:
        """The map itself: it follows the device and dtype of what it is applied to."""
        return self

    @property
    def is_sparse(self) -> bool:
        """Whether the matrix of the map has few entries; not so for inverses and Fourier transforms."""
        return all(part.is_sparse for part in self._parts())

    def _parts(self) -> Sequence[LinearMap]:
        """The maps that this one is made of."""
        return ()

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix on flattened coefficients, (rows, columns)."""
        return math.prod(self.codomain_shape), math.prod(self.domain_shape)

    @property
    def matrix(self) -> sp.csr_matrix:
        """The map as a SciPy CSR matrix on flattened coefficients."""
        return self._matrix()

    def dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """The map as a dense tensor of shape `(rows, columns)`; for small maps and tests."""
        return torch.from_numpy(self.matrix.toarray()).to(dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_listed(self.domain_shape)} -> {_listed(self.codomain_shape)})"


class AdjointMap(LinearMap):
    """The adjoint of another map."""

    def __init__(self, of: LinearMap) -> None:
        super().__init__(of.codomain_shape, of.domain_shape)
        self.of = of

    def forward(self, x: Tensor) -> Tensor:
        return self.of.transposed(x)

    def transposed(self, y: Tensor) -> Tensor:
        return self.of.forward(y)

    def adjoint(self) -> LinearMap:
        return self.of

    def inverse(self) -> LinearMap:
        return self.of.inverse().adjoint()

    def _parts(self) -> Sequence[LinearMap]:
        return (self.of,)

    def _matrix(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.of.matrix.T)


class IdentityMap(LinearMap):
    """The identity on coefficients of one shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape, shape)

    def forward(self, x: Tensor) -> Tensor:
        return x

    def transposed(self, y: Tensor) -> Tensor:
        return y

    def inverse(self) -> LinearMap:
        return self

    def _matrix(self) -> sp.csr_matrix:
        return sp.csr_matrix(sp.identity(self.shape[0], format="csr"))


class ReshapedMap(LinearMap):
    """A map whose coefficients unfold into other axes on either side; the numbers stay in their order."""

    def __init__(self, inner: LinearMap, domain_shape: Sequence[int], codomain_shape: Sequence[int]) -> None:
        super().__init__(domain_shape, codomain_shape)
        if self.shape != inner.shape:
            raise InputError(
                f"{inner!r} cannot be reshaped to {_listed(self.domain_shape)} -> {_listed(self.codomain_shape)}"
            )
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.forward(x.reshape(len(x), *self.inner.domain_shape)).reshape(len(x), *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        return self.inner.transposed(y.reshape(len(y), *self.inner.codomain_shape)).reshape(len(y), *self.domain_shape)

    def inverse(self) -> LinearMap:
        return ReshapedMap(self.inner.inverse(), self.codomain_shape, self.domain_shape)

    def _parts(self) -> Sequence[LinearMap]:
        return (self.inner,)

    def _matrix(self) -> sp.csr_matrix:
        return self.inner.matrix


class ComposedMap(LinearMap):
    r"""One map after another, :math:`(A B) u = A (B u)`."""

    def __init__(self, outer: LinearMap, inner: LinearMap) -> None:
        if outer.domain_shape != inner.codomain_shape:
            raise InputError(
                f"cannot compose: the inner map ends in {inner.codomain_shape}, "
                f"the outer begins in {outer.domain_shape}"
            )
        super().__init__(inner.domain_shape, outer.codomain_shape)
        self.outer, self.inner = outer, inner

    def forward(self, x: Tensor) -> Tensor:
        return self.outer.forward(self.inner.forward(x))

    def transposed(self, y: Tensor) -> Tensor:
        return self.inner.transposed(self.outer.transposed(y))

    def inverse(self) -> LinearMap:
        parts = (self.inner, self.outer)
        if any(part.shape[0] != part.shape[1] for part in parts):
            return super().inverse()
        return ComposedMap(self.inner.inverse(), self.outer.inverse())

    def _parts(self) -> Sequence[LinearMap]:
        return (self.outer, self.inner)

    def _matrix(self) -> sp.csr_matrix:
        rows, between = self.outer.shape
        if self.inner.is_sparse or rows > between:
            return sp.csr_matrix(self.outer.matrix @ self.inner.matrix)
        # the rows of the product are images under the adjoint of the inner map, whose own matrix may be large
        images = self.inner.transposed(self.outer.dense().reshape(rows, *self.inner.codomain_shape))
        return sp.csr_matrix(images.reshape(rows, self.shape[1]).numpy())


class SumMap(LinearMap):
    r"""A linear combination of maps of one shape, :math:`\sum_i c_i A_i`."""

    def __init__(self, terms: Sequence[tuple[float, LinearMap]]) -> None:
        if not terms:
            raise InputError("a sum of maps needs at least one term")
        first = terms[0][1]
        for _, term in terms:
            if (term.domain_shape, term.codomain_shape) != (first.domain_shape, first.codomain_shape):
                raise InputError(f"cannot add {first!r} and {term!r}: their shapes differ")
        super().__init__(first.domain_shape, first.codomain_shape)
        self.terms = tuple(terms)

    def forward(self, x: Tensor) -> Tensor:
        return _combine([(c, term.forward(x)) for c, term in self.terms])

    def transposed(self, y: Tensor) -> Tensor:
        return _combine([(c, term.transposed(y)) for c, term in self.terms])

    def inverse(self) -> LinearMap:
        if len(self.terms) > 1:
            return super().inverse()
        factor, term = self.terms[0]
        return SumMap([(1.0 / factor, term.inverse())])

    def _parts(self) -> Sequence[LinearMap]:
        return [term for _, term in self.terms]

    def _matrix(self) -> sp.csr_matrix:
        total = self.terms[0][0] * self.terms[0][1].matrix
        for factor, term in self.terms[1:]:
            total = total + factor * term.matrix
        return sp.csr_matrix(total)


class StackedMap(LinearMap):
    """Maps of one shape side by side on a new last axis of the codomain: a gradient from its partial derivatives."""

    def __init__(self, parts: Sequence[LinearMap]) -> None:
        if not parts:
            raise InputError("a stack of maps needs at least one part")
        first = parts[0]
        for part in parts:
            if (part.domain_shape, part.codomain_shape) != (first.domain_shape, first.codomain_shape):
                raise InputError(f"cannot stack {first!r} and {part!r}: their shapes differ")
        super().__init__(first.domain_shape, (*first.codomain_shape, len(parts)))
        self.parts = tuple(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part.forward(x) for part in self.parts], dim=-1)

    def transposed(self, y: Tensor) -> Tensor:
        return _combine([(1.0, part.transposed(y[..., i])) for i, part in enumerate(self.parts)])

    def _parts(self) -> Sequence[LinearMap]:
        return self.parts

    def _matrix(self) -> sp.csr_matrix:
        rows = self.parts[0].shape[0]
        stacked = sp.vstack([part.matrix for part in self.parts], format="csr")
        order = np.arange(rows * len(self.parts)).reshape(len(self.parts), rows).T.reshape(-1)
        return sp.csr_matrix(stacked[order])


class ValuewiseMap(LinearMap):
    """One scalar map applied to each component of a value: `(*dofs, *value)` to `(*points, *value, *trailing)`.

    Parameters
    ----------
    scalar : the map on scalar coefficients, from `dofs` to `(*points, *trailing)`.
    value_shape : shape of a value.
    trailing : how many axes at the end of the scalar map's codomain (derivatives) stay behind the value.
    """

    def __init__(self, scalar: LinearMap, value_shape: Sequence[int], *, trailing: int = 0) -> None:
        value = tuple(value_shape)
        split = len(scalar.codomain_shape) - trailing
        points, rest = scalar.codomain_shape[:split], scalar.codomain_shape[split:]
        super().__init__((*scalar.domain_shape, *value), (*points, *value, *rest))
        self.scalar, self.value_shape, self._points, self._rest = scalar, value, points, rest

    def forward(self, x: Tensor) -> Tensor:
        batch, count = x.shape[0], math.prod(self.value_shape)
        dofs = self.scalar.domain_shape
        components = x.reshape(batch, *dofs, count).movedim(-1, 1).reshape(batch * count, *dofs)
        y = self.scalar.forward(components).reshape(batch, count, *self._points, *self._rest)
        return y.movedim(1, 1 + len(self._points)).reshape(batch, *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        batch, count = y.shape[0], math.prod(self.value_shape)
        spread = y.reshape(batch, *self._points, count, *self._rest).movedim(1 + len(self._points), 1)
        x = self.scalar.transposed(spread.reshape(batch * count, *self._points, *self._rest))
        x = x.reshape(batch, count, *self.scalar.domain_shape)
        return x.movedim(1, -1).reshape(batch, *self.domain_shape)

    def inverse(self) -> LinearMap:
        if self._rest:
            return super().inverse()
        return ValuewiseMap(self.scalar.inverse(), self.value_shape)

    def _parts(self) -> Sequence[LinearMap]:
        return (self.scalar,)

    def _matrix(self) -> sp.csr_matrix:
        count = math.prod(self.value_shape)
        matrix = sp.kron(self.scalar.matrix, sp.identity(count), format="csr")
        if not self._rest:
            return sp.csr_matrix(matrix)
        points, rest = math.prod(self._points), math.prod(self._rest)
        order = np.arange(points * rest * count).reshape(points, rest, count).transpose(0, 2, 1).reshape(-1)
        return sp.csr_matrix(matrix[order])


def valuewise(scalar: LinearMap, value_shape: Sequence[int], *, trailing: int = 0) -> LinearMap:
    """The scalar map itself for scalar values, else the map applied to each component."""
    return ValuewiseMap(scalar, value_shape, trailing=trailing) if tuple(value_shape) else scalar


def _autocasting(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _combine(terms: Sequence[tuple[float, Tensor]]) -> Tensor:
    total: Tensor | None = None
    for factor, tensor in terms:
        part = tensor if factor == 1.0 else factor * tensor
        total = part if total is None else total + part
    assert total is not None
    return total


def _listed(shape: Shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
