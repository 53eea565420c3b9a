"""The contract of finite-element bases, for every element on every cell type, straight and curved."""

from __future__ import annotations

import pickle
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from funcspace.errors import InputError, OutsideError
from funcspace.functions.basis import MaskedMap
from funcspace.functions.elements.elements import element_names
from funcspace.functions.elements.finite_elements import FiniteElementBasis
from funcspace.functions.elements.tabulation import CellMap
from funcspace.geometry.meshes.mesh import Mesh

CELLS = ("interval", "triangle", "quadrilateral", "tetrahedron", "hexahedron")
CASES = [(cell, element, curved) for curved in (False, True) for cell in CELLS for element in element_names(cell)]
NODAL = [case for case in CASES if case[1] not in ("RT", "N1curl")]
VECTOR = [case for case in CASES if case[1] in ("RT", "N1curl")]
STRAIGHT = [case for case in CASES if not case[2]]

every = pytest.mark.parametrize(("cell", "element", "curved"), CASES)
nodal = pytest.mark.parametrize(("cell", "element", "curved"), NODAL)
vector = pytest.mark.parametrize(("cell", "element", "curved"), VECTOR)


def bend(x: torch.Tensor) -> torch.Tensor:
    """A smooth map that makes no cell affine but simplices with straight sides."""
    shift = torch.zeros_like(x)
    for i in range(x.shape[1]):
        shift[:, i] = 0.06 * torch.sin(2.0 * x.sum(dim=1) + i) + 0.04 * x[:, i] ** 2
    return x + shift


@cache
def plain_mesh(cell: str) -> Mesh:
    if cell == "interval":
        return Mesh.interval(0.3)
    if cell in ("triangle", "quadrilateral"):
        return Mesh.rectangle(0.5, 1.0, 1.0, cells=cell)
    return Mesh.box(0.5, 1.0, 1.0, 0.5, cells=cell)


def turned(mesh: Mesh) -> np.ndarray:
    """Each cell with its corners in another order: any on simplices, rotations of squares and cubes."""
    generator, corners = np.random.default_rng(0), mesh.reference.corners
    count, dim = corners.shape
    if mesh.reference.is_simplex:
        orders = [list(order) for order in permutations(range(count))]
    else:
        orders = []
        for axes in permutations(range(dim)):
            for signs in product((1, -1), repeat=dim):
                turn = np.eye(dim)[list(axes)] * signs
                if np.linalg.det(turn) > 0:
                    image = (corners - 0.5) @ turn + 0.5
                    orders.append(np.abs(image[:, None] - corners).sum(axis=2).argmin(axis=1).tolist())
    chosen = np.array(orders)[generator.integers(0, len(orders), mesh.n_cells)]
    return np.take_along_axis(mesh.cells.numpy(), chosen, axis=1)


@cache
def mesh_of(cell: str, curved: bool) -> Mesh:
    mesh = plain_mesh(cell)
    parts = {name: facets for name, facets in mesh.boundary.items() if name != "boundary"}
    mesh = mesh.curved() if curved else Mesh(mesh.points, turned(mesh), orientation="keep")
    return Mesh(bend(mesh.nodes), mesh.cell_nodes, boundaries=parts, orientation="keep")


@cache
def basis_of(cell: str, element: str, curved: bool) -> FiniteElementBasis:
    return FiniteElementBasis(mesh_of(cell, curved), element)


