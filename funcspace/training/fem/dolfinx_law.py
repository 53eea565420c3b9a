"""A learned law inside the forms of DOLFINx: coefficients at quadrature points, renewed at each Newton step."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from funcspace.errors import InputError
from funcspace.functions.fem.dolfinx_api import INSTALL
from funcspace.optional import require
from funcspace.training.fem import dolfinx_forms as forms
from funcspace.training.fem.pointwise_law import PointwiseLaw

__all__ = ["DolfinxLaw"]


class DolfinxLaw:
    r"""A law :math:`y = f(a, b, \dots)` of UFL expressions, as a UFL expression.

    The operands are evaluated at the quadrature points of all cells, the law and its derivatives are computed there
    and put into coefficients on quadrature elements. A form integrated with `dx` of this object then has the exact
    derivative

    .. math:: D_u F = \partial_u F + \partial_y F \cdot \Big( \frac{\partial f}{\partial a} D_u a + \dots \Big).

    Parameters
    ----------
    law : the law, or a callable as `PointwiseLaw` takes it.
    operands : UFL expressions of the unknown and of other functions: `u`, `grad(u)`, `sym(grad(u))`,
        `SpatialCoordinate(mesh)`; scalars, vectors or matrices.
    degree : degree of the quadrature rule at whose points the law is taken.

    Attributes
    ----------
    value : the UFL expression to write into a form.
    dx : the measure with the same quadrature rule; terms that hold `value` are integrated with it.

    Raises
    ------
    InputError
        When no operand holds a function, whose mesh it is that counts.
    """

    def __init__(self, law: PointwiseLaw | Any, *operands: Any, degree: int) -> None:
        self._ufl: Any = require("ufl", feature="learned laws in DOLFINx", install=INSTALL)
        if not operands:
            raise InputError("a law needs at least one operand")
        if not isinstance(degree, int | np.integer) or degree < 0:
            raise InputError(f"degree must be a whole number of 0 or more; got {degree!r}")
        self.law = law if isinstance(law, PointwiseLaw) else PointwiseLaw(law)
        self.operands = tuple(self._ufl.as_ufl(a) for a in operands)
        self.mesh = self._mesh()
        points = forms.quadrature_points(self.mesh, int(degree))
        self._shapes = tuple(tuple(int(n) for n in a.ufl_shape) for a in self.operands)
        self._expressions = [forms.expression(a, points) for a in self.operands]
        self._cells = np.arange(forms.cell_count(self.mesh))
        self.dx: Any = self._ufl.Measure(
            "dx", domain=self.mesh, metadata={"quadrature_degree": int(degree), "quadrature_scheme": "default"}
        )
        value, derivatives = self._evaluated()
        self.shape = value.shape[1:]
        self._value = forms.quadrature_function(self.mesh, int(degree), math.prod(self.shape), "law")
        self._derivatives = [
            forms.quadrature_function(self.mesh, int(degree), math.prod(d.shape[1:]), f"law_{k}")
            for k, d in enumerate(derivatives)
        ]
        self.value: Any = self._shaped(self._value, self.shape)
        self._fill(value, derivatives)

    def _mesh(self) -> Any:
        algorithms = require("ufl.algorithms", feature="learned laws in DOLFINx", install=INSTALL)
        # UFL's domain may hold the C++ mesh, the space of a coefficient has the Python object that spaces are made on
        for operand in self.operands:
            for coefficient in algorithms.extract_coefficients(operand):
                mesh = getattr(getattr(coefficient, "function_space", None), "mesh", None)
                if mesh is not None:
                    return mesh
        raise InputError("no operand holds a dolfinx.fem.Function, whose mesh the law is taken on")

    def _evaluated(self) -> tuple[Any, tuple[Any, ...]]:
        values = [
            forms.evaluate(compiled, self.mesh, self._cells, shape)
            for compiled, shape in zip(self._expressions, self._shapes, strict=True)
        ]
        return self.law.linearised(*values)

    def _fill(self, value: Any, derivatives: tuple[Any, ...]) -> None:
        forms.fill(self._value, value)
        for function, derivative in zip(self._derivatives, derivatives, strict=True):
            forms.fill(function, derivative)

    def update(self) -> None:
        """Compute value and derivatives anew from the present operands.

        Raises
        ------
        SolverError
            When the law gives values that are not finite; the coefficients then keep their old values.
        """
        self._fill(*self._evaluated())

    def derivative(self, form: Any, u: Any, du: Any) -> Any:
        """What the law adds to the derivative of a form: the part through `value`."""
        change = self._change(u, du)
        return self._ufl.derivative(form, self._value, change)

    def _change(self, u: Any, du: Any) -> Any:
        """The components of the law's change in the direction du, an expression shaped like its coefficient."""
        algorithms = require("ufl.algorithms", feature="learned laws in DOLFINx", install=INSTALL)
        # UFL does not look for derivatives inside the direction of another
        moved = [algorithms.expand_derivatives(self._ufl.derivative(operand, u, du)) for operand in self.operands]
        width = math.prod(self.shape)
        rows = []
        for row in range(width):
            terms = []
            for function, direction, shape in zip(self._derivatives, moved, self._shapes, strict=True):
                count = math.prod(shape)
                for place, index in enumerate(itertools.product(*(range(n) for n in shape))):
                    entry = function if width * count == 1 else function[row * count + place]
                    terms.append(entry * (direction[index] if shape else direction))
            rows.append(sum(terms[1:], terms[0]))
        return rows[0] if width == 1 else self._ufl.as_vector(rows)

    def _shaped(self, function: Any, shape: tuple[int, ...]) -> Any:
        if len(shape) < 2 and (not shape or shape[0] > 1):
            return function
        count = math.prod(shape)
        parts = np.array([function if count == 1 else function[i] for i in range(count)], dtype=object).reshape(shape)
        return self._ufl.as_tensor(parts.tolist())

    def __repr__(self) -> str:
        return f"DolfinxLaw({len(self.operands)} operands of shapes {self._shapes}, values {self.shape})"
