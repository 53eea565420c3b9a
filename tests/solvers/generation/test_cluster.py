"""Generation on a dask.distributed cluster of two worker processes on this machine."""

from __future__ import annotations

import pytest
import torch

import funcspace as fs
from funcspace.solvers.generation import generate
from tests.solvers.generation.problems import Patches, Waves
from tests.solvers.generation.test_generate import content

distributed = pytest.importorskip("distributed")

pytestmark = [pytest.mark.slow, pytest.mark.distributed]


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=40
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


def test_a_cluster_makes_the_same_bytes(client, tmp_path):
    path, other = tmp_path / "cluster.zarr", tmp_path / "process.zarr"
    made = generate(Waves(failing=(3,)), 14, path, seed=5, client=client, chunk=2)
    generate(Waves(failing=(3,)), 14, other, seed=5, workers=1)
    assert content(path) == content(other)
    assert [(f.index, f.message) for f in made.failed] == [(3, "no convergence of wave 3")]


def test_functions_of_the_caller_and_meshes_that_vary(client, tmp_path):
    problem = fs.solvers.Darcy(lambda x: 2.0 + x[:, 0], resolution=8)
    made = generate(problem, 3, tmp_path / "darcy.nc", client=client, chunk=1)
    assert torch.equal(made.data.outputs["u"].coefficients, problem.sample(3).outputs["u"].coefficients)
    patches = generate(Patches(), 3, tmp_path / "patches.zarr", seed=2, client=client, chunk=2)
    assert torch.equal(patches.data.inputs["f"].coefficients, Patches().sample(3, 2).inputs["f"].coefficients)


def test_errors_of_the_cluster_reach_the_caller(client, tmp_path):
    with pytest.raises(fs.InputError, match="positive"):
        generate(fs.solvers.Darcy(lambda x: x[:, 0] - 2, resolution=8), 4, tmp_path / "set.nc", client=client, chunk=1)
