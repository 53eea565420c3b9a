"""Stable and unstable manifolds of the fixed points and cycles of a piecewise-linear map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funcspace.arguments import is_number, require_counts
from funcspace.dynamics.reconstruction.analysis.cycle import Cycle
from funcspace.dynamics.reconstruction.analysis.find_cycles import MOST_CONDITION, every_region, has_interior
from funcspace.dynamics.reconstruction.analysis.polyline import clipped, images, preimages
from funcspace.errors import InputError
from funcspace.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Manifold", "ManifoldKind", "find_manifold"]

ManifoldKind = Literal["unstable", "stable"]
# Multipliers nearer to the unit circle than this belong to neither manifold.
NEUTRAL = 1e-9
# Steps along which a local piece must stay within its region.
LOOK_AHEAD = 200


@dataclass(frozen=True, eq=False)
class Manifold:
    """The stable or the unstable manifold of a cycle, as far as it was followed.

    Attributes
    ----------
    kind : "unstable" or "stable".
    dimension : of the manifold, the number of multipliers outside (or inside) the unit circle.
    states : latent states (points, latent): a polyline each where the dimension is one, else one cloud of points.
    observed : the observations that belong to them, in the units of the data, (points, observed).
    cycle : what it is the manifold of.
    """

    kind: ManifoldKind
    dimension: int
    states: tuple[NDArray[np.float64], ...]
    observed: tuple[NDArray[np.float64], ...]
    cycle: Cycle

    @property
    def points(self) -> NDArray[np.float64]:
        """All points in the units of the data, (points, observed)."""
        return np.concatenate(self.observed)

    def plot(self, ax: Any = None, *, components: tuple[int, int] = (0, 1), **style: Any) -> Axes:
        """Draw two observed components: lines where the dimension is one, else dots; the cycle as larger dots.

        Parameters
        ----------
        style : passed to matplotlib's `plot`.
        """
        pyplot = require("matplotlib.pyplot", feature="plots", install='pip install "funcspace[viz]"')
        i, j = components
        if not all(0 <= c < self.points.shape[1] for c in components):
            raise InputError(f"components must lie between 0 and {self.points.shape[1] - 1}; got {components}")
        if ax is None:
            _, ax = pyplot.subplots(figsize=(4.5, 4.5))
        colour = "C3" if self.kind == "unstable" else "C0"
        options = {"color": colour, "linewidth": 0.8} if self.dimension == 1 else {
            "color": colour, "linestyle": "", "marker": ".", "markersize": 1.5
        }  # fmt: skip
        for number, piece in enumerate(self.observed):
            label = f"{self.kind} manifold" if number == 0 else None
            ax.plot(piece[:, i], piece[:, j], **({"label": label} | options | style))
        ax.plot(self.cycle.observed[:, i], self.cycle.observed[:, j], "ko", markersize=4)
        return ax

    def __repr__(self) -> str:
        what = f"{len(self.states)} curves, " if self.dimension == 1 else ""
        return f"Manifold({self.kind}, dimension {self.dimension}, {what}{len(self.points):,} points)"


def find_manifold(
    model: Any,
    cycle: Cycle,
    kind: ManifoldKind,
    *,
    steps: int,
    extent: float | None,
    most: int,
    samples: int,
    regions: Tensor | None,
    seed: int,
) -> Manifold:
    """Follow the local eigenspace of a cycle by the map, or by the inverses of its affine pieces."""
    if kind not in ("unstable", "stable"):
        raise InputError(f'kind must be "unstable" or "stable", got {kind!r}')
    if not isinstance(cycle, Cycle):
        raise InputError(
            f"expected a fixed point or cycle, such as model.fixed_points()[0]; got {type(cycle).__name__}"
        )
    if not cycle.admissible:
        raise InputError("a virtual cycle is no orbit of the map and has no manifolds; give an admissible one")
    require_counts(steps=steps, most=most, samples=samples)
    if cycle.states.shape[1] != model.latent:
        raise InputError(f"the cycle has {cycle.states.shape[1]} units; the model has {model.latent}")
    states = torch.from_numpy(cycle.states)
    reach = float(torch.linalg.vector_norm(states, dim=1).max())
    size = 10.0 * max(reach, 1.0) if extent is None else extent
    if not (is_number(size) and size > reach):
        raise InputError(f"extent must be larger than the norm of the cycle's states, {reach:.3g}; got {extent!r}")
    basis = _eigenspace(model, cycle, kind)
    dimension = basis.shape[1]
    if dimension == 0:
        raise InputError(f"no multiplier of this cycle makes a direction {kind}; it has no {kind} manifold")
    pieces = [] if kind == "unstable" else _pieces(model, regions)
    local = _local(model, states, basis, kind, size, samples, seed)
    if dimension == 1:
        found = _curves(model, local, kind, steps, cycle.order, size, most, pieces)
    else:
        found = [_cloud(model, local, kind, cycle.order * steps, size, most, pieces)]
    seen = tuple((model.observe(line) * model.scale + model.mean).numpy() for line in found)
    return Manifold(kind, dimension, tuple(line.numpy() for line in found), seen, cycle)


def _eigenspace(model: Any, cycle: Cycle, kind: ManifoldKind) -> Tensor:
    """An orthonormal basis (latent, dimension) of the unstable or stable directions at the first state."""
    jacobians = model.affine(torch.from_numpy(cycle.regions))[0].numpy()
    product = np.eye(model.latent)
    for jacobian in jacobians:
        product = jacobian @ product
    vectors: Any
    values, vectors = np.linalg.eig(product)
    sizes = np.abs(values)
    chosen = sizes > 1.0 + NEUTRAL if kind == "unstable" else sizes < 1.0 - NEUTRAL
    if not chosen.any():
        return torch.zeros(model.latent, 0, dtype=torch.float64)
    spanning = np.concatenate([vectors[:, chosen].real, vectors[:, chosen].imag], axis=1)
    left, _, _ = np.linalg.svd(spanning, full_matrices=False)
    return torch.from_numpy(np.ascontiguousarray(left[:, : int(chosen.sum())]))


def _pieces(model: Any, regions: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Region, J and c of every affine piece; an InputError where one has no inverse on a region that is not empty."""
    known = every_region(model) if regions is None else regions
    if known is None:
        raise InputError(
            "the map has too many regions to try the inverses of all; give regions, such as those an orbit visits: "
            "model.symbolic_code(orbit).regions"
        )
    jacobians, offsets = model.affine(known)
    sound = torch.linalg.cond(jacobians) < MOST_CONDITION
    for number in (~sound).nonzero()[:, 0].tolist():
        if has_interior(model, known[number]):
            bits = "".join("1" if bit else "0" for bit in known[number].tolist())
            raise InputError(
                f"the affine piece on region {bits or 'of all states'} has no inverse; leave it out of regions to "
                "follow the stable manifold through the others"
            )
    return list(zip(known[sound], jacobians[sound], offsets[sound], strict=True))


