"""From NumPy arrays to a trained, saved and evaluated surrogate: the time-one map of the heat equation on a ring."""

from pathlib import Path

import numpy as np

import funcspace as fs


def heat_on_a_ring(samples: int, points: int = 64, time: float = 2e-3) -> tuple[np.ndarray, np.ndarray]:
    """Random periodic temperatures, and the same after `time` (diffusivity 1), by Fourier series."""
    generator = np.random.default_rng(0)
    waves = np.arange(1, 13)
    spectrum = generator.standard_normal((samples, 2, 12)) / waves
    angle = 2 * np.pi * waves[:, None] * np.arange(points) / points
    shapes = np.stack([np.cos(angle), np.sin(angle)])
    before = np.einsum("skm,kmx->sx", spectrum, shapes)
    after = np.einsum("skm,kmx->sx", spectrum * np.exp(-((2 * np.pi * waves) ** 2) * time), shapes)
    return before, after


def main(folder: Path, epochs: int = 40) -> dict[str, float]:
    """Train, save, reload, evaluate, and draw one test sample."""
    before, after = heat_on_a_ring(120)  # any arrays (samples, *grid shape[, components])
    ring = fs.Grid(x=(0.0, 1.0, 64), periodic=["x"], units={"x": "m"})
    data = fs.OperatorData.from_arrays({"before": before}, {"after": after}, ring, units={"before": "K", "after": "K"})
    train, test = data.split(100)
    model = fs.operators.MgNO.for_data(train, width=16)
    fs.fit(model, train, validation=test, epochs=epochs, batch_size=20, seed=0).save(folder / "heat")
    surrogate = fs.load(folder / "heat")
    metrics = surrogate.evaluate(test)

    before, after = test.inputs["before"][0], test.outputs["after"][0]
    axes = before.plot(title="Heat on a ring")
    after.plot(ax=axes)
    surrogate(before).plot(ax=axes)
    axes.legend(["before", "after", "surrogate"])
    axes.figure.savefig(folder / "heat.png", dpi=150)
    return metrics


if __name__ == "__main__":
    print(main(Path(".")))
