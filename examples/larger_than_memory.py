"""Data that stay on disk: stream a set to Zarr, train from the file, only ever holding a batch."""

from pathlib import Path

import funcspace as fs


def main(folder: Path, samples: int = 96, epochs: int = 3) -> dict[str, float]:
    """Write a Darcy set, open it lazily, train, and draw the learning curve."""
    path = folder / "darcy.zarr"
    fs.solvers.Darcy(coefficient="threshold", resolution=33).sample(samples, seed=0).save(path)
    train, test = fs.OperatorData.load(path, lazy=True).split(samples - 16)
    model = fs.operators.MgNO.for_data(train, width=12)
    surrogate = fs.fit(model, train, validation=test, epochs=epochs, folder=folder / "run", seed=0)

    from funcspace.functions.plots import plot_history

    plot_history(surrogate.history).figure.savefig(folder / "history.png", dpi=150)
    return surrogate.evaluate(test)


if __name__ == "__main__":
    print(main(Path(".")))
