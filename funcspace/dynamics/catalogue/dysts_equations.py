"""Equations and numbers of the dysts database (Gilpin, NeurIPS Datasets and Benchmarks 2021), read, not run.

Every right-hand side is traced once into a formula with parameters by name; its integration is ours.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import funcspace.dynamics.compiled as compiled_package
from funcspace.dynamics.catalogue.delay_equations import DelayFormula
from funcspace.dynamics.catalogue.formula import Formula, symbols
from funcspace.dynamics.compiled.expression import Graph
from funcspace.dynamics.compiled.object_cache import cached_bytes
from funcspace.dynamics.compiled.tracing import entries, retargeted
from funcspace.errors import MissingDependencyError
from funcspace.optional import require

__all__ = ["database", "delay_formula_of", "formula_of", "names", "published", "shapes_of"]

ANNOTATIONS = (
    "maximum_lyapunov_estimated",
    "lyapunov_spectrum_estimated",
    "kaplan_yorke_dimension",
    "correlation_dimension",
    "multiscale_entropy",
    "pesin_entropy",
)
FEATURE = {"feature": "the database of chaotic systems", "install": "pip install 'funcspace[chaos]'"}


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("dysts")
    if found is None or not found.submodule_search_locations:
        require("dysts", **FEATURE)
        raise MissingDependencyError("the installed package dysts has no modules; reinstall it")
    return Path(next(iter(found.submodule_search_locations)))


@functools.cache
def database(discrete: bool = False) -> Mapping[str, Mapping[str, Any]]:
    """What dysts knows of each system: parameters, a state, time scales, annotations, citation."""
    name = "discrete_maps.json" if discrete else "chaotic_attractors.json"
    return json.loads((_folder() / "data" / name).read_text(encoding="utf-8"))


def published(record: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a record that describe the attractor, as published there."""
    return {key: record[key] for key in ANNOTATIONS if record.get(key) is not None}


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """Names of the systems of a kind, "flow", "delay" or "map", that have both numbers and equations."""
    source = (_folder() / ("maps.py" if kind == "map" else "flows.py")).read_text(encoding="utf-8")
    classes = {line[6:].partition("(")[0].strip() for line in source.splitlines() if line.startswith("class ")}
    listed = database(kind == "map")
    return tuple(
        sorted(
            name for name in listed if name in classes and (kind == "map" or listed[name]["delay"] == (kind == "delay"))
        )
    )


def shapes_of(parameters: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of parameters in alphabetical order, as dysts passes them."""
    return {name: np.shape(parameters[name]) for name in sorted(parameters)}


@functools.cache
def _stamp(discrete: bool) -> str:
    """A hash of everything that a formula is made from."""
    digest = hashlib.sha256((_folder() / ("maps.py" if discrete else "flows.py")).read_bytes())
    digest.update((_folder() / "data" / ("discrete_maps.json" if discrete else "chaotic_attractors.json")).read_bytes())
    here = [Path(__file__), Path(__file__).with_name("formula.py")]
    for path in here + sorted(Path(next(iter(compiled_package.__path__))).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def formula_of(name: str, discrete: bool = False) -> Formula:
    """The formula of a flow or map as dysts writes it."""
    key = hashlib.sha256(f"{_stamp(discrete)} {name} {discrete}".encode()).hexdigest()[:40]
    text = cached_bytes(f"{key}.json", lambda: _trace(name, discrete).to_json().encode())
    return Formula.from_json(text.decode())


def _class(name: str, discrete: bool) -> type:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that dysts would like to have
        module = require("dysts.maps" if discrete else "dysts.flows", **FEATURE)
    return getattr(module, name)


def _trace(name: str, discrete: bool) -> Formula:
    cls = _class(name, discrete)
    record = database(discrete)[name]
    shapes = shapes_of(record["parameters"])
    dimension = len(record["initial_conditions"])
    graph = Graph()
    state, parameters = symbols(graph, dimension, shapes)
    model = _Symbolic(cls, parameters)
    own, named = _own_members(cls), True
    if not discrete and "rhs" in own:
        result, named = model.rhs(state, graph.time()), False
    else:
        moment = () if discrete else (graph.time(),)
        result = model._rhs(*state, *moment, *parameters.values())
    outputs = tuple(e.index for e in entries(result, graph))
    wrapped: tuple[int, ...] = ()
    if not discrete and "_postprocessing" in own:
        wrapped = tuple(e.index for e in entries(model._postprocessing(*state), graph))
    variables = tuple(inspect.signature(model._rhs).parameters)[:dimension] if named else ()
    return Formula(graph, outputs, dimension, shapes, wrapped, variables)


@functools.cache
def delay_formula_of(name: str) -> DelayFormula:
    """The formula of a delay system as dysts writes it: of one component and one delay, the parameter tau."""
    key = hashlib.sha256(f"{_stamp(False)} {name} delay".encode()).hexdigest()[:40]
    text = cached_bytes(f"{key}.json", lambda: _trace_delayed(name).to_json().encode())
    return DelayFormula(Formula.from_json(text.decode()), 1, 1)


def _trace_delayed(name: str) -> Formula:
    shapes, graph = shapes_of(database()[name]["parameters"]), Graph()
    (x, earlier), parameters = symbols(graph, 2, shapes)
    model = _Symbolic(_class(name, False), parameters)
    outputs = entries(model._rhs(x, earlier, graph.time(), *parameters.values()), graph)
    return Formula(graph, tuple(e.index for e in outputs), 2, shapes)


def _own_members(cls: type) -> set[str]:
    """Names that a class or a parent defines, those of the bases of the database left out."""
    return {name for parent in cls.__mro__ if parent.__module__.endswith((".flows", ".maps")) for name in vars(parent)}


class _Symbolic:
    """Stands in for an instance of a class of dysts: its parameters are expressions, its methods are traced."""

    def __init__(self, cls: type, parameters: Mapping[str, Any]) -> None:
        self._cls, self._parameters = cls, parameters

    def __getattr__(self, name: str) -> Any:
        if name in self._parameters:
            return self._parameters[name]
        member, static = inspect.getattr_static(self._cls, name), False
        while isinstance(member, staticmethod):
            member, static = member.__func__, True
        function = retargeted(member)
        return function if static else functools.partial(function, self)
