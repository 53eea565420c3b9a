"""MgNO: the multigrid neural operator on uniform grids in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from funcspace.arguments import whole_number
from funcspace.errors import InputError
from funcspace.functions import FunctionSpace, OperatorData
from funcspace.operators.coefficient_network import CoefficientNetwork
from funcspace.operators.grid_data import GridFacts
from funcspace.operators.grid_levels import (
    GridHierarchy,
    GridLevel,
    anchored_hierarchy,
    coarsest_levels,
    parse_boundary,
    scale_free_hierarchy,
)
from funcspace.operators.grid_stencil import channels_last
from funcspace.operators.multigrid_cycle import CYCLES
from funcspace.operators.multigrid_network import ACTIVATIONS, MultigridNetwork
from funcspace.operators.reference_network import ReferenceNetwork
from funcspace.operators.seeded import seeded
from funcspace.operators.uniform_grid import uniform_grid

__all__ = ["MgNO"]

CHOICES = {
    "samples": ("vertices", "cells"),
    "conditioning": (None, "coefficient"),
    "cycle": CYCLES,
    "restriction": ("residual", "full"),
    "form": ("default", "reference"),
    "activation": tuple(ACTIVATIONS),
    "initialisation": ("multigrid", "solver"),
}
LEARNING_RATES = {"default": 4e-3, "coefficient": 2e-4, "reference": 5e-4}


class MgNO(nn.Module):
    r"""Multigrid neural operator: each layer's linear map is a learned multigrid cycle.

    .. math::

        x_{k+1} = \sigma\bigl(W_{Mg}^{(k)} x_k + W^{(k)} x_k + B^{(k)}\bigr), \qquad
        W_{Mg} f:\quad u \leftarrow u + S_i (f - A_i u), \quad u \leftarrow u + P\,\mathrm{cycle}(R (f - A u))

    with S, A, R, P learned convolutions on a hierarchy of grids and B a function of position (He, Liu, Xu: MgNO,
    ICLR 2024, arXiv 2310.19809).

    Departures from the paper's released form, which `form="reference"` keeps:

    - The residual is restricted and a correction is prolonged, as in the paper's text; the reference code restricts the
      right-hand side and the unknown separately.
    - Boundary conditions hold in smoothing, restriction and prolongation through ghost values, per side; the output is
      exactly zero (or `lifting`) at Dirichlet vertices.
    - Coarse samples stay where they are in space on any grid size, so mirror images map to mirror images; the reference
      shifts by half a cell per level.
    - A, R and P are one stencil per channel and start as the finite-element Laplacian, full weighting and linear
      interpolation; smoothers mix channels, on the finest level at each point. This keeps products over levels well
      scaled (larger steps are stable) and puts the work where it is cheap.
    - Levels are anchored by the physical spacing, so that the model can be applied at other resolutions: on a finer
      grid, stencils act on the level with the spacing they were built for, and pointwise maps on the rest.
    - With `conditioning="coefficient"` A comes from the first input channel, as the stencil of
      :math:`-\nabla\cdot(a\nabla u)` on each level, and the network is an unrolled solver whose smoothers, transfers,
      source and coarse coefficients are learned.

    Parameters
    ----------
    in_channels, out_channels : number of channels.
    shape : the grid that the model is built for; it can be applied to others.
    lengths : physical lengths of the axes (of the period, on a periodic axis); 1 each by default.
    boundary : "dirichlet", "neumann" or "periodic": one for all, or per axis one or a pair (low side, high side).
    samples : "vertices" or "cells".
    width : channels inside.
    layers : number of layers; with a coefficient, of cycles.
    levels : number of grids; as many as there are when None.
    conditioning : None, or "coefficient".
    coefficient : (offset, scale) such that offset + scale * channel 0 is the positive coefficient.
    source : size of the learned source before training, with a coefficient.
    cycle : "backslash", "V" or "W"; a V cycle with a coefficient and a backslash cycle without by default.
    cycles : multigrid cycles per layer.
    smoothing : steps on the way down: finest level, levels between, coarsest level.
    post_smoothing : steps on the way up.
    restriction : "residual" or "full".
    fine_points : 1 or 3, points per axis of the finest smoother.
    bias_modes : cosines per axis of the bias functions B; 1 for constants.
    activation : "gelu", or "identity" for a linear operator.
    initialisation : "multigrid", or "solver": the classical method for the Poisson equation itself.
    form : "default" or "reference".
    seed : of the weights' initial values.

    Shapes
    ------
    input : (batch, *shape, in_channels); output : (batch, *shape, out_channels).

    Raises
    ------
    InputError
        When an argument is out of range.

    Examples
    --------
    >>> model = MgNO(1, 1, shape=(16, 16), boundary="dirichlet", width=4)
    >>> model(torch.randn(2, 16, 16, 1)).shape
    torch.Size([2, 16, 16, 1])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        shape: Sequence[int],
        lengths: Sequence[float] | None = None,
        boundary: Any = "neumann",
        samples: str = "vertices",
        width: int | None = None,
        layers: int = 4,
        levels: int | None = None,
        conditioning: str | None = None,
        coefficient: Sequence[float] = (0.0, 1.0),
        source: float = 1.0,
        cycle: str | None = None,
        cycles: int = 1,
        smoothing: Sequence[int] = (1, 1, 2),
        post_smoothing: int = 1,
        restriction: str = "residual",
        fine_points: int = 1,
        bias_modes: int = 4,
        activation: str = "gelu",
        initialisation: str = "multigrid",
        form: str = "default",
        seed: int = 0,
    ) -> None:
        super().__init__()
        dimension, shape = len(shape), tuple(whole_number(n, "a number of samples in shape") for n in shape)
        if dimension not in (1, 2, 3) or min(shape) < 2:
            raise InputError(f"shape must have 1, 2 or 3 axes of at least 2 samples, got {tuple(shape)}")
        levels = None if levels is None else whole_number(levels, "levels")
        coarse = conditioning == "coefficient"
        self.in_channels = whole_number(in_channels, "in_channels")
        self.out_channels = whole_number(out_channels, "out_channels")
        self.shape, self.dimension = shape, dimension
        self.lengths = tuple(float(x) for x in (lengths if lengths is not None else [1.0] * dimension))
        self.boundary = parse_boundary(boundary, dimension)
        self.samples, self.conditioning, self.form = samples, conditioning, form
        self.width = whole_number((8 if coarse else 24) if width is None else width, "width")
        self.layers = whole_number(layers, "layers")
        self.coefficient = (float(coefficient[0]), float(coefficient[1]))
        self.source = float(source)
        self.cycle = cycle if cycle is not None else ("V" if coarse else "backslash")
        self.cycles = whole_number(cycles, "cycles")
        self.post_smoothing = whole_number(post_smoothing, "post_smoothing", least=0)
        self.smoothing = tuple(whole_number(s, "a count in smoothing") for s in smoothing)
        self.bias_modes = whole_number(bias_modes, "bias_modes")
        self.restriction, self.fine_points = restriction, fine_points
        self.activation, self.initialisation = activation, initialisation
        self._check()
        available = coarsest_levels(self._level(self.shape, self._spacing(self.shape)), levels)
        self.levels = len(available) if form == "default" else int(levels or len(available))
        self._spacings = tuple(level.spacing for level in available)
        self._contexts: dict[Any, GridHierarchy] = {}
        self.seed = whole_number(seed, "seed", least=0)
        with seeded(self.seed):
            self.network = self._network()
        self.reset_parameters()

    def _check(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        if len(self.smoothing) != 3:
            raise InputError(f"smoothing must be three counts of at least 1, got {self.smoothing}")
        if self.fine_points not in (1, 3):
            raise InputError(f"fine_points must be 1 or 3, got {self.fine_points}")
        if len(self.lengths) != self.dimension or min(self.lengths) <= 0:
            raise InputError(f"lengths must be {self.dimension} positive numbers, got {self.lengths}")

    def _network(self) -> nn.Module:
        if self.form == "reference":
            return ReferenceNetwork(
                self.in_channels, self.out_channels, width=self.width, layers=self.layers, levels=self.levels,
                smoothing=self.smoothing, dimension=self.dimension,
            )  # fmt: skip
        shared: dict[str, Any] = {
            "width": self.width,
            "layers": self.layers,
            "dimension": self.dimension,
            "samples": self.samples,
            "levels": self.levels,
            "smoothing": self.smoothing,
            "post_smoothing": self.post_smoothing if self.cycle != "backslash" else 0,
            "cycle": self.cycle,
        }
        if self.conditioning == "coefficient":
            return CoefficientNetwork(self.in_channels, self.out_channels, **shared)
        return MultigridNetwork(
            self.in_channels, self.out_channels, cycles=self.cycles, restriction=self.restriction,
            fine_points=self.fine_points, activation=self.activation, bias_modes=self.bias_modes,
            periodic=tuple(sides[0] == "periodic" for sides in self.boundary), **shared,
        )  # fmt: skip

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments: `MgNO(**model.config)` has the same architecture."""
        names = (
            "in_channels", "out_channels", "shape", "lengths", "boundary", "samples", "width", "layers", "levels",
            "conditioning", "coefficient", "source", "cycle", "cycles", "smoothing", "post_smoothing", "restriction",
            "fine_points", "bias_modes", "activation", "initialisation", "form", "seed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @property
    def learning_rate(self) -> float:
        """Peak rate that the training uses when it is given none."""
        return LEARNING_RATES["reference" if self.form == "reference" else self.conditioning or "default"]

    @classmethod
    def reference(
        cls, in_channels: int = 1, out_channels: int = 1, *, shape: Sequence[int] = (256, 256), **options: Any
    ) -> MgNO:
        """The form of the authors' code; by default their configuration for rough Darcy coefficients."""
        defaults: dict[str, Any] = {"width": 24, "layers": 4, "levels": 6, "boundary": "dirichlet", "form": "reference"}
        return cls(in_channels, out_channels, shape=shape, **(defaults | options))

    @classmethod
    def for_data(cls, data: OperatorData, **options: Any) -> MgNO:
        """A model that fits the data.

        Channels, shape, lengths and kind of samples come from the data's grid. A side on which all outputs are zero is
        Dirichlet (on cells, a side for which the data declare it); an axis of a periodic grid is periodic; all other
        sides are Neumann.

        With `conditioning="coefficient"` the first input is the coefficient, standardised as `fit` does it, and the
        size of the source is the one with which the untrained model fits the first outputs best.

        Parameters
        ----------
        data : OperatorData on a uniform grid.
        **options : any argument of `MgNO`, instead of what the data say.

        Raises
        ------
        DomainError
            When the data live on anything but one uniform grid.
        """
        facts = GridFacts.of(data, model="MgNO")
        found: dict[str, Any] = {
            "shape": facts.grid.shape,
            "lengths": facts.lengths,
            "samples": facts.grid.samples,
            "boundary": facts.boundary,
        }
        if options.get("conditioning") == "coefficient":
            found["coefficient"] = facts.coefficient()
        arguments: dict[str, Any] = (
            {"in_channels": facts.in_channels, "out_channels": facts.out_channels} | found | options
        )
        model = cls(**arguments)
        if options.get("conditioning") == "coefficient" and "source" not in options:
            arguments["source"] = model.source * facts.best_factor(model)
            model = cls(**arguments)
        return model

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw the weights anew, from the model's own seed or another."""
        network: Any = self.network
        with seeded(self.seed if seed is None else seed):
            if isinstance(network, CoefficientNetwork):
                network.reset_parameters(self.source)
            else:
                network.reset_parameters(self._spacings, self.initialisation)

    def _spacing(self, shape: Sequence[int]) -> tuple[float, ...]:
        closed = [sides[0] == "periodic" for sides in self.boundary]
        ends = [1 if self.samples == "vertices" and not p else 0 for p in closed]
        return tuple(length / (n - e) for length, n, e in zip(self.lengths, shape, ends, strict=True))

    def _level(self, shape: Sequence[int], spacing: Sequence[float]) -> GridLevel:
        """The finest level; lengths are measured in the longest side that the model was built for."""
        unit = max(self.lengths)
        return GridLevel.finest(tuple(shape), [h / unit for h in spacing], self.boundary, self.samples)

    def _hierarchy(self, shape: Sequence[int], spacing: Sequence[float]) -> GridHierarchy:
        finest = self._level(shape, spacing)
        if self.conditioning == "coefficient":
            return scale_free_hierarchy(finest, self._spacings[0], self.levels)
        return anchored_hierarchy(finest, self._spacings[0], self.levels)

    def prepare(self, space: FunctionSpace) -> GridHierarchy:
        """The hierarchy of grids under a function space; computed once for each grid.

        Raises
        ------
        DomainError
            When the space does not live on a uniform grid, or on one of another kind than the model was built for.
        """
        key = space.domain.fingerprint
        if key not in self._contexts:
            closed = tuple(sides[0] == "periodic" for sides in self.boundary)
            grid = uniform_grid(space, "MgNO", dimension=self.dimension, samples=self.samples, periodic=closed)
            self._contexts[key] = self._hierarchy(grid.shape, grid.spacing)
        return self._contexts[key]

    def forward(
        self,
        x: Float[Tensor, "batch *shape in_channels"],
        context: GridHierarchy | None = None,
        lifting: Float[Tensor, "batch *shape out_channels"] | None = None,
    ) -> Float[Tensor, "batch *shape out_channels"]:
        """Apply the operator.

        Parameters
        ----------
        x : input channels on a grid.
        context : from `prepare`; without it the grid is taken to fill the box that the model was built for.
        lifting : a field that is added to the output, whose values at Dirichlet vertices the output then has exactly.
        """
        if x.ndim != self.dimension + 2 or x.shape[-1] != self.in_channels:
            axes = ", ".join(f"n{i}" for i in range(self.dimension))
            raise InputError(f"the input must have shape (batch, {axes}, {self.in_channels}), got {tuple(x.shape)}")
        shape = tuple(x.shape[1:-1])
        if context is None:
            context = self._contexts.get(shape)
            if context is None:
                context = self._contexts[shape] = self._hierarchy(shape, self._spacing(shape))
        elif context.levels[0].shape != shape:
            raise InputError(f"the context is for a grid of shape {context.levels[0].shape}, the input has {shape}")
        fields = channels_last(x.movedim(-1, 1))
        if isinstance(self.network, CoefficientNetwork):
            fields = torch.cat((self.coefficient[0] + self.coefficient[1] * fields[:, :1], fields[:, 1:]), dim=1)
        y = self.network(fields, context)
        mask = context.mask(0, y)
        if mask is not None and self.form == "default":
            y = torch.where(mask > 0, y, torch.zeros_like(y))
        y = y.movedim(1, -1)
        return y if lifting is None else y + lifting

    def extra_repr(self) -> str:
        """The arguments that matter most."""
        kind = f', conditioning="{self.conditioning}"' if self.conditioning else ""
        form = ', form="reference"' if self.form == "reference" else ""
        return (
            f"{self.in_channels}, {self.out_channels}, shape={self.shape}, width={self.width}, layers={self.layers}, "
            f"levels={self.levels}{kind}{form}"
        )
