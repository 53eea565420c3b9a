"""A trained model that maps Functions to Functions, and everything that is needed to use it elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from funcspace.arguments import whole_number
from funcspace.errors import DomainError, InputError
from funcspace.functions import Function, FunctionSpace, LazyFunction, OperatorData
from funcspace.functions.devices import checked_place
from funcspace.functions.operator_data import check_real, same_space
from funcspace.geometry import Grid
from funcspace.geometry.number_tensor import number_tensor
from funcspace.training.losses import squared_norms, zero_truth
from funcspace.training.model import context_for
from funcspace.training.packing import Packing

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Surrogate"]


@dataclass(eq=False, repr=False)
class Surrogate:
    """A model with the spaces, normalisers and order of functions that it was trained with.

    Attributes
    ----------
    model : the trained module.
    packing : which functions go in and come out, with their normalisers.
    history : one record per epoch.
    provenance : versions, seed and settings of the training.
    """

    model: nn.Module
    packing: Packing
    history: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        *functions: Function | Mapping[str, Function] | OperatorData,
        parameters: Mapping[str, Any] | None = None,
        resample: bool = False,
        batch_size: int = 32,
    ) -> Any:
        """Predict the output functions.

        Parameters
        ----------
        functions : the input functions in order, or one mapping by name, or an OperatorData; single or batched.
        parameters : the scalar parameters that the surrogate was trained with, numbers or one per sample.
        resample : interpolate inputs from any other domain onto the training space, and predict there.
        batch_size : how many samples go through the model at once.

        Returns
        -------
        Function or dict[str, Function]
            One Function, or several by name where the surrogate has several outputs; in the dtype of the input.

        Raises
        ------
        InputError
            When names, value shapes or batch sizes do not fit, or an input is complex or holds NaN or infinity.
        DomainError
            When an input lives on a domain that the model cannot take; the message says how to resample.
        """
        batch_size = whole_number(batch_size, "batch_size")
        named, scalars = self._inputs(functions, {} if parameters is None else parameters)
        batch, dtype = self._batch(named, scalars)
        if resample:
            named = {f.name: named[f.name].to(f.space, outside="nearest") for f in self.packing.inputs}
        space = named[self.packing.inputs[0].name].space if named else self.packing.input_space
        self._check_spaces(named, space)
        device, weights = self._device_and_dtype()
        context = context_for(self.model, space, device)
        count = math.prod(batch)
        flat = {
            name: f.coefficients.detach()
            .expand(*batch, *f.space.coefficient_shape)
            .reshape(count, *f.space.coefficient_shape)
            for name, f in named.items()
        }
        flat_scalars = {name: value.expand(batch).reshape(count) for name, value in scalars.items()}
        spaces = {f.name: self._output_space(f, space) for f in self.packing.outputs}
        shapes = {name: s.coefficient_shape for name, s in spaces.items()}
        was_training = self.model.training
        self.model.eval()
        pieces: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for start in range(0, count, batch_size):
                rows = slice(start, min(start + batch_size, count))
                columns = {name: values[rows].to(device) for name, values in flat.items()}
                numbers = {name: values[rows].to(device) for name, values in flat_scalars.items()}
                x = self.packing.encode_inputs(columns, numbers, space.layout, weights)
                pieces.append(self.packing.decode_outputs(self.model(x, context), shapes))
        self.model.train(was_training)
        outputs = {
            f.name: Function(
                spaces[f.name],
                torch.cat([p[f.name] for p in pieces]).to(dtype=dtype, device="cpu").reshape(*batch, *shapes[f.name]),
                name=f.name,
                units=f.units,
            )
            for f in self.packing.outputs
        }
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def evaluate(self, data: OperatorData, *, resample: bool = False, batch_size: int = 32) -> dict[str, float]:
        """Mean relative errors over the samples: `rel_l2` with the mass matrix, `rel_h1` with mass plus stiffness.

        With several output functions the two are means over them, and each has its own `rel_l2/name`, `rel_h1/name`.
        With `resample`, predictions are made on the training space and interpolated onto that of the truth.

        Raises
        ------
        InputError
            When the data lack a function that the surrogate takes or predicts, or a truth is zero or complex.
        DomainError
            When a truth lives on another space than the prediction.
        """
        if not isinstance(data, OperatorData):
            raise InputError(
                f"evaluate takes OperatorData, inputs with the true outputs, got {type(data).__name__}; see "
                "OperatorData.from_arrays"
            )
        batch_size = whole_number(batch_size, "batch_size")
        missing = [f.name for f in self.packing.outputs if f.name not in data.outputs]
        if missing:
            raise InputError(
                f"the surrogate predicts {[f.name for f in self.packing.outputs]}, but the data have no output "
                f"{missing[0]!r} to compare with; they have {list(data.outputs)}"
            )
        check_real(data)
        sums: dict[str, float] = {}
        for start in range(0, len(data), batch_size):
            rows = data[start : min(start + batch_size, len(data))].in_memory()
            predicted = self(rows, resample=resample, batch_size=batch_size)
            by_name = {self.packing.outputs[0].name: predicted} if isinstance(predicted, Function) else predicted
            for name, prediction in by_name.items():
                truth = rows.outputs[name]
                space = same_space(truth, name)
                if resample:
                    prediction = prediction.to(space, outside="nearest")
                if space.fingerprint != prediction.space.fingerprint:
                    raise DomainError(f"{name!r} was predicted on {prediction.space!r}, but the truth is on {space!r}")
                exact = truth.coefficients.double()
                error = prediction.coefficients.double() - exact
                for key, weight in (("rel_l2", 0.0), ("rel_h1", 1.0)):
                    sizes = squared_norms(space, exact, weight)
                    if not bool((sizes > 0).all()):
                        raise zero_truth(f"sample {start + int(torch.nonzero(~(sizes > 0))[0])} of {name!r}")
                    tiny = torch.finfo(sizes.dtype).tiny
                    ratios = (squared_norms(space, error, weight).clamp_min(0) / sizes.clamp_min(tiny)).sqrt()
                    sums[f"{key}/{name}"] = sums.get(f"{key}/{name}", 0.0) + float(ratios.sum())
        means = {key: total / len(data) for key, total in sums.items()}
        result = {
            kind: sum(means[f"{kind}/{f.name}"] for f in self.packing.outputs) / len(self.packing.outputs)
            for kind in ("rel_l2", "rel_h1")
        }
        return result if len(self.packing.outputs) == 1 else result | means

    def rollout(self, initial: Function, steps: int, *, step: float = 1.0) -> Function:
        """Apply the surrogate again and again to its own output.

        Parameters
        ----------
        initial : the state to start from, single or batched.
        steps : how many times to apply the surrogate.
        step : time between two states.

        Returns
        -------
        Function
            `steps + 1` states over `Times(0, step, steps + 1) * domain`, the initial one first.

        Raises
        ------
        InputError
            When the surrogate does not map a function to a function of the same kind.
        """
        from funcspace.geometry import Times

        if len(self.packing.inputs) != 1 or len(self.packing.outputs) != 1 or self.packing.parameters:
            raise InputError(
                "a rollout needs a surrogate with one input function, one output function and no parameters"
            )
        source, target = self.packing.inputs[0], self.packing.outputs[0]
        if source.space.coefficient_shape != target.space.coefficient_shape:
            raise InputError(
                f"a rollout needs equal input and output spaces; got {source.space!r} and {target.space!r}"
            )
        steps = whole_number(steps, "steps")
        states = [initial]
        for _ in range(steps):
            states.append(self(states[-1]).renamed(source.name))
        axis = -len(initial.space.coefficient_shape) - 1
        trajectory = torch.stack([s.coefficients for s in states], dim=axis)
        space = FunctionSpace(
            Times(0.0, step, steps + 1) * initial.space.domain,
            ("linear", initial.space.element),
            components=initial.space.components,
            value_shape=initial.space.component_shape,
        )
        return Function(space, trajectory, name=target.name, units=target.units)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write weights, arguments, spaces, normalisers and provenance to one folder; whole or not at all."""
        from funcspace.training.surrogate_files import save_surrogate

        return save_surrogate(self, Path(folder))

    @property
    def input_space(self) -> FunctionSpace:
        """The space that the model was trained on."""
        return self.packing.input_space

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.model.parameters())

    def to(self, device: Any) -> Surrogate:
        """Move the model to a device; inputs follow, outputs come back to the CPU."""
        self.model.to(checked_place(device))
        return self

    def _inputs(
        self, given: tuple[Any, ...], parameters: Mapping[str, Any]
    ) -> tuple[dict[str, Function], dict[str, Tensor]]:
        names = [f.name for f in self.packing.inputs]
        if not isinstance(parameters, Mapping):
            raise InputError(f"parameters are numbers by name, such as {{'nu': 0.1}}; got {parameters!r}")
        scalars = dict(parameters)
        if len(given) == 1 and isinstance(given[0], OperatorData):
            scalars = {**given[0].parameters, **scalars}
            named: dict[str, Any] = {name: given[0].inputs[name] for name in names if name in given[0].inputs}
        elif len(given) == 1 and isinstance(given[0], Mapping):
            named = dict(given[0])
        else:
            if len(given) != len(names):
                raise InputError(
                    f"this surrogate takes {len(names)} functions, {names}, in this order; got {len(given)}"
                )
            named = dict(zip(names, given, strict=True))
        for name, function in named.items():
            if isinstance(function, LazyFunction):
                named[name] = function = function.load()
            if not isinstance(function, Function):
                raise InputError(
                    f"{name!r} must be a Function, got {type(function).__name__}; see FunctionSpace.interpolate"
                )
            if function.dtype.is_complex:
                raise InputError(f"the input {name!r} is complex ({function.dtype}); surrogates take real functions")
            if not bool(torch.isfinite(function.coefficients).all()):
                raise InputError(f"the input {name!r} holds NaN or infinity")
        tensors = {name: _finite_numbers(name, value) for name, value in scalars.items()}
        self.packing.check(named, tensors)
        return named, tensors

    def _batch(
        self, named: Mapping[str, Function], scalars: Mapping[str, Tensor]
    ) -> tuple[tuple[int, ...], torch.dtype]:
        shapes = [f.batch_shape for f in named.values()] + [tuple(s.shape) for s in scalars.values()]
        try:
            batch = tuple(torch.broadcast_shapes(*shapes))
        except RuntimeError as error:
            raise InputError(f"the batch shapes of the inputs do not fit each other: {shapes}") from error
        return batch, next((f.dtype for f in named.values()), torch.float64)

    def _check_spaces(self, named: Mapping[str, Function], space: FunctionSpace) -> None:
        for name, function in named.items():
            if function.space.layout != space.layout or function.space.domain != space.domain:
                raise DomainError(
                    f"all inputs must share one domain; {name!r} is on {function.space!r}, others on {space!r}"
                )
        trained = self.packing.input_space
        if type(space.domain) is not type(trained.domain) or space.element != trained.element:
            raise DomainError(
                f"this surrogate was trained on {trained!r} and cannot take {space!r}; pass resample=True to "
                "interpolate onto the training space, or bring the function there with .to(surrogate.input_space)"
            )
        new, old = space.domain, trained.domain
        if isinstance(new, Grid) and isinstance(old, Grid):
            traits = [(g.axis_names, g.periodic, g.samples) for g in (new, old)]
            if traits[0] != traits[1] or not torch.allclose(new.bounds, old.bounds, rtol=1e-6):
                raise DomainError(
                    f"this surrogate was trained on {old!r}; {new!r} differs in more than its resolution "
                    "(axes, extent, periodicity or kind of samples)"
                )

    def _output_space(self, output: Any, space: FunctionSpace) -> FunctionSpace:
        if space.domain == self.packing.input_space.domain:
            return output.space
        return FunctionSpace(
            space.domain, output.space.element, components=output.space.components,
            value_shape=output.space.component_shape or None,
        )  # fmt: skip

    def _device_and_dtype(self) -> tuple[torch.device, torch.dtype]:
        weight = next((p for p in self.model.parameters() if p.is_floating_point()), torch.empty(0))
        return weight.device, weight.dtype

    def __repr__(self) -> str:
        inputs = ", ".join([f.name for f in self.packing.inputs] + [name for name, _, _ in self.packing.parameters])
        outputs = ", ".join(f.name for f in self.packing.outputs)
        size = f"{self.parameters:,} parameters"
        return f"Surrogate({type(self.model).__name__}: {inputs} -> {outputs}, {size}, {self.input_space!r})"


def _finite_numbers(name: str, value: Any) -> Tensor:
    """A scalar parameter, or one per sample, in double precision."""
    numbers = number_tensor(value, f"parameter {name!r}")
    if numbers.is_complex() or not bool(torch.isfinite(numbers).all()):
        raise InputError(f"parameter {name!r} must be finite and real, got {value!r}")
    return numbers.to(torch.float64)
