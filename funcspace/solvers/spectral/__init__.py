"""Pseudo-spectral solvers on periodic grids."""

from funcspace.solvers.spectral.torus_navier_stokes import TorusNavierStokes
