"""Spaces and functions of finite-element codes, dof by dof: DOLFINx and scikit-fem."""
