"""What a function can be made from and turned into: functions of DOLFINx, coefficient vectors of scikit-fem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions.basis import Outside

if TYPE_CHECKING:
    from funcspace.functions.fem.dof_link import DofLink
    from funcspace.functions.function import Function
    from funcspace.geometry.meshes.mesh import Mesh

__all__ = ["FunctionExchange"]


class FunctionExchange:
    """The conversions of `Function`; each partner is imported when it is asked for."""

    @classmethod
    def from_dolfinx(
        cls,
        u: Any,
        *,
        mesh: Mesh | None = None,
        facet_tags: Any = None,
        names: Mapping[str, int] | None = None,
        components: Sequence[str] | str | None = None,
        name: str | None = None,
        units: str = "",
        copy: bool = False,
    ) -> Function:
        """A `dolfinx.fem.Function`, or a batch from a list of them on one space, with the same values everywhere.

        The coefficients of a single function share the memory of `u.x.array` where both sides number and scale the
        dofs alike: P0, P1 and Q1, scalar or vector, on the meshes that DOLFINx makes itself (its vertices and P1 dofs
        come in one order there). For P2, Q2, RT and N1curl, and for lists, they are copies in our order.

        Parameters
        ----------
        mesh, facet_tags, names, components : see `FunctionSpace.from_dolfinx`.
        name : name of the function; that of `u` when None.
        copy : never share memory.
        """
        from funcspace.functions.fem.dolfinx_link import dolfinx_link
        from funcspace.functions.function import Function

        several = isinstance(u, list | tuple)
        members = list(u) if several else [u]
        if not members:
            raise InputError("from_dolfinx needs at least one function; the list is empty")
        for i, member in enumerate(members):
            if not (hasattr(member, "function_space") and hasattr(member, "x")):
                raise InputError(f"expected a dolfinx.fem.Function; item {i} is a {type(member).__name__}")
        link = dolfinx_link(
            members[0].function_space, mesh=mesh, facet_tags=facet_tags, names=names, components=components
        )
        for i, member in enumerate(members[1:], 1):
            if member.function_space != members[0].function_space:
                raise InputError(f"the functions of a batch share one space; function {i} is on another than the first")
        vectors = [np.asarray(member.x.array) for member in members]
        vector = np.stack(vectors) if several else vectors[0]
        coefficients = link.ours(vector)
        if copy and link.shares_memory and not several:
            coefficients = coefficients.clone()
        called = str(members[0].name) if name is None else name
        return Function(link.space, coefficients, name=called, units=units)

    def to_dolfinx(self, target: Any, *, outside: Outside = "raise") -> Any:
        """The function in DOLFINx: a new function of a given space, or a given function filled.

        Values agree everywhere where the space has our element and mesh. Otherwise this interpolates into it, from any
        domain (projects, for RT and N1curl).

        Parameters
        ----------
        target : dolfinx.fem.FunctionSpace, or the dolfinx.fem.Function whose coefficients to overwrite.
        outside : what to do with points of the target outside our domain: "raise", "nan" or "nearest".

        Raises
        ------
        InputError
            For a batch, or when the coefficients would lose digits or imaginary parts in the target's dtype.
        """
        from funcspace.functions.fem.dolfinx_api import new_function
        from funcspace.functions.fem.dolfinx_link import dolfinx_link

        function = cast("Function", self)
        if function.batch_shape:
            raise InputError(
                f"{function.name!r} is a batch of shape {function.batch_shape}; convert its functions one by one, u[i]"
            )
        filled = target if hasattr(target, "function_space") else new_function(target, function.name)
        link = _on_domain(dolfinx_link, filled.function_space, function)
        vector = link.theirs(_coefficients(function, link, outside))
        values = filled.x.array
        if not np.can_cast(vector.dtype, values.dtype, casting="safe"):
            raise InputError(
                f"{function.name!r} has {vector.dtype} coefficients and the DOLFINx function {values.dtype}; convert "
                "it with .to(dtype) first"
            )
        values[:] = vector
        return filled

    @classmethod
    def from_skfem(
        cls,
        basis: Any,
        vector: Any,
        *,
        mesh: Mesh | None = None,
        components: Sequence[str] | str | None = None,
        name: str = "u",
        units: str = "",
    ) -> Function:
        """The function of a scikit-fem coefficient vector (dofs,) or of a batch of them (*batch, dofs).

        The coefficients share the memory of a NumPy vector, except for bases whose functions differ from ours in sign.

        Examples
        --------
        >>> import skfem
        >>> from funcspace.functions.function import Function
        >>> basis = skfem.CellBasis(skfem.MeshTri().refined(2), skfem.ElementTriP2())
        >>> u = Function.from_skfem(basis, basis.doflocs[0] ** 2)
        >>> round(float(u.integral()), 12)
        0.333333333333
        """
        from funcspace.functions.fem.skfem_link import skfem_link
        from funcspace.functions.function import Function

        link = skfem_link(basis, mesh=mesh, components=components)
        array = np.asarray(vector)
        if array.ndim == 0 or array.shape[-1] != int(basis.dofs.N):
            raise InputError(f"the vector must have shape (*batch, {int(basis.dofs.N)}); got {array.shape}")
        if array.dtype.kind not in "fc":
            raise InputError(f"the vector must be floating point; got {array.dtype}")
        return Function(link.space, link.ours(np.ascontiguousarray(array)), name=name, units=units)

    def to_skfem(self, basis: Any, *, outside: Outside = "raise") -> NDArray[Any]:
        """The coefficient vector (*batch, dofs) in a scikit-fem basis; interpolated where basis or mesh is another."""
        from funcspace.functions.fem.skfem_link import skfem_link

        function = cast("Function", self)
        link = _on_domain(skfem_link, basis, function)
        return np.array(link.theirs(_coefficients(function, link, outside)))


def _on_domain(link: Any, theirs: Any, function: Function) -> DofLink:
    """The link to a space on the function's own mesh where that has the same cells."""
    from funcspace.functions.elements.nesting import same_cells
    from funcspace.geometry.meshes.mesh import Mesh

    found = link(theirs)
    mesh = function.space.domain
    if not isinstance(mesh, Mesh) or mesh == found.space.domain or not same_cells(mesh, found.space.domain):
        return found
    return link(theirs, mesh=mesh)


def _coefficients(function: Function, link: DofLink, outside: Outside) -> torch.Tensor:
    if function.space.fingerprint == link.space.fingerprint:
        return function.coefficients
    if function.space.value_shape != link.space.value_shape:
        raise InputError(
            f"{function.name!r} has values of shape {function.space.value_shape}, the target has values of shape "
            f"{link.space.value_shape}"
        )
    return function.to(link.space, outside=outside).coefficients
