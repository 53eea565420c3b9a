"""What flow solvers return: velocity and pressure, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions import Function

__all__ = ["Flow", "FlowHistory", "vorticity"]


@dataclass(frozen=True, eq=False, repr=False)
class Flow:
    r"""A velocity and a pressure on one mesh, at one time.

    Attributes
    ----------
    velocity : vector Function (P2 or Q2).
    pressure : scalar Function (P1 or Q1); of mean zero where only its gradient is determined.
    reactions : residual of the momentum equation (*batch, dofs, d): what the boundary must exert on the fluid.
    time : the time, where there is one.
    residuals : relative residual after each step of the nonlinear iteration, where there was one.
    """

    velocity: Function
    pressure: Function
    reactions: Float[Tensor, "*batch dofs d"]
    time: float | None = None
    residuals: tuple[float, ...] = ()

    def force(self, part: str) -> Float[Tensor, "*batch d"]:
        r"""The force of the fluid on a part whose velocity is given (per unit depth in two dimensions).

        With v equal to e_i on the part and small support, :math:`F_i = -R(v)`, R the residual of the momentum equation
        in weak form: the consistent volume form of :math:`-\int \sigma n`, n outward (John and Matthies, 2001), which
        converges twice as fast as the integral of the stress. Points that two parts share count for both.

        Raises
        ------
        InputError
            When the mesh has no such part.
        """
        dofs = self.velocity.space.dofs(part)
        return -self.reactions.index_select(-2, dofs).sum(dim=-2)

    def pressure_difference(self, first: Any, second: Any) -> Float[Tensor, "*batch"]:
        """p(first) - p(second) at two points, taken at the nearest point of the mesh where they lie outside."""
        points = torch.as_tensor([list(first), list(second)], dtype=torch.float64)
        values = self.pressure(points, outside="nearest")
        return values[..., 0] - values[..., 1]

    def vorticity(self) -> Function:
        """The curl of a plane velocity; see `vorticity`."""
        return vorticity(self.velocity)

    def __repr__(self) -> str:
        batch = f", batch {self.velocity.batch_shape}" if self.velocity.batch_shape else ""
        time = "" if self.time is None else f", time {self.time:g}"
        elements = f"{self.velocity.space.element}-{self.pressure.space.element}"
        return f"Flow({elements} on {self.velocity.domain!r}{batch}{time})"


@dataclass(frozen=True, eq=False, repr=False)
class FlowHistory:
    """A flow in time.

    Attributes
    ----------
    velocity, pressure : Functions over Times * mesh, at the times that were asked for.
    last : the flow at the last of them.
    steps : the instants after each time step (steps,).
    observed : what `observe` returned after each step, stacked by name: (*batch, steps, ...).
    """

    velocity: Function
    pressure: Function
    last: Flow
    steps: Float[Tensor, " steps"]
    observed: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        seen = f", observed {', '.join(self.observed)}" if self.observed else ""
        return f"FlowHistory({len(self.steps)} steps, stored over {self.velocity.domain!r}{seen})"


def vorticity(velocity: Function) -> Function:
    r"""The vorticity :math:`\omega = \partial_x v - \partial_y u` of a plane velocity, projected in L2.

    Parameters
    ----------
    velocity : vector Function on a mesh, or over Times * mesh.

    Returns
    -------
    A scalar Function of the same element.
    """
    from funcspace.functions import FunctionSpace
    from funcspace.geometry.product import ProductDomain

    space = velocity.space
    domain = space.domain
    in_time = isinstance(domain, ProductDomain)
    element = space.element.partition("*")[2].strip() if in_time else space.element
    mesh = domain.space if in_time else domain
    if mesh.dim != 2 or space.value_shape != (2,):
        raise InputError(f"vorticity is taken of a plane velocity with two components; got {velocity!r}")
    plane = FunctionSpace(mesh, element, components=space.components)
    rule = plane.quadrature()
    assert rule.gradients is not None
    slopes = rule.gradients(velocity.coefficients)
    curl = slopes[..., 1, 0] - slopes[..., 0, 1]
    scalar = plane.with_components("vorticity")
    loads = scalar.quadrature().values.T(curl * rule.weights.to(curl))
    values = scalar.basis.mass().inverse()(loads)
    return Function(FunctionSpace(domain, space.element, components=("vorticity",)), values, name="vorticity")
