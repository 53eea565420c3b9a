r"""The scan of a mixture of almost-linear networks whose weights a context decides; see `DynaMix`.

Arrays are (time, ...) for each sequence, which numbers them in front. Frames and features of the context are
(component, frame), weights of the experts (unit before, expert and unit after): innermost loops run over neighbours.
"""

import numba
import numpy as np

from funcspace.dynamics.reconstruction.kernels.forcing_kernels import OPTIONS

__all__ = ["backward_all", "forward_all"]


@numba.njit(inline="always", **OPTIONS)
def _distances(x, epsilon, D, sigma, frames, query, distance):
    """The query of a state, and its l1 distances to the frames of the context."""
    observed, count = frames.shape
    units = x.shape[0]
    for n in range(observed):
        q = sigma[n] * epsilon[n]
        for m in range(units):
            q += D[n, m] * x[m]
        query[n] = q
    for f in range(count):
        distance[f] = abs(query[0] - frames[0, f])
    for n in range(1, observed):
        q = query[n]
        for f in range(count):
            distance[f] += abs(q - frames[n, f])


@numba.njit(**OPTIONS)
def forward(
    start, frames, features, targets, epsilon, interval, relu, A, W, h, D, sigma, U, V, tau,
    inputs, attention, seen, hidden, logits, weights, each, states,
):  # fmt: skip
    """States of one sequence, and all that the adjoint needs: whatever comes after tau is written."""
    steps, units = states.shape
    observed, count = frames.shape
    experts = U.shape[0]
    linear = units - relu
    zero = start.dtype.type(0)
    x, query, distance = start.copy(), np.empty(observed, start.dtype), np.empty(count, start.dtype)
    for t in range(steps):
        for m in range(units):
            inputs[t, m] = x[m]
        _distances(x, epsilon[t], D, sigma, frames, query, distance)
        nearest = distance[0]
        for f in range(1, count):
            nearest = min(nearest, distance[f])
        sharpness, total = 1 / tau[0], zero
        share = attention[t]
        for f in range(count):
            share[f] = np.exp((nearest - distance[f]) * sharpness)
        for f in range(count):
            total += share[f]
        for f in range(count):
            share[f] /= total
        for n in range(observed):
            s = zero
            for f in range(count):
                s += share[f] * features[n, f]
            seen[t, n] = s
        for j in range(experts):
            s = zero
            for n in range(observed):
                s += U[j, n] * seen[t, n]
            for m in range(units):
                s += U[j, observed + m] * x[m]
            hidden[t, j] = max(s, zero)
        for i in range(experts):
            s = zero
            for j in range(experts):
                s += V[i, j] * hidden[t, j]
            logits[t, i] = s
        least, total, sharpness = logits[t, 0], zero, 1 / tau[1]
        for j in range(1, experts):
            least = min(least, logits[t, j])
        for j in range(experts):
            weights[t, j] = np.exp((least - logits[t, j]) * sharpness)
            total += weights[t, j]
        for j in range(experts):
            weights[t, j] /= total
        y = each[t]
        for j in range(experts):
            for m in range(units):
                y[j * units + m] = A[j, m] * x[m] + h[j, m]
        for k in range(units):
            p = x[k] if k < linear else max(x[k], zero)
            row = W[k]
            for i in range(experts * units):
                y[i] += p * row[i]
        for m in range(units):
            x[m] = zero
        for j in range(experts):
            w = weights[t, j]
            for m in range(units):
                x[m] += w * y[j * units + m]
        for m in range(units):
            states[t, m] = x[m]
        if (t + 1) % interval == 0:
            for n in range(observed):
                x[n] = targets[t, n]