def _local(
    model: Any, states: Tensor, basis: Tensor, kind: ManifoldKind, size: float, samples: int, seed: int
) -> Tensor:
    """Points of the local manifold at the first state: the ends of a line, or a cloud within an ellipsoid.

    The eigenspace belongs to the manifold where the linear map keeps to the regions of the cycle, forward on the stable
    one, backward on the unstable one; its radius is halved until that holds.
    """
    order, dimension = len(states), basis.shape[1]
    if dimension == 1:
        directions = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    else:
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(samples, dimension, generator=generator, dtype=torch.float64)
        directions = directions / torch.linalg.vector_norm(directions, dim=1, keepdim=True)
        radii = torch.rand(samples, 1, generator=generator, dtype=torch.float64)
        directions = directions * 10.0 ** (-3.0 * radii)
    regions = model.region(states)
    jacobians = model.affine(regions)[0]
    product = torch.eye(model.latent, dtype=torch.float64)
    for jacobian in jacobians:
        product = jacobian @ product
    within = basis.mT @ product @ basis
    around = within if kind == "stable" else torch.linalg.inv(within)
    orbit, x = [], directions
    for _ in range(LOOK_AHEAD):
        step = x @ basis.mT
        for i in range(order):
            orbit.append((i, step))
            step = step @ jacobians[i].mT
        x = x @ around.mT
    if kind == "unstable":  # the first turn is that of the points themselves, which may leave the cycle's regions
        orbit = [(0, directions @ basis.mT), *orbit[order:]]
    radius = size
    for _ in range(200):
        inside = all(bool((model.region(states[i] + radius * step) == regions[i]).all()) for i, step in orbit)
        if inside and bool((torch.linalg.vector_norm(states[0] + radius * orbit[0][1], dim=1) <= size).all()):
            return states[0] + radius * directions @ basis.mT
        radius *= 0.5
    raise InputError("the cycle lies on a kink of the map, where its manifolds are not those of one affine piece")


def _curves(
    model: Any, ends: Tensor, kind: ManifoldKind, turns: int, order: int, size: float, most: int, pieces: list[Any]
) -> list[Tensor]:
    """The polylines of a one-dimensional manifold; those through all states of the cycle, which lead to each other."""
    generations = [[ends]]
    for _ in range(order * turns + order - 1):
        lines = generations[-1]
        further = images(model, lines) if kind == "unstable" else preimages(model, lines, pieces)
        following = clipped(further, size) if further else []
        kept = [*generations, following][-order:]
        if not following or sum(len(line) for lines in kept for line in lines) > most:
            break
        generations = kept
    return [line for generation in generations for line in generation]


def _cloud(
    model: Any, points: Tensor, kind: ManifoldKind, steps: int, size: float, most: int, pieces: list[Any]
) -> Tensor:
    """Points of a manifold of more dimensions, with all that were met on the way."""
    kept, count = [points], len(points)
    for _ in range(steps):
        if kind == "unstable":
            points = model.step(points)
        else:
            back = [
                (torch.linalg.solve(jacobian, (points - offset).mT).mT, region) for region, jacobian, offset in pieces
            ]
            points = torch.cat([x[(model.region(x) == region).all(dim=1)] for x, region in back])
        points = points[torch.linalg.vector_norm(points, dim=1) <= size]
        count += len(points)
        if not len(points) or count > most:
            break
        kept.append(points)
    return torch.cat(kept)
