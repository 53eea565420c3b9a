"""The command line as a user meets it: output, exit codes, one-line errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import funcspace as fs
from funcspace.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    assert main(["data", "darcy", "-o", str(folder / "darcy.nc"), "-n", "10", "--resolution", "16", "--seed", "3"]) == 0
    words = [
        "fit",
        str(folder / "darcy.nc"),
        "-o",
        str(folder / "model"),
        "--epochs",
        "2",
        "--set",
        "width=8",
        "--quiet",
    ]
    assert main(words) == 0
    return folder


def test_data_is_what_the_solver_makes(made: Path) -> None:
    stored = fs.OperatorData.load(made / "darcy.nc")
    fresh = fs.solvers.Darcy(coefficient="threshold", resolution=16).sample(10, seed=3)
    assert stored.outputs["u"].coefficients.equal(fresh.outputs["u"].coefficients)


def test_data_streams_resumes_and_takes_options(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "darcy.zarr"
    words = ["data", "darcy", "-o", str(path), "--set", "resolution=8", "--set", "coefficient=rough", "--workers", "1"]
    assert main([*words, "-n", "3", "--chunk", "2"]) == 0
    assert "OperatorData: 3 samples" in capsys.readouterr().out
    assert main([*words, "-n", "5"]) == 0
    fresh = fs.solvers.Darcy("rough", resolution=8).sample(5)
    assert fs.OperatorData.load(path).outputs["u"].coefficients.equal(fresh.outputs["u"].coefficients)
    assert main([*words, "-n", "2"]) == 1
    assert "load it and take a slice, or give --restart to replace it" in capsys.readouterr().err
    assert main([*words, "-n", "2", "--set", "resolution=9"]) == 1
    told = capsys.readouterr().err
    assert "holds samples 0 to 4 already" in told and "made by another problem than Darcy" in told
    assert main([*words, "-n", "6", "--set", "resolution=9"]) == 1
    assert "or give --restart to start over" in capsys.readouterr().err
    assert main([*words, "-n", "2", "--restart"]) == 0
    assert len(fs.OperatorData.load(path)) == 2


def test_data_lists_its_problems(capsys: pytest.CaptureFixture) -> None:
    assert main(["data", "--list"]) == 0
    assert "Pairs (coefficient, solution) of the Darcy problem." in capsys.readouterr().out


def test_evaluate_prints_the_metrics_of_the_surrogate(made: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", str(made / "model"), str(made / "darcy.nc"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = fs.load(made / "model").evaluate(fs.OperatorData.load(made / "darcy.nc"))
    assert printed == pytest.approx({"samples": 10, **expected}, rel=1e-4)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same samples as NumPy, netCDF and Zarr have them, and an archive without coordinates."""
    folder = tmp_path_factory.mktemp("foreign")
    x, rng = np.linspace(0.0, 1.0, 9), np.random.default_rng(0)
    a = 1.0 + rng.random((6, 9, 9))
    arrays: dict[str, Any] = {"a": a, "u": 0.1 / a, "nu": rng.random(6)}
    np.savez(folder / "plain.npz", x=x, y=x, **arrays)
    np.savez(folder / "nowhere.npz", **arrays)
    axes = {"a": ("sample", "x", "y"), "u": ("sample", "x", "y"), "nu": ("sample",)}
    dataset = xr.Dataset({name: (axes[name], array) for name, array in arrays.items()}, coords={"x": x, "y": x})
    dataset.to_netcdf(folder / "plain.nc")
    dataset.to_zarr(folder / "plain.zarr", zarr_format=2)
    return folder


NAMED = ["--inputs", "a", "--outputs", "u", "--parameters", "nu"]


@pytest.mark.parametrize("name", ["plain.npz", "plain.nc", "plain.zarr"])
def test_data_of_others_are_read_by_the_names_of_their_arrays(
    foreign: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["info", str(foreign / name), *NAMED]) == 0
    shown = capsys.readouterr().out
    assert "6 samples" in shown and "parameters nu" in shown
    assert main(["info", str(foreign / name)]) == 1
    assert "say which of its arrays are --inputs and --outputs" in capsys.readouterr().err
    assert main(["info", str(foreign / name), "--inputs", "a,", "--outputs", "u"]) == 1
    assert "--inputs takes names with commas between them" in capsys.readouterr().err