@numba.njit(**OPTIONS)
def backward(
    frames, features, epsilon, interval, relu, A, W, D, sigma, U, V, tau,
    inputs, attention, seen, hidden, logits, weights, each, of_states,
    of_start, deltas, of_features, of_D, of_sigma, of_U, of_V, of_tau,
):  # fmt: skip
    """Cotangents of one sequence, added to arrays of zeros; `deltas` are those of the states before forcing."""
    steps, units = of_states.shape
    observed, count = frames.shape
    experts = U.shape[0]
    linear = units - relu
    zero = of_states.dtype.type(0)
    query, distance = np.empty(observed, of_states.dtype), np.empty(count, of_states.dtype)
    of_share, of_weights = np.empty(count, of_states.dtype), np.empty(experts, of_states.dtype)
    of_hidden, of_seen = np.empty(experts, of_states.dtype), np.empty(observed, of_states.dtype)
    cotangent, spread = np.zeros(units, of_states.dtype), np.empty(experts * units, of_states.dtype)
    blunt, sharp = 1 / tau[0], 1 / tau[1]
    for t in range(steps - 1, -1, -1):
        x, delta, share = inputs[t], deltas[t], attention[t]
        if (t + 1) % interval == 0:
            for n in range(observed):
                cotangent[n] = zero
        for m in range(units):
            delta[m] = of_states[t, m] + cotangent[m]
        mean = zero
        for j in range(experts):
            s, w = zero, weights[t, j]
            for m in range(units):
                s += delta[m] * each[t, j * units + m]
                spread[j * units + m] = w * delta[m]
            of_weights[j] = s
            mean += w * s
        for j in range(experts):
            of_hidden[j] = zero
        for i in range(experts):
            g = weights[t, i] * (of_weights[i] - mean)
            of_tau[1] += g * logits[t, i] * sharp * sharp
            g *= -sharp
            for j in range(experts):
                of_V[i, j] += g * hidden[t, j]
                of_hidden[j] += V[i, j] * g
        for n in range(observed):
            of_seen[n] = zero
        for m in range(units):
            cotangent[m] = zero
        for j in range(experts):
            g = of_hidden[j] if hidden[t, j] > 0 else zero
            for n in range(observed):
                of_U[j, n] += g * seen[t, n]
                of_seen[n] += U[j, n] * g
            for m in range(units):
                of_U[j, observed + m] += g * x[m]
                cotangent[m] += U[j, observed + m] * g + A[j, m] * spread[j * units + m]
        for k in range(units):
            s, row = zero, W[k]
            for i in range(experts * units):
                s += row[i] * spread[i]
            if k < linear or x[k] > 0:
                cotangent[k] += s
        _distances(x, epsilon[t], D, sigma, frames, query, distance)
        for f in range(count):
            of_share[f] = zero
        for n in range(observed):
            g = of_seen[n]
            for f in range(count):
                of_share[f] += g * features[n, f]
                of_features[n, f] += g * share[f]
        mean = zero
        for f in range(count):
            mean += share[f] * of_share[f]
        total = zero
        for f in range(count):
            g = share[f] * (of_share[f] - mean)
            total += g * distance[f]
            of_share[f] = -g * blunt
        of_tau[0] += total * blunt * blunt
        for n in range(observed):
            g, q = zero, query[n]
            for f in range(count):
                apart = q - frames[n, f]
                g += of_share[f] if apart > 0 else (-of_share[f] if apart < 0 else zero)
            of_sigma[n] += g * epsilon[t, n]
            for m in range(units):
                of_D[n, m] += g * x[m]
    for m in range(units):
        of_start[m] = cotangent[m]


@numba.njit(**OPTIONS)
def forward_all(
    first, last, start, frames, features, targets, epsilon, interval, relu, A, W, h, D, sigma, U, V, tau,
    inputs, attention, seen, hidden, logits, weights, each, states,
):  # fmt: skip
    """The scans of sequences first .. last - 1."""
    for b in range(first, last):
        forward(
            start[b], frames[b], features[b], targets[b], epsilon[b], interval, relu, A, W, h, D, sigma, U, V, tau,
            inputs[b], attention[b], seen[b], hidden[b], logits[b], weights[b], each[b], states[b],
        )  # fmt: skip


@numba.njit(**OPTIONS)
def backward_all(
    first, last, frames, features, epsilon, interval, relu, A, W, D, sigma, U, V, tau,
    inputs, attention, seen, hidden, logits, weights, each, of_states,
    of_start, deltas, of_features, of_D, of_sigma, of_U, of_V, of_tau,
):  # fmt: skip
    """The adjoints of the same sequences."""
    for b in range(first, last):
        backward(
            frames[b], features[b], epsilon[b], interval, relu, A, W, D, sigma, U, V, tau,
            inputs[b], attention[b], seen[b], hidden[b], logits[b], weights[b], each[b], of_states[b],
            of_start[b], deltas[b], of_features[b], of_D[b], of_sigma[b], of_U[b], of_V[b], of_tau[b],
        )  # fmt: skip
