"""Recurrent maps that reconstruct dynamical systems."""
