"""Functions without a model: solve on a disc, evaluate anywhere, move between spaces, keep the result in a file."""

import math
from pathlib import Path

import torch

import funcspace as fs


def main(folder: Path) -> dict[str, float]:
    """Solve -lap u = 1 on the unit disc, whose solution is (1 - r^2) / 4."""
    disc = fs.Mesh.disc(0.1, curved=True)
    u = fs.solvers.Poisson(domain=disc, element="P2", coefficient=1.0, source=1.0, dirichlet={"boundary": 0.0}).solve()

    points = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.3, -0.4]], dtype=torch.float64)
    exact = (1 - points.square().sum(dim=1)) / 4
    errors = {
        "at_points": float((u(points) - exact).abs().max()),
        "gradient": float((u.gradient(points) + points / 2).abs().max()),
        "integral": abs(float(u.integral()) - math.pi / 8),
    }
    grid = fs.FunctionSpace(fs.Grid(x=(-0.7, 0.7, 41), y=(-0.7, 0.7, 41)))
    on_grid = u.to(grid)  # values of the same function at the nodes of a grid inside the disc
    errors["grid"] = float((on_grid.values[20, 20] - 0.25).abs())

    u.to_xarray().to_netcdf(folder / "disc.nc")
    import xarray

    again = fs.Function.from_xarray(xarray.open_dataset(folder / "disc.nc"))
    errors["file"] = float((again.coefficients - u.coefficients).abs().max())
    u.plot(title="Deflection of a membrane", mesh=True).figure.savefig(folder / "disc.png", dpi=150)
    return errors


if __name__ == "__main__":
    print(main(Path(".")))
