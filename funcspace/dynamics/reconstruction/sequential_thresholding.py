"""Sparse regression of vector fields by sequentially thresholded least squares."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.models.sindy import SINDy
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
from funcspace.dynamics.reconstruction.recordings_for import check_components
from funcspace.dynamics.reconstruction.ridge_regression import ridge_solution, triangular_factor
from funcspace.dynamics.reconstruction.windows import as_recording, standardised_by
from funcspace.errors import InputError

__all__ = ["SequentialThresholding", "local_polynomials"]

ROUNDS = 20
BLOCK = 8192


@dataclass(frozen=True, kw_only=True)
class SequentialThresholding:
    r"""Sequentially thresholded least squares: regress, drop small coefficients, regress on what is left, and so on.

    W = argmin sum_t |W phi(u_t) - du_t/dt|^2 + ridge |W|^2,   then W_ij = 0 where |W_ij| < threshold

    until nothing more is dropped, for each component apart, in double precision. States and derivatives are those of
    polynomials fitted to `window` instants around each one (Savitzky and Golay, 1964); the default, of degree 4 to five
    instants, is the central difference of fourth order. Longer windows smooth noise. Brunton, Proctor, Kutz, PNAS 113,
    3932 (2016).

    Parameters
    ----------
    threshold : in the units of the coefficients.
    ridge : weight of the squares of the coefficients of regressors that are scaled to unit length.
    window : an odd number of instants.
    degree : of the polynomials, smaller than the window.

    Examples
    --------
    >>> import funcspace as fs
    >>> orbit = fs.dynamics.system("Lorenz").trajectory(2000, dt=0.01, seed=0)
    >>> fitted = fs.fit(fs.dynamics.SINDy(observed=3), orbit, algorithm=SequentialThresholding(), precision="64")
    >>> print(fitted.model.equations(components=("x", "y", "z"), digits=2))
    dx/dt = -10 x + 10 y
    dy/dt = 28 x - 1 y - 1 x z
    dz/dt = -2.7 z + 1 x y
    """

    threshold: float = 0.1
    ridge: float = 0.0
    window: int = 5
    degree: int = 4

    def __post_init__(self) -> None:
        for name in ("threshold", "ridge"):
            if not getattr(self, name) >= 0.0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.window < 3 or self.window % 2 == 0:
            raise InputError(f"window must be an odd number of at least 3, got {self.window}")
        if not 1 <= self.degree < self.window:
            raise InputError(f"degree must lie between 1 and window - 1 = {self.window - 1}, got {self.degree}")

    def solve(self, model: Any, data: Any, validation: Any, *, seed: int) -> Reconstruction:
        """Set the coefficients of a model; its history holds a record for each round."""
        if not isinstance(model, SINDy):
            raise InputError(f"SequentialThresholding trains SINDy; got {type(model).__name__}")
        recording = as_recording(data)
        held_out = None if validation is None else [as_recording(validation, name="validation")]
        check_components([recording], model.observed, "data")
        check_components(held_out or [], model.observed, "validation")
        (recording,) = standardised_by(model, [recording])
        model.step_time.fill_(recording.step)
        states, slopes = [], []
        for number, values in enumerate(recording.values):
            if len(values) < self.window:
                raise InputError(
                    f"trajectory {number} of the data has {len(values)} instants; the window needs {self.window}"
                )
            state, slope = local_polynomials(values, self.window, self.degree)
            states.append(state)
            slopes.append(slope / recording.step)
        factor, size = self._factor(model, torch.cat(states), torch.cat(slopes))
        weights, history = self._thresholded(factor, size, model.observed)
        model.W.data.copy_(weights)
        model.eval()
        found = Reconstruction.of(model, [recording])
        if held_out is not None:
            history[-1] |= {name: float(values[0]) for name, values in found.scores(held_out).items()}
        found.history = history
        found.provenance = {
            "algorithm": "SequentialThresholding", "threshold": self.threshold, "ridge": self.ridge,
            "window": self.window, "degree": self.degree, "trajectories": [len(v) for v in recording.values],
            "step": recording.step,
        }  # fmt: skip
        return found

    def _factor(self, model: SINDy, states: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """The triangular factor of [phi, du/dt] with regressors of unit length, and the lengths that they had."""
        phi = [model.phi(block) for block in states.split(BLOCK)]
        size = torch.stack([block.square().sum(dim=0) for block in phi]).sum(dim=0).sqrt()
        rows = (torch.cat([p / size, s], dim=1) for p, s in zip(phi, slopes.split(BLOCK), strict=True))
        return triangular_factor(rows, model.regressors + model.observed), size

    def _thresholded(
        self, factor: Tensor, size: Tensor, observed: int
    ) -> tuple[Float[Tensor, "observed term"], list[dict[str, Any]]]:
        left, right = factor[:, :-observed], factor[:, -observed:]
        weights = torch.zeros(observed, left.shape[1], dtype=torch.float64)
        kept = torch.ones_like(weights, dtype=torch.bool)
        history: list[dict[str, Any]] = []
        for _ in range(ROUNDS):
            for i in range(observed):
                weights[i] = 0.0
                if kept[i].any():
                    weights[i, kept[i]] = ridge_solution(left[:, kept[i]], right[:, i], self.ridge) / size[kept[i]]
            residual = right - left @ (weights * size).mT
            loss = float(residual.square().sum() / right.square().sum())
            history.append({"terms": int((weights != 0).sum()), "loss": loss})
            large = kept & (weights.abs() >= self.threshold)
            if torch.equal(large, kept):
                break
            kept = large
        weights[~kept] = 0.0
        return weights, history


def local_polynomials(
    values: Float[Tensor, "instant component"], window: int, degree: int
) -> tuple[Float[Tensor, "inner component"], Float[Tensor, "inner component"]]:
    """Values and slopes (per step) of polynomials fitted around each instant that has enough others on both sides."""
    half = window // 2
    offsets = torch.arange(-half, half + 1, dtype=torch.float64)
    powers = torch.stack([offsets**k / factorial(k) for k in range(degree + 1)], dim=1)
    rows = torch.linalg.pinv(powers)[:2]
    around = values.double().unfold(0, window, 1)
    value, slope = around @ rows[0], around @ rows[1]
    return value, slope
