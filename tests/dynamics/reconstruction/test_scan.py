"""Compiled scans against their plain twins, in value and in gradient."""

from __future__ import annotations

import copy

import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.scan import compiled_scan, plain_scan
from tests.dynamics.reconstruction.maps import MODELS, disturbed


def forced_case(model, steps=23, columns=11, seed=1):
    """Start, targets with a missing value, gains of two kinds, and a drive."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    replicas = model.replicas or 1
    targets = normal(replicas, 3, steps, columns)
    targets[0, 1, 3, min(2, columns - 1)] = torch.nan
    gain = torch.full((replicas, steps), 0.2, dtype=dtype)
    gain[0] = 0.0
    gain[0, ::4] = 1.0
    tensors = [normal(replicas, model.latent, columns), targets, normal(replicas, model.latent, steps, columns)]
    return [t.requires_grad_() for t in tensors], gain


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_values_and_gradients_are_those_of_the_plain_loop(name, dtype, tolerance):
    model = disturbed(name, dtype, replicas=2)
    (start, targets, drive), gain = forced_case(model)
    weights, options = model.scan_weights()
    forcing = {"targets": targets, "gain": gain, "drive": drive}
    fast = compiled_scan(model.family, weights, options, start, 23, **forcing)
    plain = plain_scan(model.step, start, 23, **forcing)
    torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance)
    cotangent = torch.sin(torch.arange(fast.numel(), dtype=dtype)).reshape(fast.shape)
    inputs = [start, targets, drive, *(p for p in model.parameters() if p.shape[-1:] != (3,))]
    got, wanted = (torch.autograd.grad((y * cotangent).sum(), inputs, allow_unused=True) for y in (fast, plain))
    for a, b in zip(got, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            scale = float(b.nan_to_num().abs().max()) + 1e-30
            assert float((a - b).nan_to_num(nan=0.0).abs().max()) <= tolerance * scale


@pytest.mark.parametrize("name", MODELS)
def test_columns_that_fill_registers(name):
    """Single precision in multiples of sixteen columns has kernels of its own, and they take time in blocks."""
    model = disturbed(name, torch.float32, replicas=2)
    (start, targets, drive), gain = forced_case(model, columns=32)
    weights, options = model.scan_weights()
    scattered = targets.movedim(-1, 0).contiguous().movedim(0, -1)  # strides must not matter
    forcing = {"targets": scattered, "gain": gain, "drive": drive}
    fast = compiled_scan(model.family, weights, options, start, 23, **forcing)
    double = copy.deepcopy(model).double()
    exact = plain_scan(
        double.step, start.double(), 23, targets=targets.double(), gain=gain.double(), drive=drive.double()
    )
    torch.testing.assert_close(fast.double(), exact, rtol=2e-5, atol=2e-5)
    cotangent = torch.sin(torch.arange(fast.numel(), dtype=torch.float32)).reshape(fast.shape)
    got, wanted = (
        torch.autograd.grad(
            (y * cotangent).sum(), [start, targets, drive, *(p for p in of.parameters() if p.shape[-1:] != (3,))]
        )
        for y, of in ((fast, model), (exact, double))
    )
    for a, b in zip(got, wanted, strict=True):
        scale = float(b.nan_to_num().abs().max())
        assert float((a - b).nan_to_num(nan=0.0).abs().max()) <= 2e-5 * scale


@pytest.mark.parametrize("columns", [1, 16, 200])
def test_any_number_of_columns(columns):
    model = disturbed("clipped shallow")
    (start, targets, _), gain = forced_case(model, steps=9, columns=columns)
    forcing = {"targets": targets[0], "gain": gain[0]}
    fast = model.scan(start[0], 9, **forcing)
    plain = model.scan(start[0], 9, compiled=False, **forcing)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    inputs = list(model.parameters())
    got, wanted = (torch.autograd.grad(y.square().sum(), inputs) for y in (fast, plain))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["ALRNN", "clipped shallow", "dendritic"])
def test_few_columns_are_filled_up_and_long_runs_go_in_stretches(name, monkeypatch):
    model = disturbed(name, torch.float32, replicas=2).requires_grad_(False)
    (start, targets, drive), gain = forced_case(model, columns=3)
    start, targets, drive = start.detach(), targets.detach(), drive.detach()
    weights, options = model.scan_weights()

    def scan(**forcing):
        return compiled_scan(model.family, weights, options, start, 23, **forcing)

    with torch.no_grad():
        whole, forced = scan(drive=drive), scan(targets=targets, gain=gain, drive=drive)
        monkeypatch.setattr("funcspace.dynamics.reconstruction.scan.MOST_NUMBERS", 5 * 2 * model.latent * 16)
        assert torch.equal(scan(drive=drive), whole)
        torch.testing.assert_close(scan(targets=targets, gain=gain, drive=drive), forced, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(whole, plain_scan(model.step, start, 23, drive=drive), rtol=2e-5, atol=2e-5)


def test_bytes_do_not_depend_on_the_number_of_threads():
    model = disturbed("ALRNN", torch.float32, replicas=3)
    (start, targets, _), gain = forced_case(model)

    def gradient():
        states = model.scan(start, 23, targets=targets, gain=gain)
        return torch.autograd.grad(states.square().mean(), model.W)[0]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = gradient()
        torch.set_num_threads(2)
        assert torch.equal(gradient(), alone)
    finally:
        torch.set_num_threads(threads)


def test_forcing_by_hand():
    # z -> z / 2 with forced steps 2 and 4: the recorded states are those before the data take over.
    model = fs.dynamics.ALRNN(1, 1, 0).double()
    with torch.no_grad():
        model.A.fill_(0.5)
        model.W.zero_()
    targets = torch.tensor([[[10.0], [20.0], [30.0], [40.0]]], dtype=torch.float64)
    gain = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    states = model.scan(torch.tensor([[8.0]], dtype=torch.float64), 4, targets=targets, gain=gain)
    assert states.flatten().tolist() == [4.0, 2.0, 10.0, 5.0]
    halves = model.scan(torch.tensor([[8.0]], dtype=torch.float64), 3, targets=targets[:, :3], gain=gain[:3] * 0 + 0.5)
    assert halves.flatten().tolist() == [4.0, 3.5, 5.875]


def test_external_inputs_add_their_image():
    model = fs.dynamics.ALRNN(2, 4, 1, inputs=2).double()
    drive = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = torch.zeros(4, 3, dtype=torch.float64)
    states = model.scan(start, 5, inputs=drive)
    z = start
    for t in range(5):
        z = model.step(z.mT).mT + model.C @ drive[:, t]
        torch.testing.assert_close(states[:, t], z)
