"""Learning curves from the records of a training run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import FileError, InputError
from funcspace.functions.plots.plot_axes import make_axes, pyplot, tidy_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_history", "read_history"]

LABELS = {
    "loss": "training loss",
    "rel_l2": "validation, relative $L^2$",
    "rel_h1": "validation, relative $H^1$",
}
# What a record holds beside losses and metrics.
BOOKKEEPING = ("epoch", "step", "seconds", "learning_rate")


def plot_history(
    records: Iterable[Mapping[str, Any]] | str | PathLike[str],
    *,
    ax: Any = None,
    keys: Iterable[str] | None = None,
    over: str = "epoch",
    title: str | None = None,
) -> Axes:
    """Draw losses and metrics of a training run on a logarithmic scale.

    Parameters
    ----------
    records : one mapping per epoch, such as `surrogate.history`, or the path of a `metrics.jsonl`. A last line
        cut short by a crash is ignored.
    ax : matplotlib axes for the curves; when None a new figure, with the learning rate in a strip below.
    keys : which entries to draw; all numbers but the bookkeeping when None. Some records may lack some entries.
    over : the abscissa, "epoch", "step" or "seconds".
    title : title of the axes.

    Returns
    -------
    The matplotlib axes with the curves.

    Raises
    ------
    InputError
        When there are no records, or a key is not in them.
    FileError
        When the file is missing or is not JSON lines.
    """
    rows = read_history(records) if isinstance(records, str | PathLike) else list(records)
    if not rows:
        raise InputError("there are no records to draw")
    present = list(dict.fromkeys(key for row in rows for key, value in row.items() if _is_number(value)))
    wanted = [key for key in present if key not in BOOKKEEPING] if keys is None else list(keys)
    for key in (over, *wanted):
        if key not in present:
            raise InputError(f"no record has a number {key!r}; the records have {', '.join(present)}")
    if not wanted:
        raise InputError(f"the records hold no loss or metric, only {', '.join(present)}")
    strip = None
    if ax is None and "learning_rate" in present:
        _, (ax, strip) = pyplot().subplots(
            2, 1, figsize=(5.6, 4.2), height_ratios=(4, 1), sharex=True, layout="constrained"
        )
    else:
        ax = make_axes(ax, size=(5.6, 3.6))
    positive = True
    for key in wanted:
        x, y = _series(rows, over, key)
        ax.plot(x, y, linewidth=1.5, label=LABELS.get(key, key.replace("_", " ")), marker="o" if len(x) == 1 else None)
        positive &= bool((y > 0).all())
    ax.set_yscale("log" if positive else "linear")
    ax.legend(frameon=False)
    tidy_lines(ax)
    label = {"epoch": "epoch", "step": "update", "seconds": "time [s]"}.get(over, over)
    if strip is None:
        ax.set_xlabel(label)
    else:
        strip.plot(*_series(rows, over, "learning_rate"), color="0.4", linewidth=1.2)
        strip.set_xlabel(label)
        strip.set_ylabel("learning\nrate")
        strip.set_ylim(bottom=0.0)
        tidy_lines(strip)
    if title:
        ax.set_title(title)
    return ax


def read_history(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """The records of a JSON-lines file, without a last line that was cut short."""
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read the records in {path}: {error}") from error
    records = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) - 1 and records:
                break
            raise FileError(f"line {number + 1} of {path} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise FileError(f"line {number + 1} of {path} is not a record of names and numbers")
        records.append(record)
    return records


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _series(rows: Sequence[Mapping[str, Any]], over: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(row[over], row[key]) for row in rows if _is_number(row.get(over)) and _is_number(row.get(key))]
    return tuple(np.array(pairs, dtype=np.float64).reshape(-1, 2).T)  # pyright: ignore[reportReturnType]
