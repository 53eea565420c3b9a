"""Darcy flow from solver to surrogate: train at one resolution, use it at a finer one and on an unstructured mesh."""

from pathlib import Path

import funcspace as fs


def main(folder: Path, samples: int = 250, epochs: int = 10, resolution: int = 33) -> dict[str, float]:
    """Train on `resolution`, measure there and on twice as many points, and solve on a mesh for comparison."""
    solver = fs.solvers.Darcy(coefficient="threshold", resolution=resolution)
    train, test = solver.sample(samples, seed=0).split(samples - 50)
    model = fs.operators.MgNO.for_data(train, width=16)
    surrogate = fs.fit(model, train, validation=test, epochs=epochs, seed=0)
    metrics = surrogate.evaluate(test)

    finer = fs.solvers.Darcy(coefficient="threshold", resolution=2 * resolution - 1).sample(20, seed=1)
    metrics |= {f"finer_{name}": value for name, value in surrogate.evaluate(finer).items()}

    space = fs.FunctionSpace(fs.Mesh.rectangle(0.05), "P1", components=("a",))
    a = finer.inputs["a"][0].to(space)
    truth = fs.solvers.Poisson(
        domain=space.domain, element="P1", coefficient=a, source=1.0, dirichlet={"boundary": 0.0}
    ).solve()
    predicted = surrogate(a, resample=True).to(truth.space)
    metrics["mesh_rel_l2"] = float((predicted - truth).norm("L2") / truth.norm("L2"))
    predicted.plot(title="Predicted pressure on a mesh").figure.savefig(folder / "pressure.png", dpi=150)
    return metrics


if __name__ == "__main__":
    print(main(Path(".")))
