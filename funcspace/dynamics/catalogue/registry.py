"""The systems by name, and systems of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np

from funcspace.arguments import check_counts
from funcspace.dynamics.annotations.annotations import Annotations, KindOfMotion
from funcspace.dynamics.annotations.measured import measured_annotations
from funcspace.dynamics.annotations.subsets import Subset, in_subset, of_kind
from funcspace.dynamics.catalogue import dysts_equations as dysts
from funcspace.dynamics.catalogue.abstract_system import unknown
from funcspace.dynamics.catalogue.delay_catalogue import named_delay_system, own_delay_system
from funcspace.dynamics.catalogue.delay_system import DelaySystem
from funcspace.dynamics.catalogue.field_system import FIELDS, FieldSystem, field_system
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.own_equations import CORRECTED, CORRECTED_MAPS, lorenz96, two_scale_lorenz96
from funcspace.dynamics.catalogue.own_system import own_system
from funcspace.dynamics.catalogue.system import System
from funcspace.errors import InputError

__all__ = ["system", "systems"]

Kind = Literal["flow", "map", "delay"]
FieldName = Literal["KolmogorovFlow", "KuramotoSivashinsky"]
DelayName = Literal["IkedaDelay", "MackeyGlass", "PiecewiseCircuit", "ScrollDelay", "SprottDelay", "VossDelay"]
KINDS = ("flow", "map", "delay")
# Conservative, though the database does not say so.
HAMILTONIAN = ("HenonHeiles",)
OTHERS = ("TwoScaleLorenz96", *FIELDS)


@overload
def system(equations: FieldName) -> FieldSystem: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def system(
    equations: DelayName,
    *,
    initial: Any = None,
    kind: Literal["delay"] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> DelaySystem: ...
@overload
def system(
    equations: str,
    *,
    dimension: int | None = None,
    initial: Any = None,
    kind: Kind | None = None,
    parameters: Mapping[str, Any] | None = None,
    corrected: bool = True,
) -> System: ...
@overload
def system(
    equations: Callable[..., Any],
    *,
    delays: Sequence[float | str],
    dimension: int | None = None,
    initial: Any,
    name: str | None = None,
    period: float | None = None,
    scale: Any = None,
    parameters: Mapping[str, Any] | None = None,
) -> DelaySystem: ...
@overload
def system(
    equations: Callable[..., Any],
    *,
    dimension: int | None = None,
    initial: Any,
    name: str | None = None,
    kind: Literal["flow", "map"] | None = None,
    period: float | None = None,
    scale: Any = None,
    parameters: Mapping[str, Any] | None = None,
) -> System: ...
@overload
def system(
    equations: Any,
    *,
    initial: Any = None,
    kind: Kind | None = None,
    parameters: Mapping[str, Any] | None = None,
    corrected: bool = True,
) -> Any: ...
def system(
    equations: Any,
    *,
    dimension: int | None = None,
    initial: Any = None,
    name: str | None = None,
    kind: Kind | None = None,
    delays: Sequence[float | str] | None = None,
    period: float | None = None,
    scale: Any = None,
    parameters: Mapping[str, Any] | None = None,
    corrected: bool = True,
) -> Any:
    r"""A system by its name in the database, or from a right-hand side of one's own.

    Names are those of dysts (129 flows, 23 maps, and 6 delay equations, each a `DelaySystem`), "Lorenz96" of any
    `dimension`, "TwoScaleLorenz96", and the fields "KuramotoSivashinsky" and "KolmogorovFlow", each a `FieldSystem`.
    "Duffing" is a flow and, with `kind="map"`, a map. `DoublePendulum` and `WindmiReduced` follow their published
    equations, of which the database differs, and the dry friction of `StickSlipOscillator` is continuous;
    `corrected=False` gives the equations of the database.

    A function `rhs(t, state) -> derivatives` (of a map: `f(state)`) is written in plain Python with math and NumPy,
    with parameters as arguments that have a default. It is run once on expressions, which gives exact derivatives and
    a torch version; where it branches on the state it is compiled by numba instead. A function of torch tensors
    (states (batch, dimension)) is integrated by torch, all trajectories of a batch together; starts on its attractor
    take some seconds, and `integrators.integrate_batched` gives gradients. With `delays` it is the
    right-hand side of a delay equation, `rhs(t, state, *earlier)`, with one earlier state for each delay.

    Parameters
    ----------
    equations : name, function, or a system object of dysts.
    dimension, initial : of a system of one's own, length of the state and a state to start from; of a delay equation,
        `initial` is the history, a constant state or a function of time up to 0.
    name : what it is called; the function's name by default.
    kind : "flow" (default) or "map".
    delays : of a delay equation of one's own, the delays: positive numbers, or names of the parameters that hold them.
    period : time scale, in the function's unit of time; needed for starts on the attractor and for points per period.
    scale : typical size of the components, for tolerances; 1 by default.
    parameters : other values of some parameters, by name.
    corrected : whether to correct equations of the database that are wrong.

    Raises
    ------
    InputError
        Unknown names (the nearest are suggested), wrong dimension, a function that can be neither traced nor compiled.
    MissingDependencyError
        For names, when dysts is not installed.

    Examples
    --------
    >>> import funcspace as fs
    >>> def rhs(t, state, damping=0.1):
    ...     x, v = state
    ...     return v, -x - damping * v
    >>> pendulum = fs.dynamics.system(rhs, dimension=2, initial=(1.0, 0.0), name="pendulum", period=6.28)
    >>> pendulum.with_parameters(damping=0.2).jacobian([0.0, 0.0])
    array([[ 0. ,  1. ],
           [-1. , -0.2]])
    """
    check_counts(dimension=dimension)
    if isinstance(equations, str) and equations in FIELDS:
        given = (dimension, initial, name, delays, period, scale, parameters, None if kind == "flow" else kind)
        if any(each is not None for each in given):
            raise InputError(f"{equations} is a field, which the name alone gives; its solver has the parameters")
        return field_system(equations)
    if isinstance(equations, str):
        found = _named(equations, dimension, kind, corrected)
        if initial is not None:
            found = found.with_initial(initial)
        if name is not None or period is not None or scale is not None or delays is not None:
            raise InputError(f"{equations} has its name, period, scale and delays; they are given for functions only")
    elif type(equations).__module__.startswith("dysts."):
        found = _named(type(equations).__name__, None, kind, corrected).with_parameters(**equations.params)
        # of a delay equation, dysts keeps an embedded state, the first component of which is its constant history
        found = found.with_initial(equations.ic[: found.dimension] if initial is None else initial)
    elif callable(equations):
        if delays is not None:
            found = own_delay_system(equations, delays, dimension, initial, name, period, scale)
        else:
            found = own_system(equations, dimension, initial, name, kind or "flow", period, scale)
    else:
        raise InputError(f"a system is given by its name or a function, not by {type(equations).__name__}")
    return found.with_parameters(**found.known(parameters)) if parameters else found


def systems(
    kind: Kind | None = None,
    *,
    dimension: int | None = None,
    hamiltonian: bool | None = None,
    nonautonomous: bool | None = None,
    kind_of: KindOfMotion | None = None,
    subset: Subset = "all",
) -> tuple[str, ...]:
    """Names of the systems of the database, in alphabetical order, those that have all the properties asked for.

    Not listed, because the database lacks them, are the flows that `system` knows besides: "TwoScaleLorenz96" and the
    fields "KolmogorovFlow" and "KuramotoSivashinsky".

    Parameters
    ----------
    kind : "flow", "map" or "delay"; all by default.
    dimension : of the state.
    hamiltonian, nonautonomous : whether they are.
    kind_of : how they move by measurement, such as "chaotic" (which includes "hyperchaotic") or "transient"; see
        `Annotations`.
    subset : "core", the flows that stay chaotic and are those of published benchmarks; "gilpin131", all systems of
        one; see `annotations.subsets`.

    Raises
    ------
    InputError
        For an unknown kind, kind of motion or subset.

    Examples
    --------
    >>> import funcspace as fs
    >>> [len(fs.dynamics.systems(kind)) for kind in ("flow", "map", "delay")]
    [129, 23, 6]
    >>> fs.dynamics.systems("flow", dimension=6)
    ('CellCycle', 'Hopfield', 'LorenzCoupled')
    >>> fs.dynamics.systems("flow", kind_of="quasi-periodic", dimension=4)
    ('HenonHeiles',)
    >>> len(fs.dynamics.systems(subset="core"))
    105
    >>> "KuramotoSivashinsky" in fs.dynamics.systems(), fs.dynamics.system("KuramotoSivashinsky").kind
    (False, 'flow')
    """
    if kind not in (None, *KINDS):
        raise InputError(unknown("kind", kind, KINDS))
    found = []
    for each in KINDS if kind is None else (kind,):
        records = dysts.database(each == "map")
        chosen = in_subset(dysts.names(each), subset, each)
        for name in chosen if kind_of is None else of_kind(chosen, kind_of, each):
            record = records[name]
            properties = (
                (dimension, 1 if each == "delay" else len(record["initial_conditions"])),
                (hamiltonian, _hamiltonian(name, record)),
                (nonautonomous, bool(record.get("nonautonomous", False))),
            )
            if all(wanted is None or wanted == value for wanted, value in properties):
                found.append(name)
    return tuple(sorted(set(found)))


def _hamiltonian(name: str, record: Mapping[str, Any]) -> bool:
    return bool(record.get("hamiltonian", False)) or name in HAMILTONIAN


def _named(name: str, dimension: int | None, kind: Kind | None, corrected: bool) -> System | DelaySystem:
    if name == "TwoScaleLorenz96":
        return _two_scale_lorenz96(36 * 11 if dimension is None else dimension)
    flows, maps = dysts.names("flow"), dysts.names("map")
    delayed = dysts.names("delay")
    if kind not in (None, *KINDS):
        raise InputError(unknown("kind", kind, KINDS))
    if kind is None:
        kind = "delay" if name in delayed else "map" if name in maps and name not in flows else "flow"
    if name not in {"map": maps, "flow": flows, "delay": delayed}[kind]:
        for each, known, what in (("flow", flows, "flow"), ("map", maps, "map"), ("delay", delayed, "delay equation")):
            if name in known:
                raise InputError(f"{name} is a {what}, no {kind}; leave out kind, or give kind={each!r}")
        raise InputError(unknown("map" if kind == "map" else "system", name, (*flows, *maps, *delayed, *OTHERS)))
    if name == "Lorenz96" and kind == "flow" and dimension is not None:
        return _lorenz96(dimension)
    if kind == "delay":
        found: System | DelaySystem = named_delay_system(name)
    else:
        found = _map(name, corrected) if kind == "map" else _flow(name, corrected)
    if dimension not in (None, found.dimension):
        raise InputError(f"{name} has dimension {found.dimension}; got dimension={dimension}")
    return found


def _flow(name: str, corrected: bool) -> System:
    record = dysts.database()[name]
    formula, own = dysts.formula_of(name), corrected and name in CORRECTED
    if own:
        traced = Formula.traced(CORRECTED[name], formula.dimension, formula.shapes)
        formula = _with_coordinates(traced, formula)
    start, deviation = np.asarray(record["initial_conditions"], dtype=np.float64), np.array(record["std"])
    unbounded = list(record["unbounded_indices"])
    # What grows, a phase or an angle, is measured by how far it comes in a period.
    reach = abs(formula.evaluate(start, 0.0, formula.pack(record["parameters"]))) * record["period"]
    deviation[unbounded] = np.maximum(deviation[unbounded], reach[unbounded])
    return System(
        name=name,
        equations=formula,
        kind="flow",
        parameters=record["parameters"],
        initial=start,
        period=float(record["period"]),
        scale=np.where(deviation > 0, deviation, 1.0),
        hamiltonian=_hamiltonian(name, record),
        nonautonomous=bool(record["nonautonomous"]),
        unbounded=tuple(unbounded),
        corrected=own,
        description=record["description"] or "",
        citation=record["citation"] or "",
        annotations=_annotations(name, record, own or name not in CORRECTED),
    )


def _annotations(name: str, record: Mapping[str, Any], same_equations: bool) -> Annotations:
    published = dysts.published(record)
    return measured_annotations("flow", name, published) if same_equations else Annotations(dysts=published)


def _with_coordinates(formula: Formula, original: Formula) -> Formula:
    """The corrected equations with the bounded coordinates and names of the original."""
    graph, wrapped = formula.graph, []
    places: list[int] = []
    for node in original.graph.nodes:
        leaf = node[0] in ("constant", "state", "parameter", "time")
        places.append(graph.put(*node) if leaf else graph.put(node[0], *(places[i] for i in node[1:])))
    wrapped = tuple(places[i] for i in original.wrapped)
    return Formula(graph, formula.outputs, formula.dimension, formula.shapes, wrapped, original.variables)


def _map(name: str, corrected: bool) -> System:
    record = dysts.database(True)[name]
    start = np.asarray(record["initial_conditions"], dtype=np.float64)
    if name in CORRECTED_MAPS:
        shapes = dysts.shapes_of(record["parameters"])
        formula = Formula.traced(CORRECTED_MAPS[name], len(start), shapes, discrete=True)
    else:
        formula = dysts.formula_of(name, True)
    citation = record.get("citation", "").strip(". ")
    return System(
        name=name,
        equations=formula,
        kind="map",
        parameters=record["parameters"],
        initial=start,
        period=1.0,
        hamiltonian=bool(record.get("hamiltonian", False)),
        citation=citation,
        annotations=measured_annotations("map", name, {}),
    )


def _lorenz96(dimension: int) -> System:
    if dimension < 4:
        raise InputError(f"Lorenz96 is a ring of at least 4 sites; got dimension={dimension}")
    start = np.full(dimension, 8.0)
    start[0] += 0.01
    return System(
        name="Lorenz96",
        equations=Formula.traced(lorenz96, dimension, {"f": ()}),
        kind="flow",
        parameters={"f": 8.0},
        initial=start,
        period=LORENZ96_PERIOD,
        scale=3.6,
        description="Waves on a ring of latitude, damped and forced.",
        citation="Lorenz, E. N. (1996). Predictability: a problem partly solved. ECMWF Seminar on Predictability.",
    )


LORENZ96_PERIOD = 1.7


def _two_scale_lorenz96(dimension: int, per_site: int = 10) -> System:
    if dimension % (per_site + 1) or dimension < 4 * (per_site + 1):
        raise InputError(
            f"TwoScaleLorenz96 has K slow sites and {per_site} fast ones to each, K ({per_site} + 1) in all with K at "
            f"least 4; got dimension={dimension}"
        )
    sites = dimension // (per_site + 1)
    names = ("f", "h", "c", "b")
    start = np.concatenate([3.0 * np.cos(np.arange(sites)), 0.1 * np.cos(3.0 * np.arange(sites * per_site))])
    return System(
        name="TwoScaleLorenz96",
        equations=Formula.traced(two_scale_lorenz96(sites, per_site), dimension, {name: () for name in sorted(names)}),
        kind="flow",
        parameters={"f": 10.0, "h": 1.0, "c": 10.0, "b": 10.0},
        initial=start,
        period=LORENZ96_PERIOD,
        scale=np.concatenate([np.full(sites, 3.0), np.full(sites * per_site, 0.3)]),
        description="Slow waves on a ring, each coupled to fast ones.",
        citation="Lorenz, E. N. (1996). Predictability: a problem partly solved. ECMWF Seminar on Predictability.",
    )
