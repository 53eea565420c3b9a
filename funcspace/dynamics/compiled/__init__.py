"""From plain Python formulas to expressions, derivatives and machine code that is kept on disk."""

from funcspace.dynamics.compiled.expression import Expression, Graph, TracingError

__all__ = ["Expression", "Graph", "TracingError"]
