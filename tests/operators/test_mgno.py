"""MgNO: what it keeps exactly (boundary values, symmetries), what it contains (a solver), and how it travels."""

import itertools
import json

import numpy as np
import pytest
import torch

import funcspace as fs
from funcspace.errors import DomainError, InputError
from funcspace.operators.grid_stencil import laplacian_stencil
from funcspace.operators.mgno import MgNO
from funcspace.training.packing import Packing

F64 = {"dtype": torch.float64}
SIDES = ("dirichlet", "neumann", "periodic")
SHAPES = [(17,), (31,), (16, 16), (13, 8), (20, 5), (7, 9, 8)]


def small(shape, **options):
    torch.manual_seed(0)
    return MgNO(1, 1, shape=shape, **({"width": 4, "layers": 2} | options)).double()


def randomised(model):
    """Every weight moved off its initial value."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


@pytest.mark.parametrize("conditioning", [None, "coefficient"])
@pytest.mark.parametrize(("shape", "samples"), list(itertools.product(SHAPES, ("vertices", "cells"))))
def test_any_shape_dimension_and_boundary(shape, samples, conditioning):
    mixed = ("periodic", ("dirichlet", "neumann"), "dirichlet")[-len(shape) :]
    model = small(shape, samples=samples, boundary=mixed, conditioning=conditioning)
    for size in (shape, tuple(2 * n for n in shape), tuple(max(n // 2, 2) for n in shape)):
        y = model(torch.rand(2, *size, 1, **F64) + 0.5)
        assert y.shape == (2, *size, 1)
        assert bool(torch.isfinite(y).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("conditioning", [None, "coefficient"])
def test_dirichlet_output_is_exactly_zero(conditioning, dtype):
    model = randomised(small((16, 11), boundary=("dirichlet", ("neumann", "dirichlet")), conditioning=conditioning)).to(
        dtype
    )
    y = model(100 * torch.rand(3, 16, 11, 1, dtype=dtype) + 0.1).detach()
    for edge in (y[:, 0], y[:, -1], y[:, :, -1]):
        assert float(edge.abs().max()) == 0.0
    assert float(y[:, 1:-1, 0].abs().min()) > 0.0


def test_lifting_sets_boundary_values():
    model = randomised(small((9, 9), boundary="dirichlet"))
    g = torch.randn(2, 9, 9, 1, **F64)
    y = model(torch.randn(2, 9, 9, 1, **F64), lifting=g)
    assert torch.equal(y[:, 0], g[:, 0])
    assert torch.equal(y[:, :, -1], g[:, :, -1])


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("options", [{}, {"conditioning": "coefficient"}, {"cycle": "W", "cycles": 2}])
def test_periodic_model_commutes_with_shifts_of_the_coarsest_grid(samples, options):
    model = randomised(small((16, 24), samples=samples, boundary="periodic", levels=4, **options))
    x = torch.rand(1, 16, 24, 1, **F64) + 0.5
    shifted = model(x.roll((8, 16), (1, 2)))
    torch.testing.assert_close(shifted, model(x).roll((8, 16), (1, 2)), rtol=1e-9, atol=1e-9)


def flipped_kernels(model, axis):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == model.dimension + 2:
                parameter.copy_(parameter.flip(axis + 2))
            elif "biases" in name:
                parameter.zero_()
    return model


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("shape", [(16, 13), (12, 9)])
@pytest.mark.parametrize("conditioning", [None, "coefficient"])
def test_reflection_symmetry(shape, samples, conditioning):
    """The mirror image of the model applied to the mirror image of the input is the mirror image of the output."""
    boundary = (("dirichlet", "neumann"), "neumann")
    mirrored = (("neumann", "dirichlet"), "neumann")
    model = randomised(small(shape, samples=samples, boundary=boundary, conditioning=conditioning, bias_modes=1))
    image = small(shape, samples=samples, boundary=mirrored, conditioning=conditioning, bias_modes=1)
    image.load_state_dict(model.state_dict())
    image = flipped_kernels(image, axis=0)
    for weight in [p for n, p in model.named_parameters() if "biases" in n]:
        weight.data.zero_()
    x = torch.rand(2, *shape, 1, **F64) + 0.5
    torch.testing.assert_close(image(x.flip(1)), model(x).flip(1), rtol=1e-9, atol=1e-9)


def poisson_residual_solution(f, spacing, mask):
    """Direct solution of the stencil system with zero boundary values."""
    n = f.numel()
    stencil = laplacian_stencil(spacing)

    def apply(u):
        u = u.reshape(1, 1, *f.shape) * mask
        padded = torch.nn.functional.conv2d(u, stencil[None, None], padding=1)[0, 0]
        return (padded * mask + (1 - mask) * u[0, 0]).reshape(-1)

    matrix = torch.stack([apply(e) for e in torch.eye(n, **F64)], dim=1)
    matrix = matrix + torch.diag((1 - mask).reshape(-1))
    return torch.linalg.solve(matrix, (f * mask).reshape(-1)).reshape(f.shape) * mask


def test_the_class_contains_the_solver():
    """Linear, with multigrid weights and no training, four cycles solve a Poisson problem to a tenth of a per cent."""
    n = 24
    options = {"boundary": "dirichlet", "activation": "identity", "initialisation": "solver", "width": 3, "layers": 1}
    model = MgNO(1, 1, shape=(n, n), cycles=4, cycle="V", **options).double()
    t = torch.linspace(0, 1, n, **F64)
    f = torch.sin(3 * t)[:, None] * torch.exp(t)[None] + 1.0
    h = 1.0 / (n - 1)
    mask = torch.zeros(n, n, **F64)
    mask[1:-1, 1:-1] = 1.0
    exact = poisson_residual_solution(f, (h, h), mask)
    error = (model(f[None, ..., None])[0, ..., 0] - exact).norm() / exact.norm()
    assert float(error.detach()) < 1e-3
    single = MgNO(1, 1, shape=(n, n), cycles=1, cycle="V", **options).double()
    assert float((single(f[None, ..., None])[0, ..., 0] - exact).detach().norm() / exact.norm()) > 10 * float(
        error.detach()
    )


def test_the_coefficient_model_is_a_solver_before_training_at_any_resolution():
    data = fs.solvers.Darcy(coefficient="threshold", resolution=32).sample(4, seed=0)
    model = MgNO.for_data(data, conditioning="coefficient", layers=5)
    surrogate = fs.Surrogate(model.double(), Packing.for_data(data))
    for n in (16, 27, 32, 64):
        other = fs.solvers.Darcy(coefficient="threshold", resolution=n).sample(4, seed=0)
        assert surrogate.evaluate(other)["rel_l2"] < 2e-3


@pytest.mark.parametrize("samples", ["vertices", "cells"])
@pytest.mark.parametrize("kind", SIDES)
def test_layers_keep_their_meaning_on_other_grids(kind, samples):
    """A smooth input gives nearly the same function at half, at one and a half times, and at four times the spacing."""
    ends = 0 if kind == "periodic" or samples == "cells" else 1
    model = small((32 + ends,), boundary=kind, samples=samples, width=8, levels=4)

    def output(intervals):
        n = intervals + ends
        x = (torch.arange(n, **F64) + (0.5 if samples == "cells" else 0.0)) / intervals
        with torch.no_grad():
            y = model((1.5 + torch.cos(2 * torch.pi * x))[None, :, None])[0, :, 0]
        return np.interp(np.linspace(0.1, 0.9, 33), x.numpy(), y.numpy())

    own = output(32)
    for intervals in (21, 64, 128):
        assert np.linalg.norm(output(intervals) - own) < 0.1 * np.linalg.norm(own)


def test_reference_form_has_the_published_number_of_parameters():
    """He, Liu, Xu, Darcy rough: 256^2, 6 levels, 24 channels, 4 layers, smoothing 1 1 1 1 1 2."""
    levels, width, kernel = 6, 24, 9

    def cycle(c):
        smoothings = [1] * (levels - 1) + [2]
        count = sum(smoothings) * c * width * kernel  # S
        count += (sum(smoothings) - 1) * width * c * kernel  # A; none before the first smoothing
        count += (levels - 1) * (width * width + c * c) * kernel  # Pi and R
        return count + (levels - 1) * width * width * 16  # prolongation, 4 x 4

    expected = cycle(1) + 3 * cycle(width) + (width + width) + 3 * (width * width + width) + width
    model = MgNO.reference()
    assert expected == 572_661
    assert sum(p.numel() for p in model.parameters()) == expected
    tiny = MgNO.reference(shape=(32, 32), levels=3, width=4)
    assert tiny(torch.randn(1, 32, 32, 1)).shape == (1, 32, 32, 1)
    with pytest.raises(InputError, match="divisible by 4"):
        tiny(torch.randn(1, 30, 32, 1))


@pytest.mark.parametrize(
    "options",
    [{}, {"conditioning": "coefficient"}, {"cycle": "V", "restriction": "full"}, {"form": "reference", "levels": 2}],
)
def test_config_is_plain_data_and_rebuilds_the_model(options):
    model = randomised(small((16, 12), boundary="dirichlet", **options))
    config = json.loads(json.dumps(model.config))
    twin = MgNO(**config).double()
    twin.load_state_dict(model.state_dict())
    x = torch.rand(2, 16, 12, 1, **F64) + 0.5
    assert torch.equal(twin(x), model(x))
    assert twin.config == model.config


@pytest.mark.parametrize("options", [{}, {"conditioning": "coefficient", "layers": 1}, {"cycle": "W"}])
def test_gradients(options):
    model = small((5, 6), boundary=("neumann", "dirichlet"), **({"width": 2, "layers": 1} | options))
    x = (torch.rand(1, 5, 6, 1, **F64) + 0.5).requires_grad_()
    weights = [p for p in model.parameters() if p.requires_grad]
    assert torch.autograd.gradcheck(lambda v, *_: model(v), (x, *weights), fast_mode=True)


def test_every_weight_is_used():
    for options in (
        {},
        {"cycle": "V"},
        {"cycle": "W", "cycles": 2},
        {"restriction": "full"},
        {"conditioning": "coefficient"},
    ):
        model = randomised(small((17, 17), boundary="dirichlet", **options))
        model(torch.rand(2, 17, 17, 1, **F64) + 0.5).square().sum().backward()
        unused = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
        assert unused == []


def test_prepare_caches_and_refuses():
    model = small((9, 9), boundary="dirichlet")
    space = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9)))
    assert model.prepare(space) is model.prepare(space)
    fine = model.prepare(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 17), y=(0.0, 1.0, 17))))
    assert (fine.extra, fine.levels[1].shape) == (1, (9, 9))
    refused = {
        "uniform Grid": fs.FunctionSpace(fs.Mesh.rectangle(0.5), "P1"),
        "not equispaced": fs.FunctionSpace(fs.Grid(x=torch.tensor([0.0, 0.1, 1.0]), y=(0.0, 1.0, 9))),
        "2 dimensions": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9))),
        "samples on vertices": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9), samples="cells")),
        "periodic axes": fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9), periodic="x")),
    }
    for message, other in refused.items():
        with pytest.raises(DomainError, match=message):
            model.prepare(other)
    with pytest.raises(InputError, match="context is for a grid"):
        model(torch.randn(1, 8, 9, 1, **F64), model.prepare(space))


def test_for_data_reads_channels_and_boundary():
    grid = fs.Grid(x=(0.0, 2.0, 9), y=(0.0, 1.0, 8), periodic=("y",))
    u = torch.rand(5, 9, 8) + 0.1
    u[:, 0] = 0.0
    data = fs.OperatorData.from_arrays({"a": torch.rand(5, 9, 8) + 1, "f": torch.rand(5, 9, 8, 2)}, {"u": u}, grid)
    model = MgNO.for_data(data, width=4, layers=1)
    assert (model.in_channels, model.out_channels) == (3, 1)
    assert model.boundary == (("dirichlet", "neumann"), ("periodic", "periodic"))
    assert model.lengths == (2.0, 1.0)
    assert MgNO.for_data(data, width=4, layers=1, boundary=("neumann", "periodic")).boundary[0] == (
        "neumann",
        "neumann",
    )
    cells = fs.Grid(x=(0.0, 2.0, 9), y=(0.0, 1.0, 8), samples="cells")
    declared = fs.OperatorData.from_arrays({"a": u}, {"u": u}, cells, boundary={"left": 0.0, "top": 1.0})
    found = MgNO.for_data(declared, width=4, layers=1)
    assert (found.samples, found.boundary) == ("cells", (("dirichlet", "neumann"), ("neumann", "neumann")))
    negative = fs.OperatorData.from_arrays({"a": torch.randn(5, 9, 8)}, {"u": u}, grid)
    with pytest.raises(InputError, match="positive first input"):
        MgNO.for_data(negative, conditioning="coefficient")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": "corners"}, "samples must be one of"),
        ({"cycle": "F"}, "cycle must be one of"),
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"width": "abc"}, "width must be a whole number of at least 1, got 'abc'"),
        ({"levels": 2.5}, "levels must be a whole number of at least 1"),
        ({"lengths": (1.0,)}, "lengths must be 2"),
        ({"smoothing": (1, 1)}, "smoothing must be three"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        MgNO(1, 1, shape=(8, 8), **options)


def test_bad_input_shape():
    with pytest.raises(InputError, match=r"must have shape \(batch, n0, n1, 1\)"):
        small((8, 8))(torch.randn(2, 8, 8, 2, **F64))


def test_repr_and_reset():
    model = MgNO(1, 1, shape=(16, 16), boundary="dirichlet", width=4, layers=2)
    assert "1, 1, shape=(16, 16), width=4, layers=2, levels=4" in repr(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.reset_parameters(seed=1)
    assert any(not torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.reset_parameters()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_seed_alone_decides_the_first_weights():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    one, same, other = (MgNO(1, 1, shape=(16, 16), width=4, layers=1, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.gpu
def test_cuda_agrees_with_cpu():
    model = small((16, 16), boundary="dirichlet")
    x = torch.randn(2, 16, 16, 1, **F64)
    torch.testing.assert_close(model.to("cuda")(x.cuda()).cpu(), model.to("cpu")(x))
