"""Many right-hand sides: held to SuperLU's own solves, column by column, and to the same bits in any company."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from funcspace import FunctionSpace, Mesh, SolverError
from funcspace.solvers.sparse_systems import factorise, factorise_general
from funcspace.solvers.triangular_solves import TriangularFactors


def matrices():
    """A finite-element matrix, one that needs pivoting, and one of size 1."""
    space = FunctionSpace(Mesh.disc(0.2))
    generator = np.random.default_rng(0)
    shuffled = sp.eye(200, format="csc")[:, generator.permutation(200)]
    skew = sp.random(200, 200, 0.03, random_state=1, format="csc") + shuffled
    return {"elements": space.stiffness.matrix + space.mass.matrix, "pivots": skew, "one": sp.csc_matrix([[2.0]])}


@pytest.mark.parametrize("name", ["elements", "pivots", "one"])
def test_agrees_with_superlu(name):
    matrix = matrices()[name].tocsc()
    factor = splu(matrix)
    load = np.random.default_rng(1).standard_normal((matrix.shape[0], 70))
    found = TriangularFactors(factor)(load)
    assert np.allclose(found, factor.solve(load), rtol=1e-9, atol=1e-11)
    assert np.abs(matrix @ found - load).max() < 1e-9


@pytest.mark.parametrize("name", ["elements", "pivots"])
def test_a_column_has_the_same_bits_in_any_company(name):
    matrix = matrices()[name].tocsc()
    solve = TriangularFactors(splu(matrix))
    load = np.random.default_rng(2).standard_normal((matrix.shape[0], 131))
    whole = solve(load)
    assert np.array_equal(whole[:, 5], solve(load[:, 5]))
    assert np.array_equal(whole[:, 60:67], solve(load[:, 60:67]))
    assert np.array_equal(whole[:, 130:], solve(load[:, 130:]))


def test_singular_systems_are_refused():
    flat = sp.csc_matrix([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(SolverError, match="nothing holds it"):
        factorise_general(flat, singular="nothing holds it")(np.ones(2))
    with pytest.raises(SolverError, match="singular"):
        factorise(flat, "direct", 1e-10, 10, many=True)(np.ones((2, 3)))


def test_complex_systems():
    matrix = matrices()["elements"].astype(np.complex128) - 2j * sp.eye(FunctionSpace(Mesh.disc(0.2)).n_dofs)
    load = np.ones(matrix.shape[0], dtype=np.complex128)
    assert np.abs(matrix @ factorise_general(matrix, singular="", many=True)(load) - load).max() < 1e-12
