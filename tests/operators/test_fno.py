"""The adapter of neuraloperator's FNO: channels last, physical positions, types, and what it refuses."""

import json

import pytest
import torch

import funcspace as fs
from funcspace.errors import DomainError, InputError

pytest.importorskip("neuralop")
from funcspace.operators.fno import FNO


def small(shape=(12, 10), **options):
    torch.manual_seed(0)
    return FNO(1, 2, shape=shape, **({"modes": 4, "width": 4, "layers": 2} | options))


@pytest.mark.parametrize("shape", [(16,), (12, 10), (6, 8, 5)])
def test_shapes_are_channels_last(shape):
    model = small(shape)
    assert model(torch.randn(3, *shape, 1)).shape == (3, *shape, 2)
    finer = tuple(2 * n for n in shape)
    assert model(torch.randn(1, *finer, 1)).shape == (1, *finer, 2)


def test_positions_are_those_of_the_grid():
    model = small(start=(1.0, 0.0), lengths=(2.0, 1.0))
    vertices = fs.Grid(x=(1.0, 3.0, 12), y=(0.0, 1.0, 10))
    context = model.prepare(fs.FunctionSpace(vertices))
    assert context is model.prepare(fs.FunctionSpace(vertices))
    assert context.coordinates[0, 0, 0] == 0.0
    assert context.coordinates[0, -1, 0] == 1.0
    x = torch.randn(2, 12, 10, 1)
    torch.testing.assert_close(model(x, context), model(x))
    cells = model.prepare(fs.FunctionSpace(fs.Grid(x=(1.0, 3.0, 12), y=(0.0, 1.0, 10), samples="cells")))
    assert float(cells.coordinates[0, 0, 0]) == pytest.approx(0.5 / 12)


def test_refuses_what_has_no_fourier_modes():
    model = small()
    with pytest.raises(DomainError, match="interpolate them to one first"):
        model.prepare(fs.FunctionSpace(fs.Mesh.rectangle(0.5), "P1"))
    stretched = fs.Grid(x=torch.linspace(0, 1, 12) ** 2, y=(0.0, 1.0, 10))
    with pytest.raises(DomainError, match="not equispaced"):
        model.prepare(fs.FunctionSpace(stretched))
    with pytest.raises(DomainError, match="2 dimensions"):
        model.prepare(fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 12))))
    with pytest.raises(InputError, match="must have shape"):
        model(torch.randn(2, 12, 10, 3))


def test_casts_keep_complex_weights():
    model = small()
    imaginary = [p.imag.abs().sum().item() for p in model.parameters() if p.is_complex()]
    assert min(imaginary) > 0
    model.to(torch.float32)
    assert [p.imag.abs().sum().item() for p in model.parameters() if p.is_complex()] == imaginary
    model.to(torch.float64)
    assert {p.dtype for p in model.parameters()} == {torch.float64, torch.complex128}
    assert model(torch.randn(1, 12, 10, 1, dtype=torch.float64)).dtype == torch.float64


def test_config_rebuilds_the_model():
    model = small()
    twin = FNO(**json.loads(json.dumps(model.config)))
    twin.load_state_dict(model.state_dict())
    x = torch.randn(2, 12, 10, 1)
    assert torch.equal(twin(x), model(x))
    before = model(x)
    model.reset_parameters(seed=1)
    assert not torch.equal(before, model(x))
    model.reset_parameters()
    assert torch.equal(before, model(x))
    assert "1, 2, shape=(12, 10), modes=(4, 4), width=4, layers=2" in repr(model)


def test_for_data_reads_the_grid():
    grid = fs.Grid(x=(1.0, 3.0, 9), y=(0.0, 1.0, 8), periodic=("y",))
    data = fs.OperatorData.from_arrays({"a": torch.rand(5, 9, 8)}, {"u": torch.rand(5, 9, 8)}, grid)
    model = FNO.for_data(data, width=4, layers=1)
    assert (model.start, model.lengths, model.modes) == ((1.0, 0.0), (2.0, 1.0), (9, 8))


def test_gradients_agree_with_differences():
    """The library transforms in single precision, so a coarse difference has to do."""
    model = small((6, 6), modes=3, width=3, layers=1)
    x, v = torch.randn(1, 6, 6, 1), torch.randn(1, 6, 6, 1)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).square().sum(), x)
    with torch.no_grad():
        difference = (model(x + 1e-2 * v).square().sum() - model(x - 1e-2 * v).square().sum()) / 2e-2
    assert float((gradient * v).sum()) == pytest.approx(float(difference), rel=1e-2)


@pytest.mark.parametrize("modes", ["a", 0, 2.5, (4, "a"), (4,)])
def test_bad_modes_are_refused(modes):
    with pytest.raises(InputError, match="modes must be"):
        small(modes=modes)


def test_complex_data_are_refused():
    a = torch.rand(3, 12, 10, dtype=torch.complex128)
    data = fs.OperatorData.from_arrays({"a": a.real}, {"u": a}, fs.Grid(x=(0.0, 1.0, 12), y=(0.0, 1.0, 10)))
    with pytest.raises(InputError, match=r"'u' is complex.*real and imaginary parts as two components"):
        FNO.for_data(data)
