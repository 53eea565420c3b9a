"""Exponential time differencing of fourth order for stiff equations that are diagonal in Fourier space."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from funcspace.errors import InputError

__all__ = ["Etdrk4", "phi_functions"]

CONTOUR_POINTS = 32


class Etdrk4:
    r"""One step of the fourth-order exponential Runge-Kutta scheme of Cox and Matthews.

    v' = L v + N(v), L diagonal; z = L h:

    a   = e^{z/2} v + (h/2) phi1(z/2) N(v)
    b   = e^{z/2} v + (h/2) phi1(z/2) N(a)
    c   = e^{z/2} a + (h/2) phi1(z/2) (2 N(b) - N(v))
    v+  = e^z v + h (phi1 - 3 phi2 + 4 phi3) N(v) + 2h (phi2 - 2 phi3) (N(a) + N(b)) + h (4 phi3 - phi2) N(c)

    The linear part is exact; for L = 0 this is the classical Runge-Kutta scheme. The coefficients are means over a
    circle about each z, which has none of the cancellation of their formulas (Kassam and Trefethen, SIAM J. Sci.
    Comput. 26, 2005).

    Parameters
    ----------
    linear : L, one number per component and mode, real or complex, in double precision.
    step : h, in the unit of time.
    dtype : torch.float64 or torch.float32, the type that the steps are made in.
    device : where the steps are made.

    Raises
    ------
    InputError : a step that is not positive, or so large that e^z is not finite.

    Examples
    --------
    >>> decay = Etdrk4(torch.tensor([-1000.0], dtype=torch.float64), 0.5)
    >>> float(decay(torch.zeros(1, dtype=torch.complex128), lambda v: 1000.0 + 0 * v).real)
    1.0
    """

    def __init__(
        self,
        linear: Shaped[Tensor, " ..."],
        step: float,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        if not (step > 0):
            raise InputError(f"the time step must be positive; got {step}")
        z = linear.detach().cpu() * step
        z = z.to(torch.complex128 if z.is_complex() else torch.float64)
        one, two, three = phi_functions(z)
        half = phi_functions(z / 2)[0]
        exact = {
            "whole": torch.exp(z),
            "half": torch.exp(z / 2),
            "stage": 0.5 * step * half,
            "first": step * (one - 3 * two + 4 * three),
            "middle": 2 * step * (two - 2 * three),
            "last": step * (4 * three - two),
        }
        if not all(bool(torch.isfinite(torch.view_as_real(c) if c.is_complex() else c).all()) for c in exact.values()):
            raise InputError(
                f"a step of {step:g} is too long for modes that grow by exp({float(z.real.max()):.3g}) in it"
            )
        self.step = float(step)
        self._linear, self._exact = z / step, exact
        self._real = not z.is_complex()

        def prepared(c: Tensor) -> Tensor:
            # A real factor times a complex number costs twice what it should unless both are seen as pairs of reals.
            pairs = c[..., None].expand(*c.shape, 2) if self._real else c
            kind = dtype if self._real else (torch.complex64 if dtype == torch.float32 else torch.complex128)
            return pairs.to(dtype=kind, device=device).contiguous()

        self._whole, self._half, self._stage = (prepared(exact[name]) for name in ("whole", "half", "stage"))
        self._stage2 = 2 * self._stage
        self._first, self._middle, self._last = (prepared(exact[name]) for name in ("first", "middle", "last"))

    def __call__(self, v: Complex[Tensor, " ..."], nonlinear: Callable[[Tensor], Tensor]) -> Complex[Tensor, " ..."]:
        """The spectra after one step; `nonlinear` maps spectra to spectra. Leading axes are batch axes."""
        return self._step(v, nonlinear)[0]

    def error(self, v: Complex[Tensor, "batch ..."], nonlinear: Callable[[Tensor], Tensor]) -> Float[Tensor, " batch"]:
        """An estimate of the error of one step relative to the size of the solution, of third order in the step.

        It is the difference to the scheme with N(v+) in place of N(c) (Whalen, Brio and Moloney, J. Comput. Phys.
        280, 2015), in the Euclidean norm over components and modes; infinite where it is no number.
        """
        after, at_c = self._step(v, nonlinear)
        change = nonlinear(after) - at_c
        weighted = torch.view_as_complex(torch.view_as_real(change) * self._last) if self._real else change * self._last
        sizes = [torch.view_as_real(x).flatten(1).square().sum(dim=1).sqrt() for x in (weighted, after)]
        relative = sizes[0] / sizes[1].clamp_min(torch.finfo(sizes[1].dtype).tiny)
        return torch.where(torch.isfinite(relative), relative, torch.inf)

    def _step(self, v: Tensor, nonlinear: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """The spectra after one step, and N at its last stage."""

        def pairs(x: Tensor) -> Tensor:
            return torch.view_as_real(x) if self._real else x

        def whole(x: Tensor) -> Tensor:
            return torch.view_as_complex(x) if self._real else x

        start, at_start = pairs(v), pairs(nonlinear(v))
        decayed = start * self._half
        a = torch.addcmul(decayed, self._stage, at_start)
        at_a = pairs(nonlinear(whole(a)))
        at_b = pairs(nonlinear(whole(torch.addcmul(decayed, self._stage, at_a))))
        c = torch.addcmul(a * self._half, self._stage2, torch.sub(at_b, at_start, alpha=0.5))
        at_c = pairs(nonlinear(whole(c)))
        total = torch.addcmul(start * self._whole, self._first, at_start)
        total = torch.addcmul(total, self._middle, at_a + at_b)
        return whole(torch.addcmul(total, self._last, at_c)), whole(at_c)

    def amplification(self, rate: Shaped[Tensor, " ..."]) -> tuple[Float[Tensor, " ..."], Float[Tensor, " ..."]]:
        """Growth per step of v' = (L + rate) v with the rate treated as N: by the scheme, and exactly.

        Parameters
        ----------
        rate : one real or complex number per mode, in the inverse of the unit of time.
        """
        c = self._exact
        a = c["half"] + c["stage"] * rate
        b = c["half"] + c["stage"] * rate * a
        last = c["half"] * a + c["stage"] * rate * (2 * b - 1)
        growth = c["whole"] + rate * (c["first"] + c["middle"] * (a + b) + c["last"] * last)
        return growth.abs(), torch.exp((self._linear + rate).real * self.step)


def phi_functions(z: Shaped[Tensor, " ..."]) -> tuple[Tensor, Tensor, Tensor]:
    r"""The functions phi1 = (e^z - 1)/z, phi2 = (phi1 - 1)/z, phi3 = (phi2 - 1/2)/z, without cancellation.

    Each is the mean of its formula over a circle of radius 2 about z, and real for real z.

    Parameters
    ----------
    z : real or complex numbers in double precision.

    Examples
    --------
    >>> [round(float(phi[0]), 12) for phi in phi_functions(torch.zeros(1, dtype=torch.float64))]
    [1.0, 0.5, 0.166666666667]
    """
    angles = 2.0 * torch.pi * (torch.arange(CONTOUR_POINTS, dtype=torch.float64) + 0.5) / CONTOUR_POINTS
    circle = 2.0 * torch.polar(torch.ones_like(angles), angles)
    sums = [torch.zeros(z.shape, dtype=torch.complex128) for _ in range(3)]
    for offset in circle if z.is_complex() else circle[: CONTOUR_POINTS // 2]:
        w = z + offset
        phi = torch.expm1(w) / w
        sums[0] += phi
        phi = (phi - 1) / w
        sums[1] += phi
        sums[2] += (phi - 0.5) / w
    if z.is_complex():
        first, second, third = (s / CONTOUR_POINTS for s in sums)
    else:  # points below the real axis give the conjugates
        first, second, third = (s.real / (CONTOUR_POINTS // 2) for s in sums)
    return first, second, third
