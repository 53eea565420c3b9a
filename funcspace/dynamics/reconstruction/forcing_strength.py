r"""How strongly data must pull on the states so that gradients stay bounded: alpha = 1 - 1 / kappa."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.dynamics.reconstruction.models.piecewise_linear_rnn import PiecewiseLinearRNN
from funcspace.errors import InputError

__all__ = ["ESTIMATORS", "Estimator", "forcing_strength"]

Estimator = Literal["jacobian_bound", "batch_maximum", "product_bound", "mean_logarithm", "arithmetic_mean"]
ESTIMATORS = get_args(Estimator)


@torch.no_grad()
def forcing_strength(
    model: PiecewiseLinearRNN, states: Float[Tensor, "*replicas sequence time latent"], estimator: Estimator
) -> Float[Tensor, "*replicas"]:
    r"""The strength alpha that keeps gradients bounded, from how much Jacobians stretch at states from the data.

    alpha = max(0, 1 - 1 / kappa)

    ==================  ===============================================================
    "jacobian_bound"    max|A| + |W1| |W2|, of shallow models
    "batch_maximum"     the largest norm of a Jacobian
    "product_bound"     the largest geometric mean of norms along a sequence
    "mean_logarithm"    the largest norm of exp(mean_t log J_t)
    "arithmetic_mean"   the largest norm of a mean Jacobian along a sequence
    ==================  ===============================================================

    Hess, Monfared, Brenner, Durstewitz, ICML 2023. For "mean_logarithm" this takes the norm of the product of the
    Jacobians to the power 1/T, which is what the geometric mean of matrices in the reference amounts to.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {estimator!r}")
    if estimator == "jacobian_bound":
        bound = getattr(model, "jacobian_bound", None)
        if bound is None:
            raise InputError(f'"jacobian_bound" is known for shallow PLRNNs only, not for {type(model).__name__}')
        kappa = bound()
    elif model.replicas is None:
        kappa = _stretch(model, states, estimator)
    else:
        kappa = torch.stack([_stretch(model.replica(i), states[i], estimator) for i in range(model.replicas)])
    return (1.0 - 1.0 / kappa.clamp_min(1e-12)).clamp(0.0, 1.0)


def _stretch(model: PiecewiseLinearRNN, states: Tensor, estimator: Estimator) -> Tensor:
    jacobians = model.jacobian(states)
    if estimator == "batch_maximum":
        return torch.linalg.matrix_norm(jacobians, 2).amax()
    if estimator == "product_bound":
        return torch.linalg.matrix_norm(jacobians, 2).clamp_min(1e-30).log().mean(dim=1).exp().amax()
    if estimator == "arithmetic_mean":
        return torch.linalg.matrix_norm(jacobians.mean(dim=1), 2).amax()
    sequences, steps = jacobians.shape[:2]
    product = torch.eye(model.latent, dtype=jacobians.dtype, device=jacobians.device).expand(sequences, -1, -1)
    logarithm = torch.zeros(sequences, dtype=jacobians.dtype, device=jacobians.device)
    for t in range(steps):
        product = jacobians[:, t] @ product
        size = torch.linalg.matrix_norm(product).clamp_min(1e-30)
        product, logarithm = product / size[:, None, None], logarithm + size.log()
    return ((logarithm + torch.linalg.matrix_norm(product, 2).clamp_min(1e-30).log()) / steps).exp().amax()
