"""Reconstruction of functions from their values at scattered points."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.basis import Basis, MaskedMap, Outside, Quadrature, outside_mask
from funcspace.functions.maps.linear_map import IdentityMap, LinearMap
from funcspace.functions.maps.sparse_map import SparseMap
from funcspace.geometry.cloud import PointCloud
from funcspace.geometry.domain import as_points

__all__ = ["CloudBasis"]

ELEMENTS = ("least_squares", "nearest")
# Neighbours that count as the place itself, and smallest ratio of singular values of a neighbourhood that spans space.
COINCIDENT = 1e-8
DEGENERATE = 1e-6
LARGEST_NEIGHBOURHOOD = 64


class CloudBasis:
    r"""Values between the points of a cloud by a declared, approximate reconstruction.

    "least_squares" fits :math:`p(y) = a + g \cdot (y - x)` around each place x to the nearest 2 d + 3 points, weighted
    by :math:`w_i = ((R - r_i)/(R r_i))^2` with the distances r and a little more than the largest of them, R (R. Franke
    and G. Nielson, 1980): value a, gradient g. It interpolates and is exact for linear functions. Where the neighbours
    do not span space, more are taken, up to 64; where these do not either, the value is that of the nearest point, the
    gradient zero. "nearest" is the value of the nearest point, with the gradients of the fit.

    Values at the cloud's own points are the coefficients; coincident points answer elsewhere with their mean. Mass is
    diagonal, stiffness comes from the gradients at the points; both integrate with the measure of the cloud.

    Places count as outside where they are further from the box around the points than the median distance of a point
    to its nearest neighbour; `outside="nearest"` gives them the value of the nearest point.

    Raises
    ------
    InputError
        When there is no such element.
    """

    intrinsic_shape: tuple[int, ...] = ()
    nodal = True
    exact = False

    def __init__(self, domain: PointCloud, element: str) -> None:
        if element not in ELEMENTS:
            raise InputError(f"a PointCloud has the elements {', '.join(ELEMENTS)}; got {element!r}")
        self.domain, self.name = domain, element
        self.layout = self.dof_shape = (len(domain.points),)
        self.degree = 1 if element == "least_squares" else 0
        self._points = domain.points.numpy()

    @property
    def dof_points(self) -> Float[Tensor, "n d"]:
        """The points of the cloud."""
        return self.domain.points

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self._points)

    @cached_property
    def _slack(self) -> float:
        """Median distance to the nearest other point."""
        if len(self._points) == 1:
            return 0.0
        return float(np.median(self._tree.query(self._points, k=2)[0][:, 1]))

    def evaluation(self, points: Tensor, derivative: bool, outside: Outside) -> LinearMap:
        """Values or gradients at scattered points."""
        where = as_points(points, self.domain.dim)
        low, high = self.domain.bounds
        clamped = torch.minimum(torch.maximum(where, low), high)
        distances = (where - clamped).norm(dim=1)
        slack = self._slack + 1e-9 * float((high - low).max())
        mask = outside_mask(where, distances, slack, outside, self.domain)
        if torch.equal(where, self.dof_points) and not derivative:
            return IdentityMap(self.dof_shape)
        values, gradients = self._fit(where.numpy(), mask.numpy())
        result = gradients if derivative else values
        return MaskedMap(result, mask) if outside == "nan" and bool(mask.any()) else result

    def _fit(self, where: np.ndarray, far: np.ndarray) -> tuple[SparseMap, SparseMap]:
        """Value and gradient maps at places; far ones take the value of the nearest point."""
        count, dim = len(self._points), self.domain.dim
        fits = []
        pending, size = np.flatnonzero(~far), min(count, 2 * dim + 3)
        while pending.size:
            fit, spans = self._neighbourhoods(where[pending], size)
            last = size >= min(count, LARGEST_NEIGHBOURHOOD)
            done = np.ones_like(spans) if last else spans
            fits.append((pending[done], *(part[done] for part in fit)))
            pending, size = pending[~done], min(2 * size, count, LARGEST_NEIGHBOURHOOD)
        if far.any():
            nearest = self._tree.query(where[far], k=1)[1]
            flat = np.zeros((nearest.size, 1, dim))
            fits.append((np.flatnonzero(far), nearest[:, None], np.ones((nearest.size, 1)), flat))
        values = _assembled(len(where), count, [(rows, near, v) for rows, near, v, _ in fits])
        slopes = [_assembled(len(where), count, [(r, near, g[..., i]) for r, near, _, g in fits]) for i in range(dim)]
        order = np.arange(dim * len(where)).reshape(dim, len(where)).T.reshape(-1)
        gradients = sp.csr_matrix(sp.vstack(slopes, format="csr")[order])
        return SparseMap(values), SparseMap(gradients, (count,), (len(where), dim))

    def _neighbourhoods(
        self, where: np.ndarray, size: int
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        """Neighbours (m, k), their parts in the value (m, k) and the gradient (m, k, d); whether they span space."""
        distance, near = self._tree.query(where, k=size)
        distance, near = distance.reshape(len(where), size), near.reshape(len(where), size)
        radius = np.maximum(distance[:, -1:], np.finfo(np.float64).tiny)
        r = distance / radius
        same = r <= COINCIDENT
        same[:, 0] |= distance[:, 0] == 0
        at_point = same[:, 0]
        offsets = (self._points[near] - where[:, None, :]) / radius[..., None]
        spans = self._spans(offsets - offsets[:, :1])
        weights = np.where(same, 0.0, (1.1 - r) / (1.1 * np.maximum(r, COINCIDENT)))
        # scaled so that the largest is 1; at a point itself the fit passes through its value
        weights /= np.maximum(weights.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        constant = np.where(at_point[:, None], 0.0, 1.0)
        design = np.concatenate([np.broadcast_to(constant[..., None], (*near.shape, 1)), offsets], axis=2)
        inverse = np.linalg.pinv(design * weights[..., None], rcond=1e-12) * weights[:, None, :]
        value, slope = inverse[:, 0], np.moveaxis(inverse[:, 1:], 1, 2) / radius[..., None]
        mean = same / np.maximum(same.sum(axis=1, keepdims=True), 1)
        value = np.where(at_point[:, None], mean, value)
        slope = np.where(at_point[:, None, None], slope - slope.sum(axis=1, keepdims=True) * mean[..., None], slope)
        first = np.arange(size) == 0
        value = np.where((spans | at_point)[:, None], value, first)
        slope = np.where(spans[:, None, None], slope, 0.0)
        if self.name == "nearest":
            value = np.broadcast_to(first.astype(np.float64), near.shape)
        return (near, value, slope), spans

    def _spans(self, offsets: np.ndarray) -> np.ndarray:
        if offsets.shape[1] <= self.domain.dim:
            return np.zeros(len(offsets), dtype=bool)
        squares = np.linalg.eigvalsh(np.einsum("mki,mkj->mij", offsets, offsets))
        return squares[:, 0] > DEGENERATE**2 * np.maximum(squares[:, -1], np.finfo(np.float64).tiny)

    @cached_property
    def _gradients(self) -> SparseMap:
        return self._fit(self._points, np.zeros(len(self._points), dtype=bool))[1]

    @cached_property
    def _mass(self) -> LinearMap:
        return SparseMap(sp.diags(self.domain.measure.numpy()))

    def mass(self) -> LinearMap:
        """The measure of the points on the diagonal."""
        return self._mass

    @cached_property
    def _stiffness(self) -> LinearMap:
        gradients = self._gradients.matrix
        weights = np.repeat(self.domain.measure.numpy(), self.domain.dim)
        return SparseMap(gradients.T @ sp.diags(weights) @ gradients)

    def stiffness(self) -> LinearMap:
        """Products of the gradients at the points, weighted with the measure."""
        return self._stiffness

    def quadrature(self, degree: int | None = None) -> Quadrature:
        """The points themselves, with their measure."""
        return Quadrature(self.domain.points, self.domain.measure, IdentityMap(self.dof_shape), self._gradients)

    def boundary_dofs(self, part: str) -> Int[Tensor, " k"]:
        """Indices of the points of a named part."""
        return self.domain.boundary[part]

    def refinement(self, finer: Basis) -> LinearMap | None:
        """None: values elsewhere are evaluated one by one."""
        return None


def _assembled(rows: int, columns: int, blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> sp.csr_matrix:
    """The matrix with the given rows of (columns, values)."""
    if not blocks:
        return sp.csr_matrix((rows, columns))
    row = np.concatenate([np.repeat(r, near.shape[1]) for r, near, _ in blocks])
    column = np.concatenate([near.reshape(-1) for _, near, _ in blocks])
    data = np.concatenate([values.reshape(-1) for _, _, values in blocks])
    matrix = sp.csr_matrix((data, (row, column)), shape=(rows, columns))
    matrix.eliminate_zeros()
    return matrix
