"""Sparse polynomial vector fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from math import comb
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import require_counts
from funcspace.dynamics.reconstruction.models.history_model import OneStepMap
from funcspace.dynamics.reconstruction.models.ode_flow import tsit5_flow
from funcspace.errors import InputError

__all__ = ["SINDy"]

MOST_TERMS = 20_000


class SINDy(OneStepMap, nn.Module):
    r"""Sparse identification of nonlinear dynamics: a polynomial vector field with few terms.

    du/dt = W phi(u),   phi = all monomials up to degree p, the constant included

    in the units of the data, where equations are sparse if they ever are; the flow over one step of the data is
    integrated by Tsit5. Brunton, Proctor, Kutz: Discovering governing equations from data by sparse identification of
    nonlinear dynamical systems, PNAS 113, 3932 (2016).

    Trained by `SequentialThresholding`, in closed form. Weights and their flow are in double precision whatever the
    data: far from zero the terms of a field cancel.

    Parameters
    ----------
    observed : N, number of components.
    degree : p.
    substeps : steps of the solver per step of the data.

    Examples
    --------
    >>> model = SINDy(observed=3, degree=2)
    >>> model.regressors, model.names(("x", "y", "z"))[:6]
    (10, ['1', 'x', 'y', 'z', 'x^2', 'x y'])
    """

    replicas = None
    inputs = 0
    mean: Tensor
    scale: Tensor
    step_time: Tensor
    monomials: Tensor

    def __init__(self, observed: int, degree: int = 2, *, substeps: int = 1) -> None:
        super().__init__()
        require_counts(observed=observed, degree=degree, substeps=substeps)
        terms = comb(observed + degree, degree)
        if terms > MOST_TERMS:
            raise InputError(
                f"{observed} components have {terms:,} monomials up to degree {degree}, more than {MOST_TERMS:,}; take "
                "a smaller degree"
            )
        self.observed, self.degree, self.substeps, self.regressors = observed, degree, substeps, terms
        self.W = nn.Parameter(torch.zeros(observed, terms, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(observed, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(observed, dtype=torch.float64))
        self.register_buffer("step_time", torch.ones((), dtype=torch.float64))
        # factors of each monomial, in order of the degree; factor 0 is the constant one
        factors = sorted(combinations_with_replacement(range(observed + 1), degree), key=_order)
        self.register_buffer("monomials", torch.tensor(factors).mT.contiguous(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SINDy:
        """Go where `Module.to` says, but stay in double precision."""

        def moved(tensor: Tensor) -> Tensor:
            found = fn(tensor)
            return tensor.to(found.device) if tensor.dtype == torch.float64 else found

        return super()._apply(moved, recurse)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"observed": self.observed, "degree": self.degree, "substeps": self.substeps}

    @property
    def terms(self) -> int:
        """Number of coefficients that are not zero."""
        return int((self.W != 0).sum())

    def phi(self, u: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch term"]:
        """All monomials of states in the units of the data."""
        padded = torch.cat([torch.ones_like(u[..., :1]), u], dim=-1)
        product = padded[..., self.monomials[0]]
        for factor in self.monomials[1:]:
            product = product * padded[..., factor]
        return product

    def velocity(self, u: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch observed"]:
        """The vector field, per unit of time, of states in the units of the data."""
        return self.phi(u.to(self.W)) @ self.W.mT

    def step(self, x: Float[Tensor, "*batch observed"]) -> Float[Tensor, "*batch observed"]:
        """The flow over one step of the data, of standardised states."""
        u = tsit5_flow(self.velocity, self.mean + self.scale * x, float(self.step_time), self.substeps)
        return ((u - self.mean) / self.scale).to(x.dtype)

    forward = OneStepMap.follow

    def names(self, components: Sequence[str]) -> list[str]:
        """What each monomial is called."""
        if len(components) != self.observed:
            raise InputError(f"expected {self.observed} names of components, got {len(components)}")
        found = []
        for factors in self.monomials.mT.tolist():
            powers = {c: factors.count(i) for i, c in enumerate(components, start=1) if i in factors}
            found.append(" ".join(c if n == 1 else f"{c}^{n}" for c, n in powers.items()) or "1")
        return found

    def equations(
        self,
        style: Literal["plain", "latex"] = "plain",
        *,
        components: Sequence[str] | None = None,
        digits: int = 4,
    ) -> str:
        """The equations, a line for each component.

        Parameters
        ----------
        style : "plain" or "latex".
        components : names; u1, u2, ... by default.
        digits : significant digits of the coefficients.
        """
        latex = style == "latex"
        default = [f"u_{{{i + 1}}}" if latex else f"u{i + 1}" for i in range(self.observed)]
        components = default if components is None else list(components)
        names, lines = self.names(components), []
        for component, row in zip(components, self.W.detach().double().tolist(), strict=True):
            total = ""
            for name, value in zip(names, row, strict=True):
                if value:
                    sign = (" - " if value < 0 else " + ") if total else ("-" if value < 0 else "")
                    total += f"{sign}{abs(value):.{digits}g}" + ("" if name == "1" else f" {name}")
            left = rf"\dot {component}" if latex else f"d{component}/dt"
            lines.append(f"{left} = {total or '0'}")
        return (" \\\\\n" if latex else "\n").join(lines)

    def extra_repr(self) -> str:
        """Constructor arguments and the number of terms."""
        shown = ", ".join(f"{k}={v!r}" for k, v in self.config.items())
        return f"{shown}, {self.terms} of {self.W.numel()} terms"


def _order(factors: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return sum(1 for f in factors if f), tuple(f for f in factors if f)
