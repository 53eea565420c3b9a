"""The penalty that empties rare linear regions and takes their saddles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics import ALRNN, GeneralizedTeacherForcing, SparseTeacherForcing
from funcspace.dynamics.reconstruction.rare_regions import (
    DEPTH_MARGIN,
    SADDLE_MARGIN,
    RareRegions,
    relative_determinants,
    sign_patterns,
)


def trajectory(values: torch.Tensor) -> fs.Function:
    space = fs.FunctionSpace(fs.Times(0.0, 0.1, len(values)), components=("x", "y"))
    return fs.Function(space, values)


@pytest.fixture(scope="module")
def circle():
    t = torch.arange(1500, dtype=torch.float64) * 0.1
    return trajectory(torch.stack([3.0 + 2.0 * torch.cos(0.7 * t), -1.0 + 0.5 * torch.sin(0.7 * t)], dim=1))


def harmless(*lead: int) -> torch.Tensor:
    """Jacobians of two units whose determinants of 1 - J are all positive and equal: nothing to penalise."""
    return torch.zeros(*lead, 4, 3, 3, dtype=torch.float64)


def begun(model, data, algorithm):
    torch.manual_seed(0)
    return algorithm.begin(model, data, None, device=torch.device("cpu"), dtype=torch.float64)


class TestRareRegions:
    def test_it_is_the_mean_depth_in_patterns_that_are_rare(self):
        units = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        units[1] += 1.5
        found = RareRegions(0.2).penalty(units, harmless())
        u = units / units.square().mean(dim=(-2, -1), keepdim=True).sqrt()
        expected, rare = 0.0, 0
        for pattern in itertools.product((-1, 1), repeat=2):
            inside = ((units[0] * pattern[0] > 0) & (units[1] * pattern[1] > 0)).double().mean()
            if inside < 0.2:
                rare += 1
                depth = torch.minimum(u[0] * pattern[0], u[1] * pattern[1]) + DEPTH_MARGIN
                expected += depth.clamp_min(0.0).mean().item()
        assert rare == 2 and found.item() == pytest.approx(expected, rel=1e-12)

    def test_replicas_are_judged_each_by_itself(self):
        units = torch.randn(3, 2, 40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        units[1, 0] += 1.2
        jacobians = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        together = RareRegions(0.2).penalty(units, jacobians)
        alone = torch.stack([RareRegions(0.2).penalty(*parts) for parts in zip(units, jacobians, strict=True)])
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
                ((moved / scale * torch.tensor(pattern)[:, None, None]).amin(dim=0) + DEPTH_MARGIN)
                .clamp_min(0.0)
                .mean()
                for pattern, share in zip(itertools.product((-1.0, 1.0), repeat=2), shares, strict=True)
                if share < 0.3
            ]
            return sum(depths).item()

        leaf = units.clone().requires_grad_(True)
        found = RareRegions(0.3).penalty(leaf, harmless())
        assert found.item() == pytest.approx(penalty(units), rel=1e-12)
        found.backward()
        direction = torch.randn(units.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        slope = (penalty(units + 1e-6 * direction) - penalty(units - 1e-6 * direction)) / 2e-6
        assert slope != 0.0 and (leaf.grad * direction).sum().item() == pytest.approx(slope, rel=1e-6)

    def test_rare_regions_that_may_hold_saddles_cost(self):
        jacobians = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        found = torch.linalg.det(torch.eye(3, dtype=torch.float64) - jacobians)
        mean = found.abs().log().mean().exp()
        relative = found / (found.abs() + mean)
        torch.testing.assert_close(relative_determinants(jacobians), relative)
        assert 0 < (found < 0).sum() < 4
        for rare in range(4):  # states of one column in all patterns but this one
            units = sign_patterns(2)[[i for i in range(4) if i != rare]].double().T[..., None]
            depths = RareRegions(0.2).penalty(units, harmless())
            both = RareRegions(0.2).penalty(units, jacobians)
            assert both - depths == pytest.approx(max(0.0, SADDLE_MARGIN - relative[rare].item()), abs=1e-12)

    def test_its_gradient_raises_the_determinant_alone(self):
        """The mean is taken as it is, so that changing the regions that are visited earns nothing."""
        jacobians = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        rare = int((torch.linalg.det(torch.eye(3, dtype=torch.float64) - jacobians)).argmin())
        units = sign_patterns(2)[[i for i in range(4) if i != rare]].double().T[..., None]
        leaf = jacobians.clone().requires_grad_(True)
        RareRegions(0.2).penalty(units, leaf).backward()
        assert leaf.grad[[i for i in range(4) if i != rare]].abs().max() == 0.0
        moved = jacobians.clone()
        moved[rare] -= 1e-3 * leaf.grad[rare]
        before, after = (relative_determinants(j)[rare] for j in (jacobians, moved))
        assert after > before

    @pytest.mark.parametrize("replicas", [None, 2])
    def test_jacobians_of_all_regions(self, replicas):
        model = ALRNN(2, 5, 2, replicas=replicas, seed=3).double()
        regions = sign_patterns(2) > 0
        singles = [model] if replicas is None else [model.replica(i) for i in range(replicas)]
        expected = torch.stack([single.affine(regions)[0] for single in singles])
        torch.testing.assert_close(model.region_maps()[0], expected[0] if replicas is None else expected)

    def test_it_remembers_where_states_were(self):
        regions = RareRegions(0.05)
        once = torch.tensor([[[1.0], [-1.0]]], dtype=torch.float64)
        one = torch.zeros(2, 3, 3, dtype=torch.float64)
        regions.penalty(once, one)
        torch.testing.assert_close(regions.shares, torch.tensor([0.5, 0.5]))
        regions.penalty(once.abs(), one)
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
        shares = torch.zeros(4)
        for region, share in zip(after.regions.tolist(), after.occupancy.tolist(), strict=True):
            shares[int(region[0]) * 2 + int(region[1])] = share
        assert (shares < 0.02).any() and relative_determinants(second.model.region_maps()[0])[shares < 0.02].min() > 0
        assert 1.2 < run[:, 0].std() < 1.7  # it still goes round: a fixed point has none, the circle 1.41


class TestScores:
    @pytest.mark.parametrize("replicas", [None, 2])
    def test_weights_are_kept_by_a_score_of_ones_own(self, circle, replicas):
        seen = []

        def late(trained: fs.dynamics.Reconstruction) -> float:
            assert trained.replicas is None and trained.rollout(circle[:1], 3).coefficients.shape[-1] == 2
            seen.append(trained.model.W.detach().clone())
            return [5.0, 1.0, 3.0][(len(seen) - 1) // (replicas or 1)]

        algorithm = SparseTeacherForcing(interval=5, sequence=20, scores={"late": late})
        model = ALRNN(2, 4, 1, replicas=replicas, seed=0)
        options = {"validation": circle, "validate_every": 1, "epochs": 3, "seed": 0, "progress": False}
        trained = fs.fit(model, circle, algorithm=algorithm, monitor="late", **options)
        count = replicas or 1
        assert len(seen) == 3 * count
        best = torch.stack(seen[count : 2 * count])
        torch.testing.assert_close(trained.model.W.detach(), best if replicas else best[0], rtol=0.0, atol=0.0)
        assert [np.median(record["late"]) for record in trained.history] == [5.0, 1.0, 3.0]

    @pytest.mark.parametrize("wrong", [3, [len], {"a": 1.0}, {1: len}])
    def test_what_is_no_score(self, wrong):
        with pytest.raises(fs.InputError, match="scores must name functions of a trained model"):
            SparseTeacherForcing(scores=wrong)

    def test_what_cannot_be_scored(self, circle):
        options = {"epochs": 1, "validate_every": 1, "progress": False}
        algorithm = SparseTeacherForcing(interval=5, sequence=20, scores={"word": lambda trained: "many"})
        with pytest.raises(fs.InputError, match="the score 'word' must be a number, got 'many'"):
            fs.fit(ALRNN(2, 4, 1), circle, algorithm=algorithm, validation=circle, **options)
        with pytest.raises(
            fs.InputError, match=r"scores are taken at validations: give fit\(\.\.\., validation=\) for word"
        ):
            fs.fit(ALRNN(2, 4, 1), circle, algorithm=algorithm, **options)


def test_what_does_not_fit(circle):
    shallow = fs.dynamics.ClippedShallowPLRNN(2, hidden=4)
    with pytest.raises(fs.InputError, match="ClippedShallowPLRNN has no few units whose signs tell its linear regions"):
        fs.fit(shallow, circle, algorithm=SparseTeacherForcing(region_weight=1.0), epochs=1, progress=False)
    for relu in (0, 7):
        with pytest.raises(fs.InputError, match=f"need 1 to 6 ReLU units; the model has {relu}"):
            fs.fit(
                ALRNN(2, 8, relu), circle, algorithm=SparseTeacherForcing(region_weight=1.0), epochs=1, progress=False
            )
    with pytest.raises(fs.InputError, match=r"rare must lie between 0 and 1, got 1\.5"):
        SparseTeacherForcing(rare=1.5)
    for wrong in (-1.0, float("nan"), "much"):
        with pytest.raises(fs.InputError, match="region_weight must not be negative"):
            GeneralizedTeacherForcing(region_weight=wrong)
