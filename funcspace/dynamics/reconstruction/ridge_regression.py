"""Training of linear read-outs in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.models.linear_readout import LinearReadout
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
from funcspace.dynamics.reconstruction.recordings_for import check_components
from funcspace.dynamics.reconstruction.windows import Recording, as_recording, standardised_by
from funcspace.errors import InputError

__all__ = ["RidgeRegression", "ridge_solution", "triangular_factor"]

RIDGES = tuple(10.0**k for k in range(-10, 4))
STARTS = 8
HORIZON = 200
LONG_RUN = 2000
FAR = 10.0
EQUAL = 1.1


@dataclass(frozen=True, kw_only=True)
class RidgeRegression:
    r"""Ridge regression of the read-out W on one-step predictions, solved at once.

    W = argmin sum_t |W phi_t - y_t|^2 + ridge |W|^2

    over all trajectories, in double precision, from the triangular factor of [phi, y], which is gathered a block of
    rows at a time; so the condition number is not squared and memory does not grow with the data.

    Parameters
    ----------
    ridge : None chooses it among 1e-10, 1e-9, ..., 1e3: the read-out is solved on all but the last part of the last
        trajectory and runs freely there, from several starts. Taken for all the data is the largest ridge whose error
        is at most 1.1 times the least, of those whose runs stay within ten standard deviations of the mean for 2000
        steps, if there are any. The squared error of a component is cut at 2, what an unrelated state of the attractor
        scores.
    noise : standard deviation of noise on the states that are predicted from, in units of each component's own; the
        targets are clean.
    washout : instants at the start of each trajectory that only drive the model; its `context` by default.
    holdout : that last part, as a share of the last trajectory.

    Examples
    --------
    >>> import math
    >>> import funcspace as fs
    >>> waves = [[math.cos(0.1 * t), math.sin(0.1 * t)] for t in range(300)]
    >>> circle = fs.Function(fs.FunctionSpace(fs.Times(0.0, 0.1, 300), components=("x", "y")), torch.tensor(waves))
    >>> model = fs.fit(fs.dynamics.NVAR(observed=2, degree=1), circle, algorithm=RidgeRegression(ridge=1e-9))
    >>> error = model.rollout(circle[:2], 100).coefficients[-1] - circle.coefficients[101]
    >>> bool(error.abs().max() < 1e-2)
    True
    """

    ridge: float | None = None
    noise: float = 0.0
    washout: int | None = None
    holdout: float = 0.1

    def __post_init__(self) -> None:
        if self.ridge is not None and not self.ridge >= 0.0:
            raise InputError(f"ridge must not be negative, got {self.ridge}")
        if not self.noise >= 0.0:
            raise InputError(f"noise must not be negative, got {self.noise}")
        if self.washout is not None and self.washout < 1:
            raise InputError(f"washout must be at least 1, got {self.washout}")
        if not 0.0 < self.holdout < 1.0:
            raise InputError(f"holdout must lie between 0 and 1, got {self.holdout}")

    def solve(self, model: Any, data: Any, validation: Any, *, seed: int) -> Reconstruction:
        """Set the read-out of a model; its history holds a record for each ridge that was tried."""
        if not isinstance(model, LinearReadout):
            raise InputError(
                f"RidgeRegression trains models with a linear read-out, NVAR and ReservoirComputer; got "
                f"{type(model).__name__}"
            )
        recording = as_recording(data)
        held_out = None if validation is None else [as_recording(validation, name="validation")]
        self._check(model, recording)
        check_components(held_out or [], model.observed, "validation")
        (recording,) = standardised_by(model, [recording])
        dtype = model.W.dtype
        model.double()
        series = [(values - recording.mean) / recording.scale for values in recording.values]
        ridge, history = self.ridge, []
        if ridge is None:
            ridge, history = self._chosen(model, series, seed)
        factor = self._factor(model, series, seed)
        model.W.data.copy_(_solution(factor, model.observed, ridge))
        rows = sum(len(s) - self._washout(model) for s in series)
        residual = factor[:, -model.observed :] - factor[:, : -model.observed] @ model.W.detach().mT
        model.to(dtype).eval()
        found = Reconstruction.of(model, [recording])
        last: dict[str, Any] = {"ridge": ridge, "loss": float(residual.square().sum()) / (rows * model.observed)}
        if held_out is not None:
            last |= {name: float(values[0]) for name, values in found.scores(held_out).items()}
        found.history = [*history, last]
        found.provenance = {
            "algorithm": "RidgeRegression", "ridge": ridge, "noise": self.noise, "washout": self._washout(model),
            "trajectories": [len(s) for s in series], "step": recording.step,
        }  # fmt: skip
        return found

    def _washout(self, model: LinearReadout) -> int:
        return model.context if self.washout is None else max(self.washout, model.context)

    def _check(self, model: LinearReadout, recording: Recording) -> None:
        check_components([recording], model.observed, "data")
        least = self._washout(model) + 1
        for number, values in enumerate(recording.values):
            if len(values) < least:
                raise InputError(
                    f"trajectory {number} of the data has {len(values)} instants; the model needs at least {least}, of "
                    f"which {least - 1} only drive it"
                )

    def _factor(self, model: LinearReadout, series: Sequence[Tensor], seed: int) -> Tensor:
        """The triangular factor of the rows [phi_t, y_t]."""
        return triangular_factor(self._rows(model, series, seed), model.regressors + model.observed)

    def _rows(self, model: LinearReadout, series: Sequence[Tensor], seed: int) -> Iterator[Float[Tensor, "row column"]]:
        generator = torch.Generator().manual_seed(seed)
        skipped = self._washout(model) - model.context
        for clean in series:
            noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
            driven = (clean + self.noise * noise)[:-1]
            row = model.context - 1
            for block in model.blocks(driven[None]):
                phi = block[0]
                now = torch.arange(row, row + len(phi))
                y = clean[now + 1] - driven[now] if model.increments else clean[now + 1]
                wanted = now >= model.context - 1 + skipped
                yield torch.cat([phi, y], dim=1)[wanted]
                row += len(phi)

    def _chosen(self, model: LinearReadout, series: Sequence[Tensor], seed: int) -> tuple[float, list[dict[str, Any]]]:
        last = series[-1]
        kept = round((1.0 - self.holdout) * len(last))
        horizon = min(HORIZON, (len(last) - kept) // 2)
        if horizon < 1 or kept <= self._washout(model) or kept + horizon >= len(last) + 1:
            raise InputError(
                f"the last trajectory, of {len(last)} instants, is too short to choose the ridge on its last "
                f"{self.holdout:.0%}; give ridge, or more data"
            )
        factor = self._factor(model, [*series[:-1], last[:kept]], seed)
        before = self._washout(model)
        starts = torch.linspace(kept, len(last) - horizon, STARTS).long()
        history = torch.stack([last[s - before : s] for s in starts.tolist()])
        truth = torch.stack([last[s : s + horizon] for s in starts.tolist()])
        records = []
        for ridge in RIDGES:
            model.W.data.copy_(_solution(factor, model.observed, ridge))
            run = model.generate(history, LONG_RUN)
            error = (run[:, :horizon] - truth).square().nan_to_num(nan=2.0).clamp_max(2.0).mean()
            records.append({"ridge": ridge, "free_run_error": float(error), "bounded": bool((run.abs() < FAR).all())})
        tried = [r for r in records if r["bounded"]] or records
        least = min(r["free_run_error"] for r in tried)
        return max(r["ridge"] for r in tried if r["free_run_error"] <= EQUAL * least), records


def triangular_factor(rows: Iterable[Float[Tensor, "row column"]], columns: int) -> Float[Tensor, "some column"]:
    """The triangular factor of rows that come a block at a time."""
    factor = torch.zeros(0, columns, dtype=torch.float64)
    for block in rows:
        factor = torch.linalg.qr(torch.cat([factor, block]), mode="r")[1]
    return factor


def ridge_solution(
    left: Float[Tensor, "row regressor"], right: Float[Tensor, "row ..."], ridge: float
) -> Float[Tensor, "regressor ..."]:
    """The minimum w of |left w - right|^2 + ridge |w|^2, by singular values; those of rounding size are left out."""
    u, s, vh = torch.linalg.svd(left, full_matrices=False)
    tiny = s < 1e-14 * s[0]
    filtered = torch.where(tiny, torch.zeros_like(s), s / (s.square() + ridge).clamp_min(1e-300))
    return (vh.mT * filtered) @ (u.mT @ right)


def _solution(factor: Float[Tensor, "row column"], observed: int, ridge: float) -> Float[Tensor, "observed regressor"]:
    """W from the triangular factor."""
    return ridge_solution(factor[:, :-observed], factor[:, -observed:], ridge).mT
