"""Large data sets: samples made on all cores or many machines, streamed to disk, resumable, the same bytes always."""

from funcspace.solvers.generation.making import FailedSample
from funcspace.solvers.generation.streaming import Generation, generate

__all__ = ["FailedSample", "Generation", "generate"]
