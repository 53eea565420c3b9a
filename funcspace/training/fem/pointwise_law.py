"""A learned law at the points of a quadrature: values and exact derivatives for the forms of a finite-element code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from funcspace.errors import InputError, SolverError
from funcspace.training.surrogate import Surrogate

__all__ = ["PointwiseLaw"]

FloatArray = NDArray[np.float64]

CHUNK_NUMBERS = 1 << 23


class PointwiseLaw:
    r"""A law that acts on each point alone, :math:`y_p = f(a_p, b_p, \dots)`, and its derivatives.

    .. math:: \frac{\partial y_p}{\partial a_p}, \frac{\partial y_p}{\partial b_p}, \dots

    A coefficient k(u), k(x, u, grad u), a stress sigma(eps): what Newton's method asks of the law inside a form. The
    derivatives come from `torch.func`, for all points at once.

    Everything is computed in float64: weights of a module or a surrogate trained in float32 are widened, exactly, at
    each call, so that Newton's method converges to rounding and later training is seen.

    Parameters
    ----------
    law : a callable of one float64 tensor per operand, (points,), (points, d) or (points, d, d), to (points, *value);
        an `nn.Module` may be one.

    Raises
    ------
    InputError
        When the law mixes points, or gives another number of points than it got.
    SolverError
        When it gives values that are not finite; the point and its operands are named.

    Examples
    --------
    >>> law = PointwiseLaw(lambda u: 1.0 + u**2)
    >>> value, (derivative,) = law.linearised(np.array([0.0, 3.0]))
    >>> value.tolist(), derivative.tolist()
    ([1.0, 10.0], [0.0, 6.0])
    """

    def __init__(self, law: Callable[..., Tensor]) -> None:
        if not callable(law):
            raise InputError(f"a law is a callable of torch tensors; got {type(law).__name__}")
        if isinstance(law, Surrogate):
            raise InputError("a Surrogate maps functions to functions; take PointwiseLaw.of_surrogate(surrogate)")
        self._law = _widened(law) if isinstance(law, nn.Module) else law
        self._checked = False

    @classmethod
    def of_features(cls, module: Callable[[Tensor], Tensor], value_shape: Sequence[int] = ()) -> PointwiseLaw:
        """A law from a module of features: the components of all operands in one axis, in the order of the form.

        Parameters
        ----------
        module : (points, features) -> (points, components of the value).
        value_shape : shape of the value; its components count row by row.
        """
        inner = _widened(module) if isinstance(module, nn.Module) else module
        shape = tuple(int(n) for n in value_shape)

        def law(*operands: Tensor) -> Tensor:
            features = torch.cat([a.reshape(len(a), -1) for a in operands], dim=1)
            found = inner(features)
            if found.ndim != 2 or found.shape[1] != math.prod(shape):
                raise InputError(
                    f"the module must give (points, {math.prod(shape)}) for values of shape {shape}; got "
                    f"{tuple(found.shape)}"
                )
            return found.reshape(len(found), *shape)

        return cls(law)

    @classmethod
    def of_surrogate(cls, surrogate: Surrogate, parameters: Mapping[str, float] | None = None) -> PointwiseLaw:
        """The law that a surrogate of a pointwise model has learned, with its normalisers.

        Operands are the surrogate's input functions in order; the value is its only output.

        Parameters
        ----------
        parameters : the scalar parameters that the surrogate was trained with.

        Raises
        ------
        InputError
            When a normaliser has one number per dof, or the surrogate has several outputs; at the first call, when
            the model mixes points.
        """
        packing = surrogate.packing
        if len(packing.outputs) != 1:
            raise InputError(f"a law has one value; this surrogate gives {[f.name for f in packing.outputs]}")
        for field in (*packing.inputs, *packing.outputs):
            if field.normaliser.kind == "pointwise" or not field.space.basis.nodal:
                raise InputError(
                    f"{field.name!r} is normalised or represented dof by dof, which has no meaning at points"
                )
        given = dict(parameters or {})
        expected = [name for name, _, _ in packing.parameters]
        if set(given) != set(expected):
            raise InputError(f"this surrogate takes the parameters {expected}; got {sorted(given)}")
        scalars = {name: torch.tensor([float(value)], dtype=torch.float64) for name, value in given.items()}
        model = _widened(surrogate.model)
        output = packing.outputs[0]

        def law(*operands: Tensor) -> Tensor:
            if len(operands) != len(packing.inputs):
                raise InputError(f"this law takes {[f.name for f in packing.inputs]}; got {len(operands)} operands")
            columns = {}
            for field, a in zip(packing.inputs, operands, strict=True):
                if math.prod(a.shape[1:]) != field.channels:
                    raise InputError(
                        f"{field.name!r} has values of shape {field.space.value_shape}; got {tuple(a.shape[1:])}"
                    )
                columns[field.name] = a.reshape(1, len(a), *field.space.component_shape)
            count = len(operands[0])
            x = packing.encode_inputs(columns, scalars, (count,), torch.float64)
            shape = (count, *output.space.component_shape)
            return packing.decode_outputs(model(x, None), {output.name: shape})[output.name][0]

        return cls(law)

    def __call__(self, *operands: Any) -> FloatArray:
        """Values (points, *value)."""
        tensors = _operands(operands)
        with torch.no_grad():
            return self._finite(self._values(*tensors), tensors)

    def linearised(self, *operands: Any) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Values (points, *value) and for each operand the derivatives (points, *value, *operand)."""
        tensors = _operands(operands)
        count = len(tensors[0])
        probe = self._finite(self._values(*(a[:1] for a in tensors)), tensors)
        width = math.prod(probe.shape[1:])
        per_point = width * (width + sum(math.prod(a.shape[1:]) for a in tensors))
        step = max(1, CHUNK_NUMBERS // max(1, per_point))
        pieces = [self._linearised(tuple(a[start : start + step] for a in tensors)) for start in range(0, count, step)]
        value = np.concatenate([piece[0] for piece in pieces])
        derivatives = tuple(np.concatenate([piece[1][k] for piece in pieces]) for k in range(len(tensors)))
        return self._finite(torch.from_numpy(value), tensors), derivatives

    def _linearised(self, tensors: tuple[Tensor, ...]) -> tuple[FloatArray, list[FloatArray]]:
        value, pullback = cast(tuple[Tensor, Callable[..., Any]], torch.func.vjp(self._values, *tensors))
        shape = tuple(value.shape[1:])
        width = math.prod(shape)
        # Each point depends on its own operands alone: one pull-back per component serves all points.
        units = torch.eye(width, dtype=value.dtype).reshape(width, 1, *shape).expand(width, *value.shape)
        rows = torch.func.vmap(pullback)(units)
        found = [r.movedim(0, 1).reshape(len(value), *shape, *r.shape[2:]).detach().numpy() for r in rows]
        return value.detach().numpy(), found

    def _values(self, *operands: Tensor) -> Tensor:
        if not self._checked and len(operands[0]) > 1:
            self._check_pointwise(tuple(a.detach() for a in operands))
        found = self._law(*operands)
        count = len(operands[0])
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != count:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"a law must give a tensor ({count}, *value) for {count} points; got {shape}")
        return found.to(torch.float64)

    def _check_pointwise(self, operands: tuple[Tensor, ...]) -> None:
        """Refuse laws whose value at a point changes with the other points."""
        self._checked = True
        few = tuple(a[:8] for a in operands)
        with torch.no_grad():
            together = self._law(*few)
            alone = self._law(*(a[1:2] for a in few))
        if isinstance(together, Tensor) and together.ndim and len(together) == len(few[0]):
            size = float(together.abs().max())
            if not torch.allclose(together[1:2], alone, rtol=1e-8, atol=1e-9 * size, equal_nan=True):
                raise InputError(
                    "the law mixes points: its value at a point changes when other points are left out. Laws inside "
                    "forms act on each point alone; use a surrogate operator for maps between functions"
                )

    @staticmethod
    def _finite(value: Tensor, operands: tuple[Tensor, ...]) -> FloatArray:
        good = torch.isfinite(value).reshape(len(value), -1).all(dim=1)
        if not bool(good.all()):
            point = int(torch.nonzero(~good)[0])
            at = ", ".join(str(a[point].tolist()) for a in operands)
            raise SolverError(f"the law gave {value[point].tolist()} at point {point}, where its operands are {at}")
        return value.detach().numpy()


def _operands(operands: Sequence[Any]) -> tuple[Tensor, ...]:
    if not operands:
        raise InputError("a law needs at least one operand")
    tensors = tuple(
        torch.from_numpy(np.ascontiguousarray(a.detach().cpu() if isinstance(a, Tensor) else a, dtype=np.float64))
        for a in operands
    )
    counts = [len(a) if a.ndim else 0 for a in tensors]
    if len(set(counts)) > 1 or counts[0] == 0:
        raise InputError(f"operands must have one value per point, first axis first; got {[a.shape for a in tensors]}")
    return tensors


def _widened(module: nn.Module) -> Callable[..., Tensor]:
    """The module with its weights in float64, taken from the module at each call."""

    def call(*inputs: Any) -> Tensor:
        training = module.training
        module.eval()
        state = {
            name: tensor.detach().to("cpu", torch.float64) if tensor.is_floating_point() else tensor.detach().cpu()
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        try:
            return torch.func.functional_call(module, state, inputs)
        finally:
            module.train(training)

    return call
