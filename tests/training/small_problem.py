"""A small problem and a small model that the tests of training share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import funcspace as fs


class Affine(nn.Module):
    """Channel mixing at each point, one hidden layer: enough to learn u = a sin(pi x) pointwise."""

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 16,
        dropout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "dropout": dropout,
            "seed": seed,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(
                nn.Linear(in_channels, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, out_channels)
            )

    def forward(self, x: Tensor, context: Any = None) -> Tensor:
        return self.net(x)


def make_data(samples: int = 24, seed: int = 0, points: int = 17) -> fs.OperatorData:
    generator = torch.Generator().manual_seed(seed)
    a = 1 + torch.rand(samples, points, 9, generator=generator, dtype=torch.float64)
    grid = fs.Grid(x=(0.0, 1.0, points), y=(0.0, 1.0, 9))
    return fs.OperatorData.from_arrays({"a": a}, {"u": 2 * a + 0.3 * a**2}, grid)
