import json

import numpy as np
import pytest
import torch

import funcspace as fs
from tests.training.small_problem import Affine, make_data

QUIET = {"progress": False, "accelerator": "cpu"}


def weights(model: torch.nn.Module) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in model.state_dict().values())


def test_training_beats_the_mean_of_the_outputs_by_a_factor_of_twenty(data: fs.OperatorData) -> None:
    test = make_data(8, seed=1)
    mean = data.outputs["u"].coefficients.mean(dim=0)
    truth = test.outputs["u"]
    trivial = float(
        ((truth - fs.Function(truth.space, mean.expand_as(truth.coefficients))).norm() / truth.norm()).mean()
    )
    surrogate = fs.fit(Affine(), data, epochs=60, learning_rate=1e-2, **QUIET)
    assert surrogate.evaluate(test)["rel_l2"] < trivial / 20


def test_same_seed_same_bytes_and_the_global_generators_are_untouched(data: fs.OperatorData) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    models = [Affine(dropout=0.1) for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        fs.fit(model, data, epochs=2, seed=seed, **QUIET)
    assert weights(models[0]) == weights(models[1]) != weights(models[2])
    assert torch.equal(torch.get_rng_state(), before[0]) and np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_history_and_metrics_file(data: fs.OperatorData, tmp_path) -> None:
    train, validation = data.split(16)
    surrogate = fs.fit(Affine(), train, validation=validation, epochs=3, folder=tmp_path / "run", **QUIET)
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert records == surrogate.history
    assert [r["epoch"] for r in records] == [0, 1, 2] and records[-1]["step"] == 6
    assert {"loss", "learning_rate", "rel_l2", "rel_h1", "seconds"} <= set(records[0])
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]


