"""The Gray-Scott reaction-diffusion system on a periodic square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from funcspace.arguments import entries_of, is_whole
from funcspace.errors import InputError
from funcspace.functions import Function, FunctionSpace
from funcspace.geometry import Grid, Times
from funcspace.solvers.gaussian_fields import sample_generator
from funcspace.solvers.problem_arguments import sampling
from funcspace.solvers.spectral.modes import Modes
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.spectral.problem import InitialLaw, SpectralProblem, checked_number, periodic_grid

__all__ = ["GrayScott", "RandomDrops"]

Pattern = Literal["gliders", "bubbles", "maze", "worms", "spirals", "spots"]
# Feed and kill rates of the patterns.
PATTERNS = {
    "gliders": (0.014, 0.054),
    "bubbles": (0.098, 0.057),
    "maze": (0.029, 0.057),
    "worms": (0.058, 0.065),
    "spirals": (0.018, 0.051),
    "spots": (0.03, 0.062),
}


class GrayScott(SpectralProblem):
    r"""Two reagents whose reaction U + 2 V -> 3 V makes spots, worms, mazes and spirals.

    du/dt = D_u Lap u - u v^2 + F (1 - u)
    dv/dt = D_v Lap v + u v^2 - (F + k) v

    u and v are concentrations, F the feed rate and k the kill rate (1 / time), D_u = 2e-5 and D_v = 1e-5 by default
    (length^2 / time), as in Pearson, Science 261, 1993. The named patterns are those of the data sets of The Well
    (Ohana et al., NeurIPS 2024):

    =========  =====  =====
    pattern    F      k
    =========  =====  =====
    "gliders"  0.014  0.054
    "bubbles"  0.098  0.057
    "maze"     0.029  0.057
    "worms"    0.058  0.065
    "spirals"  0.018  0.051
    "spots"    0.03   0.062
    =========  =====  =====

    Parameters
    ----------
    pattern : one of the names, or the pair (F, k).
    resolution : points per side; 128 by default.
    diffusion : D_u and D_v.
    domain, length : a periodic Grid, or the sides of the box; 1.25 by default.
    horizon : final time, or `Times` for trajectories.
    spin_up : time that `sample` lets pass before it takes the initial field.
    initial : law of the initial fields on the domain; `RandomDrops` by default.
    numerics : steps, precision, device, threads.

    Raises
    ------
    InputError : an unknown pattern, a parameter out of range.

    Examples
    --------
    >>> data = GrayScott("spots", resolution=32, length=0.4, horizon=100.0).sample(1, seed=0)
    >>> data.outputs["uv"].space.components
    ('u', 'v')
    """

    def __init__(
        self,
        pattern: Pattern | tuple[float, float] = "spots",
        resolution: int | Sequence[int] | None = None,
        *,
        diffusion: tuple[float, float] = (2e-5, 1e-5),
        domain: Grid | None = None,
        length: float | Sequence[float] | None = None,
        horizon: float | Times = 2000.0,
        spin_up: float = 0.0,
        initial: InitialLaw | None = None,
        numerics: Numerics | None = None,
    ) -> None:
        if isinstance(pattern, str) and pattern not in PATTERNS:
            raise InputError(f"no pattern {pattern!r}; there are {', '.join(PATTERNS)}, or give the pair (F, k)")
        rates = PATTERNS[pattern] if isinstance(pattern, str) else entries_of(pattern)
        if len(rates) != 2 or len(entries_of(diffusion)) != 2:
            raise InputError(f"pattern is a name or a pair (F, k), diffusion a pair; got {pattern!r} and {diffusion!r}")
        self.pattern = pattern
        self.feed = checked_number(rates[0], "the feed rate F", least=0.0)
        self.kill = checked_number(rates[1], "the kill rate k", least=0.0)
        self.diffusion = tuple(checked_number(d, "diffusion", least=0.0) for d in diffusion)
        grid = periodic_grid(domain, resolution, length, dim=2, default=(128, 1.25))
        super().__init__(
            grid, ("u", "v"), name="uv", horizon=horizon, spin_up=spin_up,
            initial=RandomDrops(grid) if initial is None else initial, numerics=numerics,
        )  # fmt: skip

    @property
    def degree(self) -> int:
        """The reaction is a product of three."""
        return 3

    def make_equation(self, modes: Modes) -> GrayScottEquation:
        """The equation on some modes."""
        return GrayScottEquation(modes, self.feed, self.kill, self.diffusion)

    def describe(self) -> dict[str, Any]:
        """The equation and its parameters."""
        return {
            "problem": "du/dt = Du Lap u - u v^2 + F (1 - u), dv/dt = Dv Lap v + u v^2 - (F + k) v",
            "feed": self.feed,
            "kill": self.kill,
            "diffusion": list(self.diffusion),
        }


class GrayScottEquation:
    """The two reagents: diffusion and loss are linear, the reaction and the feed are not."""

    def __init__(self, modes: Modes, feed: float, kill: float, diffusion: Sequence[float]) -> None:
        self.modes = modes
        loss = (feed, feed + kill)
        self.linear = torch.stack([-(d * modes.square + r) for d, r in zip(diffusion, loss, strict=True)])
        self.profile = (modes.kept, 1.0 + 0j)
        signs = torch.tensor([-1.0, 1.0], dtype=torch.float64).reshape(2, *[1] * modes.dim)
        self._signs = modes.symbol(signs)[..., None].expand(2, *modes.shape, 2).contiguous()
        supply = torch.zeros((2, *modes.points), dtype=torch.float64)
        supply[0] = feed
        self._feed = torch.view_as_real(modes.project(supply.to(dtype=modes.dtype, device=modes.device)))

    def nonlinear(self, spectra: Complex[Tensor, "*batch 2 *modes"]) -> Complex[Tensor, "*batch 2 *modes"]:
        """The reaction and the feed."""
        u, v = self.modes.evaluate(spectra).split(1, dim=-1 - self.modes.dim)
        reaction = torch.view_as_real(self.modes.transform(u * v * v))
        return torch.view_as_complex(torch.addcmul(self._feed, reaction, self._signs))

    def compiled(self) -> None:
        """There is no faster way."""

    def rates(self, spectra: Complex[Tensor, "batch 2 *modes"]) -> Float[Tensor, " batch"]:
        """v^2 + 2 |u v| at its largest."""
        u, v = self.modes.evaluate(spectra).split(1, dim=1)
        return (v * v + 2.0 * (u * v).abs()).flatten(1).amax(dim=1)


class RandomDrops:
    r"""Random initial states of two reagents: drops of V in a sea of U.

    u = 1 - s/2,  v = s/4,  s = min(1, sum_i exp(-|x - x_i|^2 / (2 r^2))), distances taken around the torus;
    the number of drops and their centres x_i are uniform.

    Parameters
    ----------
    domain : a periodic grid of two axes.
    radius : r, a length; 1/40 of the shorter side by default.
    drops : least and largest number of drops.
    """

    def __init__(self, domain: Grid, radius: float | None = None, drops: tuple[int, int] = (8, 24)) -> None:
        if not isinstance(domain, Grid):
            raise InputError(f"the domain must be a Grid with two periodic axes; got {domain!r}")
        self.domain = domain
        sides = [axis.length for axis in domain.grid_axes]
        self.radius = checked_number(min(sides) / 40.0 if radius is None else radius, "radius", least=1e-12)
        counts = entries_of(drops)
        if len(counts) != 2 or not all(map(is_whole, counts)) or not 0 < counts[0] <= counts[1]:
            raise InputError(f"drops are the least and the largest number, at least 1; got {drops!r}")
        self.drops = counts

    def sample(self, n: int, seed: int | None = 0, *, first: int = 0) -> Function:
        """States first, ..., first + n - 1 of a seed."""
        n, entropy, first = sampling(n, seed, first)
        space = FunctionSpace(self.domain, "fourier", components=("u", "v"))
        states = [self._state(sample_generator(entropy, first + i)) for i in range(n)]
        return Function(space, torch.stack(states), name="uv0")

    def _state(self, generator: np.random.Generator) -> Tensor:
        count = int(generator.integers(self.drops[0], self.drops[1], endpoint=True))
        centres = generator.random((count, self.domain.dim))
        s = np.zeros(self.domain.shape)
        for centre in centres:
            drop = np.ones(())
            for axis, position in zip(self.domain.grid_axes, centre, strict=True):
                away = axis.coordinates.numpy() - axis.start - position * axis.length
                away = away - axis.length * np.round(away / axis.length)
                drop = np.multiply.outer(drop, np.exp(-0.5 * (away / self.radius) ** 2))
            s += drop
        s = np.minimum(s, 1.0).ravel()
        return torch.from_numpy(np.stack([1.0 - 0.5 * s, 0.25 * s], axis=-1))
