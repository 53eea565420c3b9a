"""An inverse problem: the conductivity of a plate from noisy values of the pressure, through a differentiable solve."""

from pathlib import Path

import numpy as np
import torch

import funcspace as fs
from funcspace.functions.plots import plot_comparison


def main(folder: Path, size: float = 0.05, sensors: int = 400, steps: int = 60) -> dict[str, float]:
    """Find the most likely log k under a Gaussian prior; the gradient of the misfit costs one more solve."""
    mesh = fs.Mesh.rectangle(size)
    space = fs.FunctionSpace(mesh, "P1")
    tau, sigma = 4.0, 2.5
    truth = fs.solvers.GaussianField(mesh, alpha=2.0, tau=tau, sigma=sigma).sample(1, seed=3)[0].renamed("log k")

    def pressure(log_k: torch.Tensor) -> fs.Function:
        return fs.solvers.Poisson(mesh, "P1", coefficient=fs.Function(space, log_k.exp()), source=1.0).solve()

    chance = np.random.default_rng(0)
    points = torch.from_numpy(chance.uniform(0.02, 0.98, (sensors, 2)))
    clean = pressure(truth.coefficients)(points)
    noise = 0.005 * float(clean.std())
    data = clean + noise * torch.from_numpy(chance.standard_normal(sensors))

    log_k = torch.zeros(space.n_dofs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_k], max_iter=steps, line_search_fn="strong_wolfe", tolerance_change=0.0)

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        misfit = ((pressure(log_k)(points) - data) / noise).square().sum()
        # The prior says that (tau^2 - Lap) log k is white noise of strength sigma tau.
        white = (tau**2 * space.mass(log_k) + space.stiffness(log_k)) / (sigma * tau)
        loss = 0.5 * (misfit + (white.square() / space.integrals).sum())
        loss.backward()
        return loss

    optimizer.step(objective)
    found = fs.Function(space, log_k.detach(), name="log k")
    u = pressure(found.coefficients)
    titles = ("pressure", "log k", f"from {sensors} pressures", "error")
    plot_comparison(u, truth, found, titles=titles).savefig(folder / "recovered.png", dpi=120)
    return {
        "rel_l2": float((found - truth).norm("L2") / truth.norm("L2")),
        "misfit": float((u(points) - data).square().mean().sqrt() / noise),
    }


if __name__ == "__main__":
    print(main(Path(".")))
