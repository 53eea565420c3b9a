import math

import pytest
import torch

import funcspace as fs
from funcspace.training import NormLoss

GRID = fs.Grid(x=(0.0, 1.0, 33), y=(0.0, 2.0, 17))
SPACE = fs.FunctionSpace(GRID)


def pair(batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, *SPACE.coefficient_shape)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    return target + 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64), target


@pytest.mark.parametrize("kind", ["L2", "H1"])
def test_relative_loss_is_the_ratio_of_the_norms_of_the_functions(kind: str) -> None:
    prediction, target = pair()
    error = fs.Function(SPACE, prediction - target).norm(kind)
    expected = (error / fs.Function(SPACE, target).norm(kind)).mean()
    assert torch.isclose(NormLoss(kind)(SPACE, prediction, target), expected, rtol=1e-12)


def test_zero_prediction_has_relative_error_one_and_truth_has_none() -> None:
    _, target = pair()
    assert torch.allclose(NormLoss().per_sample(SPACE, torch.zeros_like(target), target), torch.ones(3).double())
    assert float(NormLoss()(SPACE, target, target)) < 1e-100


def test_absolute_loss_of_a_known_function() -> None:
    f = SPACE.interpolate(lambda x: 3 * x[:, 0])
    zero = torch.zeros_like(f.coefficients)[None]
    loss = NormLoss("H1", relative=False)(SPACE, f.coefficients[None], zero)
    assert float(loss) == pytest.approx(math.sqrt(9 / 3 * 2 + 9 * 2), rel=1e-12)


def test_scale_of_the_data_does_not_matter() -> None:
    prediction, target = pair()
    assert torch.isclose(NormLoss()(SPACE, prediction, target), NormLoss()(SPACE, 1e-6 * prediction, 1e-6 * target))


def test_gradient() -> None:
    prediction, target = pair(2)
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: NormLoss()(SPACE, p, target), (prediction,))


def test_unknown_norm() -> None:
    with pytest.raises(fs.InputError, match='"L2" or "H1"'):
        NormLoss("L1")  # type: ignore[arg-type]
