r"""Dynamical noise: a flow driven by Wiener processes, in the sense of Ito.

.. math:: dx = f(t, x; p)\,dt + G(t, x; p)\,dW

G is given as

====================  ==================================================================================================
a number              the same, additive noise on each component, in units of x per square root of time
(dimension,)          a diagonal G: one Wiener process for each component
(dimension, sources)  a matrix G: `sources` Wiener processes
a function            of (t, state, parameters by name) that returns one of these, traced like a right-hand side; those
                      of its arguments that are parameters of the system have the same values
====================  ==================================================================================================

Steps are constant. Milstein's method (strong order 1) is taken where the noise is diagonal, its entry i a function of
component i alone; Euler and Maruyama's otherwise, of strong order 1/2, and 1 where G is constant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funcspace.dynamics.catalogue.formula import symbols
from funcspace.dynamics.catalogue.sampling import child_seed
from funcspace.dynamics.catalogue.torch_field import NEEDS_COMPILED, TorchField
from funcspace.dynamics.compiled.differentiation import jacobian
from funcspace.dynamics.compiled.expression import Graph, TracingError
from funcspace.dynamics.compiled.llvm_code import field_address
from funcspace.dynamics.compiled.tracing import retargeted
from funcspace.dynamics.integrators.stochastic import Diffusion, solve_stochastic
from funcspace.errors import InputError

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.system import System
    from funcspace.dynamics.integrators.solve import Guards

__all__ = ["StochasticMethod", "diffusion_of", "driven"]

StochasticMethod = Literal["EulerMaruyama", "Milstein"]
METHODS = ("auto", "EulerMaruyama", "Milstein")
DYNAMICAL = 2
STEPS_PER_PERIOD, STEPS_PER_SAMPLE = 2_000, 20


def diffusion_of(system: System, noise: Any, method: str) -> Diffusion:
    """The diffusion of `dynamical_noise`.

    Raises
    ------
    InputError
        For another shape than the system's, a function that cannot be traced, or a method that does not suit it.
    """
    if method not in METHODS:
        raise InputError(f"with dynamical_noise, method must be one of {', '.join(METHODS)}; got {method!r}")
    if callable(noise):
        return _traced(system, noise, method)
    d = system.dimension
    try:
        array = np.asarray(noise, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"dynamical_noise must be numbers or a function of time and state: {error}") from error
    if array.shape not in ((), (d,)) and not (array.ndim == 2 and array.shape[0] == d and array.shape[1] > 0):
        raise InputError(
            f"dynamical_noise must be a number, an array ({d},), a matrix ({d}, sources) or a function of time and "
            f"state of {system.name}; got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError("dynamical_noise must be finite")
    if array.ndim < 2:
        return Diffusion(np.broadcast_to(array, d).copy(), 0, True, False, d)
    return Diffusion(array.ravel().copy(), 0, False, False, array.shape[1])


def _traced(system: System, noise: Callable[..., Any], method: str) -> Diffusion:
    d, graph, name = system.dimension, Graph(), getattr(noise, "__name__", "dynamical_noise")
    state, parameters = symbols(graph, d, system.equations.shapes)
    wanted = list(inspect.signature(noise).parameters)[2:]
    for each in wanted:
        if each not in parameters:
            raise InputError(f"{name} takes {each!r}, which is no parameter of {system.name}")
    try:
        result = retargeted(noise)(graph.time(), state, **{each: parameters[each] for each in wanted})
        array = np.array(result, dtype=object)
        lifted = [graph.lift(entry) for entry in array.ravel()]
    except (TracingError, TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as error:
        raise InputError(
            f"{name} cannot be traced: {error}. Write the noise without branches, with numpy.where or numpy.maximum"
        ) from error
    if any(entry is None for entry in lifted):
        raise InputError(f"{name} must return numbers")
    outputs = [entry.index for entry in lifted if entry is not None]
    if array.shape in ((), (1,)) and d > 1:
        array, outputs = np.empty(d), outputs * d
    if array.ndim < 2:
        if len(outputs) != d:
            raise InputError(f"{name} must return {d} entries or a matrix ({d}, sources); got shape {array.shape}")
        return _diagonal(graph, outputs, method, name)
    if array.ndim != 2 or array.shape[0] != d:
        raise InputError(f"{name} must return {d} entries or a matrix ({d}, sources); got shape {array.shape}")
    if method == "Milstein":
        raise InputError('method "Milstein" needs diagonal noise, with as many entries as components')
    return Diffusion(np.zeros(len(outputs)), field_address(graph, outputs), False, False, len(outputs) // d)


def _diagonal(graph: Graph, outputs: list[int], method: str, name: str) -> Diffusion:
    d = len(outputs)
    rows = jacobian(graph, outputs, d)
    mixed = [(i, j) for i in range(d) for j in range(d) if i != j and graph.number(rows[i][j]) != 0.0]
    if mixed and method == "Milstein":
        i, j = mixed[0]
        raise InputError(
            f'method "Milstein" needs noise whose entry i depends on component i alone; entry {i} of {name} depends on '
            f'component {j}. Take method "EulerMaruyama"'
        )
    milstein = not mixed and method != "EulerMaruyama"
    if milstein:
        half = graph.put("constant", 0.5)
        slopes = [graph.binary("mul", half, graph.binary("mul", outputs[i], rows[i][i])) for i in range(d)]
        milstein = any(graph.number(slope) != 0.0 for slope in slopes)
        outputs = [*outputs, *slopes] if milstein else outputs
    return Diffusion(np.zeros(len(outputs)), field_address(graph, outputs), True, milstein, d)


def driven(
    system: System,
    noise: Any,
    first: np.ndarray,
    packed: np.ndarray,
    *,
    origins: np.ndarray,
    transient: float,
    spacing: float,
    count: int,
    entropy: Any,
    method: str,
    step: float | None,
    guards: Guards,
    workers: int | None,
) -> np.ndarray:
    """Samples (batch, count, dimension) of a flow with dynamical noise; see `System.trajectory`."""
    if isinstance(system.equations, TorchField):
        raise InputError(f"trajectories of {system.name} with dynamical_noise {NEEDS_COMPILED}")
    if system.kind != "flow":
        raise InputError(f"dynamical_noise drives flows; {system.name} is a map")
    if step is not None and not (np.isfinite(step) and step > 0):
        raise InputError(f"step must be positive; got {step}")
    diffusion = diffusion_of(system, noise, method)
    longest = step
    if longest is None:
        longest = spacing / STEPS_PER_SAMPLE if system.period is None else system.period / STEPS_PER_PERIOD

    def increments(row: int, part: int, h: float) -> Callable[[int], np.ndarray]:
        seed = child_seed(entropy, row, DYNAMICAL).spawn(2)[part]
        generator = np.random.Generator(np.random.PCG64(seed))
        return lambda steps: np.sqrt(h) * generator.standard_normal((steps, diffusion.sources))

    scale = np.broadcast_to(np.asarray(system.scale, dtype=np.float64), system.dimension)
    return solve_stochastic(
        system.equations.field_address,
        diffusion,
        first,
        packed,
        origins=origins,
        spacing=spacing,
        count=count,
        step=longest,
        transient=transient,
        increments=increments,
        limits=guards.limit * scale,
        workers=workers,
        name=system.name,
    )
