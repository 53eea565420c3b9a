"""What every linear map between coefficient spaces offers: batched, differentiable, on any device, with its adjoint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import scipy.sparse as sp
import torch
from jaxtyping import Shaped
from torch import Tensor

from funcspace.errors import InputError

__all__ = ["LinearMap", "listed"]

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

    _sparse: bool = True

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
                f"{type(self).__name__} expects coefficients of shape (*batch, {listed(self.domain_shape)}), "
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
            from funcspace.functions.maps.linear_map import ComposedMap

            return ComposedMap(self, other)
        return self(other)

    def __add__(self, other: LinearMap) -> LinearMap:
        return _sum([(1.0, self), (1.0, other)])

    def __sub__(self, other: LinearMap) -> LinearMap:
        return _sum([(1.0, self), (-1.0, other)])

    def __rmul__(self, factor: float | int) -> LinearMap:
        return _sum([(float(factor), self)])

    def __mul__(self, factor: float | int) -> LinearMap:
        return _sum([(float(factor), self)])

    def __neg__(self) -> LinearMap:
        return -1.0 * self

    def adjoint(self) -> LinearMap:
        """The map from the codomain back, :math:`E^*`."""
        from funcspace.functions.maps.linear_map import AdjointMap

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
        from funcspace.functions.maps.linear_map import ReshapedMap
        from funcspace.functions.maps.sparse_map import SolveMap

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
        return self._sparse and all(part.is_sparse for part in self._parts())

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
        return f"{type(self).__name__}({listed(self.domain_shape)} -> {listed(self.codomain_shape)})"


def _sum(terms: Sequence[tuple[float, LinearMap]]) -> LinearMap:
    from funcspace.functions.maps.linear_map import SumMap

    return SumMap(terms)


def _autocasting(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def listed(shape: Shape) -> str:
    """The shape as Python writes it."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
