"""New chaotic systems: candidates from known ones, tests, and selection by a measured exponent."""

from funcspace.dynamics.discovery.candidate import Candidate, Mutation
from funcspace.dynamics.discovery.discovered import Discovered
from funcspace.dynamics.discovery.search import discover
from funcspace.dynamics.discovery.selection import Trial
from funcspace.dynamics.discovery.skew_products import skew_product

__all__ = ["Candidate", "Discovered", "Mutation", "Trial", "discover", "skew_product"]
