"""Lowest-order Nedelec elements on quadrilaterals and hexahedra; the module imports scikit-fem.

scikit-fem has none on hexahedra. On quadrilaterals its functions run along the edges 1-2 and 0-3 but against 0-1 and
2-3, so that they fit together only where cells meet as in a structured mesh.
"""

from __future__ import annotations

import numpy as np
from skfem.element import ElementHcurl
from skfem.refdom import RefHex, RefQuad

__all__ = ["ElementHexN1", "ElementQuadN1"]

_QUAD_EDGES = np.array([[RefQuad.p[:, a], RefQuad.p[:, b]] for a, b in RefQuad.facets])
_HEX_EDGES = np.array([[RefHex.p[:, a], RefHex.p[:, b]] for a, b in RefHex.edges])


class ElementQuadN1(ElementHcurl):
    r"""The lowest-order Nedelec element of the first kind on a quadrilateral.

    .. math:: \phi_e = t_e \, \ell(X_b), \qquad \ell(X_b) \in \{X_b, 1 - X_b\}

    for the edge e across axis b with unit tangent t_e: one along its own edge, zero along the three others. Its span is
    Q_{0,1} x Q_{1,0}.
    """

    facet_dofs = 1
    maxdeg = 1
    dofnames = ["u^t"]  # noqa: RUF012  scikit-fem declares these as plain class attributes
    doflocs = _QUAD_EDGES.mean(axis=1)
    refdom = RefQuad

    def lbasis(self, X: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and (scalar) curl of basis function i at reference points X (2, ...)."""
        if i >= len(_QUAD_EDGES):
            self._index_error()
        start, end = _QUAD_EDGES[i]
        axis = int(np.argmax(np.abs(end - start)))
        sign = end[axis] - start[axis]
        value, slope = _ramp(X[1 - axis], start[1 - axis])
        phi = np.zeros_like(X)
        phi[axis] = sign * value
        return phi, np.full_like(X[0], (-slope if axis == 0 else slope) * sign)


class ElementHexN1(ElementHcurl):
    r"""The lowest-order Nedelec element of the first kind on a hexahedron.

    .. math:: \phi_e = t_e \prod_{b \ne a} \ell_b(X_b), \qquad \ell_b(X_b) \in \{X_b, 1 - X_b\}

    for the edge e along axis a with unit tangent t_e: one along its own edge, zero along the eleven others. Its span is
    Q_{0,1,1} x Q_{1,0,1} x Q_{1,1,0} (Nedelec, Mixed finite elements in R^3, 1980).
    """

    edge_dofs = 1
    maxdeg = 2
    dofnames = ["u^t"]  # noqa: RUF012
    doflocs = _HEX_EDGES.mean(axis=1)
    refdom = RefHex

    def lbasis(self, X: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and curl of basis function i at reference points X (3, ...)."""
        if i >= len(_HEX_EDGES):
            self._index_error()
        start, end = _HEX_EDGES[i]
        axis = int(np.argmax(np.abs(end - start)))
        b, c = (axis + 1) % 3, (axis + 2) % 3
        sign = end[axis] - start[axis]
        (along_b, slope_b), (along_c, slope_c) = _ramp(X[b], start[b]), _ramp(X[c], start[c])
        phi, curl = np.zeros_like(X), np.zeros_like(X)
        phi[axis] = sign * along_b * along_c
        # the curl of f e_a is grad f x e_a
        curl[b] = sign * slope_c * along_b
        curl[c] = -sign * slope_b * along_c
        return phi, curl


def _ramp(x: np.ndarray, end: float) -> tuple[np.ndarray, float]:
    """The linear function that is one at `end` (0 or 1) and zero at the other end of the axis, and its slope."""
    return (x, 1.0) if end == 1 else (1.0 - x, -1.0)
