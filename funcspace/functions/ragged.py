"""A batch of functions that live on different domains: packed coefficients with offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.utils._pytree
from jaxtyping import Int, Shaped
from torch import Tensor

from funcspace.errors import InputError
from funcspace.functions.devices import checked_place
from funcspace.functions.function import Function
from funcspace.functions.space import FunctionSpace, in_another_order

__all__ = ["RaggedFunction"]


@dataclass(frozen=True, eq=False, repr=False)
class RaggedFunction:
    """Functions on spaces that differ per sample, their dofs packed one after another.

    Attributes
    ----------
    spaces : one space per sample; all with the same value shape.
    coefficients : packed coefficients (total dofs, *components).
    ptr : offsets, so that sample i owns `coefficients[ptr[i] : ptr[i + 1]]`.
    """

    spaces: tuple[FunctionSpace, ...]
    coefficients: Shaped[Tensor, " ..."]
    ptr: Int[Tensor, " m"]
    name: str = "u"
    units: str = ""

    def __post_init__(self) -> None:
        if not self.spaces:
            raise InputError("a ragged batch needs at least one function")
        shape = self.spaces[0].component_shape
        rank = self.coefficients.ndim - len(shape)
        if rank < 1 or tuple(self.coefficients.shape[rank:]) != shape:
            raise InputError(
                f"packed coefficients of {self.name!r} must have shape (total dofs, {', '.join(map(str, shape))}), "
                f"got {tuple(self.coefficients.shape)}"
            )
        sizes = [space.n_dofs for space in self.spaces]
        if self.ptr.tolist() != np.cumsum([0, *sizes]).tolist() or len(self.coefficients) != sum(sizes):
            raise InputError(
                f"offsets {self.ptr.tolist()[:5]}... and {len(self.coefficients)} packed dofs do not fit spaces of "
                f"{sizes[:4]}... dofs, {sum(sizes)} in all"
            )

    @classmethod
    def pack(cls, functions: Sequence[Function]) -> RaggedFunction:
        """Pack single functions; their dofs must be numbered by one axis, and their values must have one shape.

        Raises
        ------
        InputError
            When there is none, one is no Function or a batch, or value shapes differ.
        """
        if not functions:
            raise InputError("a ragged batch needs at least one function")
        first = functions[0]
        for i, f in enumerate(functions):
            if not isinstance(f, Function):
                raise InputError(f"a ragged batch is packed from Functions; number {i} is {type(f).__name__}")
            if f.batch_shape or len(f.space.dof_shape) != 1:
                raise InputError(f"function {i} of a ragged batch must be single, with one dof axis; got {f!r}")
            if f.space.value_shape != first.space.value_shape:
                raise InputError(
                    f"functions of a ragged batch must have one value shape; function {i} has "
                    f"{f.space.value_shape}, function 0 has {first.space.value_shape}"
                )
            if f.units and first.units and f.units != first.units:
                raise InputError(
                    f"functions of a ragged batch must have one unit; function {i} is in {f.units!r}, function 0 in "
                    f"{first.units!r}"
                )
            if in_another_order(f.space.components, first.space.components):
                raise InputError(
                    f"components of a ragged batch must be in one order; function {i} has {f.space.components}, "
                    f"function 0 has {first.space.components}"
                )
        sizes = torch.tensor([f.space.n_dofs for f in functions])
        ptr = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])
        packed = torch.cat([f.coefficients for f in functions])
        return cls(tuple(f.space for f in functions), packed, ptr, first.name, first.units)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """One batch axis."""
        return (len(self.spaces),)

    def __len__(self) -> int:
        return len(self.spaces)

    def __getitem__(self, index: Any) -> Any:
        """The Function at an integer, or the ragged batch at a slice or list of integers."""
        if isinstance(index, int | np.integer):
            i = range(len(self))[int(index)]
            part = self.coefficients[int(self.ptr[i]) : int(self.ptr[i + 1])]
            return Function(self.spaces[i], part, name=self.name, units=self.units)
        if isinstance(index, slice):
            chosen = list(range(len(self)))[index]
        else:
            chosen = np.arange(len(self))[np.asarray(index)].tolist()
        return RaggedFunction.pack([self[i] for i in chosen])

    def __iter__(self) -> Iterator[Function]:
        return (self[i] for i in range(len(self)))

    def norm(self, kind: str = "L2") -> Shaped[Tensor, " batch"]:
        """The norm of each function on its own space."""
        return torch.stack([f.norm(kind) for f in self])

    def to(self, target: Any) -> RaggedFunction:
        """Move to a device or dtype."""
        return RaggedFunction(self.spaces, self.coefficients.to(checked_place(target)), self.ptr, self.name, self.units)

    def __repr__(self) -> str:
        sizes = self.ptr.diff()
        return (
            f"RaggedFunction {self.name!r}: {len(self)} functions, {self.spaces[0].element} with "
            f"{int(sizes.min()):,} to {int(sizes.max()):,} dofs"
        )


def _unflattened(children: Any, context: Any) -> RaggedFunction:
    """The batch of a pytree; transformations also put placeholders where the coefficients belong."""
    spaces, ptr, name, units = context
    (coefficients,) = children
    if isinstance(coefficients, Tensor):
        return RaggedFunction(spaces, coefficients, torch.tensor(ptr), name, units)
    placeholder = object.__new__(RaggedFunction)
    values = {"spaces": spaces, "coefficients": coefficients, "ptr": torch.tensor(ptr), "name": name, "units": units}
    for key, value in values.items():
        object.__setattr__(placeholder, key, value)
    return placeholder


torch.utils._pytree.register_pytree_node(
    RaggedFunction,
    lambda f: ([f.coefficients], (f.spaces, tuple(f.ptr.tolist()), f.name, f.units)),
    _unflattened,
    serialized_type_name="funcspace.RaggedFunction",
)
