import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import funcspace as fs
from tests.training.small_problem import Affine, make_data


@pytest.fixture(scope="module")
def surrogate() -> fs.Surrogate:
    return fs.fit(Affine(), make_data(), epochs=5, progress=False, accelerator="cpu")


@pytest.fixture
def saved(surrogate: fs.Surrogate, tmp_path: Path) -> Path:
    return surrogate.save(tmp_path / "saved")


def test_functions_in_functions_out(surrogate: fs.Surrogate) -> None:
    data = make_data(4)
    a = data.inputs["a"]
    batch = surrogate(a)
    assert (
        isinstance(batch, fs.Function)
        and batch.batch_shape == (4,)
        and batch.name == "u"
        and batch.dtype == torch.float64
    )
    assert torch.allclose(surrogate(a[2]).coefficients, batch[2].coefficients, atol=1e-6)
    assert torch.equal(surrogate({"a": a}).coefficients, batch.coefficients)
    assert torch.equal(surrogate(data).coefficients, batch.coefficients)
    single = surrogate(fs.Function(a.space, a.coefficients.float()))
    assert single.dtype == torch.float32
    nested = fs.Function(a.space, a.coefficients.reshape(2, 2, -1))
    assert torch.allclose(surrogate(nested).coefficients.reshape(4, -1), batch.coefficients, atol=1e-6)


def test_evaluate_is_the_mean_of_relative_norms(surrogate: fs.Surrogate) -> None:
    data = make_data(5)
    truth, predicted = data.outputs["u"], surrogate(data)
    for key, kind in (("rel_l2", "L2"), ("rel_h1", "H1")):
        expected = float(((predicted - truth).norm(kind) / truth.norm(kind)).mean())
        assert surrogate.evaluate(data, batch_size=2)[key] == pytest.approx(expected, rel=1e-6)


def test_save_and_load_give_the_same_bytes(surrogate: fs.Surrogate, saved: Path) -> None:
    loaded = fs.load(saved, model_class=Affine)
    a = make_data(3, seed=2).inputs["a"]
    assert torch.equal(loaded(a).coefficients, surrogate(a).coefficients)
    assert loaded.history == surrogate.history and loaded.provenance["steps"] == surrogate.provenance["steps"]
    assert loaded.input_space == surrogate.input_space
    again = loaded.save(saved)
    assert torch.equal(fs.load(again, model_class=Affine)(a).coefficients, surrogate(a).coefficients)


def test_another_resolution_is_taken_and_another_domain_is_not(surrogate: fs.Surrogate) -> None:
    finer = make_data(2, points=33).inputs["a"]
    assert surrogate(finer).space == fs.FunctionSpace(finer.space.domain)
    stretched = fs.FunctionSpace(fs.Grid(x=(0.0, 3.0, 17), y=(0.0, 1.0, 9)), components=("a",))
    with pytest.raises(fs.DomainError, match="differs in more than its resolution"):
        surrogate(stretched.interpolate(1.5))
    line = fs.FunctionSpace(fs.Grid(x=(0.0, 1.0, 17)), components=("a",))
    with pytest.raises(fs.DomainError):
        surrogate(line.interpolate(1.5))


def test_resample_takes_a_mesh(surrogate: fs.Surrogate) -> None:
    space = fs.FunctionSpace(fs.Mesh.rectangle(0.2), "P1", components=("a",))
    f = space.interpolate(lambda x: 1.5 + 0.2 * x[:, 0])
    with pytest.raises(fs.DomainError, match="resample=True"):
        surrogate(f)
    expected = surrogate(surrogate.input_space.interpolate(lambda x: 1.5 + 0.2 * x[:, 0]))
    assert torch.allclose(surrogate(f, resample=True).coefficients, expected.coefficients, atol=1e-5)
    onto_mesh, onto_grid = (_linear(place) for place in (space, surrogate.input_space))
    with pytest.raises(fs.DomainError, match="resample=True"):
        surrogate.evaluate(onto_mesh)
    assert surrogate.evaluate(onto_mesh, resample=True) == pytest.approx(surrogate.evaluate(onto_grid), rel=0.02)


def _linear(space: fs.FunctionSpace) -> fs.OperatorData:
    """Linear inputs and outputs, which are the same functions on every mesh."""
    one, two = (space.interpolate(rule) for rule in (lambda x: 1.5 + 0.2 * x[:, 0], lambda x: 1.2 + 0.3 * x[:, 1]))
    a = fs.Function(space, torch.stack([one.coefficients, two.coefficients]), name="a")
    return fs.OperatorData({"a": a}, {"u": a.with_coefficients(2 * a.coefficients + 1).renamed("u")})


