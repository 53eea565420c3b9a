"""Models of every family, with weights away from the zeros that some start at."""

from __future__ import annotations

import torch

import funcspace as fs

MODELS = {
    "ALRNN": lambda **o: fs.dynamics.ALRNN(3, 9, 4, **o),
    "linear": lambda **o: fs.dynamics.ALRNN(3, 6, 0, **o),
    "PLRNN": lambda **o: fs.dynamics.PLRNN(3, 7, **o),
    "centred": lambda **o: fs.dynamics.PLRNN(3, 7, centred=True, **o),
    "shallow": lambda **o: fs.dynamics.ShallowPLRNN(3, 4, 11, **o),
    "shallow of three": lambda **o: fs.dynamics.ShallowPLRNN(3, 3, 10, **o),
    "clipped shallow": lambda **o: fs.dynamics.ClippedShallowPLRNN(3, 3, 13, **o),
    "shallow of many": lambda **o: fs.dynamics.ClippedShallowPLRNN(3, 7, 19, **o),
    "dendritic": lambda **o: fs.dynamics.DendriticPLRNN(3, 6, 5, clipped=False, **o),
    "clipped dendritic": lambda **o: fs.dynamics.DendriticPLRNN(3, 6, 5, **o),
}


def disturbed(name, dtype=torch.float64, seed=0, **options):
    """A model with weights away from the zeros that some start at."""
    model = MODELS[name](**options).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(dtype))
    return model
