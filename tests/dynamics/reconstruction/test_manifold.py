"""Stable and unstable manifolds of maps where they are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.analysis.find_cycles import every_region, has_interior
from funcspace.dynamics.reconstruction.analysis.polyline import clipped, images, kinked
from tests.dynamics.reconstruction.maps import disturbed


def almost_linear(a, w, h, relu):
    """z -> diag(a) z + w Phi(z) + h."""
    model = fs.dynamics.ALRNN(len(a), len(a), relu).double()
    with torch.no_grad():
        for parameter, value in zip((model.A, model.W, model.h), (a, w, h), strict=True):
            parameter.copy_(torch.tensor(value, dtype=torch.float64))
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def saddle():
    """x' = x / 2 + relu(y), y' = 2 y - 1."""
    return almost_linear([0.5, 2.0], [[0.0, 1.0], [0.0, 0.0]], [0.0, -1.0], 1)


A, B = 1.7, 0.3
ROOT = math.sqrt(A**2 + 4.0 * B)
C = 0.5 * (A - ROOT)


@pytest.fixture(scope="module")
def lozi():
    """The Lozi map x' = 1 - a |x| + y, y' = b x in coordinates (y + c x, x), c^2 = a c + b, where it is an ALRNN."""
    return almost_linear([C, A - C], [[0.0, -2.0 * C * A], [1.0, -2.0 * A]], [C, 1.0], 1)


def unmixed(z):
    """x and y of the Lozi map."""
    return np.stack([z[:, 1], z[:, 0] - C * z[:, 1]], axis=1)


def backward(points):
    """The inverse of the Lozi map."""
    x = points[:, 1] / B
    return np.stack([x, points[:, 0] - 1.0 + A * np.abs(x)], axis=1)


def fixed_point(model, kind="saddle"):
    return next(c for c in model.fixed_points() if c.admissible and c.kind == kind)


def test_a_polyline_gets_a_vertex_at_every_kink():
    model = disturbed("clipped shallow")
    line = 3.0 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fine, whole = kinked(model, line, torch.tensor([True, True, False, True, True]))
    t = torch.linspace(0.0, 1.0, 20_001, dtype=torch.float64)[:, None]
    changes = 0
    for a, b in (*itertools.pairwise(line[:3]), *itertools.pairwise(line[3:])):
        region = model.region(a + t * (b - a))
        changes += int((region[1:] != region[:-1]).any(dim=1).sum())
    assert len(fine) == len(line) + changes and changes > 20
    assert int((~whole).sum()) == 1 and torch.equal(fine[:-1][~whole][0], line[2])
    # between its vertices the map is affine
    middle = 0.5 * (fine[:-1] + fine[1:])
    image = model.step(fine)
    difference = (model.step(middle) - 0.5 * (image[:-1] + image[1:])).abs().amax(dim=1)
    assert difference[whole].max() < 1e-11


class TestSaddle:
    """x' = x / 2 + relu(y), y' = 2 y - 1: the manifolds of (2, 1) are a line and a polygon."""

    def test_unstable(self, saddle):
        found = saddle.manifold(fixed_point(saddle), steps=4, extent=3.0)
        assert found.kind == "unstable" and found.dimension == 1 and len(found.states) == 1
        x, y = found.points.T
        expected = np.where(y > -1.0, 2.0 + (y - 1.0) * 2.0 / 3.0, 1.0 + (y - 1.0) / 6.0)
        np.testing.assert_allclose(x, expected, atol=1e-12)
        assert np.abs(found.points - [2.0 / 3.0, -1.0]).max(axis=1).min() < 1e-9
        assert y.min() <= -2.8 and y.max() > 1.5

    def test_stable(self, saddle):
        found = saddle.manifold(fixed_point(saddle), "stable", steps=6, extent=50.0)
        (line,) = found.observed
        np.testing.assert_allclose(line[:, 1], 1.0, atol=1e-12)
        assert line[:, 0].min() < -40.0 and line[:, 0].max() > 40.0

    def test_in_units_of_the_data(self, saddle):
        plain = saddle.manifold(fixed_point(saddle), steps=3).points
        saddle.mean.copy_(torch.tensor([5.0, -1.0]))
        saddle.scale.copy_(torch.tensor([2.0, 10.0]))
        scaled = saddle.manifold(fixed_point(saddle), steps=3).points
        np.testing.assert_allclose(scaled, plain * [2.0, 10.0] + [5.0, -1.0], atol=1e-12)
        saddle.mean.zero_()
        saddle.scale.fill_(1.0)


class TestLozi:
    def test_unstable_manifold_lies_in_the_trapping_triangle_and_turns_at_its_corners(self, lozi):
        # Misiurewicz: Strange attractors for the Lozi mappings, 1980
        point = next(c for c in lozi.fixed_points() if c.states[0, 1] > 0.0)
        found = lozi.manifold(point, steps=14)
        (line,) = (unmixed(z) for z in found.states)
        corner = np.array([(2.0 + A + ROOT) / (2.0 * (1.0 + A - B)), 0.0])
        corners = [corner]
        for _ in range(2):
            x, y = corners[-1]
            corners.append(np.array([1.0 - A * abs(x) + y, B * x]))
        for each in corners:
            assert np.abs(line - each).max(axis=1).min() < 1e-9
        (x0, y0), (x1, y1), (x2, y2) = corners
        turning = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        for (xa, ya), (xb, yb) in zip(corners, corners[1:] + corners[:1], strict=True):
            side = (xb - xa) * (line[:, 1] - ya) - (line[:, 0] - xa) * (yb - ya)
            assert (side * np.sign(turning)).min() > -1e-9
        assert len(line) > 100

    def test_stable_manifold_comes_back_to_the_local_line(self, lozi):
        point = next(c for c in lozi.fixed_points() if c.states[0, 1] > 0.0)
        found = lozi.manifold(point, "stable", steps=5, extent=1e3)
        assert len(found.states) == 1 and len(found.states[0]) > 8
        z = torch.from_numpy(found.states[0])
        middle = 0.5 * (z[:-1] + z[1:])  # what lies between vertices belongs to it too
        for each in (z, middle):
            for _ in range(5):
                each = lozi.step(each)
            x, y = (unmixed(each.numpy()) - unmixed(point.states)).T
            stable = 0.5 * (-A + ROOT)
            np.testing.assert_allclose(x * B, y * stable, atol=1e-9)

    def test_unstable_manifold_of_a_cycle(self, lozi):
        (cycle,) = lozi.cycles(max_order=2)[2]
        found = lozi.manifold(cycle, steps=3)
        assert len(found.states) == 2
        states = unmixed(cycle.states)
        ends = []
        for line in found.states:
            points = unmixed(line)
            for _ in range(14):
                points = backward(points)
            distances = np.abs(points[:, None] - states).max(axis=2)
            ends.append(int(distances.max(axis=0).argmin()))
            assert distances.max(axis=0).min() < 0.02
        assert sorted(ends) == [0, 1]


def shallow_lozi(a, b):
    """The Lozi map in its own coordinates; of 16 regions, four are more than kinks."""
    model = fs.dynamics.ShallowPLRNN(2, 2, 4).double().requires_grad_(False)
    model.A.fill_(0.25)
    model.h1.copy_(torch.tensor([1.0, 0.0]))
    model.h2.zero_()
    model.W2.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    model.W1.copy_(torch.tensor([[-a - 0.25, -a + 0.25, 1.0, -1.0], [b, -b, -0.25, 0.25]]))
    return model


@pytest.mark.parametrize(("steps", "length"), [(12, 119.76223), (16, 155.38271)])
def test_a_stable_manifold_is_followed_within_the_ball_alone(steps, length):
    # lengths within radius 3 by a program of its own, in extended precision
    model = shallow_lozi(1.25, 0.125)
    point = max((c for c in model.fixed_points() if c.admissible), key=lambda c: c.states[0, 0])
    found = model.manifold(point, "stable", steps=steps, extent=6.0)
    assert np.linalg.norm(found.points, axis=1).max() < 6.0 + 1e-9
    near = clipped([torch.from_numpy(line) for line in found.states], 3.0)
    assert sum(float(torch.linalg.vector_norm(line.diff(dim=0), dim=1).sum()) for line in near) == pytest.approx(length)
    z = torch.cat([0.5 * (line[:-1] + line[1:]) for line in near])
    nearest = torch.full((len(z),), torch.inf, dtype=torch.float64)
    for _ in range(3 * steps):
        z = model.step(z)
        nearest = nearest.minimum(torch.linalg.vector_norm(z - torch.from_numpy(point.states[0]), dim=1))
    assert nearest.max() < 1e-4


def test_clipping_cuts_where_lines_leave_the_ball():
    through = torch.tensor([[-3.0, 0.6], [0.0, 0.6], [3.0, 0.6], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).double()
    beside = torch.tensor([[-3.0, 2.0], [3.0, 2.0]]).double()
    first, second = clipped([through, beside], 1.0)
    torch.testing.assert_close(first, torch.tensor([[-0.8, 0.6], [0.0, 0.6], [0.8, 0.6]]).double())
    torch.testing.assert_close(second, torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).double())
    assert clipped([beside], 1.0) == []


def test_manifolds_of_cycles_keep_to_the_most_points(lozi):
    (cycle,) = lozi.cycles(max_order=2)[2]
    found = lozi.manifold(cycle, steps=60, most=500)
    assert 100 < len(found.points) <= 500


def test_regions_with_an_interior():
    for model in (disturbed(name) for name in ("ALRNN", "centred", "clipped shallow", "clipped dendritic")):
        z = 3.0 * torch.randn(50, model.latent, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        forms, offsets = model.kinks()
        assert torch.equal(z @ forms.mT + offsets > 0, model.region(z))
        assert all(has_interior(model, region) for region in model.region(z).unique(dim=0)[:10])
    model = shallow_lozi(1.25, 0.125)
    known = sum(has_interior(model, region) for region in every_region(model))
    assert known == 4


def test_stable_set_of_a_map_without_inverse():
    # tent map times a contraction: the stable set of (0, 1/6) are the lines over all its preimages under the tent map
    model = almost_linear([0.5, 2.0], [[0.0, 0.0], [0.0, -4.0]], [0.0, 0.5], 1)
    point = next(c for c in model.fixed_points() if c.states[0, 1] > 0.0)
    found = model.manifold(point, "stable", steps=2, extent=20.0)
    places = sorted(float(line[0, 1]) for line in found.observed)
    np.testing.assert_allclose(places, [-1 / 3, -1 / 6, 1 / 6, 1 / 3], atol=1e-12)
    assert all(np.ptp(line[:, 1]) < 1e-12 and np.ptp(line[:, 0]) > 20.0 for line in found.observed)


def test_manifolds_of_more_dimensions():
    # a linear spiral in the plane z = x + y, with a contraction onto it
    turn = 1.05 * np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    onto = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    jacobian = onto @ np.block([[turn, np.zeros((2, 1))], [np.zeros((1, 2)), np.full((1, 1), 0.5)]])
    jacobian = jacobian @ np.linalg.inv(onto)
    model = almost_linear([0.0] * 3, jacobian.tolist(), [0.0] * 3, 0)
    (point,) = model.fixed_points()
    unstable = model.manifold(point, steps=20, samples=50)
    assert unstable.dimension == 2 and len(unstable.points) > 500
    np.testing.assert_allclose(unstable.points[:, 2], unstable.points[:, :2].sum(axis=1), atol=1e-9)
    assert np.linalg.norm(unstable.points, axis=1).max() <= 10.0
    again = model.manifold(point, steps=20, samples=50)
    np.testing.assert_array_equal(again.points, unstable.points)
    stable = model.manifold(point, "stable", steps=3)
    assert stable.dimension == 1
    np.testing.assert_allclose(stable.points[:, :2], 0.0, atol=1e-9)


def test_plot(lozi):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    point = next(c for c in lozi.fixed_points() if c.states[0, 1] > 0.0)
    found = lozi.manifold(point, steps=5)
    ax = found.plot(components=(1, 0), color="k")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), found.observed[0][:, 1])
    assert "dimension 1, 1 curves" in repr(found)
    with pytest.raises(fs.InputError, match=r"components must lie between 0 and 1; got \(0, 2\)"):
        found.plot(components=(0, 2))
    pyplot.close("all")


def test_bad_input(lozi):
    point = next(c for c in lozi.fixed_points() if c.states[0, 1] > 0.0)
    with pytest.raises(fs.InputError, match='"unstable" or "stable", got \'centre\''):
        lozi.manifold(point, "centre")
    for nothing in (None, 3, [point]):
        with pytest.raises(fs.InputError, match=r"expected a fixed point or cycle, such as model\.fixed_points"):
            lozi.manifold(nothing)
    with pytest.raises(fs.InputError, match="steps must be a whole number of at least 1, got 0"):
        lozi.manifold(point, steps=0)
    with pytest.raises(fs.InputError, match=r"regions must be regions \(count, bits=1\) of this map; got \(2, 3\)"):
        lozi.manifold(point, "stable", regions=np.zeros((2, 3)))
    with pytest.raises(fs.InputError, match="extent must be larger than the norm"):
        lozi.manifold(point, extent=0.1)
    with pytest.raises(fs.InputError, match="the cycle has 2 units; the model has 9"):
        disturbed("ALRNN").manifold(point)
    doubling = almost_linear([2.0, 3.0], [[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], 1)
    with pytest.raises(fs.InputError, match="no stable manifold"):
        doubling.manifold(doubling.fixed_points()[0], "stable")
    flat = almost_linear([0.5, 2.0], [[0.0, 0.0], [0.0, -2.0]], [0.0, 0.5], 1)
    virtual = [c for c in flat.fixed_points() if not c.admissible]
    low = next(c for c in flat.fixed_points() if c.admissible and c.states[0, 1] < 0.0)
    with pytest.raises(fs.InputError, match="region 1 has no inverse"):
        flat.manifold(low, "stable")
    (line,) = flat.manifold(low, "stable", steps=3, regions=[[False]]).observed
    np.testing.assert_allclose(line[:, 1], -0.5, atol=1e-12)
    assert not virtual
    with pytest.raises(fs.InputError, match="a virtual cycle is no orbit"):
        lonely = almost_linear([0.5, 0.5], [[0.0, 0.0], [0.0, 0.25]], [0.0, -1.0], 1)
        lonely.manifold(next(c for c in lonely.fixed_points() if not c.admissible))


def test_of_many_polylines_each_keeps_its_own_crossings(saddle):
    # each ends just behind the kink, where sums of its number and the place of the crossing are rounded
    ends = torch.tensor([[0.0, -1.0], [0.0, 1e-13]], dtype=torch.float64)
    found = images(saddle, [ends + torch.tensor([i, 0.0], dtype=torch.float64) for i in range(20_001)])
    assert len(found) == 20_001
    assert max(float(torch.linalg.vector_norm(line.diff(dim=0), dim=1).max()) for line in found) < 2.001
