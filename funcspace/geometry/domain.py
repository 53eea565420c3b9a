"""What every domain offers: points with measure, named boundary parts, and a fingerprint of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.geometry.number_tensor import number_tensor

__all__ = ["Domain", "as_points", "content_fingerprint"]


@runtime_checkable
class Domain(Protocol):
    """Where functions live. Immutable; two domains with the same content have the same fingerprint and are equal."""

    @property
    def dim(self) -> int:
        """Number of coordinates of a point."""
        ...

    @property
    def points(self) -> Float[Tensor, "n d"]:
        """Coordinates of the domain's own points (float64)."""
        ...

    @property
    def measure(self) -> Float[Tensor, " n"]:
        """Quadrature weight of each point: a weighted sum over the points is an integral over the domain."""
        ...

    @property
    def boundary(self) -> Mapping[str, Int[Tensor, " k"]]:
        """Named boundary parts: indices of facets on a mesh, of points on any other domain."""
        ...

    @property
    def bounds(self) -> Float[Tensor, "2 d"]:
        """Lower and upper corner of the axis-aligned box around the domain."""
        ...

    @property
    def axis_names(self) -> tuple[str, ...]:
        """One name per coordinate."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each coordinate that has one."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the content: 16 hexadecimal digits."""
        ...


def content_fingerprint(parts: Iterable[Any]) -> str:
    """Hash arrays and plain values, each with its type and shape, to 16 hexadecimal digits.

    >>> content_fingerprint(["grid", np.arange(3.0)]) == content_fingerprint(["grid", np.arange(3.0)])
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            array = np.ascontiguousarray(part)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\x00")
    return digest.hexdigest()[:16]


def as_points(points: Any, dim: int, *, name: str = "points") -> Float[Tensor, "n d"]:
    """Coordinates as a float64 tensor of shape (n, dim); a single point (dim,) becomes (1, dim).

    In one dimension a vector of n numbers is n points.

    Raises
    ------
    InputError
        When the shape does not fit, or a coordinate is no number, masked, NaN or infinite.
    """
    array = number_tensor(points, name).detach()
    if array.is_complex():
        raise InputError(f"{name} must be real, got {array.dtype}")
    array = array.to(device="cpu", dtype=torch.float64)
    if dim == 1 and array.ndim <= 1:
        array = array.reshape(-1, 1)
    elif array.ndim == 1 and array.shape[0] == dim:
        array = array.reshape(1, dim)
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(f"{name} must have shape (n, {dim}), one row per point; got {tuple(array.shape)}")
    finite = torch.isfinite(array).all(dim=1)
    if not bool(finite.all()):
        first = int(torch.nonzero(~finite)[0])
        raise InputError(f"{name} must be finite; point {first} is {array[first].tolist()}")
    return array
