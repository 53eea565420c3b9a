"""The command line as a user meets it: output, exit codes, one-line errors."""

import json
from pathlib import Path

import pytest

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
    assert "load it and take a slice" in capsys.readouterr().err
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
