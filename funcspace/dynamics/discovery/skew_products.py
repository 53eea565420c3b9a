"""Skew products: one system drives another by its flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.compiled.expression import LEAVES, Graph
from funcspace.errors import InputError

__all__ = ["rms_flow", "skew_product"]

MOST_TIMES = 5000  # at which a flow that depends on time is asked, one by one


def rms_flow(system: System) -> np.ndarray:
    r"""Root mean square of each component of the flow, :math:`\langle f_i(x)^2 \rangle^{1/2}`, along a long orbit."""
    orbit, spacing, beginning = system.long_orbit
    if not system.equations.explicit_time:
        return np.sqrt(np.square(system.rhs(orbit)).mean(axis=0))
    some = range(0, len(orbit), max(1, len(orbit) // MOST_TIMES))
    flow = np.stack([system.rhs(orbit[i], beginning + i * spacing) for i in some])
    return np.sqrt(np.square(flow).mean(axis=0))


def skew_product(
    driver: System,
    response: System,
    *,
    sources: Sequence[int] | None = None,
    gains: Any = None,
    pace: float | None = None,
    name: str | None = None,
) -> System:
    r"""The flow of a driver x and a response y that feels the flow of the driver.

    .. math:: \dot x = f_a(x), \qquad
       \dot y_i = r \Big( f_{b,i}(y) + g_i \, f_{a, s(i)}(x) \Big)

    By default gains are the ratio of the root mean squares of both flows, so that the response is driven about as
    hard as it moves by itself, and the pace r is the ratio of the periods, so that both are equally fast. In the
    notation of Panda (Lai, Bao and Gilpin, arXiv 2505.13755), :math:`\dot y = \kappa_b f_b(y) + \kappa_a \Pi f_a(x)`
    with :math:`\kappa_b = r` and :math:`\kappa_a = r g`.

    Parameters
    ----------
    driver, response : flows with a formula (those by name, and functions that can be traced).
    sources : s, for each component of y the component of the driver's flow that it feels, -1 for none; by default
        each feels the one of its own number, as far as there are such.
    gains : g, one number or one per component of y.
    pace : r.
    name : "driver->response" by default.

    Returns
    -------
    System
        Of dimension n + m; its parameters are those of both with ``driver_`` and ``response_`` before their names,
        ``gains`` (m,) and ``pace``.

    Raises
    ------
    InputError
        Maps, equations without a formula, sources that the driver does not have, an unknown period.

    Examples
    --------
    >>> import funcspace as fs
    >>> lorenz, rossler = fs.dynamics.system("Lorenz"), fs.dynamics.system("Rossler")
    >>> both = fs.dynamics.skew_product(lorenz, rossler, pace=1.0, gains=0.1)
    >>> both.dimension, float(both.rhs([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])[3])
    (6, -4.0)
    """
    first, second = _flow_formula("driver", driver), _flow_formula("response", response)
    if pace is None and (driver.period is None or response.period is None):
        raise InputError("the pace is the ratio of the periods, and one is not known; give pace=...")
    m = response.dimension
    chosen = list(range(min(m, driver.dimension))) if sources is None else [int(s) for s in sources]
    if sources is None:
        chosen = [s if s not in driver.unbounded and i not in response.unbounded else -1 for i, s in enumerate(chosen)]
        chosen += [-1] * (m - len(chosen))
    if len(chosen) != m or any(not -1 <= s < driver.dimension for s in chosen):
        raise InputError(
            f"sources must be {m} components of {driver.name}, each from 0 to {driver.dimension - 1} or -1; "
            f"got {chosen}"
        )
    if pace is None:
        assert driver.period is not None and response.period is not None
        pace = response.period / driver.period
    if gains is None:
        own, felt = rms_flow(response), rms_flow(driver)
        gains = [own[i] / felt[s] if s >= 0 and felt[s] > 0 else 0.0 for i, s in enumerate(chosen)]
    strengths = np.asarray(gains, dtype=np.float64)
    if strengths.shape not in ((), (1,), (m,)):
        raise InputError(f"gains must be a number, or {m} of them for {response.name}; got shape {strengths.shape}")
    strengths = np.broadcast_to(strengths, m).copy()
    parameters = {
        **{f"driver_{key}": value for key, value in driver.parameters.items()},
        **{f"response_{key}": value for key, value in response.parameters.items()},
    }
    sizes = [np.broadcast_to(np.asarray(s.scale, dtype=np.float64), s.dimension) for s in (driver, response)]
    formula = _formula(first, second, chosen)
    return System(
        name=name or f"{driver.name}->{response.name}",
        equations=formula,
        kind="flow",
        parameters={**{key: parameters[key] for key in list(formula.shapes)[:-2]}, "gains": strengths, "pace": pace},
        initial=np.concatenate([driver.initial, response.initial]),
        period=driver.period if driver.period is not None else 1.0,
        scale=np.concatenate(sizes),
        nonautonomous=driver.nonautonomous or response.nonautonomous,
        unbounded=(*driver.unbounded, *(driver.dimension + i for i in response.unbounded)),
        description=f"{response.name} driven by the flow of {driver.name}.",
    )


def _flow_formula(role: str, given: Any) -> Formula:
    if not (isinstance(given, System) and given.kind == "flow" and isinstance(given.equations, Formula)):
        raise InputError(f"the {role} must be a flow with a formula; {getattr(given, 'name', given)} is not")
    return given.equations


def _formula(driver: Formula, response: Formula, sources: Sequence[int]) -> Formula:
    n, m, graph = driver.dimension, response.dimension, Graph()
    one = _copied(driver, graph, 0, 0)
    two = _copied(response, graph, n, driver.entries)
    gains = driver.entries + response.entries
    pace = graph.put("parameter", gains + m)
    outputs = [one[place] for place in driver.outputs]
    for i, place in enumerate(response.outputs):
        node = two[place]
        if sources[i] >= 0:
            felt = graph.binary("mul", graph.put("parameter", gains + i), one[driver.outputs[sources[i]]])
            node = graph.binary("add", node, felt)
        outputs.append(graph.binary("mul", pace, node))
    wrapped: tuple[int, ...] = ()
    if driver.wrapped or response.wrapped:
        first = [one[w] for w in driver.wrapped] or [graph.put("state", i) for i in range(n)]
        second = [two[w] for w in response.wrapped] or [graph.put("state", n + i) for i in range(m)]
        wrapped = (*first, *second)
    shapes = {
        **{f"driver_{key}": shape for key, shape in driver.shapes.items()},
        **{f"response_{key}": shape for key, shape in response.shapes.items()},
        "gains": (m,),
        "pace": (),
    }
    return Formula(graph, tuple(outputs), n + m, shapes, wrapped)


def _copied(formula: Formula, graph: Graph, state: int, parameter: int) -> list[int]:
    """The nodes of a formula in another graph, its state and parameters shifted."""
    shift, places = {"state": state, "parameter": parameter}, []
    for node in formula.graph.nodes:
        if node[0] in shift:
            places.append(graph.put(node[0], node[1] + shift[node[0]]))
        else:
            places.append(graph.put(*node) if node[0] in LEAVES else graph.put(node[0], *(places[i] for i in node[1:])))
    return places