def test_data_without_coordinates_are_for_python(foreign: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", str(foreign / "nowhere.npz"), *NAMED]) == 1
    assert "give domain=... (of OperatorData.read, in Python), such as fs.Grid(" in capsys.readouterr().err


def test_a_surrogate_of_data_of_others(foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["fit", str(foreign / "plain.npz"), "-o", str(tmp_path / "deep" / "S"), "--epochs", "1", "--quiet"]
    assert main([*words, "--set", "width=4", *NAMED]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "deep" / "S"), str(foreign / "plain.nc"), "--json", *NAMED]) == 0
    printed = json.loads(capsys.readouterr().out)
    data = fs.OperatorData.read(foreign / "plain.npz", inputs=["a"], outputs=["u"], parameters=["nu"])
    assert printed == pytest.approx({"samples": 6, **fs.load(tmp_path / "deep" / "S").evaluate(data)}, rel=1e-4)


def test_a_place_that_cannot_take_the_surrogate_is_refused_before_training(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the training began")

    monkeypatch.setattr(fs, "fit", never)
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    places = {
        full: "is a folder with other content and is not overwritten; choose another name",
        file: "there is a file of that name",
        file / "below" / "S": "does not exist",
        Path("/proc/S"): "cannot write /proc/S",
        Path("/proc/deep/S"): "cannot write /proc/deep",
    }
    for place, message in places.items():
        assert main(["fit", str(made / "darcy.nc"), "-o", str(place)]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    for checkpoints in (tmp_path / "S", tmp_path / "S" / "checkpoints"):
        assert main(["fit", str(made / "darcy.nc"), "-o", str(tmp_path / "S"), "--folder", str(checkpoints)]) == 1
        assert "choose another folder for the checkpoints" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    with pytest.raises(AssertionError, match="the training began"):
        main(["fit", str(made / "darcy.nc"), "-o", str(made / "model"), "--set", "width=4"])


def test_checkpoints_of_another_run(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["fit", str(made / "darcy.nc"), "-o", str(tmp_path / "S"), "--folder", str(tmp_path / "run"), "--quiet"]
    assert main([*words, "--set", "width=4", "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main([*words, "--set", "width=4", "--epochs", "2"]) == 1
    error = capsys.readouterr().err
    assert "choose another folder, or remove it to start again" in error and str(tmp_path / "run") in error


def test_info_describes_files_surrogates_and_the_installation(made: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", str(made / "darcy.nc")]) == 0
    assert "OperatorData: 10 samples" in capsys.readouterr().out
    assert main(["info", str(made / "model")]) == 0
    assert "Surrogate(MgNO: a -> u" in capsys.readouterr().out
    assert main(["info"]) == 0
    assert f"funcspace        {fs.__version__}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "stokes", "-o", "x.nc"], "no problem 'stokes'"),
        (["data", "darcy", "-o", "x.nc", "--set", "resolutoin=9"], "did you mean 'resolution'?"),
        (["data", "darcy", "-o", "x.nc", "--set", "resolution"], "--set takes name=value"),
        (
            ["data", "darcy", "-o", "x.nc", "-n", "4", "--seed", "-1"],
            "seed must be a whole number that is not negative, got -1",
        ),
        (["data", "helmholtz_cavity", "-o", "x.nc", "--set", "resolution=abc"], "resolution"),
        (["fit", "missing.nc", "-o", "out"], "missing.nc"),
        (["evaluate", "nowhere", "missing.nc"], "no saved surrogate"),
        (["info", "missing.zarr"], "missing.zarr"),
    ],
)
def test_errors_are_one_line_and_exit_with_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_there(made: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", str(made / "darcy.nc"), "-o", str(made / "x"), "--model", "unet"]) == 1
    assert "no model 'unet'; there is mgno, fno" in capsys.readouterr().err


def test_a_model_option_that_is_not_there(made: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", str(made / "darcy.nc"), "-o", str(made / "x"), "--set", "widht=4"]) == 1
    assert "MgNO has no option 'widht'; it has" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "width=abc"],
        ["--set", "width=[4]"],
        ["--model", "fno", "--set", "modes=abc"],
        ["--seed", "-1"],
        ["--folder", "/proc/x"],
    ],
)
def test_settings_that_a_fit_cannot_take(made: Path, tmp_path: Path, words: list[str], capsys) -> None:
    assert main(["fit", str(made / "darcy.nc"), "-o", str(tmp_path / "S"), "--epochs", "1", "--quiet", *words]) == 1
    error = capsys.readouterr().err
    option, value = words[-1].split("=") if "=" in words[-1] else (words[-2].lstrip("-"), words[-1])
    assert option in error and value in error and error.count("\n") == 1


def test_an_error_of_the_system_names_the_path(capsys, monkeypatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr(fs.OperatorData, "read", broken)
    assert main(["info", "/somewhere"]) == 1
    assert "error: cannot use /somewhere: Permission denied" in capsys.readouterr().err


def test_debug_shows_where() -> None:
    with pytest.raises(fs.InputError):
        main(["data", "stokes", "-o", "x.nc", "--debug"])


@pytest.mark.parametrize("words", [["fly"], ["data"], ["data", "darcy", "-o", "x.nc", "-n", "many"]])
def test_wrong_usage_exits_with_two(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in ("demo", "data", "fit", "evaluate", "info"))
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"funcspace {fs.__version__}"


def test_systems_are_listed_and_described(capsys):
    assert main(["systems", "--dimension", "6"]) == 0
    assert capsys.readouterr().out.split() == ["CellCycle", "Hopfield", "LorenzCoupled"]
    assert main(["systems", "--kind", "map", "--containing", "HENON"]) == 0
    assert capsys.readouterr().out.split() == ["Henon"]
    assert main(["systems", "Lorenz"]) == 0
    shown = capsys.readouterr().out
    assert "rho=28" in shown and "Lorenz, Edward N (1963)" in shown and "period 1.5008" in shown
    assert main(["systems", "Lorentz"]) == 1
    assert "did you mean Lorenz" in capsys.readouterr().err
    assert main(["systems", "--containing", "sivash"]) == 0
    assert "known by name, but not in the database: KuramotoSivashinsky" in capsys.readouterr().err
    assert main(["systems", "--kind", "map", "--containing", "sivash"]) == 0
    assert capsys.readouterr().err == ""
    for name in ("KolmogorovFlow", "KuramotoSivashinsky", "TwoScaleLorenz96"):
        assert main(["systems", name]) == 0
        assert name in capsys.readouterr().out
    assert main(["systems", "--help"]) == 0
    assert "KolmogorovFlow, KuramotoSivashinsky" in " ".join(capsys.readouterr().out.split())
    assert main(["systems", "--kind", "fluid"]) == 1
    assert "there are flow, map, delay" in capsys.readouterr().err
    assert main(["systems", "--motion", "transient", "--dimension", "3"]) == 0
    assert "LiuChen" in capsys.readouterr().out.split()
    assert main(["systems", "--motion", "hyperchaotic", "--kind", "delay"]) == 0
    assert capsys.readouterr().out.split() == ["IkedaDelay", "VossDelay"]


def test_demo_of_a_chaotic_system_writes_what_it_says(tmp_path, capsys):
    assert main(["demo", "lorenz", "--output", str(tmp_path), "--seconds", "2", "--quiet"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert abs(scores["true_largest_exponent"] - 0.9056) < 0.03 and 1 <= scores["regions"] <= 4
    assert (tmp_path / "attractor.png").stat().st_size > 20_000
    assert fs.load(tmp_path / "lorenz").components == ("x", "y", "z")
    assert main(["demo", "rossler"]) == 1
    assert "there is darcy and lorenz" in capsys.readouterr().err
