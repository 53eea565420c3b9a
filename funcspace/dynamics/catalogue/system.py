"""A dynamical system: equations, parameters, a state to start from, time scales, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from funcspace.arguments import as_numbers
from funcspace.dynamics.annotations.annotations import Annotations
from funcspace.dynamics.catalogue.abstract_system import AbstractSystem, numbered
from funcspace.dynamics.catalogue.formula import Formula
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.pickling import by_fields
from funcspace.errors import InputError
from funcspace.geometry.cached_property import cached_property

if TYPE_CHECKING:
    from funcspace.dynamics.catalogue.compiled_function import CompiledFunction
    from funcspace.dynamics.catalogue.dynamical_noise import StochasticMethod
    from funcspace.dynamics.catalogue.torch_field import TorchField
    from funcspace.dynamics.integrators.solve import Guards, Method
    from funcspace.functions import Function

__all__ = ["System"]


@dataclass(frozen=True, eq=False, repr=False)
class System(AbstractSystem):
    r"""A flow :math:`\dot x = f(t, x; p)` or a map :math:`x_{k+1} = f(x_k; p)`.

    `funcspace.dynamics.system` makes one. It does not change: `with_parameters` and `with_initial` give others.

    Attributes
    ----------
    name : what it is called.
    equations : the compiled right-hand side.
    kind : "flow" or "map".
    parameters : numbers or arrays by name.
    initial : a state to start from, (dimension,).
    period : dominant period, the unit of `points_per_period`; None where it is not known. 1 for a map.
    scale : typical size of each component, for tolerances, (dimension,).
    hamiltonian : whether it conserves volume and energy.
    nonautonomous : whether it is driven; the phase of the drive is then a component of the state.
    unbounded : components that grow without bound, such as angles.
    corrected : whether the equations correct those of the database.
    description, citation : texts of the database.
    annotations : exponents, dimensions, times and the kind of its motion as measured, and beside them, as
        `annotations.dysts`, the numbers of the database, not all of which are right. Other parameters have none.

    Examples
    --------
    >>> import funcspace as fs
    >>> lorenz = fs.dynamics.system("Lorenz").with_parameters(rho=35.0)
    >>> lorenz.rhs(np.array([1.0, 2.0, 3.0]))
    array([10.   , 30.   , -6.001])
    >>> lorenz.trajectory(1000, points_per_period=100, seed=0)
    Function 'Lorenz': linear on Times(0.0, 0.015008, 1000), values (3,), float64
    """

    name: str
    equations: Formula | CompiledFunction | TorchField
    kind: Literal["flow", "map"]
    parameters: Mapping[str, Any]
    initial: np.ndarray
    period: float | None = None
    scale: np.ndarray | float = 1.0
    hamiltonian: bool = False
    nonautonomous: bool = False
    unbounded: tuple[int, ...] = ()
    corrected: bool = False
    description: str = ""
    citation: str = ""
    annotations: Annotations = field(default_factory=Annotations)
    __reduce__ = by_fields

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_start(np.array(self.initial, dtype=np.float64), "initial state")

    @property
    def dimension(self) -> int:
        """Number of components of the state."""
        return self.equations.dimension

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the components."""
        return self.equations.variables or numbered(self.dimension)

    def rhs(self, state: Any, t: Any = 0.0) -> Any:
        """The derivatives (of a map: the next state) at states (..., dimension): an array or tensor like `state`."""
        states, parameters = self._door(state)
        return self.equations.evaluate(states, t, parameters)

    def jacobian(self, state: Any, t: Any = 0.0) -> Any:
        r"""The matrix :math:`\partial f_i / \partial x_j` at states (..., dimension): (..., dimension, dimension)."""
        states, parameters = self._door(state)
        return self.equations.jacobian(states, t, parameters)

    def divergence(self, state: Any, t: Any = 0.0) -> Any:
        r""":math:`\sum_i \partial f_i / \partial x_i`, the rate at which a flow lets volumes grow, at states."""
        states, parameters = self._door(state)
        return self.equations.divergence(states, t, parameters)

    def wrap(self, state: Any) -> Any:
        """Bounded coordinates in place of angles that grow, as in the pictures of the database; else the state."""
        states, parameters = self._door(state)
        return self.equations.wrap(states, parameters)

    def _door(self, state: Any) -> tuple[Any, Any]:
        import torch

        if isinstance(state, torch.Tensor):
            shape, states = tuple(state.shape), state
            parameters: Any = torch.as_tensor(self.packed, dtype=state.dtype, device=state.device)
        else:
            states, parameters = as_numbers(state, f"states of {self.name}"), self.packed
            shape = states.shape
        if not shape or shape[-1] != self.dimension:
            raise InputError(f"{self.name} has states (..., {self.dimension}); got shape {shape}")
        return states, parameters

    def with_parameters(self, **values: Any) -> System:
        """The system with some parameters changed; the others keep their values.

        Raises
        ------
        InputError
            For a name that is no parameter (the known ones are listed) or a value of another shape.
        """
        return self._changed(values)

    def with_initial(self, initial: Any) -> System:
        """The system with another state to start from; of a Hamiltonian system, that is another energy."""
        known = Annotations(dysts=self.annotations.dysts) if self.hamiltonian else self.annotations
        return replace(self, initial=as_numbers(initial, f"the initial state of {self.name}"), annotations=known)

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
        dynamical_noise: Any = None,
        standardise: bool = False,
        parameters: Mapping[str, Any] | None = None,
        initial: Any = None,
        wrapped: bool = False,
        tolerance: float = 3e-14,
        method: Method | StochasticMethod = "auto",
        step: float | None = None,
        guards: Guards | None = None,
        workers: int | None = None,
    ) -> Function:
        """Samples of one solution or of a batch: a Function over Times, coefficients ([batch,] n, dimension).

        The samples are exactly equispaced: the k-th belongs to time k dt. Sample i of a batch depends on the seed and
        i alone, neither on the batch nor on the number of workers.

        Parameters
        ----------
        n : number of instants, the initial one included.
        points_per_period, dt, points_per_lyapunov_time : one of them says how far instants are apart; 100 points per
            period when none is given. Of a map, dt is a whole number of iterations, 1 when nothing is given.
        batch : number of trajectories; a single one without batch axis when None.
        seed : starts are drawn on the attractor: from a long orbit of the system, at random times. Without a seed a
            single trajectory starts at `initial`.
        transient : time that passes before the first sample, in periods (of a map: iterations).
        noise : standard deviation of Gaussian noise added to the samples, relative to that of each component.
        dynamical_noise : G of dx = f dt + G dW; see `catalogue.dynamical_noise`. Constant steps of at most `step`, a
            2000th of the period by default, with `method` "EulerMaruyama" or "Milstein".
        standardise : shift and scale components to mean 0 and variance 1 over the long orbit.
        parameters : values by name for this call; one with a leading batch axis differs from trajectory to trajectory.
        initial : state (dimension,) or (batch, dimension) to start from.
        wrapped : give bounded coordinates in place of growing angles.
        tolerance, method, step, guards : see `funcspace.dynamics.integrators.solve`.
        workers : threads that share a batch; all cores by default.

        Raises
        ------
        InputError
            Arguments out of range or in contradiction, unknown parameters.
        SolverError
            When a trajectory diverges or cannot be continued; nothing is returned then.
        """
        from funcspace.dynamics.catalogue.sampling import Sampling
        from funcspace.dynamics.catalogue.trajectory import sample

        sampling = Sampling(n, points_per_period, dt, points_per_lyapunov_time)
        return sample(
            self,
            sampling,
            batch=batch,
            seed=seed,
            transient=transient,
            noise=noise,
            dynamical_noise=dynamical_noise,
            standardise=standardise,
            parameters=parameters,
            initial=initial,
            wrapped=wrapped,
            tolerance=tolerance,
            method=method,
            step=step,
            guards=guards,
            workers=workers,
        )

    def lyapunov_spectrum(
        self,
        *,
        time: float | None = None,
        exponents: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        tolerance: float = 1e-8,
        workers: int | None = None,
    ) -> Estimate:
        """The Lyapunov exponents with their standard errors, largest first; see `catalogue.lyapunov`.

        >>> import funcspace as fs
        >>> spectrum = fs.dynamics.system("Henon").lyapunov_spectrum(time=4000, seed=0)
        >>> bool(abs(spectrum[0] - 0.419) < 0.02)
        True
        """
        from funcspace.dynamics.catalogue.lyapunov import lyapunov_spectrum

        return lyapunov_spectrum(
            self, time=time, exponents=exponents, seed=seed, batch=batch, tolerance=tolerance, workers=workers
        )

    def poincare_section(
        self,
        normal: Any,
        offset: float = 0.0,
        *,
        count: int = 1000,
        direction: int = 1,
        seed: int | None = None,
        transient: float = 0.0,
        longest: float | None = None,
        tolerance: float = 1e-12,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Times (count,) and states (count, dimension) at which the orbit crosses the plane `normal . x = offset`.

        Parameters
        ----------
        normal : vector (dimension,).
        count : number of crossings.
        direction : 1 for crossings towards larger `normal . x`, -1 for the others, 0 for both.
        seed, transient : as in `trajectory`.
        longest : time after which the search ends, 20 periods per crossing by default.

        Raises
        ------
        SolverError
            When the orbit does not cross the plane as often in that time.
        """
        from funcspace.dynamics.catalogue.section import poincare_section

        return poincare_section(
            self,
            as_numbers(normal, "the normal of the plane"),
            float(as_numbers(offset, "the offset of the plane")),
            count=count,
            direction=direction,
            seed=seed,
            transient=transient,
            longest=longest,
            tolerance=tolerance,
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
            spectrum = self.lyapunov_spectrum(exponents=1)
            found = Estimate(spectrum[0], float(spectrum.error[0]))
        return self._positive(found)

    @cached_property
    def long_orbit(self) -> tuple[np.ndarray, float, float]:
        """States (instants, dimension) of a long orbit that starts are drawn from, their spacing, the first time."""
        from funcspace.dynamics.catalogue.trajectory import long_orbit

        return long_orbit(self)

    @property
    def reference_orbit(self) -> tuple[np.ndarray, float]:
        """The states of the long orbit and their spacing."""
        return self.long_orbit[:2]

    def plot(self, n: int = 5000, **options: Any) -> Any:
        """Draw a trajectory of n points; options go to `Function.plot`. Returns the matplotlib axes."""
        return self.trajectory(n, seed=0, wrapped=True).plot(**options)

    def _what(self) -> str:
        return f"{self.kind} of dimension {self.dimension}"
