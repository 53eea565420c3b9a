"""One training problem of the evolution strategy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.metrics.state_space_divergence import Occupation
from funcspace.dynamics.reconstruction.evolution.copies import Copies, spread_out, weight_rows
from funcspace.dynamics.reconstruction.evolution.kept_topology import KeptTopology
from funcspace.dynamics.reconstruction.evolution.perturbations import Perturbations
from funcspace.dynamics.reconstruction.free_run_scores import FREE_RUN_SCORES
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.reconstruction_task import mean_square
from funcspace.dynamics.reconstruction.scan import over_ranges
from funcspace.dynamics.reconstruction.windows import Recording, Windows
from funcspace.errors import InputError

if TYPE_CHECKING:
    from funcspace.dynamics.reconstruction.evolution.strategy import EvolutionStrategy
    from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

__all__ = ["EvolutionTask"]

FORECASTS = 256  # whose error is taken of each candidate
MOST_STATES = {"cpu": 2**22, "cuda": 2**28}  # numbers that orbits of several candidates hold at once


class EvolutionTask:
    """Tries changes of the weights and moves to the mean of the better ones; see `Task` of `funcspace.training`.

    A step of `fit` is a generation; the rows of a batch are its candidates. `loss` is the median score; its gradient is
    the change of the weights that the generation asks for, negative, which a plain gradient step of rate one makes.

    Parameters
    ----------
    strategy : its settings.
    model, recordings, validation : what is trained, on what, and what free runs are scored against.
    samples, description : candidates that count as an epoch, and what tells this run from another.
    device, dtype : of the model.
    """

    def __init__(
        self,
        strategy: EvolutionStrategy,
        model: PiecewiseLinearRNN,
        recordings: list[Recording],
        validation: list[Recording] | None,
        *,
        samples: int,
        description: Mapping[str, Any],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        if len(recordings[0].mean) > 5:
            raise InputError(
                f"EvolutionStrategy counts states in boxes, of up to 5 components; the data have "
                f"{len(recordings[0].mean)}"
            )
        self.strategy, self.model, self.recordings, self.validation = strategy, model, recordings, validation
        self.samples, self.description = samples, description
        self._windows = Windows(recordings, strategy.horizon + 1, device=device, dtype=dtype)
        self._truth = [
            Occupation(((torch.cat(r.values) - r.mean) / r.scale).numpy(), strategy.bins) for r in recordings
        ]
        self._copies = Copies(model, device=device, dtype=dtype)
        self._generation = 0
        self._origin = weight_rows(model)
        self._known: list[_Start | None] | None = None

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """The median score of the candidates of all replicas, with the step to take as its gradient."""
        starts = self._starts()
        pairs = max(1, len(rows) // 2)
        centre = weight_rows(self.model)
        windows = self._windows.draw(max(FORECASTS, self.strategy.orbits), len(centre))[0]
        spread = self.strategy.spread_at(self._generation)
        self._generation += 1
        medians, moves = [], torch.zeros_like(centre)
        for replica, (row, start) in enumerate(zip(centre, starts, strict=True)):
            if start is None:
                continue
            change = spread * start.perturbations.draw(pairs)
            change = torch.cat([change, -change])
            scores = self._scores(row + change, windows[replica], replica, start)
            finite = scores[np.isfinite(scores)]
            if not len(finite):  # all changes ruin this one, which waits for smaller ones
                continue
            order = np.argsort(scores, kind="stable")[: min(pairs, len(finite))]
            moves[replica] = _recombination(len(order)) @ change[torch.from_numpy(order)]
            medians.append(float(np.median(finite)))
        moved = torch.zeros((), dtype=torch.float64)
        pieces = spread_out(moves, self.model)
        for parameter, piece in zip(self.model.parameters(), pieces, strict=True):
            moved = moved + (parameter * piece).sum().to("cpu", torch.float64)
        return (float(np.median(medians)) if medians else float("inf")) + (moved.detach() - moved)

    def clip_gradients(self, model: nn.Module, largest: float | None) -> None:
        """Leave the step as it is: its size is the strategy's."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores of free runs."""
        return FREE_RUN_SCORES if self.validation else ()

    def validate(self, model: nn.Module) -> dict[str, Any]:
        """Scores of a free run beside each validation trajectory."""
        return self.surrogate(model).scores(self.validation) if self.validation else {}

    def surrogate(self, model: nn.Module) -> Reconstruction:
        """The model with the scale of its data."""
        from funcspace.dynamics.reconstruction.reconstruction import Reconstruction

        return Reconstruction.of(self.model, self.recordings)

    def state(self) -> dict[str, Tensor]:
        """Generations gone by, and the weights at the start, on which the perturbations rest."""
        return {"generation": torch.tensor(self._generation), "origin": self._origin}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._generation = int(state["generation"])
        self._origin, self._known = state["origin"].to("cpu", torch.float64), None

    def _starts(self) -> list[_Start | None]:
        """What is known of each replica as it was at the start; found at first use, by draws of its own.

        None for one whose free runs are not finite, which is left as it is.
        """
        if self._known is None:
            device = self.model.mean.device
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(0)
                self._known = [self._start(i, row) for i, row in enumerate(self._origin)]
            if not any(self._known):
                raise InputError("EvolutionStrategy takes a trained model; the free runs of this one are not finite")
        return self._known

    def _start(self, replica: int, row: Float[Tensor, " weight"]) -> _Start | None:
        count, strategy = len(self._origin), self.strategy
        windows = self._windows.draw(4 * FORECASTS, count)[0][replica]
        single = self._copies.of(row[None])
        error = float(self._errors(single, windows)[0])
        if not (np.isfinite(error) and error > 0.0):
            return None
        perturbations = Perturbations(self.model, row, self._windows, replica, count, strategy.damping)
        topology = KeptTopology.of(single, self._orbits(single, windows)) if strategy.keep_topology else None
        return _Start(perturbations, error, topology)

    def _scores(
        self,
        rows: Float[Tensor, "candidate weight"],
        windows: Float[Tensor, "observed instant column"],
        replica: int,
        start: _Start,
    ) -> np.ndarray:
        """The scores of candidates of one replica; infinite where a free run is."""
        strategy = self.strategy
        each = self.model.latent * strategy.orbits * (strategy.steps + strategy.transient)
        scores = []
        for part in rows.split(max(1, MOST_STATES.get(self.model.mean.device.type, 2**22) // each)):
            candidates = self._copies.of(part)
            states = self._orbits(candidates, windows)
            found = self._divergences(candidates, states, replica)
            found += strategy.error_weight * self._errors(candidates, windows) / start.error
            if start.topology is not None:
                found += start.topology.penalty(candidates, states).numpy()
            scores.append(np.where(np.isfinite(found), found, np.inf))
        return np.concatenate(scores)

    @torch.no_grad()
    def _orbits(
        self, candidates: PiecewiseLinearRNN, windows: Float[Tensor, "observed instant column"]
    ) -> Float[Tensor, "candidate latent time orbit"]:
        """Free runs of all candidates from the first states of the first windows, without their transients."""
        first = windows[:, 0, : self.strategy.orbits].mT
        start = candidates.start(first.expand(len(candidates.mean), *first.shape))
        states = candidates.scan(start.mT.contiguous(), self.strategy.transient + self.strategy.steps)
        return states[:, :, self.strategy.transient :]

    @torch.no_grad()
    def _errors(self, candidates: PiecewiseLinearRNN, windows: Float[Tensor, "observed instant column"]) -> np.ndarray:
        """The mean square errors of free runs along the windows."""
        count = len(candidates.mean)
        several = windows.expand(count, *windows.shape).contiguous()
        predicted = candidates(several, several.new_zeros(count, windows.shape[1] - 1))
        return mean_square(predicted, several[:, :, 1:], missing=False).to("cpu", torch.float64).numpy()

    @torch.no_grad()
    def _divergences(
        self, candidates: PiecewiseLinearRNN, states: Float[Tensor, "candidate latent time orbit"], replica: int
    ) -> np.ndarray:
        """The divergence of the orbits of each candidate from the data."""
        truth = self._truth[replica % len(self._truth)]
        observed = candidates.observe_columns(states).to("cpu", torch.float64)
        points = observed.permute(0, 2, 3, 1).reshape(len(observed), -1, observed.shape[1]).contiguous().numpy()
        found = np.empty(len(points))

        def work(first: int, last: int) -> None:
            for i in range(first, last):
                found[i] = truth.divergence(points[i])

        over_ranges(len(points), work)
        return found


@dataclass(frozen=True, eq=False)
class _Start:
    """What the strategy knows of a replica as it was at the start.

    Attributes
    ----------
    perturbations, error, topology : how to change its weights, its error over the horizon, and what is to be kept.
    """

    perturbations: Perturbations
    error: float
    topology: KeptTopology | None


def _recombination(count: int) -> Float[Tensor, " rank"]:
    """The weights of the best, the second best and so on of `count`."""
    weights = np.log(count + 0.5) - np.log(np.arange(1, count + 1))
    return torch.from_numpy(weights / weights.sum())
