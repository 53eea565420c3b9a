"""The cycle itself, on levels made of matrices: nothing in it knows of grids."""

import torch

from funcspace.operators.multigrid_cycle import Level, multigrid_cycle

F64 = {"dtype": torch.float64}


def matrix_levels():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, **F64)

    a, s, s_post, r, p, s_coarse, a_coarse = (
        draw(6, 6), draw(6, 6), draw(6, 6), draw(3, 6), draw(6, 3), draw(3, 3), draw(3, 3)
    )  # fmt: skip
    return a, s, s_post, r, p, s_coarse, a_coarse


def test_two_levels_are_the_formula():
    a, s, s_post, r, p, s_coarse, a_coarse = matrix_levels()
    f = torch.arange(6, **F64)
    coarse = Level(smoothers=[lambda x: s_coarse @ x], operators=[])
    for revisit in (False, True):
        fine = Level(
            smoothers=[lambda x: s @ x],
            operators=[lambda x: a @ x],
            post_smoothers=[lambda x: s_post @ x],
            post_operators=[lambda x: a @ x],
            restriction=lambda x: r @ x,
            prolongation=lambda x: p @ x,
            coarse_operator=(lambda x: a_coarse @ x) if revisit else None,
        )
        u = s @ f
        rest = r @ (f - a @ u)
        e = s_coarse @ rest
        if revisit:
            e = e + s_coarse @ (rest - a_coarse @ e)
        u = u + p @ e
        u = u + s_post @ (f - a @ u)
        torch.testing.assert_close(multigrid_cycle([fine, coarse], f), u)


def test_full_restriction_is_additive():
    a, s, _, r, p, s_coarse, _ = matrix_levels()
    f = torch.arange(6, **F64)
    fine = Level([lambda x: s @ x], [], restriction=lambda x: r @ x, prolongation=lambda x: p @ x)
    coarse = Level([lambda x: s_coarse @ x], [])
    result = multigrid_cycle([fine, coarse], f, full_restriction=True)
    torch.testing.assert_close(result, s @ f + p @ (s_coarse @ (r @ f)))
    del a


def test_an_exact_two_grid_method_solves_in_one_cycle():
    """With an exact Galerkin coarse solve and a smoother that is exact on the rest, one cycle is a direct solver."""
    generator = torch.Generator().manual_seed(1)
    m = torch.randn(6, 6, generator=generator, **F64)
    a = m @ m.T + 6 * torch.eye(6, **F64)
    p = torch.randn(6, 2, generator=generator, **F64)
    coarse_inverse = torch.linalg.inv(p.T @ a @ p)
    projector = torch.eye(6, **F64) - p @ coarse_inverse @ p.T @ a
    s = projector @ torch.linalg.inv(a)
    fine = Level([lambda x: s @ x], [lambda x: a @ x], restriction=lambda x: p.T @ x, prolongation=lambda x: p @ x)
    coarse = Level([lambda x: coarse_inverse @ x], [])
    f = torch.randn(6, generator=generator, **F64)
    torch.testing.assert_close(a @ multigrid_cycle([fine, coarse], f), f)
