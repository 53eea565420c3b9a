"""How many ReLU units an almost-linear network needs: scores over their number, and where more stop to help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funcspace.arguments import is_whole
from funcspace.errors import InputError
from funcspace.optional import require

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes

__all__ = ["ReluChoice", "choose_relu"]


@dataclass(frozen=True, eq=False)
class ReluChoice:
    """Scores of almost-linear networks by their number P of ReLU units, several seeds each.

    Attributes
    ----------
    relu : the numbers P, ascending, (count,).
    divergence : state-space divergence of each network, (count, seeds); infinite where a free run is not finite.
    spectral : spectral distance, (count, seeds).
    regions : linear regions that a free run visits once settled, of the 2^P there are, (count, seeds); 0 where it is
        not finite.
    reconstructions : one for each P, its replicas the seeds.
    """

    relu: NDArray[np.int64]
    divergence: NDArray[np.float64]
    spectral: NDArray[np.float64]
    regions: NDArray[np.int64]
    reconstructions: tuple[Any, ...] = ()

    @property
    def median(self) -> NDArray[np.float64]:
        """Median of the divergence over seeds, for each P."""
        return np.median(self.divergence, axis=1)

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard error of the medians: 1.253 s / sqrt(seeds), s = 1.483 times the median absolute deviation.

        Robust, as a few seeds in a hundred fail altogether.
        """
        finite = np.where(np.isfinite(self.divergence), self.divergence, np.finfo(float).max)
        deviation = np.median(np.abs(finite - np.median(finite, axis=1, keepdims=True)), axis=1)
        return 1.2533 * 1.4826 * deviation / np.sqrt(self.divergence.shape[1])

    @cached_property
    def best(self) -> int:
        """The P whose networks reproduce the attractor best in the median."""
        return int(self.relu[np.argmin(self.median)])

    @cached_property
    def knee(self) -> int:
        """The smallest P whose median divergence is within one standard error of the best median.

        The one-standard-error rule of Breiman, Friedman, Olshen, Stone: Classification and Regression Trees (1984),
        section 3.4.3, on the curves that Brenner et al. (NeurIPS 2024) read off by eye.
        """
        at = int(np.argmin(self.median))
        return int(self.relu[np.argmax(self.median <= self.median[at] + self.error[at])])

    def plot(self, axes: Any = None) -> Sequence[Axes]:
        """Divergence, spectral distance and visited regions over P: medians with quartiles, and the knee.

        Parameters
        ----------
        axes : three axes to draw on; new ones by default.
        """
        pyplot = require("matplotlib.pyplot", feature="plots", install='pip install "funcspace[viz]"')
        if axes is None:
            _, axes = pyplot.subplots(1, 3, figsize=(10.0, 3.0), layout="constrained")
        axes = list(np.ravel(axes))
        if len(axes) != 3:
            raise InputError(f"three axes are wanted, got {len(axes)}")
        names = ("state-space divergence", "spectral distance", "visited regions")
        for ax, name, values in zip(axes, names, (self.divergence, self.spectral, self.regions), strict=True):
            finite = np.where(np.isfinite(values), values, np.nan)
            for p, row in zip(self.relu, finite, strict=True):
                ax.plot(np.full(len(row), p), row, ".", color="0.7", markersize=4, zorder=1)
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=1, method="nearest")
            ax.plot(self.relu, middle, "o-", color="C0", zorder=3, label="median, quartiles")
            ax.vlines(self.relu, low, np.where(np.isfinite(high), high, middle), color="C0", linewidth=2.0, zorder=2)
            ax.axvline(self.knee, color="C3", linestyle="--", linewidth=1.0, label=f"P = {self.knee}")
            ax.set_xticks(self.relu)
            ax.set_xlabel("ReLU units P")
            ax.set_title(name)
        axes[2].plot(self.relu, 2.0**self.relu, color="0.4", linestyle=":", label="$2^P$")
        axes[2].set_yscale("log", base=2)
        axes[2].legend(frameon=False, fontsize="small")
        return axes

    def __repr__(self) -> str:
        rows = ", ".join(f"P={p}: {m:.3g}" for p, m in zip(self.relu, self.median, strict=True))
        return f"ReluChoice(knee P={self.knee}; median divergence over {self.divergence.shape[1]} seeds {rows})"


