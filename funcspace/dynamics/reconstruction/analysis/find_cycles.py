"""Fixed points and cycles of a piecewise-linear map, by linear solves on sequences of its regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from funcspace.dynamics.reconstruction.analysis.cycle import Cycle
from funcspace.errors import InputError

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN

__all__ = ["MOST_CONDITION", "every_region", "find_cycles", "find_fixed_points", "has_interior"]

MOST_WORDS = 1 << 17
CHUNK = 2048
# Solutions closer than this, relative to their size, are one.
SAME = 1e-9
# How far from the next one a state of a cycle may go, relative to their size.
ROUNDING = 1e-12
# Matrices of a greater condition number are singular for all that rounding leaves of them.
MOST_CONDITION = 1e12


def find_fixed_points(model: Any, candidates: Tensor | None = None) -> list[Cycle]:
    """A fixed point z = (1 - J)^-1 c for each candidate region, admissible ones first."""
    regions = every_region(model) if candidates is None else candidates
    if regions is None:
        raise InputError("the map has too many regions to try them all; give candidates, or search")
    words = _distinct(regions)[:, None]
    found = _unique([cycle for part in words.split(CHUNK) for cycle in _solve(model, part)])
    return sorted(found, key=lambda c: (not c.admissible, -abs(c.multipliers[0])))


def find_cycles(model: Any, order: int, *, regions: Tensor | None, restarts: int, seed: int) -> list[Cycle]:
    """The admissible cycles of one order that are no repetitions of shorter ones.

    All words over the regions are tried where these are few, by batched solves. Otherwise random words are, each
    followed as SCYFI does (Eisenmann, Monfared, Goering, Durstewitz: Bifurcations and loss jumps in RNN training,
    NeurIPS 2023): the orbit of a virtual cycle shows which regions to try next.
    """
    known = every_region(model) if regions is None else _distinct(regions)
    if known is not None and len(known) == 0:
        return []
    if known is not None and len(known) ** order <= MOST_WORDS * max(1, order):
        words = known[torch.from_numpy(_necklaces(len(known), order))]
        found = [c for part in words.split(CHUNK) for c in _solve(model, part) if c.admissible]
        return _unique([cycle for cycle in found if _primitive(cycle)])
    return _search(model, order, known, restarts, seed)


def _search(model: Any, order: int, known: Tensor | None, restarts: int, seed: int) -> list[Cycle]:
    generator = torch.Generator().manual_seed(seed)
    bits = model.region(torch.zeros(1, model.latent, dtype=torch.float64)).shape[-1]
    found: list[Cycle] = []
    left = restarts
    inner = 20 if order < 3 else 60 if order < 6 else 300
    while left > 0:
        left -= 1
        if known is None:
            z = 4.0 * torch.randn(order, model.latent, generator=generator, dtype=torch.float64)
            word = model.region(z)
        else:
            word = known[torch.randint(len(known), (order,), generator=generator)]
        assert word.shape[-1] == bits
        seen: set[bytes] = set()
        for _ in range(inner):
            key = np.packbits(word.numpy()).tobytes()
            if key in seen:
                break
            seen.add(key)
            (cycle,) = _solve(model, word[None], keep_singular=True)
            if cycle is None:
                break
            if cycle.admissible:
                if not any(_same(cycle, other) for other in found) and _primitive(cycle):
                    found.append(cycle)
                    left = restarts
                break
            z, visited = torch.from_numpy(cycle.states[0]), []
            for _ in range(order):
                visited.append(model.region(z))
                z = model.step(z)
            if not bool(torch.isfinite(z).all()):
                break
            word = torch.stack(visited)
    return found


def _solve(model: Any, words: Tensor, keep_singular: bool = False) -> list[Any]:
    """A cycle for each word (count, order, bits) whose linear system is not singular."""
    jacobians, offsets = model.affine(words)
    count, order = words.shape[:2]
    eye = torch.eye(model.latent, dtype=jacobians.dtype)
    product, offset = eye.expand(count, -1, -1), torch.zeros(count, model.latent, dtype=jacobians.dtype)
    for i in range(order):
        product = jacobians[:, i] @ product
        offset = (jacobians[:, i] @ offset[..., None])[..., 0] + offsets[:, i]
    solution, failed = torch.linalg.solve_ex(eye - product, offset[..., None])
    states = [solution[..., 0]]
    for i in range(order - 1):
        states.append((jacobians[:, i] @ states[-1][..., None])[..., 0] + offsets[:, i])
    orbit = torch.stack(states, dim=1)
    good = (failed == 0) & torch.isfinite(orbit).flatten(1).all(dim=1)
    inside = (model.region(orbit) == words).flatten(1).all(dim=1) | (good & _recurs(model, orbit))
    # singular and eigenvalues are wanted of few candidates only
    wanted = good if keep_singular or order == 1 else good & inside
    wanted[wanted.clone()] = torch.linalg.cond((eye - product)[wanted]) < MOST_CONDITION
    found: list[Any] = [None] * count if keep_singular else []
    for i in wanted.nonzero()[:, 0].tolist():
        multipliers = torch.linalg.eigvals(product[i]).numpy()
        multipliers = multipliers[np.argsort(-np.abs(multipliers), kind="stable")]
        seen = (model.observe(orbit[i]) * model.scale + model.mean).numpy()
        cycle = Cycle(orbit[i].numpy(), seen, words[i].numpy(), multipliers, bool(inside[i]))
        if keep_singular:
            found[i] = cycle
        else:
            found.append(cycle)
    return found


def has_interior(model: PiecewiseLinearRNN, region: Tensor) -> bool:
    """Whether states lie within a region, and not on kinks alone: a linear program for the one farthest from kinks."""
    from scipy.optimize import linprog

    normals, offsets = (each.detach().double().numpy() for each in model.kinks())
    sides = np.where(region.numpy(), 1.0, -1.0)
    lengths = np.linalg.norm(normals, axis=1)
    bounds = [(None, None)] * model.latent + [(None, 1.0)]
    cost = np.zeros(model.latent + 1)
    cost[-1] = -1.0
    limits = np.concatenate([-sides[:, None] * normals, lengths[:, None]], axis=1)
    found = linprog(cost, A_ub=limits, b_ub=sides * offsets, bounds=bounds)
    return bool(found.success and found.x[-1] > 1e-9)


def every_region(model: PiecewiseLinearRNN) -> Tensor | None:
    """Every region as bits, or None where there are too many; some may be empty."""
    bits = model.region(torch.zeros(1, model.latent, dtype=torch.float64)).shape[-1]
    if bits > 14:
        return None
    numbers = torch.arange(2**bits)
    return ((numbers[:, None] >> torch.arange(bits)) & 1).bool()


def _necklaces(letters: int, length: int) -> np.ndarray:
    """Words of a length up to rotation, without repetitions of shorter ones (Lyndon words; Duval's algorithm)."""
    words, word = [], [-1]
    while word:
        word[-1] += 1
        if len(word) == length:
            words.append(tuple(word))
        m = len(word)
        while len(word) < length:
            word.append(word[-m])
        while word and word[-1] == letters - 1:
            word.pop()
    return np.array(words, dtype=np.int64).reshape(-1, length)


def _distinct(regions: Tensor) -> Tensor:
    return regions.unique(dim=0) if regions.numel() else regions[:1]


def _recurs(model: Any, orbit: Tensor) -> Tensor:
    """Whether the map itself takes each state of each orbit to the next, but for rounding.

    It does where states lie on a border of their regions, on either side of which rounding may have put them.
    """
    missed = (model.step(orbit) - orbit.roll(-1, dims=1)).abs().amax(dim=(1, 2))
    return missed <= ROUNDING * orbit.abs().amax(dim=(1, 2))


def _primitive(cycle: Cycle) -> bool:
    """Whether no shorter cycle is gone through several times."""
    return not any(_agree(cycle.states, np.roll(cycle.states, turn, axis=0)) for turn in range(1, len(cycle.states)))


def _same(a: Cycle, b: Cycle) -> bool:
    """Whether two cycles of one order are one, from whichever state on; states of two may be close, not all of them."""
    return any(_agree(np.roll(a.states, turn, axis=0), b.states) for turn in range(len(a.states)))


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() <= SAME * np.abs(b).max())


def _unique(cycles: list[Cycle]) -> list[Cycle]:
    """All cycles of one order, admissible ones once: on a border, several words have the same."""
    kept: list[Cycle] = []
    means = np.zeros((len(cycles), cycles[0].states.shape[1] if cycles else 0))
    for cycle in cycles:
        mean, size = cycle.states.mean(axis=0), np.abs(cycle.states).max()
        near = (np.abs(means[: len(kept)] - mean).max(axis=1, initial=0.0) <= 2.0 * SAME * size).nonzero()[0]
        if not (cycle.admissible and any(kept[i].admissible and _same(cycle, kept[i]) for i in near)):
            means[len(kept)] = mean
            kept.append(cycle)
    return kept
