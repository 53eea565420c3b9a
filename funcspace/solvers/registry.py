"""The problems by name, for the command line and for scripts."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from funcspace.errors import InputError

__all__ = ["problem", "problem_class", "problems"]

# name: module and class; a problem has sample(n, seed, first=...) -> OperatorData
PROBLEMS = {
    "allen_cahn": "funcspace.solvers.spectral:AllenCahn",
    "burgers": "funcspace.solvers.spectral:Burgers",
    "cahn_hilliard": "funcspace.solvers.spectral:CahnHilliard",
    "cylinder_flow": "funcspace.solvers.flow:CylinderFlow",
    "darcy": "funcspace.solvers.darcy:Darcy",
    "euler": "funcspace.solvers.conservation:Euler",
    "gray_scott": "funcspace.solvers.spectral:GrayScott",
    "heat_sines": "funcspace.solvers.linear:HeatSines",
    "helmholtz_cavity": "funcspace.solvers.linear:HelmholtzCavity",
    "heterogeneous_plate": "funcspace.solvers.solids:HeterogeneousPlate",
    "holed_cell": "funcspace.solvers.solids:HoledCell",
    "kolmogorov_flow": "funcspace.solvers.spectral:KolmogorovFlow",
    "korteweg_de_vries": "funcspace.solvers.spectral:KortewegDeVries",
    "kuramoto_sivashinsky": "funcspace.solvers.spectral:KuramotoSivashinsky",
    "lid_driven_cavity": "funcspace.solvers.flow:LidDrivenCavity",
    "poisson_gauss": "funcspace.solvers.linear:PoissonGauss",
    "poisson_sines": "funcspace.solvers.linear:PoissonSines",
    "shallow_water": "funcspace.solvers.spectral:ShallowWater",
    "torus_navier_stokes": "funcspace.solvers.spectral:TorusNavierStokes",
    "wave_layers": "funcspace.solvers.linear:WaveLayers",
    "wave_sines": "funcspace.solvers.linear:WaveSines",
}


def problems() -> dict[str, str]:
    """The names that `problem` knows, each with the first line of its class's docstring.

    >>> problems()["darcy"]
    'Pairs (coefficient, solution) of the Darcy problem.'
    """
    return {name: (inspect.getdoc(problem_class(name)) or "").partition("\n")[0] for name in sorted(PROBLEMS)}


def problem(name: str, /, **options: Any) -> Any:
    """A problem by name; the options are the arguments of its class.

    Raises
    ------
    InputError
        When there is no problem of that name, or it has no such option.

    Examples
    --------
    >>> problem("darcy", resolution=32)
    Darcy('threshold') on Grid(x=(0.0, 1.0, 32), y=(0.0, 1.0, 32))
    """
    kind = problem_class(name)
    known = list(inspect.signature(kind).parameters)
    unknown = [key for key in options if key not in known]
    if unknown:
        raise InputError(f"{name!r} has no option {unknown[0]!r}{_meant(unknown[0], known)}; it has {', '.join(known)}")
    required = [
        key
        for key, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD and key not in options
    ]
    if required:
        raise InputError(f"{name!r} needs the option {required[0]!r}")
    return kind(**options)


def problem_class(name: str) -> Any:
    """The class of a problem, imported now; an InputError with suggestions where the name is unknown."""
    if not isinstance(name, str):
        raise InputError(f"a problem is named by a text, such as 'darcy'; got {name!r}")
    key = name.lower().replace("-", "_")
    if key not in PROBLEMS:
        raise InputError(f"no problem {name!r}{_meant(key, list(PROBLEMS))}; there is {', '.join(sorted(PROBLEMS))}")
    module, _, attribute = PROBLEMS[key].partition(":")
    return getattr(import_module(module), attribute)


def _meant(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=2)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