def choose_relu(
    data: Any,
    *,
    latent: int = 20,
    candidates: Sequence[int] = (0, 1, 2, 3, 4, 5),
    seeds: int = 10,
    algorithm: Any = None,
    validation: Any = None,
    test: Any = None,
    steps: int = 100_000,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    schedule: Any = None,
    validate_every: int | None = None,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    progress: bool | None = None,
) -> ReluChoice:
    """Train almost-linear networks with each number of ReLU units and compare their free runs with the data.

    The seeds of one P train together as replicas. Brenner, Hemmer, Monfared, Durstewitz: Almost-linear RNNs yield
    highly interpretable symbolic codes in dynamical systems reconstruction, NeurIPS 2024.

    Parameters
    ----------
    data : what to learn from, as for `fit`.
    latent : M, number of units.
    candidates : the numbers P to try.
    seeds : networks for each P.
    algorithm : `SparseTeacherForcing()` by default.
    validation : chooses each network's best epoch; the last one counts without it.
    test : what free runs are compared with; the validation data, or else `data`, by default.
    steps : of the free run that visited regions are counted along, after a quarter as many to settle.
    epochs, batch_size, learning_rate, schedule, validate_every, seed, progress : as for `fit`.
    folder : where each P keeps its checkpoints, in a folder of its own; a stopped search goes on from there.

    Raises
    ------
    InputError : no candidates, or such as do not fit `latent`; what `fit` refuses.
    """
    from funcspace.dynamics.reconstruction.models.al_rnn import ALRNN
    from funcspace.dynamics.reconstruction.teacher_forcing import SparseTeacherForcing
    from funcspace.dynamics.reconstruction.windows import as_recording
    from funcspace.training import fit

    wanted = sorted(set(candidates))
    if not wanted or not all(map(is_whole, wanted)) or wanted[0] < 0 or wanted[-1] > latent:
        raise InputError(f"candidates must be whole numbers between 0 and latent={latent}; got {list(candidates)}")
    if seeds < 2 or steps < 2:
        raise InputError(f"seeds and steps must be at least 2; got {seeds} and {steps}")
    algorithm = algorithm or SparseTeacherForcing()
    compared = next(each for each in (test, validation, data) if each is not None)
    missing = bool(getattr(algorithm, "missing", False))
    observed = len(as_recording(data, missing=missing).components)
    reference = as_recording(compared, missing=missing, name="test")
    found: list[Any] = []
    scores: list[tuple[NDArray[Any], ...]] = []
    for p in wanted:
        model = ALRNN(observed, latent, p, replicas=seeds, seed=seed)
        found.append(
            fit(
                model, data, validation=validation, algorithm=algorithm, epochs=epochs, batch_size=batch_size,
                learning_rate=learning_rate, schedule=schedule, validate_every=validate_every, seed=seed,
                progress=progress,
                folder=None if folder is None else Path(folder) / f"relu_{p}",
            )
        )  # fmt: skip
        scores.append(_scored(found[-1], reference, steps))
    divergence, spectral, regions = (np.stack(each) for each in zip(*scores, strict=True))
    return ReluChoice(np.array(wanted), divergence, spectral, regions, tuple(found))


def _scored(reconstruction: Any, reference: Any, steps: int) -> tuple[NDArray[Any], ...]:
    """Divergence, spectral distance and visited regions of each replica."""
    from funcspace.dynamics.reconstruction.analysis.symbols import SymbolicCode

    scores = reconstruction.scores([reference])
    divergence, spectral = scores["state_space_divergence"].copy(), scores["spectral_distance"].copy()
    regions = np.zeros(len(divergence), dtype=np.int64)
    for i in range(len(divergence)):
        model = reconstruction.model.replica(i)
        first = ((reference.values[0][:1] - model.mean) / model.scale).nan_to_num(nan=0.0)
        settling = steps // 4
        orbit = model.generate_latent(model.start(first.to(model.A)), settling + steps)[0, settling:]
        if bool(orbit.isfinite().all()):
            regions[i] = SymbolicCode.of(model.region(orbit).numpy()).symbols
        else:
            divergence[i] = spectral[i] = np.inf
    return divergence, spectral, regions
