"""Scans of piecewise-linear maps over time, forward and backward, each in one compiled loop."""
