"""Lyapunov spectra of maps: learned models, functions on states, products of Jacobians, and systems of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funcspace.arguments import as_numbers, check_counts, entropy_of, is_number, is_whole
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.series import FloatArray
from funcspace.errors import InputError, SolverError

__all__ = ["lyapunov_spectrum", "lyapunov_spectrum_of_products"]

ENTRIES = 2_000_000
Map = Callable[[Tensor], Tensor]


def lyapunov_spectrum(
    model: Any,
    initial: Any = None,
    steps: int | None = None,
    *,
    dt: float | None = None,
    count: int | None = None,
    transient: int | None = None,
    every: int | None = None,
    blocks: int | None = None,
    jacobian: Callable[[Tensor], Tensor] | None = None,
    pool: bool | None = None,
    seed: int | None = None,
    **options: Any,
) -> Estimate:
    r"""Lyapunov exponents of a map, in descending order, with standard errors.

    .. math:: \lambda_i = \lim_{n \to \infty} \frac{1}{n \, \Delta t} \sum_{m=1}^{n} \log R^{(m)}_{ii},
              \qquad DF(x_{m-1}) \, Q^{(m-1)} = Q^{(m)} R^{(m)}, \quad x_m = F(x_{m-1})

    (Benettin et al., Meccanica 15, 1980.) The orbit is iterated first; derivatives at all its states follow in large
    batches, by forward-mode automatic differentiation unless `jacobian` is given; compiled code multiplies
    and orthonormalises them in float64. Errors come from the means over `blocks` stretches of the orbit and the
    covariance of neighbouring ones: they hold if a stretch is longer than the memory of the dynamics, and are rather
    too large than too small for short orbits of flows.

    A system of the library, or any object with a method `lyapunov_spectrum`, is asked itself, with the arguments that
    were given and further ones that it knows; the defaults are then its own.

    Known values: Henon map (0.419, -1.623), logistic map at r = 4 log 2 = 0.693, Lorenz-63 (0.9056, 0, -14.572), and
    any stable fixed point the logarithms of the magnitudes of its multipliers. A direction that a singular derivative
    annihilates has the exponent minus infinity.

    Parameters
    ----------
    model : a torch module or function that maps a state (dimension,), or states (batch, dimension), to the next; of a
        module with a method `step` that one is the map, and its method `jacobian`, if any, the derivative. Its
        weights stay as they are; parameters in float32 make the derivatives float32.
    initial : a state (dimension,), or a batch of them, (batch, dimension).
    steps : number of steps over which exponents are averaged.
    dt : time of one step, 1 by default; exponents are per unit of time.
    count : only so many of the largest exponents.
    transient : number of steps that are run first, tangent vectors included; none by default.
    every : orthonormalise after so many steps, each by default; more is faster, too many loses the small exponents.
    blocks : stretches for the errors, 20 by default.
    jacobian : derivative (batch, dimension, dimension) at states (batch, dimension), or one at a time.
    pool : for a batch of initial states, return their mean, and its error from their spread.
    seed : of the first tangent vectors, 0 by default.

    Returns
    -------
    Estimate
        Exponents (count,), or (batch, count) for a batch, with `details` "covariance", "steps" and "final" (the last
        state).

    Raises
    ------
    InputError
        When the model is no map of states, or arguments do not fit.
    SolverError
        When the orbit or a derivative is not finite, or tangent vectors vanish between orthonormalisations.

    Examples
    --------
    >>> import torch
    >>> def henon(state):
    ...     x, y = state
    ...     return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x])
    >>> spectrum = lyapunov_spectrum(henon, [0.1, 0.1], 2000, transient=100)
    >>> [round(float(x), 1) for x in spectrum]
    [0.4, -1.6]
    """
    if hasattr(model, "lyapunov_spectrum"):
        given = {"initial": initial, "steps": steps, "dt": dt, "count": count, "transient": transient, "every": every}
        given |= {"blocks": blocks, "jacobian": jacobian, "pool": pool, "seed": seed}
        return _asked(model, given, options)
    if options:
        raise InputError(f"unknown arguments for a map: {', '.join(sorted(options))}")
    dt, transient, every = (
        1.0 if dt is None else dt, 0 if transient is None else transient, 1 if every is None else every
    )  # fmt: skip
    blocks, pool, seed = 20 if blocks is None else blocks, bool(pool), 0 if seed is None else seed
    if initial is None or steps is None:
        raise InputError("a map needs an initial state and a number of steps: lyapunov_spectrum(model, initial, steps)")
    start = _initial(model, initial)
    single = start.ndim == 1
    states = torch.atleast_2d(start)
    dimension = states.shape[1]
    count = dimension if count is None else count
    check_counts(count=count)
    if count > dimension:
        raise InputError(f"count must be between 1 and the dimension {dimension}, got {count}")
    _check_numbers(steps, transient, every, blocks, dt)
    mapping = model
    if isinstance(model, torch.nn.Module) and callable(getattr(model, "step", None)):
        mapping, jacobian = model.step, jacobian or getattr(model, "jacobian", None)
    step = _batched_map(mapping, states)
    derivative = _batched_jacobian(step, states, jacobian)
    logs, final = _run(step, derivative, states, (transient // every * every, steps), count, every, seed)
    spectra = [_averaged(each, dt * every, blocks) for each in logs]
    details: dict[str, Any] = {"steps": steps, "final": final.to("cpu", torch.float64).numpy().copy()}
    if single:
        values, covariance = spectra[0]
        details["final"] = details["final"][0]
    elif pool:
        if len(spectra) < 2:
            raise InputError("pool=True needs at least two initial states")
        each = np.stack([values for values, _ in spectra])
        values, covariance = each.mean(axis=0), np.cov(each.T).reshape(count, count) / len(each)
    else:
        values, covariance = np.stack([s[0] for s in spectra]), np.stack([s[1] for s in spectra])
    return _sorted(values, covariance, details)


def lyapunov_spectrum_of_products(
    jacobians: Any,
    *,
    dt: float = 1.0,
    count: int | None = None,
    transient: int = 0,
    every: int = 1,
    blocks: int = 20,
    seed: int = 0,
) -> Estimate:
    """Lyapunov exponents of the product of given matrices, the first acting first; see `lyapunov_spectrum`.

    Parameters
    ----------
    jacobians : matrices (steps, dimension, dimension), a tensor or an array; or an iterable of such stretches, where
        they are too many to hold at once.
    transient : so many of the first matrices turn the tangent vectors, but do not count.
    dt, count, every, blocks, seed : as in `lyapunov_spectrum`.

    Examples
    --------
    >>> import numpy as np
    >>> round(lyapunov_spectrum_of_products(np.tile(np.diag([2.0, 0.5]), (300, 1, 1)))[0], 2)
    0.69
    """
    check_counts(every=every, count=count)
    if not isinstance(jacobians, Iterable):
        raise InputError(f"jacobians must be matrices (steps, dimension, dimension); got {type(jacobians).__name__}")
    matrices = isinstance(jacobians, list | tuple) and (not jacobians or np.ndim(jacobians[0]) < 3)
    stretches = [jacobians] if matrices or hasattr(jacobians, "shape") else jacobians
    rows, left, parts, steps = np.zeros((0, 0)), np.zeros((0, 0, 0)), [], 0
    for stretch in stretches:
        array = stretch.detach().cpu().numpy() if isinstance(stretch, Tensor) else np.asarray(stretch)
        if array.ndim != 3 or array.shape[1] != array.shape[2] or array.dtype.kind not in "fi":
            raise InputError(f"jacobians must be real, of shape (steps, dimension, dimension); got {array.shape}")
        array = np.ascontiguousarray(array, dtype=np.float64)
        if not rows.size:
            wanted = int(array.shape[1] if count is None else count)
            if not 1 <= wanted <= array.shape[1]:
                raise InputError(f"count must be between 1 and the dimension {array.shape[1]}, got {count}")
            rows = _first_rows(array.shape[1], wanted, seed)
        if array.shape[1] != rows.shape[1]:
            raise InputError(f"jacobians must be of one dimension; after {rows.shape[1]} there came {array.shape[1]}")
        array = np.concatenate([left, array]) if len(left) else array
        whole = len(array) // every * every
        logs = np.zeros((whole // every, len(rows)))
        _propagate(array[:whole], rows, every, logs, steps)
        parts.append(logs)
        left, steps = array[whole:], steps + whole
    _check_numbers(steps - transient, transient, every, blocks, dt)
    counted = np.concatenate(parts)[transient // every :]
    values, covariance = _averaged(counted, dt * every, blocks)
    return _sorted(values, covariance, {"steps": steps - transient // every * every})


def _asked(model: Any, given: dict[str, Any], options: dict[str, Any]) -> Estimate:
    """The spectrum that an object computes itself, from the arguments that were given, as an Estimate."""
    named = {name: value for name, value in given.items() if value is not None}
    method = model.lyapunov_spectrum
    known = set(signature(method).parameters)
    if "count" in named and "count" not in known and "exponents" in known:
        named["exponents"] = named.pop("count")
    unknown = sorted({*named, *options} - known)
    if unknown:
        raise InputError(
            f"{type(model).__name__} computes its spectrum itself and takes no {', '.join(unknown)}; it takes "
            f"{', '.join(sorted(known))}"
        )
    found = method(**named, **options)
    if isinstance(found, Estimate):
        return found
    return Estimate(np.asarray(found, dtype=np.float64), getattr(found, "error", np.nan))


def _check_numbers(steps: int, transient: int, every: int, blocks: int, dt: float) -> None:
    if not all(map(is_whole, (steps, transient, every, blocks))) or min(steps, transient + 1, every, blocks - 1) < 1:
        raise InputError(
            "steps and every must be whole numbers, at least 1, transient not negative, blocks at least 2; got "
            f"steps={steps!r}, every={every!r}, transient={transient!r}, blocks={blocks!r}"
        )
    if steps < blocks * every:
        raise InputError(
            f"{steps} steps are too few for {blocks} blocks of {every} step(s); take more steps or fewer blocks"
        )
    if not (is_number(dt) and dt > 0):
        raise InputError(f"dt must be a positive time, got {dt!r}")


def _initial(model: Any, initial: Any) -> Tensor:
    if not callable(model):
        raise InputError(f"the model must be a map of states or have lyapunov_spectrum; got {type(model).__name__}")
    dtype, device = torch.float64, torch.device("cpu")
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                dtype, device = tensor.dtype, tensor.device
                break
    state = torch.as_tensor(
        as_numbers(initial, "the initial state") if not isinstance(initial, Tensor) else initial
    ).detach()
    if state.ndim not in (1, 2) or 0 in state.shape:
        raise InputError(f"initial must be a state (dimension,) or states (batch, dimension); got {tuple(state.shape)}")
    if not torch.isfinite(state).all():
        raise InputError("the initial state must be finite")
    return state.to(device, dtype)


def _batched_map(model: Any, states: Tensor) -> Map:
    """The map on states (batch, dimension), however it is written; a row must not depend on other rows."""
    dimension = states.shape[1]
    probe = states[:1] + 1e-3 * torch.arange(3, dtype=states.dtype, device=states.device)[:, None]
    with torch.no_grad():
        try:
            together = model(probe)
            alone = torch.cat([model(row[None]) for row in probe])
            if together.shape == probe.shape == alone.shape and torch.allclose(
                together, alone, rtol=1e-4, atol=1e-6, equal_nan=True
            ):
                return model
        except Exception:  # a map written for one state fails on several in a way of its own
            pass
        try:
            result = model(states[0])
        except Exception as error:
            raise InputError(
                f"the model could not be applied to a state ({dimension},) of {states.dtype}, nor to states (batch, "
                f"{dimension}): {type(error).__name__}: {error}"
            ) from error
    if not isinstance(result, Tensor) or result.shape != (dimension,):
        got = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise InputError(f"the model must map a state ({dimension},), a tensor, to one of that shape; got {got}")
    rowwise = torch.func.vmap(model)
    # one state needs no vectorising, which costs more than a small map
    return lambda x: model(x[0])[None] if len(x) == 1 else rowwise(x)


def _batched_jacobian(step: Map, states: Tensor, given: Callable[[Tensor], Tensor] | None) -> Map:
    d = states.shape[1]
    if given is None:
        units = torch.eye(d, dtype=states.dtype, device=states.device)

        def forward_mode(x: Tensor) -> Tensor:
            columns = [torch.func.jvp(step, (x,), (unit.expand_as(x).contiguous(),))[1] for unit in units]
            return torch.stack(columns, dim=-1)

        return forward_mode
    probe = states[:1] + 1e-3 * torch.arange(d + 1, dtype=states.dtype, device=states.device)[:, None]
    try:
        together, alone = given(probe), torch.cat([given(row[None]) for row in probe])
        if together.shape == alone.shape == (d + 1, d, d) and torch.allclose(together, alone, rtol=1e-4, atol=1e-6):
            return given
    except Exception:  # so does a derivative
        pass
    shape = tuple(given(states[0]).shape)
    if shape != (d, d):
        raise InputError(f"jacobian must give a matrix ({d}, {d}) at a state, got {shape}")
    return torch.func.vmap(given)


def _run(
    step: Map, derivative: Map, states: Tensor, lengths: tuple[int, int], count: int, every: int, seed: int
) -> tuple[FloatArray, Tensor]:
    """Logarithmic growth (batch, stretches, count) after the transient, and the last states."""
    batch, d = states.shape
    total = sum(lengths) // every * every
    rows = np.stack([_first_rows(d, count, seed) for _ in range(batch)])
    logs = np.zeros((batch, total // every, count))
    chunk = max(every, min(total, ENTRIES // (batch * d * d)) // every * every)
    done = 0
    with torch.no_grad():
        while done < total:
            length = min(chunk, total - done)
            orbit = torch.empty((length, batch, d), dtype=states.dtype, device=states.device)
            for n in range(length):
                orbit[n] = states
                states = step(states)
            matrices = derivative(orbit.reshape(-1, d)).to("cpu", torch.float64).numpy().reshape(length, batch, d, d)
            _check_finite(orbit, states, matrices, done)
            for b in range(batch):
                window = logs[b, done // every : (done + length) // every]
                _propagate(np.ascontiguousarray(matrices[:, b]), rows[b], every, window, done)
            done += length
    return logs[:, lengths[0] // every :], states


def _check_finite(orbit: Tensor, states: Tensor, matrices: np.ndarray, done: int) -> None:
    good = torch.isfinite(orbit).all(dim=-1).all(dim=-1).cpu().numpy() & np.isfinite(matrices).all(axis=(1, 2, 3))
    if not good.all():
        n = int(good.argmin())
        raise SolverError(
            f"the orbit or its derivative is not finite at step {done + n}; the map diverges from this initial state",
            state=orbit[max(n - 1, 0)].cpu(),
        )
    if not torch.isfinite(states).all():
        raise SolverError(f"the orbit is not finite at step {done + len(orbit)}", state=orbit[-1].cpu())


def _first_rows(dimension: int, count: int, seed: int) -> FloatArray:
    matrix = np.random.default_rng(entropy_of(seed)).standard_normal((dimension, dimension))
    return np.ascontiguousarray(np.linalg.qr(matrix)[0][:count])


def _propagate(matrices: FloatArray, rows: FloatArray, every: int, logs: FloatArray, done: int) -> None:
    from funcspace.dynamics.invariants._tangent_kernels import growth

    lost = growth(matrices, rows, every, logs)
    if lost >= 0:
        raise SolverError(
            f"a tangent vector vanished or overflowed at step {done + lost}: {every} steps between orthonormalisations "
            "are too many, or the derivative overflows; take every=1, or ask for fewer exponents with count=..."
        )


def _averaged(logs: FloatArray, time: float, blocks: int) -> tuple[FloatArray, FloatArray]:
    """Mean growth per unit of time, and the covariance of that mean.

    With G_k the covariance of the means over blocks k apart, that of the overall mean is (G_0 + G_1 + G_1^T)/n. The
    sums of growths fluctuate at the ends of a block without growing, which makes neighbours
    anticorrelated: G_0 alone would be several times too large for flows. Directions in which little is left get the
    share of the ends, G_0/n^2. Exponents of minus infinity have no error, NaN.
    """
    n, count = logs.shape
    finite = np.flatnonzero(np.isfinite(logs).all(axis=0))
    if len(finite) < count:
        values, covariance = logs.mean(axis=0) / time, np.full((count, count), np.nan)
        if len(finite):
            values[finite], covariance[np.ix_(finite, finite)] = _averaged(logs[:, finite], time, blocks)
        return values, covariance
    length = n // blocks
    means = logs[n - blocks * length :].reshape(blocks, length, count).mean(axis=1) / time
    centred = means - means.mean(axis=0)
    own = centred.T @ centred / (blocks - 1)
    next_to = centred[1:].T @ centred[:-1] / (blocks - 1)
    total = own + next_to + next_to.T
    # whitened by G_0, the floor is the same in all directions
    size, vectors = np.linalg.eigh(own)
    kept = size > 1e-12 * max(float(size[-1]), 1e-300)
    root = vectors[:, kept] * np.sqrt(size[kept])
    inverse = vectors[:, kept] / np.sqrt(size[kept])
    share, axes = np.linalg.eigh(inverse.T @ total @ inverse)
    axes = root @ axes
    return logs.mean(axis=0) / time, (axes * np.maximum(share, 1.0 / blocks)) @ axes.T / blocks


def _sorted(values: FloatArray, covariance: FloatArray, details: dict[str, Any]) -> Estimate:
    order = np.argsort(-values, axis=-1, kind="stable")
    values = np.take_along_axis(values, order, axis=-1)
    covariance = np.take_along_axis(covariance, order[..., :, None], axis=-2)
    covariance = np.take_along_axis(covariance, order[..., None, :], axis=-1)
    errors = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1).clip(min=0.0))
    return Estimate(values, errors, {**details, "covariance": covariance})