def test_inputs_that_do_not_fit_are_refused(surrogate: fs.Surrogate) -> None:
    a = make_data(2).inputs["a"]
    with pytest.raises(fs.InputError, match="missing \\['a'\\], unknown \\['b'\\]"):
        surrogate({"b": a})
    with pytest.raises(fs.InputError, match="takes 1 functions"):
        surrogate(a, a)
    with pytest.raises(fs.InputError, match="must be a Function, got ndarray"):
        surrogate(np.ones((2, 17, 9)))
    vector = fs.FunctionSpace(a.space.domain, components=("p", "q"))
    with pytest.raises(fs.InputError, match="must have values of shape"):
        surrogate(vector.interpolate(torch.ones(2).double()))
    bad = a.coefficients.clone()
    bad[1, 3] = torch.nan
    with pytest.raises(fs.InputError, match="NaN"):
        surrogate(fs.Function(a.space, bad))
    with pytest.raises(fs.InputError, match="unknown \\['k'\\]"):
        surrogate(a, parameters={"k": 1.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, d: s(d.inputs["a"], batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
        (lambda s, d: s.evaluate(d, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
        (lambda s, d: s.rollout(d.inputs["a"], 3.0), r"steps must be a whole number of at least 1, got 3\.0"),
        (lambda s, d: s(d.inputs["a"], parameters=3.0), "parameters are numbers by name"),
        (lambda s, d: s(d.inputs["a"] * 1j), "the input 'a' is complex"),
        (lambda s, d: s.evaluate(d.inputs["a"]), "evaluate takes OperatorData.*got Function"),
        (
            lambda s, d: s.evaluate(fs.OperatorData(d.inputs, {"v": d.outputs["u"]})),
            r"no output 'u'.*they have \['v'\]",
        ),
        (lambda s, d: s.evaluate(fs.OperatorData(d.inputs, {"u": d.outputs["u"] * 1j})), "'u' is complex"),
        (lambda s, d: s.to("gpu"), "this machine has cpu.*got 'gpu'"),
    ],
)
def test_calls_that_do_not_fit_are_refused(surrogate: fs.Surrogate, call, message: str) -> None:
    with pytest.raises(fs.InputError, match=message):
        call(surrogate, make_data(2))


def test_an_error_relative_to_zero_is_refused(surrogate: fs.Surrogate) -> None:
    data = make_data(5)
    u = data.outputs["u"] * torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]).double()
    with pytest.raises(fs.InputError, match="needs a truth that is not zero; leave sample 3 of 'u' out"):
        surrogate.evaluate(fs.OperatorData(data.inputs, {"u": u}), batch_size=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1j, "a"])
def test_parameters_are_finite_numbers(value) -> None:
    data = make_data(8)
    k = fs.OperatorData(data.inputs, data.outputs, {"k": torch.arange(8.0)})
    surrogate = fs.fit(Affine(in_channels=2), k, epochs=1, progress=False, accelerator="cpu")
    with pytest.raises(fs.InputError, match="parameter 'k' must"):
        surrogate(data.inputs["a"], parameters={"k": value})


def test_rollout_applies_the_map_again_and_again(surrogate: fs.Surrogate) -> None:
    start = make_data(2).inputs["a"]
    path = surrogate.rollout(start, 3, step=0.5)
    assert path.coefficients.shape == (2, 4, start.space.n_dofs)
    second = surrogate(surrogate(start).renamed("a"))
    assert torch.allclose(path.coefficients[:, 2], second.coefficients)
    assert torch.equal(path.space.domain.factors[0].instants, torch.tensor([0.0, 0.5, 1.0, 1.5]).double())


def test_classes_from_elsewhere_must_be_named(saved: Path) -> None:
    with pytest.raises(fs.CheckpointError, match="model_class"):
        fs.load(saved)


def test_damage_is_found(surrogate: fs.Surrogate, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(fs.CheckpointError, match="no saved surrogate"):
        fs.load(tmp_path / "nowhere")
    weights, text = (saved / "model.safetensors").read_bytes(), (saved / "surrogate.json").read_text()
    (saved / "model.safetensors").write_bytes(weights[:-20])
    with pytest.raises(fs.CheckpointError, match="damaged or incomplete"):
        fs.load(saved, model_class=Affine)
    (saved / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(fs.CheckpointError, match="damaged or incomplete"):
        fs.load(saved, model_class=Affine)
    (saved / "model.safetensors").write_bytes(weights)
    (saved / "surrogate.json").write_text(text[: len(text) // 2])
    with pytest.raises(fs.CheckpointError, match="damaged"):
        fs.load(saved, model_class=Affine)
    (saved / "surrogate.json").write_text(json.dumps(json.loads(text) | {"schema": 99}))
    with pytest.raises(fs.CheckpointError, match="schema 99"):
        fs.load(saved, model_class=Affine)
    for part in ("history", "provenance"):
        rest = {name: value for name, value in json.loads(text).items() if name != part}
        (saved / "surrogate.json").write_text(json.dumps(rest))
        with pytest.raises(fs.CheckpointError, match=f"damaged or incomplete.*{part}"):
            fs.load(saved, model_class=Affine)
    wider = json.loads(text)
    wider["model"]["config"]["width"] = 5
    (saved / "surrogate.json").write_text(json.dumps(wider))
    with pytest.raises(fs.CheckpointError, match="do not fit"):
        fs.load(saved, model_class=Affine)


def test_a_folder_with_other_content_is_not_overwritten(surrogate: fs.Surrogate, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(fs.FileError, match="not overwritten"):
        surrogate.save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_full_disk_leaves_the_old_surrogate(surrogate: fs.Surrogate, saved: Path, monkeypatch) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(fs.FileError, match="No space left"):
        surrogate.save(saved)
    monkeypatch.undo()
    assert fs.load(saved, model_class=Affine).history == surrogate.history
    assert [p.name for p in saved.parent.iterdir()] == ["saved"]


def test_repr(surrogate: fs.Surrogate) -> None:
    assert repr(surrogate).startswith("Surrogate(Affine: a -> u, 49 parameters, FunctionSpace('linear' on Grid(")


def test_two_outputs_come_by_name() -> None:
    data = make_data(8)
    u = data.outputs["u"]
    both = fs.OperatorData(data.inputs, {"u": u, "v": (2 * u).renamed("v")})
    surrogate = fs.fit(Affine(out_channels=2), both, epochs=1, progress=False, accelerator="cpu")
    predicted = surrogate(both)
    assert set(predicted) == {"u", "v"}
    metrics = surrogate.evaluate(both)
    assert metrics["rel_l2"] == pytest.approx((metrics["rel_l2/u"] + metrics["rel_l2/v"]) / 2)
