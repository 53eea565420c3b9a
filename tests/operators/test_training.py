"""A few seconds of training beat the mean of the training outputs by a stated factor."""

import pytest
import torch

import funcspace as fs
from funcspace.operators.fno import FNO
from funcspace.operators.mgno import MgNO


@pytest.fixture(scope="module")
def darcy():
    data = fs.solvers.Darcy("threshold", resolution=17).sample(40, seed=0)
    return data.split(32)


def trivial_error(train, test):
    u, mean = test.outputs["u"], train.outputs["u"].coefficients.mean(dim=0)
    mass = u.space.mass
    errors = [((c - mean) @ mass(c - mean) / (c @ mass(c))).sqrt() for c in u.coefficients]
    return float(torch.stack(errors).mean())


def trained(model, train, epochs, **options):
    torch.manual_seed(0)
    return fs.fit(model.for_data(train, **options), train, epochs=epochs, batch_size=4, seed=0, progress=False)


def test_mgno_beats_the_mean_and_keeps_its_accuracy_on_a_finer_grid(darcy):
    train, test = darcy
    surrogate = trained(MgNO, train, 10, width=12, layers=2)
    error = surrogate.evaluate(test)["rel_l2"]
    assert error < 0.6 * trivial_error(train, test)
    finer = fs.solvers.Darcy("threshold", resolution=33).sample(8, seed=0, first=32)
    assert surrogate.evaluate(finer)["rel_l2"] < 2 * error


def test_conditioned_mgno_beats_the_mean(darcy):
    train, test = darcy
    surrogate = trained(MgNO, train, 3, conditioning="coefficient", layers=2)
    assert surrogate.evaluate(test)["rel_l2"] < 0.1 * trivial_error(train, test)


def test_fno_beats_the_mean(darcy):
    pytest.importorskip("neuralop")
    train, test = darcy
    surrogate = trained(FNO, train, 15, width=12, layers=2, modes=8)
    assert surrogate.evaluate(test)["rel_l2"] < 0.8 * trivial_error(train, test)


@pytest.mark.parametrize("options", [{}, {"conditioning": "coefficient", "layers": 2}])
def test_a_saved_surrogate_predicts_the_same(darcy, options, tmp_path):
    train, test = darcy
    torch.manual_seed(0)
    surrogate = fs.fit(MgNO.for_data(train, width=4, **options), train, epochs=1, batch_size=8, seed=0, progress=False)
    surrogate.save(tmp_path / "model")
    a = test.inputs["a"]
    assert torch.equal(fs.load(tmp_path / "model")(a).coefficients, surrogate(a).coefficients)