def test_nothing_is_written_without_a_folder(data: fs.OperatorData, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    fs.fit(Affine(), data, epochs=1, **QUIET)
    assert list(tmp_path.iterdir()) == []


def test_the_best_epoch_is_kept(data: fs.OperatorData) -> None:
    train, validation = data.split(16)
    schedule = lambda p: 1.0 if p < 0.5 else 1e4  # noqa: E731  # the second half ruins the model
    kwargs = {
        "validation": validation,
        "epochs": 20,
        "learning_rate": 1e-2,
        "schedule": schedule,
        "clip": None,
        **QUIET,
    }
    best = fs.fit(Affine(), train, **kwargs)
    last = fs.fit(Affine(), train, restore_best=False, **kwargs)
    lowest = min(r["rel_l2"] for r in best.history)
    assert best.evaluate(validation)["rel_l2"] == pytest.approx(lowest, rel=1e-6)
    assert last.evaluate(validation)["rel_l2"] > 2 * lowest
    assert best.provenance["best_epoch"] == int(np.argmin([r["rel_l2"] for r in best.history]))


def test_early_stopping(data: fs.OperatorData) -> None:
    train, validation = data.split(16)
    surrogate = fs.fit(
        Affine(), train, validation=validation, epochs=50, patience=2, schedule=lambda p: 1.0 if p < 0.1 else 1e3,
        clip=None, **QUIET,
    )  # fmt: skip
    assert len(surrogate.history) < 20
    values = [r["rel_l2"] for r in surrogate.history]
    assert int(np.argmin(values)) == len(values) - 3


def test_a_time_budget_ends_training(data: fs.OperatorData) -> None:
    surrogate = fs.fit(Affine(), data, epochs=100_000, seconds=0.5, **QUIET)
    assert surrogate.provenance["seconds"] >= 0.5 and surrogate.provenance["epochs"] < 100_000
    assert surrogate.history[-1]["learning_rate"] < 1e-4


def test_clipping_bounds_the_step(data: fs.OperatorData) -> None:
    kwargs = {
        "epochs": 1,
        "batch_size": 24,
        "optimizer": torch.optim.SGD,
        "learning_rate": 1.0,
        "weight_decay": 0.0,
    }
    start, model = Affine(), Affine()
    fs.fit(model, data, clip=1e-3, schedule="constant", **kwargs, **QUIET)
    moved = torch.cat(
        [(a - b).detach().reshape(-1) for a, b in zip(start.parameters(), model.parameters(), strict=True)]
    )
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("precision", ["64", "bf16-mixed"])
def test_precisions_train(data: fs.OperatorData, precision: str) -> None:
    surrogate = fs.fit(Affine(), data, epochs=15, learning_rate=1e-2, precision=precision, **QUIET)
    assert surrogate.history[-1]["loss"] < 0.5 * surrogate.history[0]["loss"]
    assert next(surrogate.model.parameters()).dtype == (torch.float64 if precision == "64" else torch.float32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_training_takes_the_same_steps(data: fs.OperatorData) -> None:
    plain, compiled = (fs.fit(Affine(), data, epochs=2, compile=c, **QUIET) for c in (False, True))
    assert compiled.history[-1]["loss"] == pytest.approx(plain.history[-1]["loss"], rel=1e-4)


def test_scalar_parameters_become_channels() -> None:
    generator = np.random.default_rng(0)
    a, k = generator.random((16, 9, 9)) + 1, generator.random(16)
    grid = fs.Grid(x=(0.0, 1.0, 9), y=(0.0, 1.0, 9))
    data = fs.OperatorData.from_arrays({"a": a}, {"u": a * (1 + k[:, None, None])}, grid, parameters={"k": k})
    surrogate = fs.fit(Affine(in_channels=2), data, epochs=150, learning_rate=1e-2, **QUIET)
    assert surrogate.evaluate(data)["rel_l2"] < 0.05
    one = surrogate(data.inputs["a"][0], parameters={"k": k[0]})
    assert torch.allclose(one.coefficients, surrogate(data).coefficients[0], atol=1e-5)


class Cornered(Affine):
    """Finite outputs with a gradient that is not, as that of a root at zero."""

    def forward(self, x: torch.Tensor, context: object = None) -> torch.Tensor:
        return super().forward(x, context) + (0.0 * next(self.parameters()).sum()).sqrt()


@pytest.mark.parametrize("clip", [None, 1.0])
def test_weights_never_take_a_step_that_is_not_finite(data: fs.OperatorData, clip: float | None) -> None:
    with pytest.raises(fs.SolverError, match="gradient became") as caught:
        fs.fit(Cornered(), data, epochs=1, clip=clip, **QUIET)
    assert all(bool(torch.isfinite(t).all()) for t in caught.value.state.values())


def test_a_loss_that_diverges_is_reported_with_the_last_finite_weights(data: fs.OperatorData) -> None:
    with pytest.raises(fs.SolverError, match="loss became") as caught:
        fs.fit(
            Affine(),
            data,
            epochs=5,
            learning_rate=1e30,
            optimizer=torch.optim.SGD,
            clip=None,
            schedule="constant",
            **QUIET,
        )
    assert all(bool(torch.isfinite(t).all()) for t in caught.value.state.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"batch_size": -1}, "batch_size must be a whole number"),
        ({"validate_every": 0.5}, "validate_every must be a whole number"),
        ({"patience": True}, "patience must be a whole number"),
        ({"seed": -1}, "seed must be a whole number that is not negative, got -1"),
        ({"seed": "a"}, "seed must be a whole number that is not negative, got 'a'"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": "a"}, "learning_rate must be positive, got 'a'"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
        ({"algorithm": "gtf"}, r"algorithm must be an object such as fs\.Supervised\(\).*got 'gtf'"),
        ({"algorithm": fs.Supervised}, "algorithm must be an object.*got <class"),
        ({"folder": "/proc/foo"}, "the folder '/proc/foo' cannot be made"),
        ({"folder": __file__}, "cannot be made: there is a file of that name"),
        ({"precision": "8"}, "precision must be one of"),
        ({"schedule": "zigzag"}, "schedule must be one of"),
        ({"monitor": "accuracy", "validation": "same"}, "monitor must be one of"),
        ({"validation": 3}, "validation must be OperatorData"),
    ],
)
def test_settings_out_of_range(data: fs.OperatorData, change: dict, message: str) -> None:
    if change.get("validation") == "same":
        change = change | {"validation": data}
    with pytest.raises(fs.InputError, match=message):
        fs.fit(Affine(), data, **({"epochs": 1} | change), **QUIET)


