"""Linear maps made of other linear maps: compositions, sums, stacks, adjoints, one map for each component."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.maps.abstract_map import LinearMap, listed

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


class AdjointMap(LinearMap):
    """The adjoint of another map."""

    def __init__(self, of: LinearMap) -> None:
        super().__init__(of.codomain_shape, of.domain_shape)
        self.of = of

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        return self.of.transposed(x)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return self.of.forward(y)

    def adjoint(self) -> LinearMap:
        """The map itself."""
        return self.of

    def inverse(self) -> LinearMap:
        """The inverse map."""
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
        """Image of `x`."""
        return x

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return y

    def inverse(self) -> LinearMap:
        """The inverse map."""
        return self

    def _matrix(self) -> sp.csr_matrix:
        return sp.csr_matrix(sp.identity(self.shape[0], format="csr"))


class ReshapedMap(LinearMap):
    """A map whose coefficients unfold into other axes on either side; the numbers stay in their order."""

    def __init__(self, inner: LinearMap, domain_shape: Sequence[int], codomain_shape: Sequence[int]) -> None:
        super().__init__(domain_shape, codomain_shape)
        if self.shape != inner.shape:
            raise InputError(
                f"{inner!r} cannot be reshaped to {listed(self.domain_shape)} -> {listed(self.codomain_shape)}"
            )
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Image of `x`."""
        return self.inner.forward(x.reshape(len(x), *self.inner.domain_shape)).reshape(len(x), *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return self.inner.transposed(y.reshape(len(y), *self.inner.codomain_shape)).reshape(len(y), *self.domain_shape)

    def inverse(self) -> LinearMap:
        """The inverse map."""
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
        """Image of `x`."""
        return self.outer.forward(self.inner.forward(x))

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return self.inner.transposed(self.outer.transposed(y))

    def inverse(self) -> LinearMap:
        """The inverse map."""
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
        """Image of `x`."""
        return _combine([(c, term.forward(x)) for c, term in self.terms])

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        return _combine([(c, term.transposed(y)) for c, term in self.terms])

    def inverse(self) -> LinearMap:
        """The inverse map."""
        (factor, term), *others = self.terms
        if others:
            return super().inverse()
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
        """Image of `x`."""
        return torch.stack([part.forward(x) for part in self.parts], dim=-1)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
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
        """Image of `x`."""
        batch, count = x.shape[0], math.prod(self.value_shape)
        dofs = self.scalar.domain_shape
        components = x.reshape(batch, *dofs, count).movedim(-1, 1).reshape(batch * count, *dofs)
        y = self.scalar.forward(components).reshape(batch, count, *self._points, *self._rest)
        return y.movedim(1, 1 + len(self._points)).reshape(batch, *self.codomain_shape)

    def transposed(self, y: Tensor) -> Tensor:
        """Image of `y` under the adjoint."""
        batch, count = y.shape[0], math.prod(self.value_shape)
        spread = y.reshape(batch, *self._points, count, *self._rest).movedim(1 + len(self._points), 1)
        x = self.scalar.transposed(spread.reshape(batch * count, *self._points, *self._rest))
        x = x.reshape(batch, count, *self.scalar.domain_shape)
        return x.movedim(1, -1).reshape(batch, *self.domain_shape)

    def inverse(self) -> LinearMap:
        """The inverse map."""
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


def _combine(terms: Sequence[tuple[float, Tensor]]) -> Tensor:
    total: Tensor | None = None
    for factor, tensor in terms:
        part = tensor if factor == 1.0 else factor * tensor
        total = part if total is None else total + part
    assert total is not None
    return total
