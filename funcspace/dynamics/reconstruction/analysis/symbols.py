"""The regions that an orbit visits, as symbols, with their transitions and entropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SymbolicCode"]


@dataclass(frozen=True, eq=False)
class SymbolicCode:
    """The sequence of regions along an orbit; symbol 0 is the region visited most.

    Attributes
    ----------
    sequence : the symbol of each state, (time,).
    regions : the bits of each symbol's region, (symbols, bits).
    step : time between states.
    """

    sequence: NDArray[np.int64]
    regions: NDArray[np.bool_]
    step: float = 1.0

    @classmethod
    def of(cls, bits: NDArray[np.bool_], step: float = 1.0) -> SymbolicCode:
        """The code of an orbit whose regions have the bits (time, bits)."""
        if len(bits) < 2:
            raise InputError(f"a symbolic code needs an orbit of at least two states; got {len(bits)}")
        packed = (
            np.ascontiguousarray(np.packbits(bits, axis=1)) if bits.shape[1] else np.zeros((len(bits), 1), np.uint8)
        )
        keys = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
        _, first, places, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(rank[places].astype(np.int64), bits[first[order]], step)

    @property
    def symbols(self) -> int:
        """Number of regions that were visited."""
        return len(self.regions)

    @cached_property
    def occupancy(self) -> NDArray[np.float64]:
        """Share of the time spent in each region."""
        return np.bincount(self.sequence, minlength=self.symbols) / len(self.sequence)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each symbol (row) is followed by each (column)."""
        return np.bincount(self._pairs, minlength=self.symbols**2).reshape(self.symbols, self.symbols)

    @property
    def _pairs(self) -> NDArray[np.int64]:
        """The number of each transition, from symbol i to j, i times the number of symbols plus j."""
        return self.sequence[:-1] * self.symbols + self.sequence[1:]

    @cached_property
    def transitions(self) -> NDArray[np.float64]:
        """Probability of the next symbol given this one; rows sum to one (a last symbol never left stays)."""
        sums = self.counts.sum(axis=1, keepdims=True)
        return np.where(sums > 0, self.counts / np.maximum(sums, 1), np.eye(self.symbols))

    @cached_property
    def graph(self) -> NDArray[np.bool_]:
        """Which symbol can follow which."""
        return self.counts > 0

    @cached_property
    def events(self) -> NDArray[np.int64]:
        """The sequence with runs of one symbol collapsed."""
        return self.sequence[np.concatenate([[True], np.diff(self.sequence) != 0])]

    def topological_entropy(self) -> float:
        """Logarithm of the spectral radius of the graph, nats per step: a bound on what the graph allows.

        Zero where the graph leads along one way only.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        rows, columns = np.divmod(np.unique(self._pairs), self.symbols)
        graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(self.symbols, self.symbols))
        count, labels = connected_components(graph, connection="strong")
        radius = 1.0  # the largest one is that of a strongly connected part
        for part in np.flatnonzero(np.bincount(labels, minlength=count) > 1):
            inside = labels == part
            radius = max(radius, _spectral_radius(graph[inside][:, inside]))
        return float(np.log(radius))

    def block_entropy(self, length: int, *, events: bool = True) -> float:
        """Conditional entropy of the next symbol given `length` - 1 before it, in nats per event (or per step).

        H(length) - H(length - 1) of the empirical distribution of blocks, which falls to the entropy rate as they grow
        longer. Pesin's identity sets the entropy rate of the dynamics equal to the sum of the positive exponents; that
        of symbols, divided by the mean time between events, reaches it where they tell orbits apart and the order of
        events is all that matters. Events of two regions alternate: of these it is how long they last that counts.
        """
        sequence = self.sequence
        if events:
            changes = np.flatnonzero(np.diff(self.sequence))
            sequence = np.diff(changes) if self.symbols == 2 else self.events
        if length < 1 or len(sequence) <= length:
            raise InputError(f"length must lie between 1 and {len(sequence) - 1}; got {length}")

        def entropy(n: int) -> float:
            if n == 0:
                return 0.0
            windows = np.lib.stride_tricks.sliding_window_view(sequence, n)
            _, counts = np.unique(windows, axis=0, return_counts=True)
            p = counts / counts.sum()
            return float(-(p * np.log(p)).sum())

        return entropy(length) - entropy(length - 1)

    @property
    def event_time(self) -> float:
        """Mean time between changes of the symbol."""
        changes = len(self.events) - 1
        return float("inf") if changes == 0 else self.step * (len(self.sequence) - 1) / changes

    def plot(self, ax: Any = None) -> Axes:
        """Draw the graph: regions as discs by occupancy, transitions as arrows by probability."""
        from funcspace.dynamics.reconstruction.analysis.plot_symbols import plot_symbols

        return plot_symbols(self, ax)

    def __repr__(self) -> str:
        transitions = len(np.unique(self._pairs))
        return f"SymbolicCode({self.symbols} regions, {transitions} transitions, {len(self.sequence)} states)"


def _spectral_radius(graph: Any) -> float:
    """Of a strongly connected one; dense where it is small."""
    from scipy.sparse.linalg import eigs

    if graph.shape[0] <= 500:
        return float(np.abs(np.linalg.eigvals(graph.toarray())).max())
    start = np.ones(graph.shape[0])
    return float(np.abs(eigs(graph, k=1, which="LM", v0=start, return_eigenvectors=False))[0])
