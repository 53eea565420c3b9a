"""Numbers at the doors of systems, invariants and metrics: what is none is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from funcspace.dynamics import metrics
from funcspace.errors import InputError

ONE = np.random.default_rng(0).standard_normal(400)
TWO = np.random.default_rng(1).standard_normal((2, 400, 2))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("autocorrelation", {"most": 2.5}, "longest lag must be between"),
        ("correlation_dimension", {"region": (1.0,)}, "two increasing radii"),
        ("correlation_dimension", {"theiler": "long"}, "theiler must be between"),
        ("correlation_sum", {"largest": "all"}, "largest radius must be positive"),
        ("decorrelation_time", {"level": "low"}, "level must lie between"),
        ("decorrelation_time", {"step": "short"}, "step must be a positive time"),
        ("delay_embedding", {"dimension": 2.5}, "dimension must be a whole number"),
        ("delayed_mutual_information", {"most": "all"}, "longest lag must be between"),
        ("delayed_mutual_information", {"most": 5, "bins": "many"}, "bins must be between"),
        ("embedding_lag", {"most": "all"}, "longest lag must be between"),
        ("multiscale_entropy", {"scales": 2}, "scales must be whole numbers"),
        ("multiscale_entropy", {"scales": (1, 2.5)}, "scales must be whole numbers"),
        ("permutation_entropy", {"order": "third"}, "order must be between"),
        ("permutation_entropy", {"component": "x"}, "component 'x' does not exist"),
        ("power_spectrum", {"smoothing": "much"}, "smoothing must be a number"),
        ("rosenstein_exponent", {"blocks": "ten"}, "blocks must be at least 2"),
        ("rosenstein_exponent", {"horizon": "far"}, "horizon must be between"),
        ("rosenstein_exponent", {"theiler": 1.5}, "theiler must be between"),
        ("sample_entropy", {"tolerance": "low"}, "tolerance must be positive"),
        ("wolf_exponent", {"evolve": "long"}, "evolve must be between"),
        ("wolf_exponent", {"evolve": 5, "smallest": "tiny"}, "smallest must be less than largest"),
        ("zero_one_test", {"frequencies": "many"}, "frequencies must be a whole number"),
        ("zero_one_test", {"seed": -1}, "seed must be a whole number"),
    ],
)
def test_invariants_refuse_what_is_no_number(name, options, message):
    with pytest.raises(InputError, match=message):
        getattr(metrics, name)(ONE, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mase", {"training": ONE, "lag": "day"}, "lag must be a whole number"),
        ("maximum_mean_discrepancy", {"scales": "wide"}, "scales must be numbers"),
        ("maximum_mean_discrepancy", {"most_points": "all"}, "most_points must be at least 2"),
        ("nrmse", {"scale": "unit"}, "the scale must be numbers"),
        ("sliced_wasserstein", {"projections": "all"}, "projections must be a whole number"),
        ("sliced_wasserstein", {"seed": -1}, "seed must be a whole number"),
        ("spatial_correlation", {"climatology": "mean"}, "the climatology must be numbers"),
        ("spectral_distance", {"lowest": "first"}, "lowest must be between"),
        ("state_space_divergence", {"bins": 2.5}, "bins must be a whole number"),
        ("state_space_divergence", {"method": "mixture", "variance": "one"}, "variance"),
        ("state_space_divergence", {"method": "mixture", "seed": -1}, "seed must be a whole number"),
        ("valid_prediction_time", {"threshold": "low"}, "threshold must be numbers"),
        ("valid_prediction_time", {"lyapunov": "one"}, "lyapunov must be a positive exponent"),
    ],
)
def test_metrics_refuse_what_is_no_number(name, options, message):
    with pytest.raises(InputError, match=message):
        getattr(metrics, name)(*TWO, **options)


def test_exponents_of_maps_refuse_what_is_no_number_and_no_tensor():
    def half(state):
        return 0.5 * state

    with pytest.raises(InputError, match="steps and every must be whole numbers"):
        metrics.lyapunov_spectrum(half, [1.0, 1.0], "many")
    with pytest.raises(InputError, match="the initial state must be numbers"):
        metrics.lyapunov_spectrum(half, "origin", 100)
    with pytest.raises(InputError, match="a tensor, to one of that shape; got ndarray"):
        metrics.lyapunov_spectrum(lambda state: 0.5 * state.numpy(), [1.0, 1.0], 100)
    with pytest.raises(InputError, match="dt must be a positive time"):
        metrics.lyapunov_spectrum_of_products(np.tile(np.eye(2), (100, 1, 1)), dt="one")
    with pytest.raises(InputError, match="the exponents must be numbers"):
        metrics.kaplan_yorke_dimension(["a"])
    with pytest.raises(InputError, match="horizon must be a whole number"):
        metrics.prediction_error(half, ONE, "far")
