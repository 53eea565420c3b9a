"""Finite elements on meshes, through scikit-fem."""
