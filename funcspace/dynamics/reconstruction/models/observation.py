"""How observations and latent states of a recurrent map belong together."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.dynamics.reconstruction.models.initial_weights import glorot, uniform
from funcspace.dynamics.reconstruction.models.replica_products import product
from funcspace.errors import InputError

__all__ = ["Observation", "ObservationKind"]

ObservationKind = Literal["identity", "affine", "affine-detached", "network"]


class Observation(nn.Module):
    r"""Latent state z in R^M to observation x in R^N, and back.

    ==================  ===================================================================================
    "identity"          x = z_1 .. z_N;  start z = [x; L x]; the first N units are forced
    "affine"            x = B z;  start and forcing z = B^+ x, differentiated through the pseudo-inverse
    "affine-detached"   the same, with the pseudo-inverse of the forcing held fixed, as in the reference code
    "network"           x = g(z), z = e(x) with networks of one hidden layer, trained along
    ==================  ===================================================================================

    All axes but the last of z and x are free; with replicas the first of them numbers the replicas.

    Parameters
    ----------
    kind : see the table.
    observed, latent : N and M.
    replicas : leading axis of all weights; () for none.
    hidden : width of the networks.
    """

    def __init__(
        self,
        kind: ObservationKind,
        observed: int,
        latent: int,
        *,
        replicas: tuple[int, ...] = (),
        hidden: int = 64,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if kind not in ("identity", "affine", "affine-detached", "network"):
            raise InputError(f'observation must be "identity", "affine", "affine-detached" or "network", got {kind!r}')
        if kind == "identity" and latent < observed:
            raise InputError(
                f"with the identity as observation the latent state must have at least as many units as there are "
                f"observations; got latent={latent}, observed={observed}"
            )
        self.kind, self.observed, self.latent = kind, observed, latent
        self._single = not replicas
        if kind == "identity":
            if latent > observed:
                self.lift = nn.Parameter(glorot((*replicas, latent - observed, observed), generator))
        elif kind == "network":
            sizes = {"decoder": (latent, observed), "encoder": (observed, latent)}
            for name, (inputs, outputs) in sizes.items():
                self.register_parameter(f"{name}_in", nn.Parameter(uniform((*replicas, hidden, inputs), generator)))
                self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(*replicas, hidden)))
                self.register_parameter(f"{name}_out", nn.Parameter(uniform((*replicas, outputs, hidden), generator)))
        else:
            self.matrix = nn.Parameter(uniform((*replicas, observed, latent), generator, (3.0 / latent) ** 0.5))

    @property
    def forced(self) -> int:
        """Number of latent units that data can force, counted from the first."""
        return self.observed if self.kind == "identity" else self.latent

    def observe(self, z: Float[Tensor, "... latent"]) -> Float[Tensor, "... observed"]:
        """Observations of latent states."""
        if self.kind == "identity":
            return z[..., : self.observed]
        if self.kind == "network":
            return self._network("decoder", z)
        return product(z, self.matrix)

    def targets(self, x: Float[Tensor, "... observed"]) -> Float[Tensor, "... forced"]:
        """What the forced units are pulled towards."""
        if self.kind == "identity":
            return x
        if self.kind == "affine-detached":
            return product(x, torch.linalg.pinv(self.matrix.detach()))
        return self.start(x)

    def start(self, x: Float[Tensor, "... observed"]) -> Float[Tensor, "... latent"]:
        """The latent state that belongs to an observation."""
        if self.kind == "identity":
            return torch.cat([x, product(x, self.lift)], dim=-1) if self.latent > self.observed else x
        if self.kind == "network":
            return self._network("encoder", x)
        return product(x, torch.linalg.pinv(self.matrix))

    def penalty(self) -> Float[Tensor, "*replicas"]:
        """What a weight on the observation penalises: the size of L, or how far B is from condition one."""
        if self.kind == "identity":
            return self.lift.square().sum(dim=(-2, -1)) if self.latent > self.observed else torch.zeros(())
        if self.kind == "network":
            sizes = [p.square().sum(dim=(-2, -1)) for n, p in self.named_parameters() if not n.endswith("bias")]
            return torch.stack(sizes).sum(dim=0)
        values = torch.linalg.svdvals(self.matrix)
        return (1.0 - values[..., 0] / (values[..., -1] + 1e-8)).square()

    def _network(self, name: str, x: Tensor) -> Tensor:
        inner, bias, outer = (getattr(self, f"{name}_{part}") for part in ("in", "bias", "out"))
        aligned = bias if self._single else bias.reshape(len(bias), *([1] * (x.ndim - 2)), -1)
        return product(torch.nn.functional.silu(product(x, inner) + aligned), outer)
