"""Scans in Triton against the plain loop, in value and in gradient.

Without a GPU the programs run on the CPU under Triton's interpreter, and are compiled for GPUs in a process of its own.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

import funcspace as fs
from funcspace.dynamics.reconstruction.scan import compiled_scan, has_compiled_scan, plain_scan
from funcspace.dynamics.reconstruction.triton_scan import launch_settings, misfit, triton_lacks, triton_scan
from funcspace.errors import InputError
from tests.dynamics.reconstruction.maps import MODELS, disturbed
from tests.dynamics.reconstruction.test_scan import forced_case

KERNELS = "funcspace.dynamics.reconstruction.kernels."
NAMES = [name for name in MODELS if "dendritic" not in name]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs the package triton (Linux)")


@pytest.fixture(
    params=[
        pytest.param("cpu", id="interpreter", marks=needs_triton),
        pytest.param("cuda", marks=[pytest.mark.gpu, needs_triton]),
    ]
)
def device(request):
    """Where the programs run; see conftest.py for the interpreter."""
    if request.param == "cpu":
        if torch.cuda.is_available():
            pytest.skip("the programs are compiled in this process, for the GPU that is here")
        for family in ("al_rnn", "shallow"):
            import_module(f"{KERNELS}{family}_triton")
    return request.param


def case(name, device, dtype=torch.float32, **options):
    """A model of two replicas on the device, and what it starts from and is forced by."""
    model = disturbed(name, dtype, replicas=2)
    tensors, gain = forced_case(model, **options)
    tensors = [t.detach().to(device).requires_grad_() for t in tensors]
    return model.to(device), tensors, gain.to(device)


def held_to_plain(model, inputs, steps, tolerance, *, gain=None, **forcing):
    """Compare states and gradients with those of the plain loop in double precision, relative to the largest."""
    start, targets, drive = inputs[0], forcing.get("targets"), forcing.get("drive")
    weights, options = model.scan_weights()
    fast = triton_scan(model.family, weights, options, start, steps, gain=gain, **forcing)
    double = copy.deepcopy(model).double()
    twins = {id(t): t.detach().double().requires_grad_(t.requires_grad) for t in inputs}
    exact = plain_scan(
        double.step,
        twins[id(start)],
        steps,
        targets=None if targets is None else twins[id(targets)],
        drive=None if drive is None else twins[id(drive)],
        gain=None if gain is None else gain.double(),
    )
    assert fast.dtype == start.dtype
    assert float((fast - exact).detach().abs().max()) <= tolerance * float(exact.detach().abs().max())
    cotangent = torch.sin(torch.arange(fast.numel(), device=fast.device)).reshape(fast.shape)
    wanted = [t for t in inputs if t.requires_grad]
    of_model = [(p, q) for p, q in zip(model.parameters(), double.parameters(), strict=True) if p.shape[-1:] != (3,)]
    of_model = of_model or list(zip(model.parameters(), double.parameters(), strict=True))
    got = torch.autograd.grad((fast * cotangent).sum(), wanted + [p for p, _ in of_model], allow_unused=True)
    true = torch.autograd.grad(
        (exact * cotangent).sum(), [twins[id(t)] for t in wanted] + [q for _, q in of_model], allow_unused=True
    )
    for a, b in zip(got, true, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            b = b.nan_to_num(nan=0.0)  # the plain loop's gradient at a missing target is no number
            assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_the_plain_loop(name, device):
    model, (start, targets, drive), gain = case(name, device, steps=6, columns=19)  # a full tile, and three columns
    held_to_plain(model, [start, targets, drive], 6, 1e-5, targets=targets, gain=gain, drive=drive)


@pytest.mark.parametrize("name", ["centred", "clipped shallow"])
def test_double_precision_to_its_last_digits(name, device):
    if device == "cuda":
        pytest.skip("the programs for GPUs take single precision")
    model, (start, targets, drive), gain = case(name, device, torch.float64, steps=5, columns=4)
    held_to_plain(model, [start, targets, drive], 5, 1e-13, targets=targets, gain=gain, drive=drive)


@pytest.mark.parametrize("name", ["ALRNN", "shallow of three"])
def test_free_runs_and_single_steps(name, device):
    model, (start, targets, drive), gain = case(name, device, steps=5, columns=1)
    held_to_plain(model, [start], 5, 1e-5)
    held_to_plain(model, [start, drive], 5, 1e-5, drive=drive)
    targets, start = targets.detach()[:, :, :1], start.detach()
    held_to_plain(model, [start, targets], 1, 1e-5, targets=targets, gain=gain[:, :1])


def test_strides_do_not_matter_and_the_same_input_gives_the_same_bytes(device):
    model, (start, targets, _), gain = case("ALRNN", device, steps=5, columns=19)
    weights, options = model.scan_weights()

    def found(start, targets):
        states = triton_scan(model.family, weights, options, start, 5, targets=targets, gain=gain)
        return [states, *torch.autograd.grad(states.square().sum(), [start, *weights])]

    scattered = [t.detach().movedim(-1, 0).contiguous().movedim(0, -1).requires_grad_() for t in (start, targets)]
    for a, b in zip(found(start, targets), found(*scattered), strict=True):
        assert torch.equal(a, b)


def test_a_state_that_is_no_number_stays_none(device):
    model, (start, _, _), _ = case("clipped shallow", device, steps=4, columns=2)
    start = start.detach().clone()
    start[0, 1, 1] = torch.nan
    weights, options = model.scan_weights()
    states = triton_scan(model.family, weights, options, start, 4)
    assert states[0, :, :, 1].isnan().all() and not states[0, :, :, 0].isnan().any() and not states[1].isnan().any()


def replicas_of(model):
    """Weights with a leading axis, and a start."""
    weights, _ = model.scan_weights()
    return [w[None] for w in weights], torch.zeros(1, model.latent, 4)


@pytest.mark.parametrize(
    ("model", "wide", "reason"),
    [
        (fs.dynamics.ALRNN(3, 128, 2), False, None),
        (fs.dynamics.ALRNN(3, 129, 2), True, "129 units are more than the 128"),
        (fs.dynamics.ClippedShallowPLRNN(3, hidden=256), False, None),
        (fs.dynamics.ShallowPLRNN(3, 20, 129), False, "129 hidden units are more than the 128 .* beside 20 units"),
        (fs.dynamics.ShallowPLRNN(3, 20, 129), True, None),
        (fs.dynamics.ShallowPLRNN(3, 33, 20), True, "33 units are more than the 32"),
        (fs.dynamics.DendriticPLRNN(3, 6, 5), True, "no program for maps of the family 'dendritic'"),
        (fs.dynamics.ALRNN(3, 20, 2).double(), True, "float32, got torch.float32, torch.float64"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_does_not_fit_says_why(model, wide, reason):
    weights, start = replicas_of(model)
    found = misfit(model.family, weights, start, wide=wide)
    assert found is None if reason is None else re.search(reason, str(found))


def test_a_device_without_programs_is_named():
    model = fs.dynamics.ALRNN(3, 20, 2)
    weights, start = replicas_of(model)
    assert has_compiled_scan(model.family, weights, start)
    elsewhere = start.to("meta")
    assert "tensors are on meta" in str(triton_lacks(model.family, weights, elsewhere))
    assert not has_compiled_scan(model.family, weights, elsewhere)
    with pytest.raises(InputError, match="take the plain loop with compiled=False"):
        compiled_scan(model.family, weights, (2, False), elsewhere, 3)


COMPILE = """
import sys
from importlib import import_module
import triton
from triton.backends.compiler import GPUTarget

