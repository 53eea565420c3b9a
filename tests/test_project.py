"""The project's own promises: a light import, one version everywhere, metadata that is true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import funcspace

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

HEAVY = (
    "dask",
    "dysts",
    "h5py",
    "lightning",
    "lightning_fabric",
    "matplotlib",
    "meshio",
    "netCDF4",
    "neuralop",
    "numba",
    "pandas",
    "pyamg",
    "rich",
    "skfem",
    "torch_geometric",
    "typer",
    "wandb",
    "xarray",
    "zarr",
)


def imported_by(statement: str) -> set[str]:
    """Names of the modules loaded once `statement` has run in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    loaded = imported_by("import funcspace") - imported_by("import torch")
    assert "funcspace" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


def test_every_public_name_exists():
    missing = [name for name in funcspace.__all__ if not hasattr(funcspace, name)]
    assert missing == []


def test_version_is_the_same_everywhere():
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation is not None
    assert citation[1] == PROJECT["version"] == funcspace.__version__


def test_changelog_has_a_section_for_the_version():
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(PROJECT["version"] in heading for heading in headings), headings


def requirement_name(line: str) -> str:
    """`Foo_Bar[extra]>=1` -> `foo-bar`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0]).lower()


def test_every_requirement_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {requirement_name(line) for line in lines if line and not line.startswith("#")}
    assert all("==" in line and "+" not in line for line in lines if line and not line.startswith("#"))
    stated = [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]
    names = {requirement_name(requirement) for requirement in stated} - {"funcspace"}
    assert sorted(names - pins) == []


def test_all_holds_every_extra_for_users():
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    named = set(re.findall(r"\[(.*)\]", everything)[0].split(","))
    assert named == set(extras) - {"all", "test", "lint", "docs"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/installation.md", "docs/design.md"])
def test_links_and_make_targets_exist(page):
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {target for target in re.findall(r"`make ([a-z-]+)", text)} <= targets
