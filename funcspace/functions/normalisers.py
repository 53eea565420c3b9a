"""Normalisers (interim)."""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any
import torch
from torch import Tensor

@dataclass(frozen=True)
class Normaliser:
    kind: str
    shift: Tensor
    scale: Tensor
    @classmethod
    def fit(cls, kind: str, column: Any) -> "Normaliser":
        c = column.coefficients.double()
        n = c.ndim - len(column.space.component_shape)
        ax = tuple(range(n))
        if kind == "standard":
            return cls(kind, c.mean(ax), c.std(ax, correction=0).clamp_min(1e-12))
        if kind == "scale":
            s = c.square().mean(ax).sqrt(); return cls(kind, torch.zeros_like(s), s.clamp_min(1e-12))
        return cls(kind, torch.zeros(()), torch.ones(()))
    def encode(self, x: Tensor) -> Tensor:
        return (x - self.shift.to(x)) / self.scale.to(x)
    def decode(self, x: Tensor) -> Tensor:
        return x * self.scale.to(x) + self.shift.to(x)
    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "shift": self.shift.tolist(), "scale": self.scale.tolist()}
    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> "Normaliser":
        return cls(d["kind"], torch.tensor(d["shift"], dtype=torch.float64), torch.tensor(d["scale"], dtype=torch.float64))
