"""What the training loop and a surrogate ask of a model."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from funcspace.errors import InputError
from funcspace.functions import FunctionSpace

__all__ = ["GroupedModel", "OperatorModel", "context_for", "model_config", "optimizer_groups"]


@runtime_checkable
class OperatorModel(Protocol):
    """An ordinary `torch.nn.Module` whose constructor arguments are plain data.

    `forward(x, context)` maps `(batch, *layout, channels)` to `(batch, *layout, channels)`, channels last; on a grid
    the layout is the grid's shape, elsewhere it is the number of dofs.
    """

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments: `type(model)(**model.config)` builds the same architecture."""
        ...

    def prepare(self, space: FunctionSpace) -> Any:
        """What the model needs of a space (graphs, hierarchies, matrices); cached per fingerprint by the model."""
        ...

    def forward(self, x: Float[Tensor, "batch *layout channel"], context: Any = None) -> Float[Tensor, ...]:
        """The map, tensor to tensor."""
        ...


@runtime_checkable
class GroupedModel(Protocol):
    """A module whose weights do not all learn at the same rate."""

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Every parameter in one of several groups, each with the factor of its learning rate."""
        ...


def optimizer_groups(model: nn.Module) -> list[dict[str, Any]]:
    """A model's parameters as an optimizer takes them; the entry "factor" multiplies a group's learning rate."""
    groups = model.parameter_groups() if isinstance(model, GroupedModel) else [(list(model.parameters()), 1.0)]
    return [{"params": parameters, "factor": factor} for parameters, factor in groups]


def context_for(model: nn.Module, space: FunctionSpace, device: Any = None) -> Any:
    """The model's context for a space, on a device; None for a module without `prepare`."""
    prepare = getattr(model, "prepare", None)
    if prepare is None:
        return None
    context = prepare(space)
    return context.to(device) if device is not None and hasattr(context, "to") else context


def model_config(model: nn.Module) -> dict[str, Any]:
    """The plain-data constructor arguments of a model.

    Raises
    ------
    InputError
        When the module does not tell them.
    """
    config = getattr(model, "config", None)
    if not isinstance(config, dict):
        raise InputError(
            f"{type(model).__name__} cannot be saved: give it a property `config` that returns its constructor "
            "arguments as a dict of plain data"
        )
    return config