def interior(cell: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random cells and reference points well inside them."""
    generator = np.random.default_rng(seed)
    reference = mesh_of(cell, False).reference
    mix = generator.dirichlet(np.full(reference.n_corners, 2.0), count)
    centre = reference.corners.mean(axis=0)
    return generator.integers(0, mesh_of(cell, False).n_cells, count), 0.8 * mix @ reference.corners + 0.2 * centre


def points_of(cell: str, curved: bool, count: int = 25) -> torch.Tensor:
    cells, at = interior(cell, count)
    return mesh_of(cell, curved).map_to_points(torch.from_numpy(cells), torch.from_numpy(at))


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@nodal
def test_evaluation_at_the_dofs_is_the_identity(cell, element, curved):
    basis = basis_of(cell, element, curved)
    points = basis.dof_points
    assert torch.equal(basis.evaluation(points, False, "raise").dense(), torch.eye(len(points), dtype=torch.float64))
    if element != "P0":  # in another order the points are located one by one
        flipped = basis.evaluation(points.flip(0), False, "raise").dense()
        assert torch.allclose(flipped, torch.eye(len(points), dtype=torch.float64).flip(0), atol=1e-11, rtol=0)


@nodal
def test_dofs_are_numbered_like_the_vertices_then_beyond(cell, element, curved):
    mesh, basis = mesh_of(cell, curved), basis_of(cell, element, curved)
    assert basis.layout == basis.dof_shape == (len(basis.dof_points),)
    if element == "P0":
        assert basis.dof_shape == (mesh.n_cells,)
    else:
        assert torch.equal(basis.dof_points[: len(mesh.points)], mesh.points)
        assert (basis.dof_shape[0] == len(mesh.points)) == (element in ("P1", "Q1"))
    if curved and element in ("P2", "Q2"):  # isoparametric: the nodes of the geometry are the dofs
        assert {tuple(p) for p in basis.dof_points.numpy().round(9)} == {tuple(p) for p in mesh.nodes.numpy().round(9)}


@vector
def test_vector_elements_have_no_nodal_values(cell, element, curved):
    basis = basis_of(cell, element, curved)
    mesh = basis.domain
    assert basis.dof_points is None
    assert basis.intrinsic_shape == (mesh.dim,)
    edges = mesh.to_skfem().nedges if mesh.dim == 3 else len(mesh.facets)
    assert basis.dof_shape == (len(mesh.facets) if element == "RT" else edges,)


@pytest.mark.parametrize(("cell", "element", "curved"), STRAIGHT)
def test_values_are_those_of_scikit_fem(cell, element, curved):
    basis = basis_of(cell, element, curved)
    points = points_of(cell, curved)
    probes = basis.skfem_basis.probes(points.numpy().T).toarray()  # all first components come first
    ours = basis.evaluation(points, False, "raise").dense().numpy()
    ours = ours.reshape(len(points), -1, *basis.dof_shape).swapaxes(0, 1).reshape(probes.shape)
    assert np.abs(ours - probes).max() < 1e-12


@every
def test_tabulation_is_that_of_scikit_fem_also_on_curved_cells(cell, element, curved):
    basis = basis_of(cell, element, curved)
    cells, at = interior(cell, 20, seed=1)
    values = basis._tabulation.values(cells, at)
    gradients = basis._tabulation.gradients(cells, at)
    for i in range(basis._tabulation.count):
        (field,) = basis.skfem_basis.elem.gbasis(
            basis.skfem_basis.mapping, np.ascontiguousarray(at.T)[:, :, None], i, tind=cells
        )
        assert np.abs(np.asarray(field).reshape(-1, 20).T - values[:, i].reshape(20, -1)).max() < 1e-12
        if field.grad is not None:
            assert np.abs(field.grad[..., 0].T - gradients[:, i]).max() < 1e-11
        if field.div is not None:
            assert np.abs(field.div[:, 0] - np.einsum("nii->n", gradients[:, i])).max() < 1e-11
        if field.curl is not None and basis.domain.dim == 2:
            assert np.abs(field.curl[:, 0] - gradients[:, i, 1, 0] + gradients[:, i, 0, 1]).max() < 1e-11
        elif field.curl is not None:
            turned = np.stack([gradients[:, i, b, a] - gradients[:, i, a, b] for a, b in ((1, 2), (2, 0), (0, 1))])
            assert np.abs(field.curl[..., 0] - turned).max() < 1e-11


@every
def test_gradients_are_the_derivatives_of_the_values(cell, element, curved):
    basis = basis_of(cell, element, curved)
    dim, step = basis.domain.dim, 1e-5
    points = points_of(cell, curved, 8)
    gradients = basis.evaluation(points, True, "raise").dense()
    gradients = gradients.reshape(*points.shape[:1], *basis.intrinsic_shape, dim, -1)
    for axis in range(dim):
        shift = step * torch.eye(dim, dtype=torch.float64)[axis]
        ahead = basis.evaluation(points + shift, False, "raise").dense()
        behind = basis.evaluation(points - shift, False, "raise").dense()
        difference = ((ahead - behind) / (2 * step)).reshape(*gradients.shape[:-2], -1)
        assert torch.allclose(gradients[..., axis, :], difference, atol=2e-6, rtol=1e-6)


@every
def test_adjoint_identity_and_shapes(cell, element, curved):
    basis = basis_of(cell, element, curved)
    points, dim = points_of(cell, curved), basis.domain.dim
    u = random(3, *basis.dof_shape)
    for derivative, shape in ((False, basis.intrinsic_shape), (True, (*basis.intrinsic_shape, dim))):
        E = basis.evaluation(points, derivative, "raise")
        assert (E.domain_shape, E.codomain_shape) == (basis.dof_shape, (len(points), *shape))
        w = random(3, len(points), *shape, seed=1)
        assert torch.allclose(
            ((E @ u) * w).reshape(3, -1).sum(dim=1), (u * (E.adjoint() @ w)).sum(dim=1), rtol=1e-12, atol=1e-11
        )


@pytest.mark.parametrize(("cell", "element"), [("triangle", "P2"), ("quadrilateral", "RT"), ("tetrahedron", "N1curl")])
@pytest.mark.parametrize("derivative", [False, True])
def test_gradcheck(cell, element, derivative):
    basis = basis_of(cell, element, False)
    E = basis.evaluation(points_of(cell, False, 3), derivative, "raise")
    assert torch.autograd.gradcheck(E, (random(2, *basis.dof_shape).requires_grad_(),))


def monomials(dim: int, degree: int) -> list[tuple[int, ...]]:
    grid = np.stack(np.meshgrid(*[np.arange(degree + 1)] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    return [tuple(int(p) for p in powers) for powers in grid if powers.sum() <= degree]


@nodal
@settings(max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_polynomials_are_reproduced(cell, element, curved, seed):
    """P_k and Q_k hold polynomials of degree k on straight cells, linear ones only where F is of their own degree."""
    basis = basis_of(cell, element, curved)
    dim = basis.domain.dim
    affine = cell in ("interval", "triangle", "tetrahedron") and not curved
    degree = basis.degree if affine else min(1, basis.degree) if not curved or basis.degree == 2 else 0
    powers = monomials(dim, degree)
    c = random(len(powers), seed=seed)

    def p(x: torch.Tensor) -> torch.Tensor:
        return sum(a * torch.prod(x ** torch.tensor(e), dim=1) for a, e in zip(c, powers, strict=True))

    def slope(x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        value = p(x).sum()
        return torch.autograd.grad(value, x)[0] if value.requires_grad else torch.zeros_like(x)

    cells, at = interior(cell, 6, seed)
    x = basis.domain.map_to_points(torch.from_numpy(cells), torch.from_numpy(at))
    u = p(basis.dof_points)
    assert torch.allclose(basis.evaluation(x, False, "raise") @ u, p(x), rtol=1e-11, atol=1e-11)
    assert torch.allclose(basis.evaluation(x, True, "raise") @ u, slope(x), rtol=1e-10, atol=1e-10)


@every
def test_mass_and_quadrature_measure_the_mesh(cell, element, curved):
    basis = basis_of(cell, element, curved)
    size, rule = float(basis.domain.volumes.sum()), basis.quadrature()
    assert (rule.weights > 0).all()
    assert float(rule.weights.sum()) == pytest.approx(size, rel=1e-13)
    mass, matrix = basis.mass(), basis.mass().matrix
    assert abs(matrix - matrix.T).max() == 0
    if basis.nodal:
        assert matrix.sum() == pytest.approx(size, rel=1e-12)
    u = random(*basis.dof_shape)
    values, gradients = rule.values @ u, rule.gradients @ u
    weigh = lambda field: float((rule.weights * (field.reshape(len(field), -1) ** 2).sum(dim=1)).sum())  # noqa: E731
    assert float(u @ (mass @ u)) == pytest.approx(weigh(values), rel=1e-12)
    assert float(u @ (basis.stiffness() @ u)) == pytest.approx(weigh(gradients), rel=1e-12, abs=1e-12)
    assert np.linalg.eigvalsh(matrix.toarray()).min() > 0


@every
def test_quadrature_maps_agree_with_evaluation(cell, element, curved):
    basis = basis_of(cell, element, curved)
    rule, u = basis.quadrature(1), random(*basis.dof_shape)
    assert torch.allclose(rule.values @ u, basis.evaluation(rule.points, False, "raise") @ u, rtol=1e-10, atol=1e-10)
    w = random(*rule.gradients.codomain_shape, seed=2)
    expected = basis.evaluation(rule.points, True, "raise").adjoint() @ w
    assert torch.allclose(rule.gradients.adjoint() @ w, expected, rtol=1e-9, atol=1e-9)


@nodal
def test_mass_and_stiffness_are_those_that_scikit_fem_assembles(cell, element, curved):
    import skfem
    from skfem.helpers import dot, grad

    basis = basis_of(cell, element, curved)
    mass = skfem.BilinearForm(lambda u, v, w: u * v).assemble(basis.skfem_basis)
    stiffness = skfem.BilinearForm(lambda u, v, w: dot(grad(u), grad(v))).assemble(basis.skfem_basis)
    assert abs(mass - basis.mass().matrix).max() < 1e-13
    assert abs(stiffness - basis.stiffness().matrix).max() < 1e-11


@vector
def test_vector_mass_is_the_one_that_scikit_fem_assembles(cell, element, curved):
    import skfem
    from skfem.helpers import dot

    basis = basis_of(cell, element, curved)
    mass = skfem.BilinearForm(lambda u, v, w: dot(u, v)).assemble(basis.skfem_basis)
    assert abs(mass - basis.mass().matrix).max() < 1e-11


@nodal
def test_stiffness_of_linear_functions(cell, element, curved):
    basis = basis_of(cell, element, curved)
    if element == "P0":
        assert basis.stiffness().matrix.nnz == 0 or abs(basis.stiffness().matrix).max() == 0
    elif not curved or basis.degree == 2:
        size = float(basis.domain.volumes.sum())
        for i in range(basis.domain.dim):
            x = basis.dof_points[:, i]
            assert float(x @ (basis.stiffness() @ x)) == pytest.approx(size, rel=1e-12)
    assert (basis.stiffness() @ torch.ones(basis.dof_shape, dtype=torch.float64)).abs().max() < 1e-11


def both_sides(basis: FiniteElementBasis) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Off-centre points on inner facets, and the basis there from either cell, (facets, dofs, ...)."""
    mesh = basis.domain
    inner = np.flatnonzero((mesh.facet_cells.numpy() >= 0).all(axis=1))
    cells, reference = mesh.facet_cells.numpy()[inner], mesh.reference
    local = (mesh.cell_facets.numpy()[cells[:, 0]] == inner[:, None]).argmax(axis=1)
    corners = np.array(reference.facets)[local]
    share = np.array([0.5, 0.3, 0.15, 0.05])[: corners.shape[1]]
    at = np.einsum("k,nkd->nd", share / share.sum(), reference.corners[corners])
    cell_map = CellMap(mesh)
    points = cell_map.points(cells[:, 0], at)
    other, residual = cell_map.inverse(cells[:, 1], points)
    assert residual.max() < 1e-12
    sides = []
    for side, where in ((0, at), (1, other)):
        table = basis._tabulation.values(cells[:, side], where)
        full = np.zeros((len(inner), *basis.dof_shape, *table.shape[2:]))
        for row in range(len(inner)):
            full[row, basis.cell_dofs[cells[row, side]]] = table[row]
        sides.append(full)
    return torch.from_numpy(facet_normals(mesh, cells[:, 0], at, local)), *sides


def facet_normals(mesh: Mesh, cells: np.ndarray, at: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Outward normals of unit length: J^-T N, N the normal of the reference facet."""
    reference = mesh.reference
    jacobians = CellMap(mesh).jacobians(cells, at)
    normals = np.empty_like(at)
    for i, facet in enumerate(reference.facets):
        corners = reference.corners[list(facet)]
        _, _, axes = np.linalg.svd(corners[1:] - corners[0]) if len(facet) > 1 else (0, 0, np.eye(1))
        outward = axes[-1] * np.sign(axes[-1] @ (corners.mean(axis=0) - reference.corners.mean(axis=0)))
        normals[local == i] = outward
    physical = np.linalg.solve(jacobians.swapaxes(1, 2), normals[..., None])[..., 0]
    return physical / np.linalg.norm(physical, axis=1, keepdims=True)


@pytest.mark.parametrize(("cell", "element", "curved"), [case for case in CASES if case[1] != "P0"])
def test_conformity(cell, element, curved):
    """Across facets scalar elements are continuous, RT in its normal and N1curl in its tangential components."""
    basis = basis_of(cell, element, curved)
    normals, first, second = both_sides(basis)
    jump, n = first - second, normals.numpy()
    if element == "RT":
        jump = np.einsum("fbi,fi->fb", jump, n)
    elif element == "N1curl":
        jump = jump - np.einsum("fbi,fi,fj->fbj", jump, n, n)
    assert np.abs(jump).max() < 1e-10
    if not basis.nodal:
        assert np.abs(first - second).max() > 0.1


@vector
def test_vector_elements_hold_their_polynomials(cell, element, curved):
    """Constants wherever F allows them; on straight simplices also x (RT) and rotations (N1curl)."""
    basis = basis_of(cell, element, curved)
    mesh, dim = basis.domain, basis.domain.dim
    simplex = cell in ("triangle", "tetrahedron")
    fields = []
    if not curved and not (element == "RT" and cell == "hexahedron"):
        fields += [lambda x, i=i: torch.eye(dim, dtype=torch.float64)[i].expand(len(x), -1) for i in range(dim)]
    if simplex and not curved and element == "RT":
        fields.append(lambda x: x)
    if simplex and not curved and element == "N1curl":
        fields += [
            lambda x, a=a, b=b: torch.stack(
                [x[:, b] if i == a else -x[:, a] if i == b else 0 * x[:, 0] for i in range(dim)], dim=1
            )
            for a in range(dim)
            for b in range(a)
        ]
    rule = basis.quadrature()
    inverse = np.linalg.inv(basis.mass().matrix.toarray())
    points = points_of(cell, curved)
    evaluation = basis.evaluation(points, False, "raise")
    for field in fields:
        loads = rule.values.adjoint() @ (field(rule.points) * rule.weights[:, None])
        u = torch.from_numpy(inverse @ loads.numpy())
        assert torch.allclose(evaluation @ u, field(points), rtol=1e-10, atol=1e-10)
    if simplex and not curved and element == "RT":
        assert torch.allclose(basis.divergence() @ u, torch.full((mesh.n_cells,), float(dim), dtype=torch.float64))
    if simplex and not curved and element == "N1curl":
        curl = basis.curl() @ u  # of the last field, the rotation in the plane of the last two axes
        assert torch.allclose(curl.abs().reshape(mesh.n_cells, -1).amax(dim=1), torch.tensor(2.0, dtype=torch.float64))


@vector
def test_divergence_and_curl_obey_gauss_and_stokes(cell, element, curved):
    """Integrals of divergence and curl equal those of normal and tangential components over the boundary."""
    import skfem

    basis = basis_of(cell, element, curved)
    u, volumes = random(*basis.dof_shape), basis.domain.volumes
    facets = skfem.FacetBasis(basis.domain.to_skfem(), basis.element.skfem, intorder=10)
    field = np.asarray(facets.interpolate(u.numpy()))
    if element == "RT":
        inside = volumes @ (basis.divergence() @ u)
        outside = np.sum(np.sum(field * facets.normals, axis=0) * facets.dx)
        assert float(inside) == pytest.approx(outside, abs=1e-6 if curved or cell == "hexahedron" else 1e-11)
    elif basis.domain.dim == 2:
        inside = volumes @ (basis.curl() @ u)
        outside = np.sum((field[1] * facets.normals[0] - field[0] * facets.normals[1]) * facets.dx)
        assert float(inside) == pytest.approx(outside, abs=1e-6 if curved else 1e-11)
    else:
        inside = volumes @ (basis.curl() @ u)
        outside = np.sum(np.cross(facets.normals, field, axis=0) * facets.dx, axis=(1, 2))
        assert np.abs(inside.numpy() - outside).max() < (1e-4 if curved or cell == "hexahedron" else 1e-11)


def test_scalar_elements_have_no_divergence():
    with pytest.raises(InputError, match="RT and N1curl; P2 is scalar"):
        basis_of("triangle", "P2", False).divergence()


@every
def test_boundary_dofs_hold_the_trace(cell, element, curved):
    """With zeros at the dofs of a part the trace on it vanishes; each of those dofs is needed."""
    basis = basis_of(cell, element, curved)
    mesh = basis.domain
    for part in mesh.boundary:
        dofs = basis.boundary_dofs(part)
        assert torch.equal(dofs, torch.unique(dofs))
        if element == "P0":
            assert len(dofs) == 0
            continue
        facets = mesh.boundary[part].numpy()
        cells = mesh.facet_cells.numpy()[facets, 0]
        local = (mesh.cell_facets.numpy()[cells] == facets[:, None]).argmax(axis=1)
        corners = mesh.reference.corners[np.array(mesh.reference.facets)[local]]
        share = np.array([0.5, 0.3, 0.15, 0.05])[: corners.shape[1]]
        at = np.einsum("k,nkd->nd", share / share.sum(), corners)
        trace, n = basis._tabulation.values(cells, at), facet_normals(mesh, cells, at, local)
        if element == "RT":
            trace = np.einsum("fbi,fi->fb", trace, n)
        elif element == "N1curl":
            trace = trace - np.einsum("fbi,fi,fj->fbj", trace, n, n)
        size = np.abs(trace).reshape(*trace.shape[:2], -1).max(axis=2)
        felt = np.unique(basis.cell_dofs[cells][size > 1e-10])
        assert set(felt) <= set(dofs.tolist())
        if element not in ("P2", "Q2") or mesh.dim == 1:
            assert set(felt) == set(dofs.tolist())
    with pytest.raises(InputError, match=r"no boundary part 'inlet'.*boundary"):
        basis.boundary_dofs("inlet")


@pytest.mark.parametrize(("cell", "element"), [("triangle", "P2"), ("quadrilateral", "Q2"), ("hexahedron", "Q2")])
def test_boundary_dofs_by_part_on_a_box(cell, element):
    basis = FiniteElementBasis(plain_mesh(cell), element)
    for part, axis, value in (("left", 0, 0.0), ("right", 0, 1.0), ("bottom", 1, 0.0)):
        expected = torch.nonzero((basis.dof_points[:, axis] - value).abs() < 1e-12).reshape(-1)
        assert torch.equal(basis.boundary_dofs(part), expected)


@every
def test_points_outside(cell, element, curved):
    basis = basis_of(cell, element, curved)
    points = torch.cat([points_of(cell, curved, 3), torch.full((1, basis.domain.dim), 9.0, dtype=torch.float64)])
    with pytest.raises(OutsideError):
        basis.evaluation(points, False, "raise")
    with pytest.raises(InputError, match="outside"):
        basis.evaluation(points, False, "ignore")
    u = random(*basis.dof_shape)
    inside = basis.evaluation(points[:3], False, "raise") @ u
    for derivative in (False, True):
        masked = basis.evaluation(points, derivative, "nan")
        assert isinstance(masked, MaskedMap)
        image = masked @ u
        assert image[3].isnan().all() and image[:3].isfinite().all()
        assert masked.adjoint()(torch.ones_like(image)).isfinite().all()
    assert torch.allclose((basis.evaluation(points, False, "nan") @ u)[:3], inside)
    nearest = basis.evaluation(points, False, "nearest") @ u
    assert nearest.isfinite().all() and torch.allclose(nearest[:3], inside)


@every
def test_no_points_at_all(cell, element, curved):
    basis = basis_of(cell, element, curved)
    nothing = torch.empty(0, basis.domain.dim, dtype=torch.float64)
    u = torch.ones(2, *basis.dof_shape, dtype=torch.float64)
    assert (basis.evaluation(nothing, False, "raise") @ u).shape == (2, 0, *basis.intrinsic_shape)
    assert (basis.evaluation(nothing, True, "nan") @ u).shape == (2, 0, *basis.intrinsic_shape, basis.domain.dim)


def test_a_basis_travels_to_another_process():
    basis = FiniteElementBasis(plain_mesh("tetrahedron"), "RT")
    rule = basis.quadrature()
    copy = pickle.loads(pickle.dumps(basis))
    assert (copy.name, copy.domain) == (basis.name, basis.domain)
    u = random(*basis.dof_shape)
    assert torch.equal(pickle.loads(pickle.dumps(rule)).gradients @ u, rule.gradients @ u)


def test_float32_and_complex_coefficients():
    basis = basis_of("triangle", "P2", False)
    E = basis.evaluation(points_of("triangle", False), False, "raise")
    u = random(2, *basis.dof_shape)
    assert (E @ u.float()).dtype == torch.float32
    assert torch.allclose((E @ u.float()).double(), E @ u, atol=1e-5)
    assert torch.allclose((E @ torch.complex(u, 2 * u)).imag, 2 * (E @ u))


def test_skfem_basis_solves_in_the_same_numbering():
    """A Laplace problem assembled by scikit-fem on a curved mesh has its solution in our numbering."""
    import skfem
    from skfem.models.poisson import laplace

    basis = basis_of("triangle", "P2", True)
    exact = basis.dof_points[:, 0] - 2.0 * basis.dof_points[:, 1]
    fixed = basis.boundary_dofs("boundary").numpy()
    x = skfem.solve(*skfem.condense(laplace.assemble(basis.skfem_basis), D=fixed, x=exact.numpy()))
    assert np.abs(x - exact.numpy()).max() < 1e-12
