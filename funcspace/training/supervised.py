"""Supervised learning of operators: predict the output functions from the input functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, LazyFunction, OperatorData, RaggedFunction
from funcspace.functions.operator_data import check_real
from funcspace.training.losses import NormLoss, first_zero, zero_truth
from funcspace.training.model import context_for
from funcspace.training.packing import Packing
from funcspace.training.surrogate import Surrogate

__all__ = ["Supervised"]

ABSOLUTE = "train with algorithm=fs.Supervised(loss=fs.training.NormLoss(relative=False))"


@dataclass(frozen=True)
class Supervised:
    r"""Minimise the mean relative error :math:`\ell(G_\theta(a), u)` over pairs of functions.

    Parameters
    ----------
    loss : the norm; by default the relative H1 norm, which also asks for right gradients.
    normalise_inputs, normalise_outputs : kinds of normaliser ("standard", "scale", "pointwise", "identity").
    """

    loss: NormLoss = field(default_factory=NormLoss)
    normalise_inputs: str = "standard"
    normalise_outputs: str = "scale"

    def begin(
        self, model: nn.Module, data: Any, validation: Any, *, device: torch.device, dtype: torch.dtype
    ) -> SupervisedTask:
        """Fit the normalisers, prepare the model's context, and hold the data ready."""
        for name, given in (("data", data), ("validation", validation)):
            if given is not None and not isinstance(given, OperatorData):
                raise InputError(
                    f"{name} must be OperatorData, got {type(given).__name__}; see OperatorData.from_arrays. Models of "
                    "dynamical systems learn from trajectories by an algorithm of their own, such as "
                    "algorithm=fs.dynamics.SparseTeacherForcing()"
                )
            if given is not None:
                check_real(given)
        _check_forward(model)
        packing = Packing.for_data(data, inputs=self.normalise_inputs, outputs=self.normalise_outputs)
        if self.loss.relative:
            _check_sizes(data, "", ABSOLUTE)
        if validation is not None:
            _same_fields(packing, validation)
            _check_sizes(validation, " in the validation data")
        return SupervisedTask(self, model, packing, data, validation, device, dtype)


class SupervisedTask:
    """Batches of a data set through a model and a loss."""

    def __init__(
        self,
        algorithm: Supervised,
        model: nn.Module,
        packing: Packing,
        data: OperatorData,
        validation: OperatorData | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.algorithm, self.packing, self.validation = algorithm, packing, validation
        self.samples = len(data)
        self.device, self.dtype = device, dtype
        self.context = context_for(model, packing.input_space, device)
        self.layout = packing.input_space.layout
        self.columns = {**data.inputs, **data.outputs}
        self.outputs = frozenset(data.outputs)
        self.parameters = data.parameters
        self.held: dict[str, Tensor] = {}
        for name, column in self.columns.items():
            if isinstance(column, Function):
                self.held[name] = column.coefficients.to(device=device, dtype=dtype)
        self.description: Mapping[str, Any] = {
            "algorithm": repr(algorithm),
            "samples": self.samples,
            "fields": {f.name: f.space.fingerprint for f in (*packing.inputs, *packing.outputs)},
        }

    def _rows(self, name: str, rows: Tensor) -> Tensor:
        if name in self.held:
            return self.held[name][rows.to(self.device)]
        column = self.columns[name]
        if isinstance(column, RaggedFunction):
            raise DomainError(f"{name!r} lives on a different domain per sample; this model needs one common domain")
        assert isinstance(column, LazyFunction)
        batch = column[rows.numpy()].coefficients
        if not bool(torch.isfinite(batch).all()):
            raise InputError(f"{name!r} holds NaN or infinity among the samples {rows.tolist()}")
        if self.algorithm.loss.relative and name in self.outputs:
            zero = first_zero(batch)
            if zero is not None:
                raise zero_truth(f"sample {int(rows[zero])} of {name!r}", ABSOLUTE)
        return batch.to(device=self.device, dtype=self.dtype)

    def loss(self, model: Callable[..., Tensor], rows: np.ndarray) -> Float[Tensor, ""]:
        """Mean loss over the samples numbered `rows`; fields with several outputs count equally."""
        picked = torch.from_numpy(np.ascontiguousarray(rows))
        columns = {f.name: self._rows(f.name, picked) for f in self.packing.inputs}
        parameters = {name: values[picked].to(self.device) for name, values in self.parameters.items()}
        x = self.packing.encode_inputs(columns, parameters, self.layout, self.dtype)
        predicted = self.packing.decode_outputs(model(x, self.context))
        losses = [
            self.algorithm.loss(f.space, predicted[f.name], self._rows(f.name, picked)) for f in self.packing.outputs
        ]
        return torch.stack(losses).mean()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Relative L2 and H1 errors, of several outputs each one's too."""
        if self.validation is None:
            return ()
        names = [f.name for f in self.packing.outputs]
        each = [f"{kind}/{name}" for name in names for kind in ("rel_l2", "rel_h1")] if len(names) > 1 else []
        return ("rel_l2", "rel_h1", *each)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Relative L2 and H1 errors on the validation data."""
        if self.validation is None:
            return {}
        return self.surrogate(model).evaluate(self.validation)

    def surrogate(self, model: nn.Module) -> Surrogate:
        """The model with its packing."""
        return Surrogate(model, self.packing)


def _check_forward(model: nn.Module) -> None:
    """Refuse a module that cannot be called as the loop does it."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):  # compiled or wrapped: it cannot be told
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise InputError(
            "a model is called as model(x, context), with x of shape (batch, *layout, channels) and context as the "
            f"model's prepare(space) makes it, None without one; {type(model).__name__}.forward takes {signature}"
        ) from error


def _check_sizes(data: OperatorData, place: str, *remedies: str) -> None:
    """Refuse truths in memory that are zero, for no error is relative to them; those on disk are checked when read."""
    for name, column in data.outputs.items():
        zero = first_zero(column.coefficients) if isinstance(column, Function) else None
        if zero is not None:
            raise zero_truth(f"sample {zero} of {name!r}{place}", *remedies)


def _same_fields(packing: Packing, data: OperatorData) -> None:
    expected = [f.name for f in (*packing.inputs, *packing.outputs)]
    given = [*data.inputs, *data.outputs]
    if sorted(expected) != sorted(given):
        raise InputError(f"validation data must have the functions {expected}, got {given}")
