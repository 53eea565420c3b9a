"""Neural operators: models that map functions to functions."""

from funcspace.operators.fno import FNO
from funcspace.operators.mgno import MgNO

__all__ = ["FNO", "MgNO"]
