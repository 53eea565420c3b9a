"""Every example runs, and its numbers are the ones that the tutorials tell."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_example_is_short_and_tested_here() -> None:
    here = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 100
        assert f'example("{path.stem}")' in here, f"{path.name} has no test"


def test_functions_on_meshes(tmp_path: Path) -> None:
    errors = example("functions_on_meshes").main(tmp_path)
    assert max(errors["at_points"], errors["integral"], errors["grid"]) < 1e-5
    assert errors["gradient"] < 1e-4 and errors["file"] == 0.0
    assert (tmp_path / "disc.png").stat().st_size > 10_000


@pytest.mark.slow
def test_own_arrays(tmp_path: Path) -> None:
    metrics = example("own_arrays").main(tmp_path, epochs=12)
    assert metrics["rel_l2"] < 0.15  # 40 epochs reach 0.02
    assert (tmp_path / "heat.png").exists()


@pytest.mark.slow
def test_darcy_surrogate(tmp_path: Path) -> None:
    metrics = example("darcy_surrogate").main(tmp_path, samples=130, epochs=6)
    assert metrics["rel_l2"] < 0.12  # the mean of the training outputs scores about 0.2
    assert metrics["finer_rel_l2"] < 2 * metrics["rel_l2"]
    assert metrics["mesh_rel_l2"] < 0.3


@pytest.mark.slow
def test_larger_than_memory(tmp_path: Path) -> None:
    metrics = example("larger_than_memory").main(tmp_path, samples=48, epochs=2)
    assert metrics["rel_l2"] < 0.5 and (tmp_path / "history.png").exists()


def test_recover_coefficient(tmp_path: Path) -> None:
    metrics = example("recover_coefficient").main(tmp_path, size=0.1, steps=120)
    assert metrics["rel_l2"] < 0.35  # zero, the mean of the prior, scores 1
    assert 0.7 < metrics["misfit"] < 1.1  # it explains the data down to the noise and not further
    assert (tmp_path / "recovered.png").exists()


@pytest.mark.slow
def test_solver_in_the_loop(tmp_path: Path) -> None:
    metrics = example("solver_in_the_loop").main(tmp_path, resolution=9, steps=150)
    assert metrics["rel_l2"] < 0.6  # a constant coefficient scores 1
    assert (tmp_path / "inverted.png").exists()


@pytest.mark.slow
@pytest.mark.dolfinx
# FFCx leaves files that it compiles open
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_fenicsx_workflow(tmp_path: Path) -> None:
    metrics = example("fenicsx_workflow").main(tmp_path, samples=100, epochs=10)
    assert metrics["rel_l2"] < 0.25 and metrics["finer_rel_l2"] < 0.3
    assert metrics["iterations_from_surrogate"] <= metrics["iterations"] + 2
    assert (tmp_path / "plate.xdmf").stat().st_size > 1000 and (tmp_path / "plate.png").exists()
