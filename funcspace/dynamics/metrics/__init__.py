"""Metrics that judge generated dynamics against true ones, and the invariants of both.

All take Functions over Times, tensors or arrays (..., time, components), the truth first and the generated
trajectory second; batch axes give batched results.
"""

from funcspace.dynamics import invariants
from funcspace.dynamics.invariants import *  # noqa: F403
from funcspace.dynamics.metrics.maximum_mean_discrepancy import maximum_mean_discrepancy
from funcspace.dynamics.metrics.pointwise_errors import mae, mase, mse, nrmse, rmse, smape, smape100, smape200
from funcspace.dynamics.metrics.prediction_error import prediction_error
from funcspace.dynamics.metrics.set_distances import hausdorff_distance, sliced_wasserstein
from funcspace.dynamics.metrics.spatial_correlation import spatial_correlation
from funcspace.dynamics.metrics.spectral_distance import spectral_distance
from funcspace.dynamics.metrics.state_space_divergence import state_space_divergence
from funcspace.dynamics.metrics.valid_prediction_time import valid_prediction_time, valid_prediction_time_smape

__all__ = [
    "hausdorff_distance",
    "mae",
    "mase",
    "maximum_mean_discrepancy",
    "mse",
    "nrmse",
    "prediction_error",
    "rmse",
    "sliced_wasserstein",
    "smape",
    "smape100",
    "smape200",
    "spatial_correlation",
    "spectral_distance",
    "state_space_divergence",
    "valid_prediction_time",
    "valid_prediction_time_smape",
]
__all__ += invariants.__all__
