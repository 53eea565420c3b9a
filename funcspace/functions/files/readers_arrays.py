"""Named arrays in NumPy archives, MATLAB files, and HDF5 files without names of dimensions."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.errors import FileError, InputError
from funcspace.functions.files.coordinate_axes import axis_from_coordinates, times_from_coordinates
from funcspace.functions.files.stored_array import INSTALL, opened
from funcspace.geometry.grid import Grid, periodic_names
from funcspace.optional import require

if TYPE_CHECKING:
    from funcspace.functions.operator_data import OperatorData

__all__ = ["from_hdf5", "from_matlab", "from_npz", "matlab_arrays", "npz_arrays"]

AXES = ("x", "y", "z")
DARCY = ("coeff", "sol")


def npz_arrays(path: Any) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive; pickled objects are refused.

    Raises
    ------
    FileError
        When the file is missing, damaged, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        hint = "; pickled objects are never loaded" if "pickle" in str(error) else ""
        raise FileError(f"cannot read {path}: {error}{hint}") from error
    other = [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]
    if other:
        raise FileError(f"{path} holds {other[0]!r}, which is no NumPy array; pickled objects are never loaded")
    return arrays


def from_npz(
    path: Any,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: Any = None,
    element: str | None = None,
    parameters: Sequence[str] = (),
    periodic: Sequence[str] = (),
) -> OperatorData:
    """Samples from the named arrays `(samples, *layout[, components])` of a NumPy archive.

    Parameters
    ----------
    domain : where the functions live. When None, a grid from the archive's own vectors `x`, `y`, `z`.
    periodic : names of the periodic axes of that grid.

    Raises
    ------
    FileError
        When the file is missing, damaged, or holds pickled objects.
    InputError
        When an array is missing or does not fit, or `periodic` names an axis that is not there.
    """
    return _from_named(path, npz_arrays(path), inputs, outputs, domain, element, parameters, periodic)


def from_hdf5(
    path: Any,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: Any = None,
    element: str | None = None,
    parameters: Sequence[str] = (),
    periodic: Sequence[str] = (),
) -> OperatorData:
    """Samples from the arrays `(samples, *layout[, components])` of an HDF5 file whose dimensions have no names.

    Arrays in groups are called by their path, such as "train/a". The other arguments and errors are those of
    `from_npz`.
    """
    with opened(str(path), "netcdf") as file:
        found = dict(_variables(file))
        wanted = {*inputs, *outputs, *parameters, *(AXES if domain is None else ())}
        arrays = {name: np.asarray(variable[...]) if name in wanted else variable for name, variable in found.items()}
        return _from_named(path, arrays, inputs, outputs, domain, element, parameters, periodic)


def _variables(group: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """All variables of a group and of those in it, by path."""
    yield from ((f"{place}{name}", variable) for name, variable in group.variables.items())
    for name, inner in group.groups.items():
        yield from _variables(inner, f"{place}{name}/")


def _from_named(
    path: Any,
    arrays: Mapping[str, Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: Any,
    element: str | None,
    parameters: Sequence[str],
    periodic: Sequence[str],
) -> OperatorData:
    from funcspace.functions.operator_data import OperatorData

    missing = [name for name in (*inputs, *outputs, *parameters) if name not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it has {sorted(arrays)}")
    closed = periodic_names(periodic)
    if domain is None:
        domain = _grid_of(arrays, str(path), closed)
    elif closed:
        raise InputError(f"periodic={closed} means nothing beside domain={domain!r}; make the domain itself periodic")
    return OperatorData.from_arrays(
        {name: arrays[name] for name in inputs},
        {name: arrays[name] for name in outputs},
        domain,
        element=element,
        parameters={name: arrays[name] for name in parameters},
        attributes={"source": Path(path).name},
    )


def _grid_of(arrays: Mapping[str, Any], path: str, periodic: Sequence[str]) -> Grid:
    axes = [
        axis_from_coordinates(name, arrays[name], periodic=name in periodic)
        for name in AXES
        if name in arrays and arrays[name].ndim == 1
    ]
    if not axes:
        raise InputError(f"{path} holds no coordinates x, y, z; give domain=..., such as fs.Grid(x=(0.0, 1.0, 64))")
    if any(flipped for _, flipped in axes):
        raise InputError(
            f"the coordinates in {path} run backwards; flip them together with the data, or give domain=..."
        )
    periodic_names(periodic, [axis.name for axis, _ in axes])
    return Grid.from_axes([axis for axis, _ in axes])


def matlab_arrays(path: Any) -> dict[str, np.ndarray]:
    """The numeric arrays of a MATLAB file, version 5 or 7.3, with MATLAB's order of axes.

    Raises
    ------
    FileError
        When the file is missing or damaged.
    """
    with open(path, "rb") as file:
        if file.read(10) == b"MATLAB 5.0":
            return _version_5(path)
    with opened(str(path), "hdf5") as store:
        return {
            name: np.asarray(dataset[...]).T
            for name, dataset in store.items()
            if hasattr(dataset, "dtype") and dataset.dtype.kind in "iuf" and not dataset.attrs.get("MATLAB_empty", 0)
        }


def _version_5(path: Any) -> dict[str, np.ndarray]:
    io = require("scipy.io", feature="MATLAB files", install=INSTALL)
    try:
        content = io.loadmat(path)
    except Exception as error:  # scipy raises many kinds on damaged files, plain Exception and zlib.error among them
        raise FileError(f"cannot read {path}: {error}") from error
    return {
        name: np.asarray(value)
        for name, value in content.items()
        if not name.startswith("__") and isinstance(value, np.ndarray) and value.dtype.kind in "iuf"
    }


def from_matlab(
    path: Any,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    domain: Any = None,
    element: str | None = None,
    parameters: Sequence[str] = (),
) -> OperatorData:
    """Samples from a MATLAB file, such as those of the first FNO paper.

    ==========================================  ======================================================================
    `coeff` (n, s, s), `sol` (n, s, s)          Darcy: the unit square, vertices
    `a` (n, s), `u` (n, s)                      Burgers: the periodic unit interval
    `a` (n, s, s), `u` (n, s, s, t), `t`        Navier-Stokes: the periodic unit square; `u` over Times * Grid
    anything else                               `inputs`, `outputs` and `domain` must be given
    ==========================================  ======================================================================

    The files hold no coordinates: the domains in this table are those of the papers, and are noted in `attributes`.

    Raises
    ------
    FileError
        When the file is missing or damaged.
    InputError
        When arrays are missing, or the layout is none of these and something was left out.
    """
    from funcspace.functions.operator_data import OperatorData

    arrays = matlab_arrays(path)
    attributes = {"source": Path(path).name}
    names = ([*inputs] if inputs else None, [*outputs] if outputs else None)
    if domain is None:
        known = _known_layout(arrays)
        if known is None:
            raise InputError(
                f"{path} holds {sorted((n, a.shape) for n, a in arrays.items())}, which is no known layout; give "
                "inputs=[...], outputs=[...] and domain=..."
            )
        assumed, domains, arrays = known
        names = (names[0] or [assumed[0]], names[1] or [assumed[1]])
        attributes["domain"] = "as in the paper; the file holds no coordinates"
        fallback = next(iter(domains.values()))
        domain = {name: domains.get(name, fallback) for name in (*names[0], *names[1])}
    if names[0] is None or names[1] is None:
        raise InputError(f"say which of {sorted(arrays)} are inputs=[...] and outputs=[...]")
    missing = [name for name in (*names[0], *names[1], *parameters) if name not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it has {sorted(arrays)}")
    return OperatorData.from_arrays(
        {name: arrays[name] for name in names[0]},
        {name: arrays[name] for name in names[1]},
        domain,
        element=element,
        parameters={name: arrays[name].reshape(-1) for name in parameters},
        attributes=attributes,
    )


def _known_layout(
    arrays: Mapping[str, np.ndarray],
) -> tuple[tuple[str, str], dict[str, Any], dict[str, np.ndarray]] | None:
    """Names of input and output, their domains, and the arrays with time moved first."""
    if all(name in arrays and arrays[name].ndim == 3 for name in DARCY):
        rows, columns = arrays["sol"].shape[1:]
        return DARCY, {"sol": Grid(x=(0.0, 1.0, rows), y=(0.0, 1.0, columns))}, dict(arrays)
    if not {"a", "u"} <= set(arrays):
        return None
    a, u = arrays["a"], arrays["u"]
    if a.ndim == 2 and u.shape == a.shape:
        return ("a", "u"), {"u": Grid(x=(0.0, 1.0, a.shape[1]), periodic="x")}, dict(arrays)
    if a.ndim == 3 and u.ndim == 4 and u.shape[:3] == a.shape and arrays.get("t", np.empty(0)).size == u.shape[3]:
        torus = Grid(x=(0.0, 1.0, a.shape[1]), y=(0.0, 1.0, a.shape[2]), periodic=("x", "y"))
        times, _ = times_from_coordinates(arrays["t"].reshape(-1))
        return ("a", "u"), {"a": torus, "u": times * torus}, {**arrays, "u": np.moveaxis(u, 3, 1)}
    return None