flags = {"CENTRED": True, "CLIPPED": True, "FORCED": True, "DRIVEN": True, "WANTED": True}
flags |= {"UNITS": 16, "HIDDEN": 16, "COLUMNS": 16}
numbers = ("first", "units", "hidden", "steps", "columns", "forced")
for name in ("al_rnn_triton", "shallow_triton"):
    program = import_module(sys.argv[1] + name).backward  # which holds all that the way forward does
    names = [p.name for p in program.params]
    kinds = {n: "constexpr" if n in flags else "i32" if n in numbers else "*fp32" for n in names}
    source = triton.compiler.ASTSource(program, kinds, {n: flags[n] for n in names if n in flags})
    settings = {"num_warps": 2, "num_stages": 1, "enable_fp_fusion": True}
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=settings)
    assert len(made.asm["cubin"]) > 0 and made.metadata.shared < 96 * 1024
    print(name)
"""


@needs_triton
def test_the_programs_compile_for_gpus(tmp_path):
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0", "DISABLE_PTXAS_OPT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, KERNELS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_the_more_rows_the_more_threads():
    assert [launch_settings(p)["num_warps"] for p in ([16], [32], [64], [128])] == [2, 4, 8, 16]
    assert [launch_settings([16, hidden])["num_warps"] for hidden in (16, 32, 64, 128, 256)] == [2, 2, 4, 8, 8]


@needs_triton
@pytest.mark.gpu
@pytest.mark.parametrize("name", ["ALRNN", "clipped shallow", "dendritic"])
def test_models_on_a_gpu_give_what_they_give_on_the_cpu(name):
    model, (start, targets, _), gain = case(name, "cpu", steps=20, columns=33)
    away = copy.deepcopy(model).cuda()
    weights, _ = away.scan_weights()
    assert has_compiled_scan(away.family, weights, start.cuda()) == (name != "dendritic")
    there = away.scan(start.cuda(), 20, targets=targets.cuda(), gain=gain.cuda())
    here = model.scan(start, 20, targets=targets, gain=gain)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)
    for states in (there, here):
        states.square().mean().backward()
    for p, q in zip(away.parameters(), model.parameters(), strict=True):
        if p.grad is not None and q.grad is not None:
            torch.testing.assert_close(p.grad.cpu(), q.grad, rtol=1e-4, atol=1e-5)


@needs_triton
@pytest.mark.gpu
@pytest.mark.parametrize("sizes", [(128,), (16, 256), (32, 128), (32, 256)], ids=str)
def test_the_largest_maps_that_fit(sizes):
    if len(sizes) == 1:
        model = fs.dynamics.ALRNN(3, sizes[0], 60, replicas=2)
    else:
        model = fs.dynamics.ClippedShallowPLRNN(3, *sizes, replicas=2)
    model = model.cuda()
    start = torch.randn(2, sizes[0], 16, device="cuda", requires_grad=True)
    weights, _ = model.scan_weights()
    if reason := triton_lacks(model.family, weights, start):
        pytest.skip(reason)
    held_to_plain(model, [start], 5, 1e-5)
