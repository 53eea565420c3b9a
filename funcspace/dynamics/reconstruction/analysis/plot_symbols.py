"""A picture of the regions that an orbit visits and of how it goes from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from funcspace.dynamics.reconstruction.analysis.symbols import SymbolicCode

__all__ = ["plot_symbols"]


def plot_symbols(code: SymbolicCode, ax: Any = None, *, most: int = 24) -> Axes:
    """The graph of the `most` visited regions on a circle; the width of an arrow tells its share of all moves."""
    pyplot = require("matplotlib.pyplot", feature="plots", install='pip install "funcspace[viz]"')
    patches = require("matplotlib.patches", feature="plots", install='pip install "funcspace[viz]"')
    if ax is None:
        _, ax = pyplot.subplots(figsize=(4.5, 4.5))
    count = min(code.symbols, most)
    angles = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1) if count > 1 else np.zeros((1, 2))
    radii = 0.09 + 0.16 * np.sqrt(code.occupancy[:count])
    colours = pyplot.get_cmap("viridis")(0.15 + 0.75 * code.occupancy[:count] / code.occupancy.max())
    moves = code.counts * ~np.eye(code.symbols, dtype=bool)
    largest = max(1, moves.max())
    for i in range(count):
        for j in range(count):
            if i == j or not moves[i, j]:
                continue
            towards = places[j] - places[i]
            length = np.linalg.norm(towards)
            start, stop = (places[k] + s * towards / length * (radii[k] + 0.02) for k, s in ((i, 1), (j, -1)))
            ax.add_patch(
                patches.FancyArrowPatch(
                    start,
                    stop,
                    connectionstyle="arc3,rad=0.12",
                    arrowstyle="-|>",
                    mutation_scale=12,
                    linewidth=0.6 + 2.4 * moves[i, j] / largest,
                    color="0.35",
                )
            )
    for i in range(count):
        ax.add_patch(patches.Circle(places[i], radii[i], facecolor=colours[i], edgecolor="black", linewidth=0.8))
        bits = "".join("1" if bit else "0" for bit in code.regions[i])
        label = bits if 0 < len(bits) <= 6 else str(i)
        ax.annotate(label, places[i], ha="center", va="center", fontsize=8, color="white", weight="bold")
        outward = places[i] / max(float(np.linalg.norm(places[i])), 1e-9) if count > 1 else np.array([0.0, 1.0])
        side = "left" if outward[0] > 0.3 else "right" if outward[0] < -0.3 else "center"
        beside = places[i] + (radii[i] + (0.15 if side == "center" else 0.06)) * outward
        ax.annotate(f"stays {code.transitions[i, i]:.3f}", beside, ha=side, va="center", fontsize=7, color="0.3")
    ax.set_xlim(-2.0, 2.0)
    ax.set_ylim(-1.65, 1.65)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(f"{code.symbols} regions, {int(code.graph.sum())} transitions")
    return ax
