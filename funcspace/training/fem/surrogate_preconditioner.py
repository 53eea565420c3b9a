"""A surrogate of a boundary-value problem as the coarse part of a preconditioner, between sweeps of a smoother."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.training.surrogate import Surrogate

__all__ = ["SurrogatePreconditioner"]

FloatArray = NDArray[np.float64]


class SurrogatePreconditioner:
    r"""An approximate inverse z = B(r) of a symmetric positive definite system, from a surrogate S of f to u.

    .. math:: z_1 = \omega D^{-1} r, \qquad
        z_2 = z_1 + s\, S(f / s), \quad f = M^{-1}(r - A z_1),\ s = \|f\| / \|f\|_{train}, \qquad
        z = z_2 + \omega D^{-1} (r - A z_2)

    Networks learn the smooth part of the solution, Jacobi sweeps remove the rough part (Zhang et al., Blending neural
    operators and relaxation methods, Nature Machine Intelligence 6, 2024). A residual is a load, the integral of a
    source against the basis functions; the inverse of the lumped mass matrix M makes it a source. As the problem is
    linear, sources are brought to the size of those trained on. B itself is not linear: use it in `flexible_cg`.

    Parameters
    ----------
    surrogate : maps a source f to the solution with zero boundary values. Or any callable of Functions.
    matrix : A, sparse (n, n), on the free dofs.
    space : the scalar, nodal space of all dofs.
    free : indices of the free dofs in it, in the order of the matrix.
    source : name of the surrogate's input that takes f.
    fixed : its other inputs by name, such as the coefficient of the equation.
    size : root mean square of the sources trained on; from the surrogate's normaliser when None.
    sweeps : Jacobi sweeps before and after; 0 for the surrogate alone.
    weight : omega.
    resample : see `Surrogate`.

    Raises
    ------
    InputError
        When the shapes do not fit, or the surrogate has no such input.
    """

    def __init__(
        self,
        surrogate: Surrogate | Callable[..., Function],
        matrix: Any,
        space: FunctionSpace,
        free: Any,
        *,
        source: str = "f",
        fixed: Mapping[str, Function] | None = None,
        size: float | None = None,
        sweeps: int = 1,
        weight: float = 2.0 / 3.0,
        resample: bool = False,
    ) -> None:
        self.free = np.asarray(free)
        if not space.basis.nodal or space.component_shape:
            raise InputError(f"the space must be scalar and nodal; got {space!r}")
        if matrix.shape != (len(self.free), len(self.free)):
            raise InputError(f"the matrix has shape {matrix.shape}, but {len(self.free)} dofs are free")
        if sweeps < 0 or not 0.0 < weight <= 1.0:
            raise InputError(f"sweeps must be 0 or more and weight in (0, 1]; got {sweeps} and {weight}")
        self.surrogate, self.matrix, self.space = surrogate, matrix.tocsr(), space
        self.source, self.fixed = source, dict(fixed or {})
        self.sweeps, self.weight, self.resample = int(sweeps), float(weight), resample
        self.size = self._trained_size() if size is None else float(size)

    def _trained_size(self) -> float:
        if not isinstance(self.surrogate, Surrogate):
            return 1.0
        fields = {field.name: field for field in self.surrogate.packing.inputs}
        if self.source not in fields:
            raise InputError(f"the surrogate has no input {self.source!r}; it takes {sorted(fields)}")
        normaliser = fields[self.source].normaliser
        return float((normaliser.scale**2 + normaliser.shift**2).mean().sqrt())

    @cached_property
    def _inverse_diagonal(self) -> FloatArray:
        return self.weight / self.matrix.diagonal()

    @cached_property
    def _lumped(self) -> FloatArray:
        """Integrals of the basis functions; those of P2 at vertices vanish, so that row sums of moduli stand in."""
        integrals = self.space.integrals.reshape(-1).numpy()
        if integrals.min() > 1e-12 * integrals.max():
            return integrals[self.free]
        return np.asarray(abs(self.space.mass.matrix).sum(axis=1)).ravel()[self.free]

    def __call__(self, residual: FloatArray) -> FloatArray:
        """B(r), both (n,)."""
        found = np.zeros_like(residual)
        for _ in range(self.sweeps):
            found += self._inverse_diagonal * (residual - self.matrix @ found)
        found += self.coarse(residual - self.matrix @ found)
        for _ in range(self.sweeps):
            found += self._inverse_diagonal * (residual - self.matrix @ found)
        return found

    def coarse(self, residual: FloatArray) -> FloatArray:
        """The surrogate's part, s S(M^-1 r / s)."""
        values = np.zeros(self.space.n_dofs)
        values[self.free] = residual / self._lumped
        size = float(np.sqrt(np.mean(values**2))) / self.size
        if size == 0.0:
            return np.zeros_like(residual)
        f = Function(
            self.space, torch.from_numpy(values / size).reshape(self.space.coefficient_shape), name=self.source
        )
        if isinstance(self.surrogate, Surrogate):
            u = self.surrogate({self.source: f, **self.fixed}, resample=self.resample)
        else:
            u = self.surrogate(f, *self.fixed.values())
        if u.space.fingerprint != self.space.fingerprint:
            u = u.to(self.space, outside="nearest")
        return size * u.coefficients.detach().to(torch.float64).reshape(-1).numpy()[self.free]
