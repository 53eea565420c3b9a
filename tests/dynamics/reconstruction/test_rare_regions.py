"""Penalties that empty rare linear regions and keep orbits from escaping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import ALRNN, GeneralizedTeacherForcing, SparseTeacherForcing
from funcspace.dynamics.reconstruction.rare_regions import MARGIN, RareRegions


def trajectory(values: torch.Tensor) -> fs.Function:
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, len(values)), components=("x", "y"))
    return fs.Function(space, values)


@pytest.fixture(scope="module")
def circle():
    t = torch.arange(1500, dtype=torch.float64) * 0.1
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(0.7 * t), -1.0 + 0.5 * torch.sin(0.7 * t)], dim=1))


def begun(model, data, algorithm):
    torch.manual_seed(0)
    return algorithm.begin(model, data, None, device=torch.device("cpu"), dtype=torch.float64)


def rotating(growth: float, **options) -> ALRNN:
    model = ALRNN(observed=2, latent=2, relu=0, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        c, s = growth * np.cos(0.3), growth * np.sin(0.3)
        model.W.copy_(torch.tensor([[c, -s], [s, c]]))
    return model


class TestRareRegions:
    def test_it_is_the_mean_depth_in_patterns_that_are_rare(self):
        units = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        units[1] += 1.5
        found = RareRegions(0.2).penalty(units)
        u = units / units.square().mean(dim=(-2, -1), keepdim=True).sqrt()
        expected, rare = 0.0, 0
        for pattern in itertools.product((-1, 1), repeat=2):
            inside = ((units[0] * pattern[0] > 0) & (units[1] * pattern[1] > 0)).double().mean()
            if inside < 0.2:
                rare += 1
                depth = torch.minimum(u[0] * pattern[0], u[1] * pattern[1]) + MARGIN
                expected += depth.clamp_min(0.0).mean().item()
        assert rare == 2 and found.item() == pytest.approx(expected, rel=1e-12)

    def test_replicas_are_judged_each_by_itself(self):
        units = torch.randn(3, 2, 40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        units[1, 0] += 1.2
        together = RareRegions(0.2).penalty(units)
        alone = torch.stack([RareRegions(0.2).penalty(part) for part in units])
        torch.testing.assert_close(together, alone)
        assert together[1] > 0

    def test_the_gradient_is_that_of_differences(self):
        """The scale of the units is taken as it is, so that shrinking them all earns nothing."""
        units = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        scale = units.square().mean(dim=(-2, -1), keepdim=True).sqrt()
        shares = [
            ((units * torch.tensor(pattern)[:, None, None]) > 0).all(dim=0).double().mean()
            for pattern in itertools.product((-1.0, 1.0), repeat=2)
        ]

        def penalty(moved: torch.Tensor) -> float:
            depths = [
                ((moved / scale * torch.tensor(pattern)[:, None, None]).amin(dim=0) + MARGIN).clamp_min(0.0).mean()
                for pattern, share in zip(itertools.product((-1.0, 1.0), repeat=2), shares, strict=True)
                if share < 0.3
            ]
            return sum(depths).item()

        leaf = units.clone().requires_grad_(True)
        found = RareRegions(0.3).penalty(leaf)
        assert found.item() == pytest.approx(penalty(units), rel=1e-12)
        found.backward()
        direction = torch.randn(units.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        slope = (penalty(units + 1e-6 * direction) - penalty(units - 1e-6 * direction)) / 2e-6
        assert slope != 0.0 and (leaf.grad * direction).sum().item() == pytest.approx(slope, rel=1e-6)

    def test_it_remembers_where_states_were(self):
        regions = RareRegions(0.05)
        once = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
        regions.penalty(once)
        torch.testing.assert_close(regions.shares, torch.tensor([0.5, 0.5]))
        regions.penalty(once.abs())
        torch.testing.assert_close(regions.shares, torch.tensor([0.49, 0.51]))

    def test_the_loss_carries_it_and_a_resumed_run_its_memory(self, circle):
        model = ALRNN(2, 5, 2, seed=1).double()
        plain = begun(model, circle, SparseTeacherForcing(interval=10, sequence=30)).loss(model, np.arange(4))
        task = begun(model, circle, SparseTeacherForcing(interval=10, sequence=30, region_weight=3.0, rare=0.3))
        weighed = task.loss(model, np.arange(4))
        torch.manual_seed(0)
        other = begun(model, circle, SparseTeacherForcing(interval=10, sequence=30, region_weight=6.0, rare=0.3))
        twice = other.loss(model, np.arange(4))
        assert weighed.item() > plain.item()
        assert twice.item() - plain.item() == pytest.approx(2.0 * (weighed.item() - plain.item()), rel=1e-9)
        again = begun(model, circle, SparseTeacherForcing(interval=10, sequence=30, region_weight=3.0, rare=0.3))
        again.restore(task.state())
        torch.testing.assert_close(again._regions.shares, task._regions.shares)

    def test_a_second_training_empties_them(self, circle):
        options = {"interval": 10, "sequence": 40, "noise": 0.02}
        fitted = {"epochs": 12, "learning_rate": 1e-2, "progress": False, "seed": 0}
        first = fs.fit(ALRNN(2, 8, 2, seed=0), circle, algorithm=SparseTeacherForcing(**options), **fitted)
        before = first.model.symbolic_code(circle, steps=3000, transient=500)
        pruning = SparseTeacherForcing(**options, region_weight=0.3, rare=0.2)
        second = fs.fit(first.model, circle, algorithm=pruning, **fitted)
        after = second.model.symbolic_code(circle, steps=3000, transient=500)
        assert before.occupancy[3:].sum() > 0.1 > 0.02 > after.occupancy[3:].sum()
        run = second.rollout(circle[:1], 1000).coefficients
        assert 1.2 < run[:, 0].std() < 1.7  # it still goes round: a fixed point has none, the circle 1.41


class TestEscape:
    def test_growth_beyond_what_is_allowed(self, circle):
        window = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert rotating(1.2).escape_penalty(window).item() == pytest.approx(60 * np.log(1.2) - 0.4, abs=1e-4)
        assert rotating(0.99).escape_penalty(window).item() == 0.0
        both = rotating(1.2, replicas=2)
        found = both.escape_penalty(window.expand(2, -1, -1, -1))
        assert found.shape == (2,) and found[0].item() == pytest.approx(60 * np.log(1.2) - 0.4, abs=1e-4)

    @pytest.mark.parametrize("kind", [ALRNN, fs.dynamics.PLRNN, fs.dynamics.ShallowPLRNN, fs.dynamics.DendriticPLRNN])
    def test_the_gradient_is_that_of_differences(self, kind):
        model = kind(2, latent=3).double() if kind is not fs.dynamics.ShallowPLRNN else kind(2, hidden=6).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.3).add_(0.05)
        window = torch.randn(2, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        weight = max(model.parameters(), key=torch.numel)

        def penalty() -> torch.Tensor:
            torch.manual_seed(0)
            return model.escape_penalty(window)

        penalty().backward()
        place = int(weight.grad.abs().argmax())
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight.view(-1)[place] += step
                values.append(penalty().item())
                weight.view(-1)[place] -= step
        slope = (values[0] - values[1]) / 2e-6
        assert slope != 0.0 and weight.grad.view(-1)[place].item() == pytest.approx(slope, rel=1e-4)

    def test_training_with_it_bounds_what_escapes(self, circle):
        pruning = GeneralizedTeacherForcing(alpha=0.5, sequence=10, escape_weight=1.0)
        fitted = {"epochs": 6, "learning_rate": 1e-2, "progress": False, "seed": 0}
        trained = fs.fit(rotating(1.05).float(), circle, algorithm=pruning, **fitted)
        plain = GeneralizedTeacherForcing(alpha=0.5, sequence=10)
        free = fs.fit(rotating(1.05).float(), circle, algorithm=plain, **fitted)
        window = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
        assert trained.model.escape_penalty(window) <= free.model.escape_penalty(window)
        assert trained.model.escape_penalty(window).item() < 0.05


def test_what_does_not_fit(circle):
    shallow = fs.dynamics.ClippedShallowPLRNN(2, hidden=4)
    with pytest.raises(fs.InputError, match="ClippedShallowPLRNN has nothing that region_weight weighs"):
        fs.fit(shallow, circle, algorithm=SparseTeacherForcing(region_weight=1.0), epochs=1, progress=False)
    for relu in (0, 7):
        with pytest.raises(fs.InputError, match=f"needs 1 to 6 ReLU units; the model has {relu}"):
            fs.fit(
                ALRNN(2, 8, relu), circle, algorithm=SparseTeacherForcing(region_weight=1.0), epochs=1, progress=False
            )
    with pytest.raises(fs.InputError, match="NeuralODE has nothing that escape_weight weighs"):
        fs.fit(
            fs.dynamics.NeuralODE(2), circle, algorithm=GeneralizedTeacherForcing(sequence=8, escape_weight=1.0),
            epochs=1, progress=False,
        )  # fmt: skip
    with pytest.raises(fs.InputError, match=r"rare must lie between 0 and 1, got 1\.5"):
        SparseTeacherForcing(rare=1.5)
    for wrong in (-1.0, float("nan"), "much"):
        with pytest.raises(fs.InputError, match="escape_weight must not be negative"):
            GeneralizedTeacherForcing(escape_weight=wrong)
