"""The Fourier neural operator of the neuraloperator library, behind the same door as the models of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import whole_number
from funcspace.errors import InputError
from funcspace.functions import FunctionSpace, OperatorData
from funcspace.operators.grid_data import GridFacts
from funcspace.operators.seeded import seeded
from funcspace.operators.uniform_grid import uniform_grid
from funcspace.optional import require

__all__ = ["FNO"]


@dataclass(frozen=True)
class FourierGrid:
    """Coordinates of a grid's samples as channels, measured from the start of the training box in its lengths."""

    coordinates: Float[Tensor, "axis ..."]

    def to(self, *args: Any, **kwargs: Any) -> FourierGrid:
        """The coordinates on a device."""
        return FourierGrid(self.coordinates.to(*args, **kwargs))


class FNO(nn.Module):
    r"""Fourier neural operator: layers :math:`x \leftarrow \sigma(\mathcal F^{-1} (R \cdot \mathcal F x) + W x)`.

    Li et al., ICLR 2021, arXiv 2010.08895; the implementation is `neuralop.models.FNO`, channels last at the door, with
    the physical position of each sample as extra input channels (the library's own embedding places samples at i/n
    whatever the grid, which is off by up to one spacing on vertices). It transforms in single precision whatever the
    type of its input.

    Parameters
    ----------
    in_channels, out_channels : number of channels.
    modes : Fourier modes kept per axis, one number or one per axis.
    shape : the grid that the model is built for; gives the dimension.
    start, lengths : corner and lengths of its box; positions are measured in them. 0 and 1 by default.
    width : channels inside.
    layers : number of Fourier layers.
    positional : give positions as extra input channels.
    domain_padding : fraction of zero padding, None for none; see `neuralop`.
    projection_ratio : channels of the last hidden layer over `width`.
    seed : of the weights' initial values.

    Shapes
    ------
    input : (batch, *shape, in_channels); output : (batch, *shape, out_channels).

    Raises
    ------
    InputError
        When an argument is out of range.
    MissingDependencyError
        When neuraloperator is not installed.
    """

    learning_rate = 5e-3

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        shape: Sequence[int],
        modes: int | Sequence[int] = 16,
        start: Sequence[float] | None = None,
        lengths: Sequence[float] | None = None,
        width: int = 32,
        layers: int = 4,
        positional: bool = True,
        domain_padding: float | None = None,
        projection_ratio: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        dimension, shape = len(shape), tuple(whole_number(n, "a number of samples in shape") for n in shape)
        if dimension not in (1, 2, 3) or min(shape) < 2:
            raise InputError(f"shape must have 1, 2 or 3 axes of at least 2 samples, got {tuple(shape)}")
        self.in_channels = whole_number(in_channels, "in_channels")
        self.out_channels = whole_number(out_channels, "out_channels")
        self.dimension, self.shape = dimension, shape
        kept = tuple(modes) if isinstance(modes, Iterable) and not isinstance(modes, str) else (modes,) * dimension
        if len(kept) != dimension:
            raise InputError(f"modes must be one or {dimension} positive numbers, got {modes}")
        kept = tuple(whole_number(m, "modes") for m in kept)
        self.modes = kept
        self.start = tuple(float(v) for v in (start if start is not None else [0.0] * dimension))
        self.lengths = tuple(float(v) for v in (lengths if lengths is not None else [1.0] * dimension))
        self.width, self.layers = whole_number(width, "width"), whole_number(layers, "layers")
        self.positional = positional
        self.domain_padding, self.projection_ratio = domain_padding, projection_ratio
        self._contexts: dict[Any, FourierGrid] = {}
        self.seed = whole_number(seed, "seed", least=0)
        with seeded(self.seed):
            self.network = self._network()

    def _network(self) -> nn.Module:
        library = require("neuralop.models", feature="FNO", install="pip install neuraloperator")
        return library.FNO(
            n_modes=self.modes,
            in_channels=self.in_channels + (self.dimension if self.positional else 0),
            out_channels=self.out_channels,
            hidden_channels=self.width,
            n_layers=self.layers,
            positional_embedding=None,
            domain_padding=self.domain_padding,
            projection_channel_ratio=self.projection_ratio,
        )

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments: `FNO(**model.config)` has the same architecture."""
        names = (
            "in_channels", "out_channels", "shape", "modes", "start", "lengths", "width", "layers", "positional",
            "domain_padding", "projection_ratio", "seed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @classmethod
    def for_data(cls, data: OperatorData, **options: Any) -> FNO:
        """A model that fits the data: channels, shape and box from its grid, 16 modes or as many as the grid resolves.

        Raises
        ------
        DomainError
            When the data live on anything but one uniform grid.
        """
        facts = GridFacts.of(data, model="FNO")
        extent = list(facts.grid.extent.values())
        found: dict[str, Any] = {
            "in_channels": facts.in_channels,
            "out_channels": facts.out_channels,
            "shape": facts.grid.shape,
            "start": tuple(start for start, _ in extent),
            "lengths": facts.lengths,
            "modes": tuple(min(16, n) for n in facts.grid.shape),
        }
        return cls(**(found | options))

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw the weights anew, from the model's own seed or another."""
        with seeded(self.seed if seed is None else seed):
            fresh = self._network().state_dict()
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(fresh[name].to(parameter))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The tensors alone; the library adds its constructor arguments, which no tensor file can hold."""
        state = super().state_dict(*args, **kwargs)
        state.pop("_metadata", None)
        return state

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FNO:
        """Casts reach complex weights through real and imaginary parts; plain torch drops the imaginary ones."""

        def through(tensor: Tensor) -> Tensor:
            if tensor.is_complex():
                return torch.view_as_complex(fn(torch.view_as_real(tensor)).contiguous())
            return fn(tensor)

        return super()._apply(through, recurse)

    def prepare(self, space: FunctionSpace) -> FourierGrid:
        """Positions of the samples; computed once for each grid.

        Raises
        ------
        DomainError
            When the space does not live on a uniform grid of the model's dimension.
        """
        key = space.domain.fingerprint
        if key not in self._contexts:
            grid = uniform_grid(space, "FNO", dimension=self.dimension)
            axes = [values for values in grid.axes.values()]
            self._contexts[key] = self._positions(axes)
        return self._contexts[key]

    def _positions(self, axes: Sequence[Tensor]) -> FourierGrid:
        scaled = [(x - s) / length for x, s, length in zip(axes, self.start, self.lengths, strict=True)]
        return FourierGrid(torch.stack(torch.meshgrid(*scaled, indexing="ij")))

    def forward(
        self, x: Float[Tensor, "batch *shape in_channels"], context: FourierGrid | None = None
    ) -> Float[Tensor, "batch *shape out_channels"]:
        """Apply the operator; without a context, samples are taken to be vertices that fill the training box."""
        if x.ndim != self.dimension + 2 or x.shape[-1] != self.in_channels:
            axes = ", ".join(f"n{i}" for i in range(self.dimension))
            raise InputError(f"the input must have shape (batch, {axes}, {self.in_channels}), got {tuple(x.shape)}")
        shape = tuple(x.shape[1:-1])
        if context is None:
            if shape not in self._contexts:
                ends = zip(self.start, self.lengths, shape, strict=True)
                self._contexts[shape] = self._positions(
                    [torch.linspace(s, s + length, n, dtype=torch.float64) for s, length, n in ends]
                )
            context = self._contexts[shape]
        elif tuple(context.coordinates.shape[1:]) != shape:
            raise InputError(
                f"the context is for a grid of shape {tuple(context.coordinates.shape[1:])}, the input has {shape}"
            )
        fields = x.movedim(-1, 1)
        if self.positional:
            positions = context.coordinates.to(x).expand(len(x), *context.coordinates.shape)
            fields = torch.cat((fields, positions), dim=1)
        return self.network(fields).movedim(1, -1)

    def extra_repr(self) -> str:
        """The arguments that matter most."""
        return (
            f"{self.in_channels}, {self.out_channels}, shape={self.shape}, modes={self.modes}, width={self.width}, "
            f"layers={self.layers}"
        )
