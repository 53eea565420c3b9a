"""Chaotic partial differential equations as dynamical systems: trajectories of fields, and their Lyapunov exponents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from funcspace.arguments import check_amounts, check_counts, entropy_of
from funcspace.dynamics.catalogue.sampling import Sampling
from funcspace.dynamics.estimate import Estimate
from funcspace.errors import InputError
from funcspace.functions import Function
from funcspace.geometry import Times

if TYPE_CHECKING:
    from funcspace.solvers.spectral.problem import SpectralProblem

__all__ = ["FIELDS", "FieldSystem", "field_system"]

FIELDS = ("KolmogorovFlow", "KuramotoSivashinsky")
BLOCKS, WARM_UP = 4, 0.1


@dataclass(frozen=True, eq=False, repr=False)
class FieldSystem:
    """A flow whose state is a field on a periodic domain.

    Attributes
    ----------
    name : what it is called.
    problem : the solver, which holds equation, parameters and grid.
    period : a time scale of the flow, the unit of `points_per_period`.
    step : longest step of the maps that carry tangent vectors.

    Examples
    --------
    >>> import funcspace as fs
    >>> flames = fs.dynamics.system("KuramotoSivashinsky")
    >>> start = flames.problem.initial.sample(2, seed=0).coefficients
    >>> flames.trajectory(3, dt=0.5, initial=start).values.shape
    torch.Size([2, 3, 64])
    """

    name: str
    problem: SpectralProblem
    period: float
    step: float
    kind = "flow"

    @property
    def dimension(self) -> int:
        """Number of degrees of freedom of a state."""
        return int(np.prod(self.problem.space.coefficient_shape))

    def trajectory(
        self,
        n: int,
        *,
        points_per_period: float | None = None,
        dt: float | None = None,
        batch: int | None = None,
        seed: int = 0,
        transient: float = 0.0,
        initial: Any = None,
    ) -> Function:
        """Fields at n equispaced instants: a Function over Times times the grid.

        Starts are random fields after the spin-up of the problem, so that they lie on the attractor; field i depends on
        the seed and i alone. `transient` is a further time before the first sample.

        Raises
        ------
        InputError
            Arguments out of range or in contradiction.
        SolverError
            When a solution blows up.
        """
        sampling = Sampling(n, points_per_period, dt)
        check_counts(batch=batch)
        check_amounts(transient=transient)
        entropy_of(seed)
        start = self.problem.initial_fields(batch or 1, seed) if initial is None else initial
        if transient:
            start = self.problem.solve(start, transient)
        found = self.problem.solve(start, Times(0.0, sampling.spacing(self), sampling.count))
        return found[0] if initial is None and batch is None else found

    def lyapunov_spectrum(
        self, *, exponents: int = 4, time: float = 4000.0, seed: int = 0, batch: int = 8, interval: float = 1.0
    ) -> Estimate:
        r"""The largest Lyapunov exponents, by tangent vectors of the solver's own step.

        :math:`V \leftarrow DF(u) V`, orthonormalised after each `interval`; vectors of mean zero, for the mean of the
        field is conserved and would add an exponent zero.

        Parameters
        ----------
        exponents : how many.
        time : length of all orbits together; the first tenth aligns the vectors and does not count.
        seed : of the starts and the vectors.
        batch : number of orbits.
        interval : time between orthonormalisations.
        """
        check_counts(exponents=exponents, batch=batch)
        check_amounts(time=time, interval=interval)
        entropy_of(seed)
        if exponents >= self.dimension or batch < 2 or not time > 0 or not interval > 0:
            raise InputError(
                f"exponents must be from 1 to {self.dimension - 1}, batch at least 2, time and interval positive; got "
                f"exponents={exponents}, batch={batch}, time={time}, interval={interval}"
            )
        flow = self.problem.flow_map(interval, steps=max(1, round(interval / self.step)))
        state = self.problem.initial_fields(batch, seed).coefficients
        shape, count = state.shape, max(BLOCKS, round(time / (batch * interval)))
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.randn(exponents, *shape, generator=generator, dtype=state.dtype)
        logs = torch.empty(count, batch, exponents, dtype=state.dtype)
        warm = max(1, round(WARM_UP * count))
        with torch.no_grad():
            for k in range(-warm, count):
                # each time, for rounding brings back a mean, and nothing damps it
                vectors = vectors - vectors.mean(dim=tuple(range(2, vectors.ndim)), keepdim=True)
                state, vectors = flow.tangent(state, vectors)
                columns = vectors.reshape(exponents, batch, -1).permute(1, 2, 0)
                q, r = torch.linalg.qr(columns)
                vectors = q.permute(2, 0, 1).reshape(exponents, *shape)
                if k >= 0:
                    logs[k] = r.diagonal(dim1=-2, dim2=-1).abs().log() / interval
        rates = np.stack([block.mean(axis=0) for block in np.array_split(logs.numpy(), BLOCKS)])
        orbits = rates.mean(axis=0)
        error = np.maximum(
            orbits.std(axis=0, ddof=1) / np.sqrt(batch),
            rates.reshape(-1, exponents).std(axis=0, ddof=1) / np.sqrt(batch * BLOCKS),
        )
        value = orbits.mean(axis=0)
        order = np.argsort(-value, kind="stable")
        return Estimate(value[order], error[order], {"time": count * interval * batch, "orbits": orbits[:, order]})

    def plot(self, n: int = 400, **options: Any) -> Any:
        """Draw a trajectory of n instants; options go to `Function.plot`. Returns the matplotlib axes."""
        return self.trajectory(n).plot(**options)

    def __repr__(self) -> str:
        return f"FieldSystem {self.name!r}: {self.problem!r}"


def field_system(name: str) -> FieldSystem:
    """The system of a name in `FIELDS`, with the parameters under which it is usually studied."""
    if name == "KuramotoSivashinsky":
        from funcspace.solvers.spectral.kuramoto_sivashinsky import KuramotoSivashinsky

        return FieldSystem(name, KuramotoSivashinsky(length=22.0, resolution=64), period=10.0, step=0.1)
    from funcspace.solvers.spectral.kolmogorov_flow import KolmogorovFlow

    return FieldSystem(name, KolmogorovFlow(40.0, resolution=64), period=5.0, step=0.02)
