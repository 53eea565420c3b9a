"""How a spectral solver computes: its steps, precision, device and threads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from funcspace.arguments import number_of, positive_number, whole_number
from funcspace.errors import InputError
from funcspace.solvers.problem_arguments import checked_workers

__all__ = ["Numerics"]


@dataclass(frozen=True)
class Numerics:
    """Settings of a spectral solver that do not change the problem.

    Attributes
    ----------
    step : length of a time step; None lets each sample choose its own. The interval between two instants is cut into
        equal steps of at most this length.
    tolerance : largest estimated error of a step that a sample chooses, relative to the size of the solution. The
        estimate is pessimistic: it belongs to a scheme of third order.
    courant : largest product of such a step and the rate of the terms that are not treated exactly: velocity times
        the highest wavenumber for transport, slope of the reaction for reactions, lowered where linear decay is faster.
    refinement : the solver's grid is this many times finer than the grid of the data, along each axis.
    dtype : torch.float64 or torch.float32.
    device : where the solver runs.
    workers : number of threads over batches, on the CPU; all cores by default. Results do not depend on it.

    Raises
    ------
    InputError : a setting out of range.

    Examples
    --------
    >>> Numerics(step=0.01).step
    0.01
    """

    step: float | None = None
    tolerance: float = 1e-6
    courant: float = 0.5
    refinement: int = 1
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.step is not None and not number_of(self.step) > 0:
            raise InputError(f"step must be a positive number of time units, or None; got {self.step!r}")
        positive_number(self.tolerance, "tolerance")
        if not 0 < number_of(self.courant) <= 2:
            raise InputError(f"courant must be positive and at most 2; got {self.courant!r}")
        whole_number(self.refinement, "refinement")
        if self.dtype not in (torch.float64, torch.float32):
            raise InputError(f"dtype must be torch.float64 or torch.float32; got {self.dtype}")
        checked_workers(self.workers)
        if isinstance(self.device, bool) or not isinstance(self.device, torch.device | str | int):
            raise InputError(f'device must be a name, such as "cuda", a torch.device or a number; got {self.device!r}')
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"the device {self.device!r} is not available: {error}") from error
