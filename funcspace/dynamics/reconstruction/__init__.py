"""Reconstruction of dynamical systems from data: recurrent maps, how they are trained, and what they tell."""
