"""Batches of periodic fields marched through time, each sample by steps that depend on it alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from funcspace.solvers.spectral.equation import Equation
from funcspace.solvers.spectral.etdrk4 import Etdrk4
from funcspace.solvers.spectral.numerics import Numerics
from funcspace.solvers.threads import available_cores, over_threads

__all__ = ["Breakdown", "March", "one_thread_per_operation"]

# The state is checked, and its steps are chosen anew, after at most this many steps.
LONGEST_RUN = 128
# A solution that needs steps shorter than this part of an interval counts as lost.
SHORTEST_STEP = 1e-7
# How far the rate and the error may grow beyond what a run's steps were chosen for, before the run is made again.
GROWTH = 2.0
# Largest exponent by which a mode may grow in one step that is chosen here.
LARGEST_EXPONENT = 10.0
# A mode may grow by this factor per step beyond its true growth before a given step counts as unstable.
TOLERATED_GROWTH = 1.05
# Points of a block: its working set stays in the caches of a core, and operations are long beside the calls to them.
BLOCK_POINTS = 65536
# Blocks hold a whole number of vector registers and two samples at least: then every sample goes through the same
# instructions, wherever in a block it stands, and has the same bytes whatever the batch.
REGISTER_SCALARS = 32
# glibc gives freed arrays back to the system and takes new ones from it, page by page, unless it has once freed one as
# large as this: that costs more than the arithmetic on them, and threads wait for each other in it.
RETAINED_BYTES = 1 << 24
# Arrays of the size of a state that one step needs at a time, for blocks on a device with memory of its own.
DEVICE_ARRAYS = 40
KEPT_STEPPERS = 24


class Breakdown(Exception):
    """A sample whose solution was lost: its index, its last good values and their time, and what happened."""

    def __init__(self, reason: str, sample: int, values: Tensor, time: float) -> None:
        super().__init__(reason)
        self.reason, self.sample, self.values, self.time = reason, sample, values, time


@dataclass(frozen=True)
class _Interval:
    start: float
    duration: float
    shortest: float

    def halves(self) -> tuple[_Interval, _Interval]:
        half = self.duration / 2
        return _Interval(self.start, half, self.shortest), _Interval(self.start + half, half, self.shortest)


class March:
    """Advances values `(batch, components, *grid)` of an equation in time.

    The steps of a sample are those that the user gave, or the interval divided by a power of two such that the rate
    of the nonlinear part times the step is at most `courant` and the estimated error of a step at most `tolerance`,
    both before and (within some growth) after a run of steps. Samples with the same number of steps advance together,
    in blocks that fill the caches, spread over threads. Between runs of steps the state is its values on the grid: so
    the spectra stay those of real functions, and a march from a stored state is the march that stored it.
    """

    def __init__(self, equation: Equation, numerics: Numerics) -> None:
        self.equation, self.numerics = equation, numerics
        self._steppers: OrderedDict[float, Etdrk4] = OrderedDict()

    def stepper(self, step: float) -> Etdrk4:
        """The scheme for a step, made once."""
        found = self._steppers.get(step)
        if found is None:
            modes = self.equation.modes
            found = Etdrk4(self.equation.linear, step, dtype=modes.dtype, device=modes.device)
            self._steppers[step] = found
            while len(self._steppers) > KEPT_STEPPERS:
                self._steppers.popitem(last=False)
        return found

    def advance(
        self, values: Float[Tensor, "batch components *grid"], start: float, duration: float
    ) -> Float[Tensor, "batch components *grid"]:
        """The values after some time; to be called within `one_thread_per_operation`.

        Raises
        ------
        Breakdown : a sample cannot be continued.
        """
        everyone = torch.arange(len(values))
        if self.numerics.step is None:
            interval = _Interval(start, duration, SHORTEST_STEP * duration)
            return self._adaptively(interval, values, everyone, 0)
        return self._by_given_step(values, everyone, start, duration)

    def _by_given_step(self, values: Tensor, samples: Tensor, start: float, duration: float) -> Tensor:
        assert self.numerics.step is not None
        steps = max(1, math.ceil(duration / self.numerics.step * (1 - 1e-9)))
        step = duration / steps
        done = 0
        while done < steps:
            count = min(LONGEST_RUN, steps - done)
            time = start + done * step
            rates = self._rates(values)
            worst = int(rates.argmax())
            self._refuse_unstable(step, float(rates[worst]), values[worst], int(samples[worst]), time)
            after = self._run(values, step, count)
            bad = _first_bad(after)
            if bad is not None:
                raise Breakdown(
                    f"the solution is no longer finite after step {done + count} of length {step:.4g}; "
                    "step=None chooses the steps by the solution",
                    int(samples[bad]), values[bad], time,
                )  # fmt: skip
            values, done = after, done + count
        return values

    def _refuse_unstable(self, step: float, rate: float, values: Tensor, sample: int, time: float) -> None:
        if not self._unstable(step, rate):
            return
        shorter = step
        while self._unstable(shorter, rate) and shorter > 1e-12 * step:
            shorter /= 1.25
        raise Breakdown(
            f"CFL condition: a step of {step:.4g} is unstable where the explicit terms act at a rate of {rate:.4g} "
            f"(product {step * rate:.3g}); a step of {0.8 * shorter:.2g} is stable, and step=None chooses by itself",
            sample, values, time,
        )  # fmt: skip

    def _unstable(self, step: float, rate: float) -> bool:
        """Whether the scheme blows up some mode that the equation, its coefficients frozen, does not."""
        profile, direction = self.equation.profile
        for sign in (1.0, -1.0):
            growth, exact = self.stepper(step).amplification(sign * direction * rate * profile)
            if bool((growth > TOLERATED_GROWTH * exact.clamp_min(1.0)).any()):
                return True
        return False

    def _adaptively(self, interval: _Interval, values: Tensor, samples: Tensor, least: int) -> Tensor:
        """Each sample by the interval over 2^level, groups of equal level together."""
        levels = self._levels(interval, values, samples).clamp_min(least)
        kinds = torch.unique(levels).tolist()
        if len(kinds) == 1:
            return self._group(interval, values, samples, kinds[0])
        parts, places = [], []
        for level in kinds:
            chosen = torch.nonzero(levels == level).flatten()
            parts.append(self._group(interval, values[chosen], samples[chosen], level))
            places.append(chosen)
        return torch.cat(parts)[torch.argsort(torch.cat(places))]

    def _group(self, interval: _Interval, values: Tensor, samples: Tensor, level: int) -> Tensor:
        steps = 2**level
        if steps > LONGEST_RUN:
            return self._in_halves(interval, values, samples, level)
        step = interval.duration / steps
        after = self._run(values, step, steps)
        finite = torch.isfinite(after.detach()).flatten(1).all(dim=1)
        # Samples that were lost are measured by their start, so that the measures are numbers.
        settled = torch.where(finite.reshape(-1, *[1] * (after.ndim - 1)), after.detach(), values.detach())
        rates, errors = self._measures(settled, step)
        outgrown = (self._effective(rates) * step > GROWTH * self.numerics.courant) | (
            errors > GROWTH**4 * self.numerics.tolerance
        )
        lost = ~finite | outgrown
        if not bool(lost.any()):
            return after
        redo, rest = torch.nonzero(lost).flatten(), torch.nonzero(~lost).flatten()
        again = self._in_halves(interval, values[redo], samples[redo], level + 1)
        return torch.cat([after[rest], again])[torch.argsort(torch.cat([rest, redo]))]

    def _in_halves(self, interval: _Interval, values: Tensor, samples: Tensor, level: int) -> Tensor:
        if interval.duration / 2**level < interval.shortest:
            raise Breakdown(
                f"steps of {interval.duration / 2**level:.3g} do not follow the solution, which seems to blow up",
                int(samples[0]), values[0], interval.start,
            )  # fmt: skip
        first, second = interval.halves()
        return self._adaptively(second, self._adaptively(first, values, samples, level - 1), samples, 0)

    def _levels(self, interval: _Interval, values: Tensor, samples: Tensor) -> Tensor:
        """Level of each sample: by the courant number first, then deeper until the error of a step is small enough."""
        effective = self._effective(self._rates(values))
        bad = torch.nonzero(~torch.isfinite(effective)).flatten()
        if bad.numel():
            place = int(bad[0])
            raise Breakdown("the rates of the solution overflow", int(samples[place]), values[place], interval.start)
        growth = float(self.equation.linear.real.max()) / LARGEST_EXPONENT
        counts = ((effective / self.numerics.courant).clamp_min(growth) * interval.duration).clamp_min(1.0)
        levels = torch.ceil(torch.log2(counts) - 1e-9).to(torch.int64)
        deepest = math.floor(math.log2(interval.duration / interval.shortest))
        open_ones = torch.arange(len(values))
        while open_ones.numel():
            unsettled = []
            for level in torch.unique(levels[open_ones]).tolist():
                group = open_ones[levels[open_ones] == level]
                _, errors = self._measures(values[group], interval.duration / 2**level)
                excess = errors / self.numerics.tolerance
                deeper = torch.ceil(torch.log2(excess.clamp(1e-30, 1e12)) / 4.0 - 1e-9).to(torch.int64)
                further = (excess > 1) & (level < deepest)
                levels[group[further]] += deeper[further].clamp_min(1)
                unsettled.append(group[further])
            open_ones = torch.cat(unsettled)
        return levels

    def _rates(self, values: Tensor) -> Tensor:
        """The rate of each sample, on the CPU, outside of any graph."""
        parts = []
        with torch.no_grad():
            for block in self._blocks(values.detach(), 1):
                spectra = self.equation.modes.project(block)
                parts.append(self.equation.rates(spectra).to(device="cpu", dtype=torch.float64))
        return torch.cat(parts)[: len(values)]

    def _measures(self, values: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """The rate of each sample and the error that one step would make, on the CPU, outside of any graph."""
        rates, errors, equation = [], [], self.equation
        with torch.no_grad():
            for block in self._blocks(values.detach(), 1):
                spectra = equation.modes.project(block)
                rates.append(equation.rates(spectra).to(device="cpu", dtype=torch.float64))
                error = self.stepper(step).error(spectra, equation.nonlinear)
                errors.append(error.to(device="cpu", dtype=torch.float64))
        return torch.cat(rates)[: len(values)], torch.cat(errors)[: len(values)]

    def _effective(self, rates: Tensor) -> Tensor:
        """Rates lowered where linear decay rules: the largest r^2 / (r + decay) over the modes, r the mode's rate."""
        profile, _ = self.equation.profile
        decay = (-self.equation.linear.real).clamp_min(0.0).amin(dim=0).flatten()
        found = torch.zeros_like(rates)
        flat = profile.flatten()
        for place, rate in enumerate(rates.tolist()):
            mine = rate * flat
            found[place] = (mine * mine / (mine + decay).clamp_min(1e-300)).max()
        return found

    def _run(self, values: Tensor, step: float, steps: int) -> Tensor:
        stepper, modes = self.stepper(step), self.equation.modes

        def block_after(block: Tensor, nonlinear: Callable[[Tensor], Tensor]) -> Tensor:
            spectra = modes.project(block)
            for _ in range(steps):
                spectra = stepper(spectra, nonlinear)
            return modes.evaluate(spectra)

        workers = self._workers
        if values.requires_grad and torch.is_grad_enabled():
            plain = self.equation.nonlinear
            return torch.cat([block_after(block, plain) for block in self._blocks(values, 1)])[: len(values)]
        nonlinear = self._nonlinear
        size = self._block_size(len(values), workers)
        result = torch.empty_like(values)

        def work(first: int, last: int) -> None:
            with torch.no_grad():
                for number in range(first, last):
                    rows = slice(number * size, min((number + 1) * size, len(values)))
                    result[rows] = block_after(self._filled(values[rows]), nonlinear)[: rows.stop - rows.start]

        over_threads(work, -(-len(values) // size), workers)
        return result

    @cached_property
    def _nonlinear(self) -> Callable[[Tensor], Tensor]:
        return self.equation.compiled() or self.equation.nonlinear

    @property
    def _workers(self) -> int:
        if self.equation.modes.device.type != "cpu":
            return 1
        return self.numerics.workers or available_cores()

    @property
    def _quantum(self) -> int:
        """Samples that fill whole registers: see REGISTER_SCALARS."""
        modes = self.equation.modes
        scalars = math.gcd(REGISTER_SCALARS, 2 * math.prod(modes.shape), math.prod(modes.points))
        return max(2, REGISTER_SCALARS // scalars)

    def _block_size(self, samples: int, workers: int) -> int:
        modes, quantum = self.equation.modes, self._quantum
        components = len(self.equation.linear)
        points = components * math.prod(modes.points)
        largest = BLOCK_POINTS // points
        if modes.device.type == "cuda":
            free = torch.cuda.mem_get_info(modes.device)[0]
            largest = free // (DEVICE_ARRAYS * points * modes.dtype.itemsize)
        share = -(-samples // workers)
        return quantum * max(1, min(largest // quantum, -(-share // quantum)))

    def _blocks(self, values: Tensor, workers: int) -> Iterator[Tensor]:
        size = self._block_size(len(values), workers)
        for first in range(0, len(values), size):
            yield self._filled(values[first : first + size])

    def _filled(self, rows: Tensor) -> Tensor:
        """Rows made up to whole registers by copies of the last, in memory of their own."""
        missing = -len(rows) % self._quantum
        return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows.clone()


@contextmanager
def one_thread_per_operation() -> Iterator[None]:
    """Threads over blocks in place of threads within operations.

    Those would cut arrays at places that depend on their number, and wait for the next operation on the cores that the
    blocks need.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.empty(RETAINED_BYTES, dtype=torch.uint8)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _first_bad(values: Tensor) -> int | None:
    bad = torch.nonzero(~torch.isfinite(values.detach()).flatten(1).all(dim=1)).flatten()
    return int(bad[0]) if bad.numel() else None
