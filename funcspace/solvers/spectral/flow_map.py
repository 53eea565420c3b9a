"""The map of a spectral solver from a state to the state a fixed time later, and its derivative."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.arguments import is_whole, number_of
from funcspace.errors import InputError
from funcspace.functions import FunctionSpace
from funcspace.solvers.spectral.equation import Equation
from funcspace.solvers.spectral.etdrk4 import Etdrk4

__all__ = ["FlowMap"]


class FlowMap:
    r"""State to state: F(u) = u(duration) where u(0) = u, by a fixed number of equal steps.

    States are coefficients in `space`: `(*batch, dofs)`, or `(*batch, dofs, components)`. The map is an ordinary
    differentiable torch function without side effects.

    Attributes
    ----------
    space : the space of the states.
    duration : time between a state and its image.
    steps : number of steps.

    Examples
    --------
    >>> from funcspace.solvers.spectral import KuramotoSivashinsky
    >>> chaos = KuramotoSivashinsky(length=22.0, resolution=64)
    >>> flow = chaos.flow_map(0.1)
    >>> u = chaos.initial_fields(1, seed=0).coefficients[0]
    >>> v, dv = flow.tangent(u, torch.eye(64, dtype=torch.float64)[:3])
    >>> bool(torch.allclose(v, flow(u))), tuple(dv.shape)
    (True, (3, 64))
    """

    def __init__(
        self,
        space: FunctionSpace,
        stepper: Callable[[float], Etdrk4],
        equation: Equation,
        duration: float,
        *,
        steps: int = 1,
    ) -> None:
        if not number_of(duration) > 0 or not (is_whole(steps) and steps >= 1):
            raise InputError(f"duration must be positive, steps a whole number; got {duration!r} and {steps!r}")
        self.space, self.duration, self.steps = space, number_of(duration), int(steps)
        self._stepper, self._equation = stepper(self.duration / steps), equation

    def __call__(self, state: Float[Tensor, " ..."]) -> Float[Tensor, " ..."]:
        """The state after `duration`."""
        rank = len(self.space.coefficient_shape)
        if state.ndim < rank or tuple(state.shape[state.ndim - rank :]) != self.space.coefficient_shape:
            raise InputError(
                f"a state must have shape (*batch, {', '.join(map(str, self.space.coefficient_shape))}); "
                f"got {tuple(state.shape)}"
            )
        batch = state.shape[: state.ndim - rank]
        count = len(self.space.components)
        modes = self._equation.modes
        values = state.reshape(*batch, -1, count).movedim(-1, -2).reshape(*batch, count, *self.space.layout)
        spectra = modes.project(values)
        for _ in range(self.steps):
            spectra = self._stepper(spectra, self._equation.nonlinear)
        after = modes.evaluate(spectra).flatten(-modes.dim).movedim(-2, -1)
        return after.reshape(state.shape)

    def tangent(
        self, state: Float[Tensor, " ..."], tangents: Float[Tensor, "m ..."]
    ) -> tuple[Float[Tensor, " ..."], Float[Tensor, "m ..."]]:
        """The state after `duration`, and the images of tangent vectors under the derivative of the map.

        Parameters
        ----------
        state : `(*batch, dofs[, components])`.
        tangents : `(m, *batch, dofs[, components])`: m tangent vectors to each state.
        """
        if tuple(tangents.shape[1:]) != tuple(state.shape):
            raise InputError(
                f"tangents must have shape (m, {', '.join(map(str, state.shape))}); got {tuple(tangents.shape)}"
            )

        def push(vector: Tensor) -> tuple[Tensor, Tensor]:
            image, pushed = torch.func.jvp(self, (state,), (vector,))  # type: ignore[misc]
            return image, pushed

        return torch.func.vmap(push, out_dims=(None, 0))(tangents)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"FlowMap(duration={self.duration:g}, steps={self.steps}) on {self.space.domain!r}"
