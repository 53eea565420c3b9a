"""How the dofs of a space of ours and those of another finite-element code belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.errors import DomainError, InputError
from funcspace.functions.elements.finite_elements import FiniteElementBasis
from funcspace.functions.space import FunctionSpace

__all__ = ["DofLink", "reference_change", "reference_points"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

TOLERANCE = 1e-10


@dataclass(frozen=True)
class DofLink:
    r"""The two coefficient vectors of one function, :math:`c_{n,k} = s_n \, d_{p(n,k)}`.

    Attributes
    ----------
    space : our space.
    index : p (n, components), positions in the other code's flat vector; None where it counts 0, 1, 2, ...
    factor : s (n,), the sizes and signs of RT and N1curl functions; None where all are 1.
    """

    space: FunctionSpace
    index: IntArray | None
    factor: FloatArray | None

    @classmethod
    def from_cells(cls, space: FunctionSpace, theirs: IntArray, factors: FloatArray, size: int, owner: str) -> DofLink:
        """The link from what each cell says about its dofs.

        Parameters
        ----------
        theirs : positions (cells, local dofs, components) of our local dofs in the other code's vector.
        factors : s (cells, local dofs).
        size : length of the other code's vector.
        owner : the other code's space, for messages.

        Raises
        ------
        DomainError
            When cells disagree about a dof they share, as where the other space is discontinuous.
        """
        basis = space.basis
        assert isinstance(basis, FiniteElementBasis)
        cells, (count,) = basis.cell_dofs, basis.dof_shape
        index = np.zeros((count, theirs.shape[2]), dtype=np.int64)
        factor = np.ones(count)
        index[cells], factor[cells] = theirs, factors
        agrees = (index[cells] == theirs).all(axis=2) & (np.abs(factor[cells] - factors) <= TOLERANCE)
        if not agrees.all() or index.size != size:
            where = f"; cell {int(np.argwhere(~agrees)[0, 0])} is the first" if not agrees.all() else ""
            raise DomainError(
                f"{owner} has {size} dofs that do not fit together as those of {space!r}{where}: discontinuous and "
                "enriched spaces have no counterpart; interpolate into one that has"
            )
        counts = np.array_equal(index.reshape(-1), np.arange(size))
        return cls(space, None if counts else index, None if (factor == 1.0).all() else factor)

    @property
    def shares_memory(self) -> bool:
        """Whether coefficients pass without a copy: same order, same basis functions."""
        return self.index is None and self.factor is None

    def ours(self, vector: NDArray[Any]) -> Tensor:
        """Coefficients `(*batch, n, *components)` from their vectors `(*batch, size)`; a view where possible."""
        shape = (*vector.shape[:-1], *self.space.coefficient_shape)
        if self.index is None:
            found = torch.from_numpy(vector)
        else:
            found = torch.from_numpy(vector[..., self.index.reshape(-1)])
        found = found.reshape(shape)
        return found if self.factor is None else found * self._scale(found)

    def theirs(self, coefficients: Tensor) -> NDArray[Any]:
        """Their vectors `(*batch, size)` from coefficients `(*batch, n, *components)`; a view where possible."""
        values = coefficients.detach().cpu()
        if self.factor is not None:
            values = values / self._scale(values)
        rank = len(self.space.coefficient_shape)
        flat = values.reshape(*values.shape[: values.ndim - rank], -1).numpy()
        if self.index is None:
            return flat
        found = np.empty_like(flat)
        found[..., self.index.reshape(-1)] = flat
        return found

    def _scale(self, values: Tensor) -> Tensor:
        assert self.factor is not None
        shape = (-1, *([1] * len(self.space.component_shape)))
        return torch.from_numpy(self.factor).to(values.real.dtype).reshape(shape)


def reference_points(cell: Any) -> FloatArray:
    """Some points inside a reference cell, more than any element here has basis functions."""
    weights = np.random.default_rng(0).dirichlet(np.ones(cell.n_corners), size=40)
    return weights @ cell.corners


def reference_change(theirs: FloatArray, ours: FloatArray, owner: str) -> tuple[IntArray, FloatArray]:
    r"""Which of their reference functions is which of ours, :math:`\psi_{i(j)} = a_j \phi_j`.

    Parameters
    ----------
    theirs, ours : values (points, functions, components) at the same reference points.

    Returns
    -------
    i (functions,) and a (functions,).

    Raises
    ------
    InputError
        When the two bases are not the same up to order and scale.
    """
    if theirs.shape != ours.shape:
        raise InputError(
            f"{owner} has {theirs.shape[1]} basis functions with values of {theirs.shape[2]} components on a cell; "
            f"expected {ours.shape[1]} with {ours.shape[2]}"
        )
    columns = [np.moveaxis(a, 1, -1).reshape(-1, math.prod(a.shape[1:2])) for a in (theirs, ours)]
    change, *_ = np.linalg.lstsq(columns[1], columns[0], rcond=None)
    # the squares of the scales are small fractions; rounded to them, signs and sizes are exact
    change = np.sign(change) * np.sqrt(np.round(change**2 * 24) / 24)
    single = (np.count_nonzero(change, axis=0) == 1).all() and (np.count_nonzero(change, axis=1) == 1).all()
    if not single or np.abs(columns[1] @ change - columns[0]).max() > TOLERANCE:
        raise InputError(f"{owner} is not an element known here: its functions on a cell are not those of our basis")
    index = np.abs(change).argmax(axis=1)
    return index, change[np.arange(len(index)), index]
