"""The number of ReLU units: the knee of given scores, and of maps that need exactly two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.analysis.relu_choice import ReluChoice
from tests.dynamics.reconstruction.test_training import trajectory


def choice(*rows):
    divergence = np.array(rows, dtype=np.float64)
    zeros = np.zeros_like(divergence)
    return ReluChoice(np.arange(len(rows)), divergence, zeros, zeros.astype(np.int64) + 1)


class TestKnee:
    def test_smallest_within_one_standard_error(self):
        # the best median 1.0 has the deviation 0.2, so the error 1.2533 * 1.4826 * 0.2 / sqrt(5) = 0.166
        best = [0.6, 0.8, 1.0, 1.2, 1.4]
        for shift, knee in ((0.15, 1), (0.18, 2)):
            found = choice([5.0] * 5, [x + shift for x in best], best)
            assert found.error[2] == pytest.approx(0.16620, rel=1e-4)
            assert found.best == 2 and found.knee == knee

    def test_failures_do_not_decide(self):
        found = choice([np.inf] * 5, [1.0, 1.1, 1.2, np.inf, np.inf], [3.0, 3.0, 3.1, 3.2, 3.2])
        assert found.knee == 1 and np.isinf(found.median[0])
        assert choice([np.inf] * 3, [np.inf] * 3).knee == 0

    def test_plot(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        axes = choice([np.inf, 6.0, 5.0], [1.0, 1.1, 1.2], [0.9, 1.1, 1.3]).plot()
        middle = axes[0].lines[3].get_ydata()
        np.testing.assert_allclose(middle, [6.0, 1.1, 1.1])
        assert list(axes[0].lines[4].get_xdata()) == [1, 1]
        np.testing.assert_allclose(axes[2].lines[-1].get_ydata(), [1.0, 2.0, 4.0])
        with pytest.raises(fs.InputError, match="three axes are wanted, got 1"):
            choice([1.0, 2.0]).plot(axes[0])
        pyplot.close("all")


def test_two_tent_maps_need_two_units(tmp_path):
    x, y, states = 0.1234, -0.321, []
    for _ in range(2000):
        x, y = 0.475 - 1.95 * abs(x), 0.475 - 1.93 * abs(y)
        states.append([x, y])
    data = trajectory(torch.tensor(states, dtype=torch.float64))

    def run():
        return fs.dynamics.choose_relu(
            data, latent=2, candidates=(2, 0, 1), seeds=2, epochs=8, learning_rate=1.0, steps=2000,
            algorithm=fs.dynamics.GeneralizedTeacherForcing(alpha=1.0, sequence=10), folder=tmp_path, progress=False,
        )  # fmt: skip

    found = run()
    assert list(found.relu) == [0, 1, 2] and found.knee == 2
    # without kinks a map ends in a point or at infinity; with one for each tent it visits all four regions
    assert found.median[0] > 3.0 * found.median[2] and found.median[1] > 1.5 * found.median[2]
    assert found.regions[0].max() <= 1 and np.median(found.regions[2]) == 4
    assert found.reconstructions[1].replicas == 2 and "knee P=2" in repr(found)
    np.testing.assert_array_equal(run().divergence, found.divergence)  # from the folder, without training


def test_bad_input():
    data = trajectory(torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(fs.InputError, match=r"between 0 and latent=3; got \[2, 4\]"):
        fs.dynamics.choose_relu(data, latent=3, candidates=(2, 4))
    with pytest.raises(fs.InputError, match="seeds and steps must be at least 2; got 1 and 100000"):
        fs.dynamics.choose_relu(data, seeds=1)
    with pytest.raises(fs.InputError, match="a trajectory, a Function over Times"):
        fs.dynamics.choose_relu(torch.zeros(5, 2))
