"""Frozen, versioned trajectories of the database."""

from funcspace.dynamics.frozen_data.frozen_record import FrozenRecord, content_hash, frozen_names, frozen_record
from funcspace.dynamics.frozen_data.frozen_trajectory import frozen

__all__ = ["FrozenRecord", "content_hash", "frozen", "frozen_names", "frozen_record"]
