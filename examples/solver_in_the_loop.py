"""A network that inverts Darcy flow, trained through the solver: it is shown pressures, never a coefficient."""

from pathlib import Path

import torch

import funcspace as fs
from funcspace.functions.plots import plot_comparison


def main(folder: Path, resolution: int = 17, samples: int = 288, steps: int = 400) -> dict[str, float]:
    """Train u -> log a by the pressure that the predicted a makes; compare with coefficients it has not seen."""
    recipe = fs.solvers.GaussianRecipe(alpha=3.0, tau=3.0)
    darcy = fs.solvers.Darcy(recipe, resolution=resolution)
    train, test = darcy.sample(samples, seed=0).split(samples - 32)
    space = darcy.space

    # log a as cosines, smoother ones first; the network finds their amplitudes
    x = torch.pi * space.domain.points
    orders = [(i, j) for i in range(6) for j in range(6) if i + j < 6]
    cosines = torch.stack([torch.cos(i * x[:, 0]) * torch.cos(j * x[:, 1]) / (1 + i + j) for i, j in orders])
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(space.n_dofs, 128), torch.nn.GELU(), torch.nn.Linear(128, 128), torch.nn.GELU(),
        torch.nn.Linear(128, len(orders)),
    ).double()  # fmt: skip

    pressures = train.outputs["u"].coefficients
    mean, scale = pressures.mean(dim=0), pressures.std()

    def log_coefficient(u: torch.Tensor) -> torch.Tensor:
        return network((u - mean) / scale) @ cosines

    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(train), (16,))
        u = train.outputs["u"][rows]
        made = darcy.solve(fs.Function(space, log_coefficient(u.coefficients).exp()))
        loss = ((made - u).norm("H1") / u.norm("H1")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    with torch.no_grad():
        u, truth = test.outputs["u"], fs.Function(space, test.inputs["a"].coefficients.log(), name="log a")
        found = fs.Function(space, log_coefficient(u.coefficients), name="log a")
        again = darcy.solve(fs.Function(space, found.coefficients.exp()))
    titles = ("pressure", "log a, never shown", "log a from the pressure", "error")
    plot_comparison(u, truth, found, titles=titles).savefig(folder / "inverted.png", dpi=120)
    return {
        "rel_l2": float(((found - truth).norm("L2") / truth.norm("L2")).mean()),
        "pressure_rel_h1": float(((again - u).norm("H1") / u.norm("H1")).mean()),
    }


if __name__ == "__main__":
    print(main(Path(".")))
