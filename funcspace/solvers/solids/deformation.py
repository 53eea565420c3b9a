"""The deformed body as a mesh, and functions carried along with it."""

from __future__ import annotations

import torch

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Mesh

__all__ = ["carried", "deformed"]


def deformed(u: Function, scale: float = 1.0) -> Mesh:
    """The mesh whose nodes are moved by a displacement, x + scale u(x): curved for quadratic displacements.

    Cells, facets and named parts keep their numbers.

    Parameters
    ----------
    u : one displacement on a Mesh.
    scale : exaggerates small displacements.

    Raises
    ------
    InputError
        When u is a batch, or its values are no vectors of the mesh's dimension.
    DomainError
        When u does not live on a Mesh, or moves cells through themselves.

    Examples
    --------
    >>> import funcspace as fs
    >>> V = fs.FunctionSpace(fs.Mesh.rectangle(0.5), "P1", components=("ux", "uy"))
    >>> float(deformed(V.interpolate(lambda x: x)).measure.sum())
    4.0
    """
    mesh = u.space.domain
    if not isinstance(mesh, Mesh):
        raise DomainError(f"a deformed mesh needs a displacement on a Mesh; this one lives on {mesh!r}")
    if u.batch_shape or u.space.value_shape != (mesh.dim,):
        raise InputError(f"a displacement has values of shape ({mesh.dim},) and no batch; got {u!r}")
    quadratic = u.space.element in ("P2", "Q2")
    start = mesh.curved() if quadratic and not mesh.is_curved else mesh
    nodes = start.nodes + scale * u(start.nodes, outside="nearest").to(torch.float64)
    parts = {name: facets for name, facets in mesh.boundary.items() if name != "boundary"}
    return Mesh(nodes, start.cell_nodes, boundaries=parts, orientation="keep")


def carried(function: Function, u: Function, scale: float = 1.0) -> Function:
    """A function on the mesh of u, such as a stress, on the deformed mesh: each cell takes its values along.

    Raises
    ------
    DomainError
        When the two live on different meshes.
    """
    if function.domain.fingerprint != u.domain.fingerprint:
        raise DomainError(f"the function lives on {function.domain!r}, the displacement on {u.domain!r}")
    old = function.space
    space = FunctionSpace(
        deformed(u, scale), old.element, components=old.components, value_shape=old.value_shape or None
    )
    return Function(space, function.coefficients, name=function.name, units=function.units)
