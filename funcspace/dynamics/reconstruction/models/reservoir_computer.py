"""Reservoir computers: a large fixed random network with a trained read-out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.linear_readout import LinearReadout
from funcspace.errors import InputError

__all__ = ["ReservoirComputer"]


class ReservoirComputer(LinearReadout):
    r"""An echo state network: a fixed random network driven by the data, of which only the read-out is trained.

    r_t = (1 - a) r_{t-1} + a tanh(R r_{t-1} + V x_t + b),   x_{t+1} = W [1; x_t; r_t]

    R is sparse with spectral radius rho, V uniform in [-sigma, sigma] and b uniform in [-beta, beta]. With `quadratic`
    every second entry of r_t is squared in the read-out, which breaks the symmetry of tanh. Jaeger: The echo state
    approach (2001); Pathak, Hunt, Girvan, Lu, Ott, Physical Review Letters 120, 024102 (2018).

    The defaults are those that do well on the chaos database with standardised data. Trained by `RidgeRegression`.

    Parameters
    ----------
    observed : N, number of components.
    units : size of the reservoir.
    spectral_radius : rho.
    leak : a, in (0, 1].
    input_scaling, bias_scaling : sigma and beta.
    density : share of the entries of R that are not zero.
    quadratic : see above.
    context : instants that drive the reservoir, from r = 0, before it runs freely or its read-out counts.
    seed : of R, V and b.

    Examples
    --------
    >>> model = ReservoirComputer(observed=3, units=100)
    >>> model.W.shape, model.context
    (torch.Size([3, 104]), 50)
    """

    R: Tensor
    V: Tensor
    b: Tensor

    def __init__(
        self,
        observed: int,
        units: int = 500,
        *,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        input_scaling: float = 0.5,
        bias_scaling: float = 0.1,
        density: float = 0.1,
        quadratic: bool = False,
        context: int = 50,
        seed: int = 0,
    ) -> None:
        require_counts(observed=observed, units=units, context=context)
        for name, value in {"leak": leak, "density": density}.items():
            if not 0.0 < value <= 1.0:
                raise InputError(f"{name} must lie in (0, 1], got {value}")
        scales = {"spectral_radius": spectral_radius, "input_scaling": input_scaling, "bias_scaling": bias_scaling}
        for name, value in scales.items():
            if not value >= 0.0:
                raise InputError(f"{name} must not be negative, got {value}")
        super().__init__(observed, context=context, regressors=1 + observed + units, increments=False)
        self.units, self.leak, self.quadratic = units, leak, quadratic
        self._settings = scales | {"density": density, "seed": seed}
        generator = torch.Generator().manual_seed(seed)

        def uniform(*shape: int) -> Tensor:
            return 2.0 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1.0

        network = uniform(units, units) * (torch.rand(units, units, generator=generator) < density)
        radius = float(torch.linalg.eigvals(network).abs().max())
        if not radius > 0.0 and spectral_radius > 0.0:
            raise InputError(
                f"a reservoir of {units} units with density {density} has no cycle, so that its spectral radius is 0; "
                "take more units or a larger density"
            )
        dtype = torch.get_default_dtype()
        self.register_buffer("R", (network * (spectral_radius / radius if radius else 0.0)).to(dtype))
        self.register_buffer("V", (input_scaling * uniform(units, observed)).to(dtype))
        self.register_buffer("b", (bias_scaling * uniform(units)).to(dtype))

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "observed": self.observed, "units": self.units, "leak": self.leak, "quadratic": self.quadratic,
            "context": self.context, **self._settings,
        }  # fmt: skip

    @property
    def latent(self) -> int:
        """Units of the reservoir."""
        return self.units

    def begin(self, history: Float[Tensor, "batch instant observed"]) -> Float[Tensor, "batch state"]:
        """The last state and the reservoir, driven by all of the history."""
        state = history.new_zeros(len(history), self.observed + self.units)
        for x in history.unbind(1):
            state = self.advance(state, x)
        return state

    def advance(
        self, state: Float[Tensor, "batch state"], x: Float[Tensor, "batch observed"]
    ) -> Float[Tensor, "batch state"]:
        """The new state beside the reservoir driven by it."""
        r = state[:, self.observed :]
        driven = torch.tanh(r @ self.R.mT + x @ self.V.mT + self.b)
        return torch.cat([x, (1.0 - self.leak) * r + self.leak * driven], dim=1)

    def phi(self, state: Float[Tensor, "... state"]) -> Float[Tensor, "... regressor"]:
        """[1; x; r], every second r squared where the read-out is quadratic."""
        r = state[..., self.observed :]
        if self.quadratic:
            even = torch.arange(self.units, device=r.device) % 2 == 0
            r = torch.where(even, r, r.square())
        return torch.cat([torch.ones_like(state[..., :1]), state[..., : self.observed], r], dim=-1)

    def blocks(
        self, history: Float[Tensor, "batch instant observed"], size: int = 4096
    ) -> Iterator[Float[Tensor, "batch row regressor"]]:
        """The regressors after each instant from instant `context` on."""
        state = history.new_zeros(len(history), self.observed + self.units)
        rows: list[Tensor] = []
        for t, x in enumerate(history.unbind(1)):
            state = self.advance(state, x)
            if t >= self.context - 1:
                rows.append(state)
            if len(rows) == size:
                yield self.phi(torch.stack(rows, dim=1))
                rows = []
        if rows:
            yield self.phi(torch.stack(rows, dim=1))
