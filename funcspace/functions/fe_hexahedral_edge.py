"""The lowest-order Nedelec element on hexahedra, which scikit-fem does not have; the module imports scikit-fem."""

from __future__ import annotations

import numpy as np
from skfem.element import ElementHcurl
from skfem.refdom import RefHex

__all__ = ["ElementHexN1"]

_ENDS = np.array([[RefHex.p[:, first], RefHex.p[:, second]] for first, second in RefHex.edges])


class ElementHexN1(ElementHcurl):
    r"""The lowest-order Nedelec element of the first kind on a hexahedron.

    .. math:: \phi_e = t_e \prod_{b \ne a} \ell_b(X_b), \qquad \ell_b \in \{X_b, 1 - X_b\}

    for the edge e along axis a with unit tangent t_e: one along its own edge, zero along the eleven others. Its span is
    Q_{0,1,1} x Q_{1,0,1} x Q_{1,1,0} (Nedelec, Mixed finite elements in R^3, 1980).
    """

    edge_dofs = 1
    maxdeg = 2
    dofnames = ["u^t"]  # noqa: RUF012  scikit-fem declares these as plain class attributes
    doflocs = _ENDS.mean(axis=1)
    refdom = RefHex

    def lbasis(self, X: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Values and curls of basis function i at reference points X (3, ...)."""
        if i >= len(_ENDS):
            self._index_error()
        start, end = _ENDS[i]
        axis = int(np.argmax(np.abs(end - start)))
        b, c = (axis + 1) % 3, (axis + 2) % 3
        sign = end[axis] - start[axis]
        along_b, slope_b = (X[b], 1.0) if start[b] == 1 else (1.0 - X[b], -1.0)
        along_c, slope_c = (X[c], 1.0) if start[c] == 1 else (1.0 - X[c], -1.0)
        phi, curl = np.zeros_like(X), np.zeros_like(X)
        phi[axis] = sign * along_b * along_c
        # the curl of f e_a is grad f x e_a
        curl[b] = sign * slope_c * along_b
        curl[c] = -sign * slope_b * along_c
        return phi, curl
