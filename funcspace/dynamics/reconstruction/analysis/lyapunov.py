"""Lyapunov exponents of trained models, along their free runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.invariants import lyapunov_spectrum, lyapunov_spectrum_of_products
from funcspace.dynamics.reconstruction.models.gated_networks import GatedNetwork
from funcspace.dynamics.reconstruction.models.history_model import HistoryModel
from funcspace.dynamics.reconstruction.models.linear_readout import LinearReadout
from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.errors import InputError, SolverError

__all__ = ["free_run_spectrum"]

ENTRIES = 2_000_000
TURNING = 1000  # steps over which tangent vectors find their directions


def free_run_spectrum(
    model: Any, history: Float[Tensor, "instant observed"], steps: int, *, transient: int, dt: float, **options: Any
) -> Estimate:
    """Exponents of the map of a single model, per unit of time, in double precision.

    Recurrent maps run in their latent space, with exact Jacobians of each step; closed-form models in the space of what
    they remember, gated networks in that of their memory and the observation; other models in that of the last
    `context` observations.

    Parameters
    ----------
    history : standardised observations to start from.
    steps, transient : of the free run; the exponents come from those after the transient.
    options : as for `lyapunov_spectrum`: count, every, blocks, seed.
    """
    model = copy.deepcopy(model).to("cpu", torch.float64).requires_grad_(False).eval()
    history = history.to("cpu", torch.float64)
    if isinstance(model, PiecewiseLinearRNN):
        turning = min(transient, TURNING)
        orbit = _settled(model, history[-1:], steps + turning, transient - turning)
        return lyapunov_spectrum_of_products(_jacobians(model, orbit), dt=dt, transient=turning, **options)
    if isinstance(model, LinearReadout):
        first = model.begin(history[None])
        shape = first.shape[1:]

        def following(state: Tensor) -> Tensor:
            memory = state.reshape(-1, *shape)
            x = memory.flatten(1)[:, : model.observed]
            return model.advance(memory, model.following(x, model.phi(memory))).reshape(state.shape)

        return lyapunov_spectrum(following, first.flatten(), steps, transient=transient, dt=dt, **options)
    if isinstance(model, GatedNetwork):
        memory = model.begin(history[:1])
        for x in history[:-1].split(1):
            memory = model.cell(memory, x)

        def carried(state: Tensor) -> Tensor:
            rows = state.reshape(-1, model.latent)
            return torch.cat(
                model.advance(*rows.split([model.latent - model.observed, model.observed], dim=1)), dim=1
            ).reshape(state.shape)

        start = torch.cat([memory[0], history[-1]])
        return lyapunov_spectrum(carried, start, steps, transient=transient, dt=dt, **options)
    if not isinstance(model, HistoryModel):
        raise InputError(f"{type(model).__name__} has no map of a state to the next one")
    kept = history[-model.context :]

    def shifted(state: Tensor) -> Tensor:
        past = state.reshape(-1, model.context, kept.shape[-1])
        return torch.cat([past[:, 1:], model.follow(past)[:, -1:]], dim=1).reshape(state.shape)

    return lyapunov_spectrum(shifted, kept.flatten(), steps, transient=transient, dt=dt, **options)


def _settled(
    model: PiecewiseLinearRNN, start: Float[Tensor, "one observed"], steps: int, transient: int
) -> Float[Tensor, "time latent"]:
    latent = model.start(start)
    if transient:
        latent = model.generate_latent(latent, transient)[:, -1]
    orbit = model.generate_latent(latent, steps)[0]
    if not bool(orbit.isfinite().all()):
        when = int((~orbit.isfinite().all(dim=1)).nonzero()[0])
        raise SolverError(f"the free run leaves every bound at step {transient + when}", state=latent)
    return orbit


def _jacobians(
    model: PiecewiseLinearRNN, orbit: Float[Tensor, "time latent"]
) -> Iterator[Float[Tensor, "part latent latent"]]:
    for part in orbit.split(max(1, ENTRIES // orbit.shape[1] ** 2)):
        yield model.jacobian(part)
