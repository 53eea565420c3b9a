"""Surrogates as operators on the functions of DOLFINx and on the coefficient vectors of scikit-fem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.training.surrogate import Surrogate

__all__ = ["DolfinxOperator", "SkfemOperator"]


class DolfinxOperator:
    """A surrogate that takes and gives `dolfinx.fem.Function`.

    Parameters
    ----------
    surrogate : the surrogate.
    output : the `dolfinx.fem.FunctionSpace` of the result; that of the first input when None.
    parameters : the scalar parameters that the surrogate was trained with.
    resample : predict on the space that the surrogate was trained on, a grid say, and interpolate into it and back;
        needed where the model cannot take the mesh of the functions. The result is only as good as that space.

    Raises
    ------
    InputError, DomainError
        When called with functions that do not fit; see `Surrogate`.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        output: Any = None,
        *,
        parameters: Mapping[str, float] | None = None,
        resample: bool = False,
    ) -> None:
        self.surrogate, self.output = _surrogate(surrogate), output
        self.parameters, self.resample = dict(parameters or {}), resample

    def __call__(self, *functions: Any) -> Any:
        """The prediction, a new function; a mapping from name to function where the surrogate has several outputs."""
        inputs = [
            Function.from_dolfinx(u, name=field.name)
            for u, field in zip(functions, _fields(self.surrogate, functions), strict=True)
        ]
        target = functions[0].function_space if self.output is None else self.output
        outputs = _predicted(self.surrogate, inputs, self.parameters, self.resample)
        outside = "nearest" if self.resample else "raise"
        found = {name: u.to_dolfinx(target, outside=outside) for name, u in outputs.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"DolfinxOperator({self.surrogate!r})"


class SkfemOperator:
    """A surrogate that takes and gives coefficient vectors of scikit-fem bases, one or a batch (*batch, dofs).

    Parameters
    ----------
    surrogate : the surrogate.
    bases : the scikit-fem basis of each input; one basis serves all.
    output : the basis of the result; that of the first input when None.
    parameters, resample : see `DolfinxOperator`.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        bases: Any,
        output: Any = None,
        *,
        parameters: Mapping[str, float] | None = None,
        resample: bool = False,
    ) -> None:
        self.surrogate = _surrogate(surrogate)
        count = len(surrogate.packing.inputs)
        self.bases = list(bases) if isinstance(bases, list | tuple) else [bases] * count
        if len(self.bases) != count:
            raise InputError(f"the surrogate has {count} inputs; got {len(self.bases)} bases")
        self.output = self.bases[0] if output is None else output
        self.parameters, self.resample = dict(parameters or {}), resample

    def __call__(self, *vectors: Any) -> NDArray[np.float64] | dict[str, NDArray[np.float64]]:
        """The predicted vector; a mapping from name to vector where the surrogate has several outputs."""
        inputs = [
            Function.from_skfem(basis, vector, name=field.name)
            for basis, vector, field in zip(self.bases, vectors, _fields(self.surrogate, vectors), strict=True)
        ]
        outputs = _predicted(self.surrogate, inputs, self.parameters, self.resample)
        outside = "nearest" if self.resample else "raise"
        found = {name: u.to_skfem(self.output, outside=outside) for name, u in outputs.items()}
        return next(iter(found.values())) if len(found) == 1 else found

    def __repr__(self) -> str:
        return f"SkfemOperator({self.surrogate!r})"


def _surrogate(surrogate: Any) -> Surrogate:
    if not isinstance(surrogate, Surrogate):
        raise InputError(f"expected a Surrogate, as fit(...) gives it; got {type(surrogate).__name__}")
    return surrogate


def _fields(surrogate: Surrogate, given: Sequence[Any]) -> Sequence[Any]:
    names = [field.name for field in surrogate.packing.inputs]
    if len(given) != len(names):
        raise InputError(f"this surrogate takes {len(names)} functions, {names}, in this order; got {len(given)}")
    return surrogate.packing.inputs


def _predicted(
    surrogate: Surrogate, inputs: Sequence[Function], parameters: Mapping[str, float], resample: bool
) -> dict[str, Function]:
    found = surrogate(*inputs, parameters=parameters, resample=resample)
    return {found.name: found} if isinstance(found, Function) else found
