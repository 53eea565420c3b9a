"""Linear maps: adjoints, derivatives, algebra, inverses, and agreement with explicit matrices."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from funcspace.errors import InputError, SolverError
from funcspace.functions.bases.fourier_line import SpectralMap
from funcspace.functions.bases.product_basis import JoinedMap
from funcspace.functions.basis import MaskedMap
from funcspace.functions.maps.linear_map import (
    ComposedMap,
    IdentityMap,
    LinearMap,
    ReshapedMap,
    StackedMap,
    SumMap,
    ValuewiseMap,
)
from funcspace.functions.maps.sparse_map import FunctionMap, KroneckerMap, RowProductMap, SolveMap, SparseMap

f64 = torch.float64


def sparse(rows: int, columns: int, seed: int = 0) -> sp.csr_matrix:
    return sp.random(rows, columns, density=0.5, format="csr", random_state=seed)


def regular(n: int, seed: int = 0) -> sp.csr_matrix:
    return sp.csr_matrix(sparse(n, n, seed) + 3 * sp.identity(n))


def dense_rows(rows: int, columns: int):
    block = np.random.default_rng(columns).normal(size=(rows, columns))
    return lambda part: block[part]


MAPS: dict[str, LinearMap] = {
    "sparse": SparseMap(sparse(5, 6), (2, 3), (5,)),
    "adjoint": SparseMap(sparse(5, 6)).T,
    "identity": IdentityMap((2, 3)),
    "reshaped": ReshapedMap(SparseMap(sparse(4, 6)), (3, 2), (2, 2)),
    "kronecker": KroneckerMap([sparse(3, 2), None, sparse(4, 3)], (2, 2, 3), (2, 6), (3, 8)),
    "kronecker_maps": KroneckerMap([SolveMap(regular(3)), SparseMap(sparse(4, 2), (2, 1), (2, 2))], (3, 2)),
    "solve": SolveMap(regular(6), (2, 3)),
    "composed": SparseMap(sparse(4, 5)) @ SparseMap(sparse(5, 6)),
    "sum": SparseMap(sparse(4, 5)) + 2.0 * SparseMap(sparse(4, 5, 1)) - SparseMap(sparse(4, 5, 2)) * 3,
    "stacked": StackedMap([SparseMap(sparse(4, 5, k)) for k in range(3)]),
    "joined": JoinedMap([ReshapedMap(SparseMap(sparse(8, 5, k)), (5,), (4, 2)) for k in range(2)]),
    "valuewise": ValuewiseMap(StackedMap([SparseMap(sparse(4, 5, k)) for k in range(2)]), (2, 3), trailing=1),
    "rows": RowProductMap([dense_rows(7, 3), dense_rows(7, 4), dense_rows(7, 2)], (3, 4, 2), 7),
    "spectral": SpectralMap(np.array([1.0, 2.0, 0.5, 3.0]), 6),
    "function": FunctionMap((3,), (3,), lambda x: x.flip(-1), lambda y: y.flip(-1)),
    "masked": MaskedMap(SparseMap(sparse(4, 5)), torch.zeros(4, dtype=torch.bool)),
}


def sample(map_: LinearMap, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 2, *map_.domain_shape, dtype=f64, generator=generator)
    return x, torch.randn(3, 2, *map_.codomain_shape, dtype=f64, generator=generator)


@pytest.mark.parametrize("name", MAPS)
def test_adjoint_identity(name):
    map_ = MAPS[name]
    x, y = sample(map_)
    assert torch.allclose((map_ @ x * y).sum(), (x * (map_.T @ y)).sum(), atol=1e-12)
    assert torch.equal(map_.H.adjoint()(x), map_(x))


@pytest.mark.parametrize("name", MAPS)
def test_agrees_with_its_matrix(name):
    map_ = MAPS[name]
    x, y = sample(map_)
    matrix = map_.dense()
    assert matrix.shape == map_.shape
    flat = x.reshape(6, -1)
    assert torch.allclose(map_(x).reshape(6, -1), flat @ matrix.T, atol=1e-12)
    assert torch.allclose(map_.T(y).reshape(6, -1), y.reshape(6, -1) @ matrix, atol=1e-12)
    assert torch.allclose(map_.T.dense(), matrix.T)
    single = map_(x[0, 0])
    assert single.shape == map_.codomain_shape


@pytest.mark.parametrize("name", MAPS)
def test_derivatives(name):
    map_ = MAPS[name]
    x = sample(map_)[0][0].clone().requires_grad_()
    assert torch.autograd.gradcheck(map_, (x,))
    assert torch.autograd.gradgradcheck(map_, (x,))


@pytest.mark.parametrize("name", ["sparse", "kronecker", "solve", "rows", "valuewise", "spectral"])
def test_transforms_of_torch_func(name):
    map_ = MAPS[name]
    x, y = sample(map_)
    assert torch.allclose(torch.func.vmap(map_)(x), map_(x))
    assert torch.allclose(torch.func.vmap(map_.T)(y), map_.T(y))
    value, tangent = torch.func.jvp(map_, (x,), (x,))
    assert torch.allclose(value, tangent)


@pytest.mark.parametrize("name", ["sparse", "kronecker", "rows", "valuewise", "stacked", "joined", "solve"])
def test_empty_batches(name):
    map_ = MAPS[name]
    assert map_(torch.empty(0, *map_.domain_shape, dtype=f64)).shape == (0, *map_.codomain_shape)
    assert map_.T(torch.empty(0, *map_.codomain_shape, dtype=f64)).shape == (0, *map_.domain_shape)


@pytest.mark.parametrize("name", ["sparse", "kronecker", "solve", "valuewise", "spectral"])
def test_complex_and_single_precision(name):
    map_ = MAPS[name]
    x, z = sample(map_, 0)[0], sample(map_, 1)[0]
    image = map_(torch.complex(x, z))
    assert torch.allclose(image.real, map_(x)) and torch.allclose(image.imag, map_(z))
    low = map_(x.float())
    assert low.dtype == torch.float32
    assert torch.allclose(low.double(), map_(x), atol=1e-4)


def test_half_precision_sums_in_single():
    map_ = MAPS["sparse"]
    x = sample(map_)[0]
    assert map_(x.bfloat16()).dtype == torch.bfloat16
    assert torch.allclose(map_(x.bfloat16()).double(), map_(x), atol=0.1)


def test_autocast_leaves_integrals_alone():
    map_ = MAPS["kronecker"]
    x = sample(map_)[0].float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = map_(x)
    assert inside.dtype == torch.float32 and torch.equal(inside, map_(x))


def test_maps_first_used_under_inference_mode_can_train_later():
    map_ = KroneckerMap([sparse(3, 2), sparse(4, 3)], (2, 3))
    small = SparseMap(sparse(4, 5))
    with torch.inference_mode():
        map_(torch.ones(6))
        small(torch.ones(5))
    x = torch.ones(6, requires_grad=True)
    map_(x).square().sum().backward()
    small(torch.ones(5, requires_grad=True)).square().sum().backward()
    assert x.grad is not None


def test_no_warning_on_first_use_and_invariant_checks_stay_as_they_were():
    before = torch.sparse.check_sparse_tensor_invariants.is_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseMap(sparse(4, 5))(torch.ones(5))
    assert torch.sparse.check_sparse_tensor_invariants.is_enabled() == before


@pytest.mark.parametrize(
    "map_",
    [
        SparseMap(regular(6), (2, 3), (6,)),
        SolveMap(regular(6)),
        KroneckerMap([regular(3), None, SolveMap(regular(2))], (3, 2, 2)),
        SparseMap(regular(5)) @ SolveMap(regular(5, 1)),
        ReshapedMap(SparseMap(regular(6)), (2, 3), (3, 2)),
        SparseMap(regular(5)).T,
        2.0 * SparseMap(regular(5)),
        SparseMap(regular(5)) + SparseMap(regular(5, 1)),
        SpectralMap(np.array([1.0, 2.0, 0.5]), 5),
        ValuewiseMap(SparseMap(regular(4)), (2,)),
        IdentityMap((4,)),
    ],
)
def test_inverse(map_):
    x = torch.randn(3, *map_.domain_shape, dtype=f64, generator=torch.Generator().manual_seed(0))
    inverse = map_.inverse()
    assert (inverse.domain_shape, inverse.codomain_shape) == (map_.codomain_shape, map_.domain_shape)
    assert torch.allclose(inverse(map_(x)), x, atol=1e-10)
    assert torch.allclose(inverse.dense() @ map_.dense(), torch.eye(map_.shape[0], dtype=f64), atol=1e-10)


def test_kronecker_factors_beyond_the_dense_limit():
    wide = sp.random(400, 300, density=0.01, format="csr", random_state=1)
    map_ = KroneckerMap([wide, sparse(3, 2)], (300, 2))
    x = torch.randn(4, 600, dtype=f64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(map_(x), torch.from_numpy((sp.kron(wide, sparse(3, 2)) @ x.numpy().T).T))
    y = map_(x)
    assert torch.allclose((y * y).sum(), (x * map_.T(y)).sum())


def test_row_products_in_chunks(monkeypatch):
    whole = MAPS["rows"]
    monkeypatch.setattr("funcspace.functions.maps.sparse_map.CHUNK_ENTRIES", 60)
    chunked = RowProductMap([dense_rows(7, 3), dense_rows(7, 4), dense_rows(7, 2)], (3, 4, 2), 7)
    x, y = sample(whole)
    assert torch.allclose(chunked(x), whole(x))
    assert torch.allclose(chunked.T(y), whole.T(y))


def test_masked_rows_are_nan_and_do_not_reach_the_adjoint():
    mask = torch.tensor([False, True, False, False])
    map_ = MaskedMap(SparseMap(sparse(4, 5)), mask)
    x = torch.ones(2, 5, dtype=f64)
    assert torch.equal(torch.isnan(map_(x)), mask.expand(2, 4))
    y = torch.ones(2, 4, dtype=f64)
    assert torch.equal(map_.T(y), SparseMap(sparse(4, 5)).T(y * ~mask))
    assert torch.allclose(map_.T.dense(), map_.dense().T)


@pytest.mark.parametrize("name", ["sparse", "kronecker", "solve", "composed", "valuewise"])
def test_copies(name):
    map_ = MAPS[name]
    x = sample(map_)[0]
    assert torch.equal(pickle.loads(pickle.dumps(map_))(x), map_(x))
    assert torch.equal(copy.deepcopy(map_)(x), map_(x))


def test_the_matrix_that_was_given_stays_as_it_was():
    matrix = sp.csr_matrix((np.ones(4), np.array([1, 0, 1, 1]), np.array([0, 2, 4])), shape=(2, 2))
    before = matrix.indices.copy()
    assert SparseMap(matrix).dense().tolist() == [[1.0, 1.0], [0.0, 2.0]]
    assert np.array_equal(matrix.indices, before)


def test_repr_and_shape():
    assert repr(MAPS["sparse"]) == "SparseMap((2, 3) -> (5,))"
    assert MAPS["sparse"].shape == (5, 6)
    assert MAPS["sparse"].to("cpu") is MAPS["sparse"]


def test_wrong_use_is_refused():
    map_ = SparseMap(sparse(4, 5))
    with pytest.raises(InputError, match=r"shape \(\*batch, \(5,\)\), got \(4,\)"):
        map_(torch.ones(4))
    with pytest.raises(InputError, match=r"got \(\)"):
        map_(torch.tensor(1.0))
    with pytest.raises(InputError, match=r"floating-point coefficients, got torch\.int64"):
        map_(torch.ones(5, dtype=torch.int64))
    with pytest.raises(InputError, match="cannot compose"):
        map_ @ map_
    with pytest.raises(InputError, match="cannot add"):
        map_ + map_.T
    with pytest.raises(InputError, match="cannot stack"):
        StackedMap([map_, map_.T])
    with pytest.raises(InputError, match="sizes differ"):
        SparseMap(sparse(4, 5), (2, 2))
    with pytest.raises(InputError, match="cannot be reshaped"):
        ReshapedMap(map_, (6,), (4,))
    with pytest.raises(InputError, match="has 5 columns where 3 are expected"):
        KroneckerMap([map_], (3,))
    with pytest.raises(InputError, match="not square"):
        map_.inverse()
    with pytest.raises(InputError, match="square matrix"):
        SolveMap(sparse(4, 5))
    with pytest.raises(SolverError, match="singular"):
        SolveMap(np.zeros((3, 3)))
    with pytest.raises(InputError, match="at least one"):
        SumMap([])
    with pytest.raises(InputError, match="at least one"):
        StackedMap([])
    assert isinstance(map_.T @ map_, ComposedMap)
