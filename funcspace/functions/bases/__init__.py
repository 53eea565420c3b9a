"""Bases on grids, times, clouds and their products, built from bases on the line."""