@pytest.mark.parametrize("accelerator", ["tpu", "quantum", *([] if torch.cuda.is_available() else ["cuda"])])
def test_devices_that_are_not_there(data: fs.OperatorData, accelerator: str) -> None:
    options = {name: value for name, value in QUIET.items() if name != "accelerator"}
    with pytest.raises(fs.InputError, match=f"cannot train on accelerator='{accelerator}'.*this machine has cpu"):
        fs.fit(Affine(), data, epochs=1, accelerator=accelerator, **options)


def test_integers_of_numpy_are_whole_numbers(data: fs.OperatorData, tmp_path) -> None:
    counts = {name: np.int64(2) for name in ("epochs", "batch_size", "seed", "patience", "validate_every")}
    fs.fit(Affine(), data, folder=tmp_path, **counts, **QUIET)
    again = fs.fit(Affine(), data, folder=tmp_path, **{name: 2 for name in counts}, **QUIET)
    assert again.provenance["epochs"] == 2


@pytest.mark.parametrize("where", ["data", "validation"])
def test_complex_data_are_refused(data: fs.OperatorData, where: str) -> None:
    a, u = data.inputs["a"], data.outputs["u"]
    waves = fs.OperatorData({"a": a}, {"u": u.with_coefficients(u.coefficients * 1j)})
    train, validation = (waves, None) if where == "data" else (data, waves)
    with pytest.raises(fs.InputError, match=r"'u' is complex.*real and imaginary parts as two components"):
        fs.fit(Affine(), train, validation=validation, epochs=1, **QUIET)


@pytest.mark.parametrize("kind", ["memory", "lazy", "validation"])
def test_truths_that_are_zero_are_named(data: fs.OperatorData, kind: str) -> None:
    values = data.outputs["u"].coefficients.clone()
    values[3] = 0
    u: fs.Function | fs.LazyFunction = data.outputs["u"].with_coefficients(values)
    if kind == "lazy":
        u = fs.LazyFunction.over(u.space, values.numpy(), name="u")
    flawed = fs.OperatorData(data.inputs, {"u": u})
    train, validation = (data, flawed) if kind == "validation" else (flawed, None)
    with pytest.raises(fs.InputError, match=r"needs a truth that is not zero; leave sample 3 of 'u' .*out"):
        fs.fit(Affine(), train, validation=validation, epochs=1, **QUIET)
    absolute = fs.Supervised(loss=fs.training.NormLoss(relative=False))
    if kind != "validation":
        assert np.isfinite(fs.fit(Affine(), train, algorithm=absolute, epochs=1, **QUIET).history[0]["loss"])


def test_a_module_that_takes_no_context(data: fs.OperatorData) -> None:
    with pytest.raises(fs.InputError, match=r"called as model\(x, context\).*Linear\.forward takes \(input"):
        fs.fit(torch.nn.Linear(1, 1), data, epochs=1, **QUIET)


def test_data_of_the_wrong_kind() -> None:
    with pytest.raises(fs.InputError, match="data must be OperatorData, got list"):
        fs.fit(Affine(), [1, 2, 3], epochs=1, **QUIET)


def test_models_of_the_wrong_kind(data: fs.OperatorData) -> None:
    surrogate = fs.fit(Affine(), data, epochs=1, **QUIET)
    with pytest.raises(fs.InputError, match=r"got Surrogate; what fit returns holds its model as \.model"):
        fs.fit(surrogate, data, epochs=1, **QUIET)
    with pytest.raises(fs.InputError, match=r"fit trains a model, a torch\.nn\.Module; got str$"):
        fs.fit("mgno", data, epochs=1, **QUIET)
