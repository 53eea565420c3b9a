"""Normalisers: coefficients brought to mean zero and size one, and back."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace

__all__ = ["Normaliser"]

KINDS = ("identity", "standard", "scale", "pointwise")
# Deviations below this share of the size of the data are rounding: the data count as constant.
CONSTANT = 1e-10
CHUNK_BYTES = 1 << 26
LISTED_NUMBERS = 64


@dataclass(frozen=True, eq=False)
class Normaliser:
    r"""The affine map :math:`\hat c = (c - shift)/scale` of coefficients, and its inverse.

    ===========  ===========================================================================================
    "identity"   coefficients as they are
    "standard"   mean and standard deviation of each component over samples and domain, one number each:
                 :math:`shift = |\Omega|^{-1} E \int u`, :math:`scale^2 = |\Omega|^{-1} E \int |u - shift|^2`
    "scale"      the root mean square of each component; zero stays zero
    "pointwise"  mean and standard deviation over the samples, one number per coefficient
    ===========  ===========================================================================================

    Integrals are those of the function space, so the numbers do not depend on how a mesh is graded. Vector-valued
    elements (RT, N1curl) have no constant among their coefficients that could be subtracted: "standard" only scales
    there. Where data are constant, the scale is 1; where a single coefficient is, "pointwise" takes the overall
    deviation.

    Attributes
    ----------
    kind : name of the kind.
    shift, scale : float64 tensors of the component shape, or of the coefficient shape for "pointwise".

    Examples
    --------
    >>> import torch
    >>> import funcspace as fs
    >>> V = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 3)))
    >>> f = fs.Function(V, torch.tensor([[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]]))
    >>> Normaliser.fit("standard", f).encode(f.coefficients)
    tensor([[-1., -1., -1.],
            [ 1.,  1.,  1.]])
    """

    kind: str
    shift: Shaped[Tensor, " ..."]
    scale: Shaped[Tensor, " ..."]
    _moved: dict[Any, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"a normaliser is one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.shift.shape != self.scale.shape:
            raise InputError(
                f"shift and scale differ in shape: {tuple(self.shift.shape)} and {tuple(self.scale.shape)}"
            )
        if not bool(torch.isfinite(self.shift).all() and torch.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise InputError("shift and scale of a normaliser must be finite, and the scale positive")

    @classmethod
    def fit(cls, kind: str, column: Any, *, chunk: int | None = None) -> Normaliser:
        """Statistics of a Function, or of a LazyFunction or RaggedFunction piece by piece.

        Parameters
        ----------
        column : the functions; all batch axes count as samples.
        chunk : samples read at a time; as many as fill 64 MB when None. At no time is more than that held.

        Raises
        ------
        InputError
            When there are no samples, or one holds NaN or infinity.
        DomainError
            For "pointwise" where the samples live on different domains.
        """
        if kind not in KINDS:
            raise InputError(f"a normaliser is one of {', '.join(KINDS)}; got {kind!r}")
        if kind == "pointwise" and isinstance(column, RaggedFunction):
            raise DomainError('"pointwise" needs one common domain; these functions live on a domain each')
        if kind == "identity":
            return cls(kind, torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
        total = _Moments()
        for space, block in _blocks(column, chunk):
            total = total.merged(_pointwise_moments(block) if kind == "pointwise" else _moments(space, block))
        if total.weight == 0.0:
            raise InputError(f"cannot fit the normaliser {kind!r}: there are no samples")
        return cls(kind, *total.shift_and_scale(kind))

    def encode(self, coefficients: Shaped[Tensor, " ..."]) -> Shaped[Tensor, " ..."]:
        """Normalised coefficients `(*batch, *coefficient shape)`, in the dtype and on the device that came in."""
        shift, scale = self._like(coefficients)
        return (coefficients - shift) / scale

    def decode(self, coefficients: Shaped[Tensor, " ..."]) -> Shaped[Tensor, " ..."]:
        """The inverse of `encode`."""
        shift, scale = self._like(coefficients)
        return coefficients * scale + shift

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = tuple(self.shift.shape)
        if x.ndim < len(shape) or tuple(x.shape[x.ndim - len(shape) :]) != shape:
            raise InputError(
                f"this {self.kind!r} normaliser was fitted to coefficients that end in {shape}, got {tuple(x.shape)}"
            )
        key = (x.device, x.dtype)
        if key not in self._moved:
            with torch.inference_mode(False):
                self._moved[key] = self.shift.to(x.device, x.dtype), self.scale.to(x.device, x.dtype)
        return self._moved[key]

    def to_dict(self) -> dict[str, Any]:
        """The normaliser in terms of JSON, exactly: short tensors as lists of numbers, long ones as base64 bytes."""
        return {"kind": self.kind, "shift": _to_json(self.shift), "scale": _to_json(self.scale)}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Normaliser:
        """The normaliser that `to_dict` described; tensors are taken too.

        Raises
        ------
        InputError
            When an entry is missing, unknown or damaged.
        """
        if set(entries) != {"kind", "shift", "scale"}:
            raise InputError(f"a normaliser is described by kind, shift and scale; got {sorted(entries)}")
        return cls(str(entries["kind"]), _from_json(entries["shift"]), _from_json(entries["scale"]))

    def __repr__(self) -> str:
        if self.shift.numel() > 4 or self.kind == "identity":
            return f"Normaliser({self.kind!r}, shape {tuple(self.shift.shape)})"
        return f"Normaliser({self.kind!r}, shift={self.shift.tolist()}, scale={self.scale.tolist()})"


@dataclass(frozen=True)
class _Moments:
    """Weight, mean and summed squared deviations, merged without loss of digits (Chan, Golub and LeVeque, 1983)."""

    weight: float = 0.0
    mean: Any = 0.0
    squares: Any = 0.0

    def merged(self, other: _Moments) -> _Moments:
        weight = self.weight + other.weight
        if self.weight == 0.0 or other.weight == 0.0:
            return other if self.weight == 0.0 else self
        change = other.mean - self.mean
        return _Moments(
            weight,
            self.mean + change * (other.weight / weight),
            self.squares + other.squares + _square(change) * (self.weight * other.weight / weight),
        )

    def shift_and_scale(self, kind: str) -> tuple[Tensor, Tensor]:
        variance = (self.squares / self.weight).clamp_min(0.0)
        size = (variance + _square(self.mean)).sqrt()
        if kind == "scale":
            return torch.zeros_like(self.mean), torch.where(size > 0, size, torch.ones_like(size))
        deviation = variance.sqrt()
        real = deviation > CONSTANT * size
        if kind == "pointwise":
            overall = variance.mean().sqrt()
            instead = overall if float(overall) > CONSTANT * float(size.max()) else torch.ones_like(overall)
            real = real & (deviation > CONSTANT * overall)
        else:
            instead = torch.ones_like(deviation)
        return self.mean, torch.where(real, deviation, instead)


def _blocks(column: Any, chunk: int | None) -> Iterator[tuple[FunctionSpace, Tensor]]:
    """Spaces with coefficients `(samples, *coefficient shape)` in float64, checked, a chunk at a time."""
    if isinstance(column, RaggedFunction):
        for i, function in enumerate(column):
            yield function.space, _checked(function.coefficients[None], i)
        return
    if not isinstance(column, Function | LazyFunction):
        raise InputError(
            f"a normaliser is fitted to a Function, LazyFunction or RaggedFunction, not {type(column).__name__}"
        )
    shape = column.space.coefficient_shape
    step = chunk or max(1, CHUNK_BYTES // (8 * max(1, math.prod(shape))))
    source = column.coefficients.reshape(-1, *shape) if isinstance(column, Function) else column
    for start in range(0, len(source), step):
        part = source[start : start + step]
        yield column.space, _checked(part if isinstance(part, Tensor) else part.coefficients, start)


def _checked(block: Tensor, first: int) -> Tensor:
    finite = torch.isfinite(block).reshape(len(block), -1).all(dim=1)
    if not bool(finite.all()):
        bad = first + int(torch.nonzero(~finite)[0])
        raise InputError(f"cannot fit a normaliser: sample {bad} holds NaN or infinity")
    block = block.detach().cpu()
    return block.to(torch.complex128 if block.is_complex() else torch.float64)


def _moments(space: FunctionSpace, block: Tensor) -> _Moments:
    """Moments of the functions of a block over samples and domain, per component."""
    samples = len(block)
    flat = (samples, space.n_dofs, *space.component_shape)
    if not space.basis.nodal:
        squares = (block.conj() * space.mass(block)).real.reshape(flat).sum(dim=(0, 1))
        size = float(space.domain.measure.sum())
        return _Moments(samples * size, torch.zeros_like(squares), squares)
    weights = space.integrals.reshape(-1)
    weight = samples * float(weights.sum())
    mean = torch.tensordot(weights.to(block), block.reshape(flat).sum(dim=0), dims=1) / weight
    deviation = block - mean
    squares = (deviation.conj() * space.mass(deviation)).real.reshape(flat).sum(dim=(0, 1))
    return _Moments(weight, mean, squares)


def _pointwise_moments(block: Tensor) -> _Moments:
    mean = block.mean(dim=0)
    return _Moments(float(len(block)), mean, _square(block - mean).sum(dim=0))


def _square(values: Tensor) -> Tensor:
    return values.abs().square()


def _to_json(values: Tensor) -> Any:
    array = np.array(values.detach().cpu().numpy(), order="C")
    if array.size <= LISTED_NUMBERS and array.dtype == np.float64:
        return array.tolist()
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode(),
    }


def _from_json(entry: Any) -> Tensor:
    try:
        if isinstance(entry, Tensor):
            return entry.detach().clone()
        if isinstance(entry, Mapping):
            kind = np.dtype({"float64": "<f8", "complex128": "<c16"}[entry["dtype"]])
            array = np.frombuffer(base64.b64decode(entry["base64"], validate=True), dtype=kind)
            return torch.from_numpy(array.reshape(entry["shape"]).astype(kind.newbyteorder("=")))
        return torch.tensor(entry, dtype=torch.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the description of a normaliser is damaged: {error}") from error
