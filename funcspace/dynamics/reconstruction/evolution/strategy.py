"""An evolution strategy that moves the free runs of a trained model onto the invariant measure of its data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch

from funcspace.arguments import is_number, is_whole, require_counts
from funcspace.dynamics.reconstruction.evolution.task import EvolutionTask
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.dynamics.reconstruction.recordings_for import described, held_out_recordings, training_recordings
from funcspace.errors import InputError
from funcspace.training import Recipe

__all__ = ["EvolutionStrategy"]

GENERATIONS = 10  # of an epoch
POPULATION = 32
MOST_WEIGHTS = 6000  # whose square matrix is factorised


@dataclass(frozen=True, kw_only=True)
class EvolutionStrategy:
    r"""A second training, by an evolution strategy, of what free runs look like in the long run.

    score(w) = D_stsp(data, free runs of w) + error_weight MSE(w) / MSE(w_0)
    w <- w + s sum_i q_i y_i,  y_i the better half of the changes tried, in pairs of opposite sign, best first

    with the q_i of Hansen's CMA-ES. D_stsp compares the states of `orbits` free runs from random states of the data,
    without the first `transient` steps, with all the data (`metrics.state_space_divergence`); MSE is the error of free
    runs over `horizon` steps, w_0 the weights at the start. Forcing teaches a map where its states go next; how often
    it then comes where is left to chance, and gradients through long chaotic orbits are of no use. Here they are only
    run, sixteen at a time.

    Changes are drawn so that predictions move by about as much along all directions of weight space: see
    `Perturbations`. Without that, steps that leave the dynamics intact are too small to get anywhere. The covariance is
    not learned (it would take thousands of generations), only its factor s falls.

    Meant for models that forcing has brought close: give `fit` a trained model. Of PLRNNs of all families, with weights
    of their own in each replica and up to 6,000 of them; without external inputs or missing values.

    Parameters
    ----------
    spread, final : s at first and after `anneal` generations, as the root mean square change of standardised
        predictions; it falls geometrically.
    anneal : generations.
    error_weight : nats that twice the error of the start costs.
    horizon : steps.
    orbits, steps, transient : how many free runs, the steps of each that count, and those before.
    bins : of the divergence.
    damping : see `Perturbations`.
    keep_topology : whether changes that bring other transitions between regions or other fixed points rank last, of an
        `ALRNN`; what it has at the start is kept.

    An epoch is ten generations. By default `fit` runs 10 epochs with 32 changes per generation, its `batch_size`.

    Examples
    --------
    >>> from funcspace.dynamics import ALRNN, EvolutionStrategy, SparseTeacherForcing, system
    >>> import funcspace as fs
    >>> data = system("Lorenz").trajectory(5000, dt=0.01, seed=0)
    >>> model = ALRNN(observed=3, latent=10, relu=2)
    >>> first = fs.fit(model, data, algorithm=SparseTeacherForcing(interval=16), epochs=10, progress=False)
    >>> refine = EvolutionStrategy(orbits=4, steps=500, transient=100)
    >>> len(fs.fit(first.model, data, algorithm=refine, epochs=1, progress=False).history)
    1
    """

    spread: float = 0.02
    final: float = 2e-3
    anneal: int = 100
    error_weight: float = 3.0
    horizon: int = 40
    orbits: int = 16
    steps: int = 3000
    transient: int = 500
    bins: int = 30
    damping: float = 1e-4
    keep_topology: bool = False

    recipe = Recipe(
        epochs=10,
        batch_size=POPULATION,
        learning_rate=1.0,
        weight_decay=0.0,
        schedule="constant",
        optimizer=torch.optim.SGD,
        clip=None,
        monitor="state_space_divergence",
        validate_every=5,
    )

    def __post_init__(self) -> None:
        require_counts(anneal=self.anneal, horizon=self.horizon, orbits=self.orbits, steps=self.steps, bins=self.bins)
        if not (is_whole(self.transient) and self.transient >= 0):
            raise InputError(f"transient must be a whole number of steps that is not negative; got {self.transient!r}")
        if self.bins < 2 or self.steps < 2:
            raise InputError(f"bins and steps must be at least 2; got {self.bins} and {self.steps}")
        for name in ("spread", "final", "damping"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")
        if not (is_number(self.error_weight) and self.error_weight >= 0):
            raise InputError(f"error_weight must not be negative, and a number; got {self.error_weight!r}")

    def spread_at(self, generation: int) -> float:
        """S at a generation."""
        return self.spread * (self.final / self.spread) ** min(1.0, generation / self.anneal)

    def begin(
        self, model: Any, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype
    ) -> EvolutionTask:
        """Set up the second training of a map on trajectories."""
        name = type(model).__name__
        if not (isinstance(model, PiecewiseLinearRNN) and model.independent):
            raise InputError(f"EvolutionStrategy trains PLRNNs that share no weights, such as ALRNN; got {name}")
        if model.inputs:
            raise InputError(
                f"EvolutionStrategy scores free runs without external inputs; the model takes {model.inputs}"
            )
        weights = sum(p.numel() for p in model.parameters()) // (model.replicas or 1)
        if weights > MOST_WEIGHTS:
            raise InputError(
                f"EvolutionStrategy takes models of up to {MOST_WEIGHTS:,} weights; {name} has {weights:,}"
            )
        if self.keep_topology:
            _ = model.bending  # a model without few such units refuses
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise InputError("EvolutionStrategy trains in one process; start it without torchrun")
        recordings = model.standardise(training_recordings(data, model, inputs=None, missing=False))
        description = {
            "algorithm": "EvolutionStrategy",
            **{f.name: getattr(self, f.name) for f in fields(self)},
            **described(recordings),
        }
        held_out = held_out_recordings(validation, model, inputs=None)
        return EvolutionTask(
            self, model, recordings, held_out, samples=GENERATIONS * POPULATION, description=description, device=device,
            dtype=dtype,
        )  # fmt: skip
