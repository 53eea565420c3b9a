"""Training by an evolution strategy, which needs no gradient through the orbits that it scores."""

from funcspace.dynamics.reconstruction.evolution.strategy import EvolutionStrategy

__all__ = ["EvolutionStrategy"]
