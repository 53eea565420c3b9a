"""A trained map as plain equations, to be used where this library is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_latex", "as_numpy"]


def as_numpy(model: Any) -> str:
    """Source of a module with the weights and a function `step(z)`; it needs NumPy only."""
    lines = ["import numpy as np", "", ""]
    lines += [f"{name} = np.array({value.tolist()})" for name, value in _weights(model).items()]
    given = f", under {model.inputs} external inputs s" if model.inputs else ""
    lines += ["", "", f"def step(z{', s' if model.inputs else ''}):"]
    lines += [f'    """The state after z; both are {model.latent} numbers{given}."""']
    lines += [f"    {line}" for line in _body(model)]
    lines += ["", "", "def observe(z):", '    """The observation of a state, in the units of the data."""']
    return "\n".join([*lines, f"    return {_observation(model)}", ""])


def as_latex(model: Any, digits: int = 4) -> str:
    """The map as LaTeX: its form, and its weights as matrices and columns rounded to some digits.

    It needs the package amsmath, and a page as wide as the matrices.
    """
    names = {"A": r"\operatorname{diag} A", "W1": "W_1", "W2": "W_2", "h1": "h_1", "h2": "h_2"}
    names |= {"slopes": r"\alpha", "thresholds": "H"}
    parts = [r"\begin{aligned}", f"&{_form(model)} \\\\"]
    for name, value in _weights(model).items():
        if name in (*model.named_weights(), "C"):
            parts.append(f"&{names.get(name, name)} = {_matrix(value, digits)} \\\\")
    return "\n".join([*parts, r"\end{aligned}"])


def _form(model: Any) -> str:
    driven = " + C s_t" if model.inputs else ""
    if model.family == "shallow":
        hidden = r"(W_2 z_{t-1} + h_2)^+"
        if model.clipped:
            hidden = rf"\left[{hidden} - (W_2 z_{{t-1}})^+\right]"
        return rf"z_t = A z_{{t-1}} + W_1 {hidden} + h_1{driven}"
    if model.family == "dendritic":
        clipped = r" - z_i^+" if model.clipped else ""
        phi = rf"\Phi_i(z) = \sum_b \alpha_b \left[(z_i - H_{{ib}})^+{clipped}\right]"
    else:
        centre = r" - \bar z" if model.scan_weights()[1][1] else ""
        linear = model.latent - model.scan_weights()[1][0]
        phi = rf"\Phi_i(z) = z_i \ (i \le {linear}), \ (z_i{centre})^+ \ (i > {linear})"
    return rf"z_t = A z_{{t-1}} + W \Phi(z_{{t-1}}) + h{driven}, \quad {phi}"


def _body(model: Any) -> list[str]:
    driven = " + C @ s" if model.inputs else ""
    if model.family == "shallow":
        clipped = " - np.maximum(W2 @ z, 0.0)" if model.clipped else ""
        return [f"phi = np.maximum(W2 @ z + h2, 0.0){clipped}", f"return A * z + W1 @ phi + h1{driven}"]
    if model.family == "dendritic":
        clipped = " - np.maximum(z, 0.0)[:, None]" if model.clipped else ""
        phi = f"(np.maximum(z[:, None] - thresholds, 0.0){clipped}) @ slopes"
    else:
        relu, centred = model.scan_weights()[1]
        linear = model.latent - relu
        phi = f"np.concatenate([z[:{linear}], np.maximum(z[{linear}:]{' - np.mean(z)' if centred else ''}, 0.0)])"
    return [f"phi = {phi}", f"return A * z + W @ phi + h{driven}"]


def _weights(model: Any) -> dict[str, np.ndarray]:
    found = {name: _array(weight) for name, weight in model.named_weights().items()}
    if model.inputs:
        found["C"] = _array(model.C)
    found |= {"mean": _array(model.mean), "scale": _array(model.scale)}
    if model.observation.kind in ("affine", "affine-detached"):
        found["B"] = _array(model.observation.matrix)
    elif model.observation.kind == "network":
        inner = {"decoder_in": "D1", "decoder_bias": "d1", "decoder_out": "D2"}
        found |= {short: _array(getattr(model.observation, name)) for name, short in inner.items()}
    return found


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()


def _observation(model: Any) -> str:
    kind = model.observation.kind
    if kind == "identity":
        return f"mean + scale * z[:{model.observed}]"
    if kind == "network":
        return "mean + scale * (D2 @ ((D1 @ z + d1) / (1.0 + np.exp(-(D1 @ z + d1)))))"
    return "mean + scale * (B @ z)"


def _matrix(value: np.ndarray, digits: int) -> str:
    rows = value if value.ndim == 2 else value[:, None]
    body = r" \\ ".join(" & ".join(_number(x, digits) for x in row) for row in rows)
    # pmatrix ends at ten columns
    return rf"\left(\begin{{array}}{{*{{{rows.shape[1]}}}{{r}}}} {body} \end{{array}}\right)"


def _number(x: float, digits: int) -> str:
    mantissa, _, exponent = f"{x:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
