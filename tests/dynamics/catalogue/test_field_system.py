"""Chaotic partial differential equations under the interface of systems."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from funcspace.dynamics.catalogue import FieldSystem, system
from funcspace.errors import InputError
from funcspace.solvers.spectral.kuramoto_sivashinsky import KuramotoSivashinsky


def test_fields_start_on_the_attractor_and_depend_on_the_seed_and_number_alone():
    s = system("KuramotoSivashinsky")
    assert isinstance(s, FieldSystem) and s.dimension == 64
    s = replace(s, problem=KuramotoSivashinsky(length=22.0, resolution=32, spin_up=10.0))
    three, two = s.trajectory(4, dt=0.1, batch=3, seed=1), s.trajectory(4, dt=0.1, batch=2, seed=1)
    assert (three.coefficients[:2] == two.coefficients).all()
    assert (s.trajectory(4, dt=0.1, seed=1).coefficients == two.coefficients[0]).all()
    assert three.values.mean(dim=-1).abs().max() < 1e-10  # the mean is conserved
    assert 0.5 < float(three.values.std()) < 2.5


def test_a_transient_continues_the_orbit():
    s = replace(system("KuramotoSivashinsky"), problem=KuramotoSivashinsky(length=22.0, resolution=32, spin_up=10.0))
    whole, part = s.trajectory(7, dt=0.1, seed=2), s.trajectory(3, dt=0.1, seed=2, transient=0.4)
    torch.testing.assert_close(part.values[0], whole.values[4], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_leading_exponents_of_length_22():
    """Published: 0.048, 0, 0, -0.003, -0.189; a short run tells one, three near zero and the gap after them."""
    found = system("KuramotoSivashinsky").lyapunov_spectrum(exponents=5, time=240.0, batch=4, interval=2.0, seed=0)
    assert 0.0 < found[0] < 0.12
    assert max(abs(value) for value in list(found)[1:4]) < 0.06
    assert -0.26 < found[4] < -0.1
    assert list(found) == sorted(found, reverse=True)


def test_bad_requests():
    s = system("KuramotoSivashinsky")
    with pytest.raises(InputError, match="exponents must be from 1 to 63"):
        s.lyapunov_spectrum(exponents=64)
    with pytest.raises(InputError, match="give one of"):
        s.trajectory(3, dt=0.1, points_per_period=10)
    with pytest.raises(InputError, match="batch must be"):
        s.trajectory(3, batch=0)
    with pytest.raises(InputError, match="seed must be a whole number"):
        s.trajectory(3, seed=-1)
    with pytest.raises(InputError, match="exponents must be a whole number"):
        s.lyapunov_spectrum(exponents=1.5)  # pyright: ignore[reportArgumentType]
