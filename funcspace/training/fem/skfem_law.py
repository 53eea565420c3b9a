"""A learned law inside the forms of scikit-fem: values and derivatives at quadrature points, as form arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.training.fem.pointwise_law import PointwiseLaw

__all__ = ["FormValues", "form_values"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FormValues:
    """A law at the quadrature points of a scikit-fem basis.

    Attributes
    ----------
    value : (*value, elements, points).
    derivatives : for each operand (*value, *operand, elements, points).
    """

    value: FloatArray
    derivatives: tuple[FloatArray, ...]


def form_values(law: PointwiseLaw, *operands: Any) -> FormValues:
    r"""Value and derivatives of a law where scikit-fem integrates.

    For the weak form of :math:`-\nabla\cdot(k(u)\nabla u)`, of Newton's method,

    .. math:: J(\delta u, v) = \int \big( k(u) \nabla\delta u + k'(u)\,\delta u\,\nabla u \big) \cdot \nabla v .

    Parameters
    ----------
    operands : fields as scikit-fem has them, axes (*operand, elements, points): `basis.interpolate(x)`, its `.grad`,
        `basis.global_coordinates()`, or arrays made of these.

    Raises
    ------
    InputError
        When operands are not at the same points.

    Examples
    --------
    >>> import skfem
    >>> from skfem.helpers import dot, grad
    >>> basis = skfem.CellBasis(skfem.MeshTri().refined(3), skfem.ElementTriP2())
    >>> u = basis.interpolate(basis.doflocs[0])
    >>> k = form_values(PointwiseLaw(lambda u: 1.0 + u**2), u)
    >>> @skfem.BilinearForm
    ... def jacobian(du, v, w):
    ...     return dot(w["k"] * grad(du) + w["dk"] * du * grad(w["u"]), grad(v))
    >>> J = jacobian.assemble(basis, u=u, k=k.value, dk=k.derivatives[0])
    >>> J.shape
    (289, 289)
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in operands]
    places = {a.shape[-2:] for a in arrays if a.ndim >= 2}
    if len(places) != 1 or any(a.ndim < 2 for a in arrays):
        raise InputError(
            "operands must be fields at the quadrature points of one basis, axes (*operand, elements, points); got "
            f"{[a.shape for a in arrays]}"
        )
    (where,) = places
    value, derivatives = law.linearised(*(_points_first(a) for a in arrays))
    return FormValues(_points_last(value, where), tuple(_points_last(d, where) for d in derivatives))


def _points_first(array: FloatArray) -> FloatArray:
    return np.moveaxis(array.reshape(*array.shape[:-2], -1), -1, 0)


def _points_last(array: FloatArray, where: tuple[int, ...]) -> FloatArray:
    return np.ascontiguousarray(np.moveaxis(array, 0, -1)).reshape(*array.shape[1:], *where)
