"""Which finite elements there are on which cells, and how their names are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from funcspace.errors import InputError
from funcspace.optional import require

__all__ = ["FiniteElement", "element_names", "finite_element"]

Family = Literal["H1", "Hdiv", "Hcurl"]

_CLASSES = {
    "interval": {"P0": "ElementLineP0", "P1": "ElementLineP1", "P2": "ElementLineP2"},
    "triangle": {
        "P0": "ElementTriP0",
        "P1": "ElementTriP1",
        "P2": "ElementTriP2",
        "RT": "ElementTriRT1",
        "N1curl": "ElementTriN1",
    },
    "quadrilateral": {
        "P0": "ElementQuad0",
        "Q1": "ElementQuad1",
        "Q2": "ElementQuad2",
        "RT": "ElementQuadRT1",
        "N1curl": "ElementQuadN1",
    },
    "tetrahedron": {
        "P0": "ElementTetP0",
        "P1": "ElementTetP1",
        "P2": "ElementTetP2",
        "RT": "ElementTetRT1",
        "N1curl": "ElementTetN1",
    },
    "hexahedron": {
        "P0": "ElementHex0",
        "Q1": "ElementHex1",
        "Q2": "ElementHex2",
        "RT": "ElementHexRT1",
        "N1curl": "ElementHexN1",
    },
}
_TENSOR_CELLS = ("quadrilateral", "hexahedron")
_VECTOR_ALIASES = {
    "rt": "RT",
    "rt0": "RT",
    "raviartthomas": "RT",
    "n1curl": "N1curl",
    "nedelec": "N1curl",
    "nédélec": "N1curl",
}
_DEGREES = {"P0": 0, "P1": 1, "P2": 2, "Q1": 1, "Q2": 2, "RT": 1, "N1curl": 1}


@dataclass(frozen=True)
class FiniteElement:
    """An element on one cell type: its name, its degree, how it is mapped to cells, and scikit-fem's object for it.

    ======  ==========================================  ================================================
    family  elements                                    value on a cell, F its map, J = F', X = F^-1(x)
    ======  ==========================================  ================================================
    H1      P0, P1, P2, Q1, Q2                          phi(X)
    Hdiv    RT (Raviart-Thomas, lowest order)           J phi(X) / abs(det J), normal parts continuous
    Hcurl   N1curl (Nedelec first kind, lowest order)   J^-T phi(X), tangential parts continuous
    ======  ==========================================  ================================================
    """

    name: str
    degree: int
    family: Family
    skfem: Any


def element_names(cell_type: str) -> tuple[str, ...]:
    """Names of the elements on a cell type, the constant one first.

    >>> element_names("hexahedron")
    ('P0', 'Q1', 'Q2', 'RT', 'N1curl')
    """
    return tuple(_CLASSES[cell_type])


def finite_element(name: str | None, cell_type: str) -> FiniteElement:
    """The element of that name on a cell type; P1 or Q1 for None.

    Upper and lower case are the same; "CG1" and "Lagrange 1" mean P1 or Q1 by the cell, "DG0" means P0, "RT0" means RT.

    Raises
    ------
    InputError
        When the cell type has no such element; the ones it has are listed.

    Examples
    --------
    >>> finite_element("Lagrange 2", "quadrilateral").name
    'Q2'
    """
    canonical = _canonical(name, cell_type)
    class_name = _CLASSES[cell_type][canonical]
    ours = class_name in ("ElementQuadN1", "ElementHexN1")
    module = "funcspace.functions.elements.edge_elements" if ours else "skfem"
    element = getattr(require(module, feature="finite elements", install="pip install scikit-fem"), class_name)()
    family: Family = "Hdiv" if canonical == "RT" else "Hcurl" if canonical == "N1curl" else "H1"
    return FiniteElement(canonical, _DEGREES[canonical], family, element)


def _canonical(name: str | None, cell_type: str) -> str:
    letter = "Q" if cell_type in _TENSOR_CELLS else "P"
    if name is None:
        return f"{letter}1"
    known = element_names(cell_type)
    listed = f"{', '.join(known[:-1])} and {known[-1]}"
    if not isinstance(name, str):
        raise InputError(f"an element is named by a string, one of {listed} on {cell_type} cells; got {name!r}")
    key = re.sub(r"[\s_\-]", "", name).lower()
    lagrange = re.fullmatch(r"(cg|lagrange)([12])", key)
    if lagrange:
        return f"{letter}{lagrange[2]}"
    if key in ("p0", "q0", "dg0", "dp0", "dq0"):
        return "P0"
    canonical = _VECTOR_ALIASES.get(key, key.upper())
    if canonical in known:
        return canonical
    hint = ""
    if canonical in ("P1", "P2", "Q1", "Q2"):
        hint = f'; on {cell_type} cells use "{letter}{canonical[1]}"'
    elif cell_type == "interval" and canonical in ("RT", "N1curl"):
        hint = '; in one dimension use "P1" for continuous and "P0" for discontinuous functions'
    raise InputError(f"no element {name!r} on {cell_type} cells{hint}; they have {listed}")
