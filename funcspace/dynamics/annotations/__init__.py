"""Measured annotations of the systems, shipped beside those of the database, and subsets that they define."""

from funcspace.dynamics.annotations.annotations import CHAOTIC_KINDS, KINDS, Annotations, KindOfMotion

__all__ = ["CHAOTIC_KINDS", "KINDS", "Annotations", "KindOfMotion"]
