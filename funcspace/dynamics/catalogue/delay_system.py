"""A delay equation: its right-hand side, delays, parameters, a history to start from, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.catalogue.abstract_system import AbstractSystem, numbered, unknown
from funcspace.dynamics.catalogue.delay_equations import CompiledDelayFunction, DelayFormula
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.pickling import by_fields
from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.delay_history import Pieces
    from funcspace.dynamics.integrators.solve import Guards
    from funcspace.functions import Function

__all__ = ["DelaySystem"]


@dataclass(frozen=True, eq=False, repr=False)
class DelaySystem(AbstractSystem):
    r"""A delay equation :math:`\dot x(t) = f(t, x(t), x(t - \tau_1), \dots, x(t - \tau_k); p)`.

    `funcspace.dynamics.system` makes one: of a name in the database, or of a function with `delays=...`. Its state is
    the solution over the last delay; a solution starts from a history :math:`x(t) = \varphi(t)`, :math:`t \le 0`.

    Attributes
    ----------
    name : what it is called.
    equations : the compiled right-hand side.
    delays : each a positive number, or the name of the parameter that holds it.
    parameters : numbers or arrays by name.
    initial : the history to start from: a state (dimension,), constant up to time 0, or a function of time t <= 0.
    period : dominant period, the unit of `points_per_period`; None where it is not known.
    scale : typical size of each component, for tolerances, (dimension,).
    description, citation : texts of the database.
    annotations : exponents, dimensions, times and the kind of its motion as measured, and beside them, as
        `annotations.dysts`, the numbers of the database, not all of which are right. Other parameters have none.

    Examples
    --------
    >>> import funcspace as fs
    >>> blood = fs.dynamics.system("MackeyGlass").with_parameters(tau=17.0)
    >>> blood
    DelaySystem 'MackeyGlass': delay equation of dimension 1, beta=0.2, gamma=0.1, n=10, tau=17
    >>> blood.trajectory(1000, dt=0.5, transient=50)
    Function 'MackeyGlass': linear on Times(0.0, 0.5, 1000), values (1,), float64
    """

    name: str
    equations: DelayFormula | CompiledDelayFunction
    delays: tuple[Any, ...]
    parameters: Mapping[str, Any]
    initial: Any
    period: float | None = None
    scale: np.ndarray | float = 1.0
    description: str = ""
    citation: str = ""
    annotations: Annotations = field(default_factory=Annotations)
    kind = "delay"
    __reduce__ = by_fields

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "delays", tuple(self.delays))
        if not callable(self.initial):
            self._set_start(np.atleast_1d(np.array(self.initial, dtype=np.float64)), "constant history")
        self.delay_rows(self.packed[None])

    @property
    def dimension(self) -> int:
        """Number of components of x."""
        return self.equations.dimension

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the components."""
        return numbered(self.dimension)

    def delay_rows(self, packed: np.ndarray) -> np.ndarray:
        """The delays (batch, k) for parameters (batch, entries).

        Raises
        ------
        InputError
            For a delay that is not positive, or named after no parameter.
        """
        columns, places, first = [], {}, 0
        for name, shape in self.equations.shapes.items():
            if shape == ():
                places[name] = first
            first += int(np.prod(shape))
        for number, delay in enumerate(self.delays):
            if isinstance(delay, str):
                if delay not in places:
                    raise InputError(unknown("parameter", delay, places, f" of {self.name}, named as delay {number}"))
                column = packed[:, places[delay]]
            else:
                try:
                    column = np.full(len(packed), float(delay))
                except (TypeError, ValueError) as error:
                    raise InputError(
                        f"delay {number} of {self.name} must be a number or the name of a parameter; got {delay!r}"
                    ) from error
            bad = np.flatnonzero(~(np.isfinite(column) & (column > 0)))
            if bad.size:
                raise InputError(
                    f"delay {number} of {self.name} must be positive; it is {column[bad[0]]:g}. Without a delay it is "
                    "a flow, without delays=..."
                )
            columns.append(column)
        return np.stack(columns, axis=1)

    def rhs(self, state: Any, *earlier: Any, t: Any = 0.0) -> Any:
        """The derivatives at states (..., dimension), given those at each delay before: like `state`."""
        import torch

        if len(earlier) != len(self.delays):
            raise InputError(f"{self.name} has {len(self.delays)} delays; got {len(earlier)} earlier states")
        try:
            if isinstance(state, torch.Tensor):
                parameters: Any = torch.as_tensor(self.packed, dtype=state.dtype, device=state.device)
                given = torch.broadcast_tensors(state, *earlier)
                before: Any = torch.stack(given[1:], dim=-2)
            else:
                given = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (state, *earlier)))
                parameters, before = self.packed, np.stack(given[1:], axis=-2)
        except (RuntimeError, ValueError) as error:
            shapes = ", ".join(str(tuple(np.shape(x))) for x in (state, *earlier))
            raise InputError(f"{self.name} has states (..., {self.dimension}); got shapes {shapes}") from error
        if given[0].ndim == 0 or given[0].shape[-1] != self.dimension:
            raise InputError(f"{self.name} has states (..., {self.dimension}); got shape {tuple(given[0].shape)}")
        return self.equations.evaluate(given[0], before, t, parameters)

    def with_parameters(self, **values: Any) -> DelaySystem:
        """The system with some parameters changed, a delay among them; the others keep their values.

        Raises
        ------
        InputError
            For a name that is no parameter (the known ones are listed) or a value of another shape.
        """
        return self._changed(values)

    def with_initial(self, initial: Any) -> DelaySystem:
        """The system with another history to start from."""
        return replace(self, initial=initial)

    def trajectory(
        self,
        n: int,
        *,
        points_per_period: float | None = None,
        dt: float | None = None,
        points_per_lyapunov_time: float | None = None,
        batch: int | None = None,
        seed: int | None = None,
        transient: float = 0.0,
        noise: float = 0.0,
        standardise: bool = False,
        parameters: Mapping[str, Any] | None = None,
        initial: Any = None,
        embedding: int | None = None,
        tolerance: float = 1e-12,
        guards: Guards | None = None,
        workers: int | None = None,
    ) -> Function:
        """Samples of one solution or of a batch: a Function over Times, coefficients ([batch,] n, dimension).

        The method of steps, with steps of DOP853 that end at the breaking points and its continuous extension, of
        order 7, for the past. The k-th sample belongs to time k dt after the end of the history. Sample i of a batch
        depends on the seed and i alone.

        Parameters
        ----------
        n : number of instants, the end of the history included.
        points_per_period, dt, points_per_lyapunov_time : one of them says how far instants are apart; 100 points per
            period when none is given.
        batch : number of trajectories; a single one without batch axis when None.
        seed : histories are drawn on the attractor: pieces of a long solution. Without a seed a single trajectory
            starts from `self.initial`.
        transient : time that passes before the first sample, in periods (in longest delays where no period is known).
        noise : standard deviation of Gaussian noise added to the samples, relative to that of each component.
        standardise : shift and scale components to mean 0 and variance 1 over a long solution.
        parameters : values by name for this call, delays among them; one with a leading batch axis differs from
            trajectory to trajectory.
        initial : history: a state (dimension,) or (batch, dimension), constant up to time 0, or a function of time.
        embedding : number of equidistant instants of the last delay, from 0 to the longest delay, whose states stand
            side by side in each sample, (embedding * dimension,), the latest first; dysts gives 10.
        tolerance : bound on the local error, relative to the size of the components.
        guards : what ends a solution that would not end well.
        workers : threads that share a batch; all cores by default.

        Raises
        ------
        InputError
            Arguments out of range or in contradiction, unknown parameters.
        SolverError
            When a solution diverges or cannot be continued; nothing is returned then.
        """
        from funcspace.dynamics.catalogue.delay_trajectory import sample
        from funcspace.dynamics.catalogue.sampling import Sampling

        return sample(
            self,
            Sampling(n, points_per_period, dt, points_per_lyapunov_time),
            batch=batch,
            seed=seed,
            transient=transient,
            noise=noise,
            standardise=standardise,
            parameters=parameters,
            initial=initial,
            embedding=embedding,
            tolerance=tolerance,
            guards=guards,
            workers=workers,
        )

    def lyapunov_spectrum(
        self,
        *,
        time: float | None = None,
        exponents: int = 4,
        seed: int = 0,
        batch: int = 8,
        tolerance: float = 1e-8,
        workers: int | None = None,
    ) -> Estimate:
        """The largest Lyapunov exponents with their standard errors; see `catalogue.delay_lyapunov`.

        >>> import funcspace as fs
        >>> def rhs(t, x, before):
        ...     return -x + 0.5 * before
        >>> decay = fs.dynamics.system(rhs, initial=[1.0], delays=(1.0,))  # z = -1 + exp(-z) / 2
        >>> decay.lyapunov_spectrum(exponents=1, time=500.0).value.round(3)
        array([-0.315])
        """
        from funcspace.dynamics.catalogue.delay_lyapunov import lyapunov_spectrum

        return lyapunov_spectrum(
            self, time=time, exponents=exponents, seed=seed, batch=batch, tolerance=tolerance, workers=workers
        )

    @cached_property
    def largest_exponent(self) -> float:
        """The largest Lyapunov exponent, from the annotations or measured; its inverse is the Lyapunov time.

        Raises
        ------
        InputError
            When it is not positive beyond three standard errors.
        """
        found = self.annotations.largest_exponent
        if found is None:
            spectrum = self.lyapunov_spectrum(exponents=2)
            found = Estimate(spectrum[0], float(spectrum.error[0]))
        return self._positive(found)

    @property
    def time_unit(self) -> float:
        """The period, or the longest delay where no period is known."""
        return self.period if self.period is not None else float(self.delay_rows(self.packed[None]).max())

    @cached_property
    def reference_pieces(self) -> Pieces:
        """A long solution, after a while, from which histories are drawn."""
        from funcspace.dynamics.catalogue.delay_trajectory import long_solution

        return long_solution(self)

    @cached_property
    def reference_orbit(self) -> tuple[np.ndarray, float]:
        """States (instants, dimension) of a long solution and their spacing."""
        from funcspace.dynamics.catalogue.delay_trajectory import ORBIT_POINTS

        pieces, spacing = self.reference_pieces, self.time_unit / ORBIT_POINTS
        times = np.arange(pieces.knots[0, 0], pieces.knots[-1].sum(), spacing)
        return pieces(times), spacing

    def plot(self, n: int = 2000, **options: Any) -> Any:
        """Draw a trajectory of n points; options go to `Function.plot`. Returns the matplotlib axes."""
        spacing = None if self.period is not None else self.time_unit / 50
        return self.trajectory(n, dt=spacing, seed=0).plot(**options)

    def _what(self) -> str:
        fixed = [f"{delay:g}" for delay in self.delays if not isinstance(delay, str)]
        return f"delay equation of dimension {self.dimension}{', delays ' + ', '.join(fixed) if fixed else ''}"
