"""Dynamical systems: the chaos database compiled, integrators, invariants and metrics.

Only what is used is imported: numba, dysts and plots come with the first call that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcspace.dynamics.annotations import Annotations
from funcspace.dynamics.catalogue.delay_system import DelaySystem
from funcspace.dynamics.catalogue.field_system import FieldSystem
from funcspace.dynamics.catalogue.registry import system, systems
from funcspace.dynamics.catalogue.system import System
from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.integrators.solve import Guards
from funcspace.dynamics.reconstruction.analysis.relu_choice import ReluChoice, choose_relu
from funcspace.dynamics.reconstruction.context_forcing import ContextForcing
from funcspace.dynamics.reconstruction.context_forecaster import ContextForecaster
from funcspace.dynamics.reconstruction.evolution import EvolutionStrategy
from funcspace.dynamics.reconstruction.models.al_rnn import ALRNN
from funcspace.dynamics.reconstruction.models.dendritic_plrnn import DendriticPLRNN
from funcspace.dynamics.reconstruction.models.dynamix import DynaMix
from funcspace.dynamics.reconstruction.models.gated_networks import GRU, LSTM
from funcspace.dynamics.reconstruction.models.hierarchical_plrnn import HierarchicalPLRNN
from funcspace.dynamics.reconstruction.models.neural_ode import NeuralODE
from funcspace.dynamics.reconstruction.models.nvar import NVAR
from funcspace.dynamics.reconstruction.models.plrnn import PLRNN
from funcspace.dynamics.reconstruction.models.reservoir_computer import ReservoirComputer
from funcspace.dynamics.reconstruction.models.shallow_plrnn import ClippedShallowPLRNN, ShallowPLRNN
from funcspace.dynamics.reconstruction.models.sindy import SINDy
from funcspace.dynamics.reconstruction.multiple_shooting import MultipleShooting
from funcspace.dynamics.reconstruction.reconstruction import Reconstruction
from funcspace.dynamics.reconstruction.ridge_regression import RidgeRegression
from funcspace.dynamics.reconstruction.sequential_thresholding import SequentialThresholding
from funcspace.dynamics.reconstruction.teacher_forcing import GeneralizedTeacherForcing, SparseTeacherForcing
from funcspace.dynamics.reconstruction.windows import PerReplica

if TYPE_CHECKING:
    from funcspace.dynamics import integrators, invariants, metrics, recordings
    from funcspace.dynamics.annotations.annotate import annotate
    from funcspace.dynamics.discovery import Discovered, Mutation, Trial, discover, skew_product
    from funcspace.dynamics.frozen_data import FrozenRecord, frozen, frozen_names, frozen_record

__all__ = [
    "ALRNN",
    "GRU",
    "LSTM",
    "NVAR",
    "PLRNN",
    "Annotations",
    "ClippedShallowPLRNN",
    "ContextForcing",
    "ContextForecaster",
    "DelaySystem",
    "DendriticPLRNN",
    "Discovered",
    "DynaMix",
    "Estimate",
    "EvolutionStrategy",
    "FieldSystem",
    "FrozenRecord",
    "GeneralizedTeacherForcing",
    "Guards",
    "HierarchicalPLRNN",
    "MultipleShooting",
    "Mutation",
    "NeuralODE",
    "PerReplica",
    "Reconstruction",
    "ReluChoice",
    "ReservoirComputer",
    "RidgeRegression",
    "SINDy",
    "SequentialThresholding",
    "ShallowPLRNN",
    "SparseTeacherForcing",
    "System",
    "Trial",
    "annotate",
    "choose_relu",
    "discover",
    "frozen",
    "frozen_names",
    "frozen_record",
    "integrators",
    "invariants",
    "metrics",
    "recordings",
    "skew_product",
    "system",
    "systems",
]

ROOMS = ("integrators", "invariants", "metrics", "recordings")
LAZY = {
    "annotations.annotate": ("annotate",),
    "discovery": ("Discovered", "Mutation", "Trial", "discover", "skew_product"),
    "frozen_data": ("FrozenRecord", "frozen", "frozen_names", "frozen_record"),
}


def __getattr__(name: str) -> Any:
    """Import a room, or what is in one, when it is first used."""
    if name in ROOMS:
        return import_module(f"funcspace.dynamics.{name}")
    for room, names in LAZY.items():
        if name in names:
            return getattr(import_module(f"funcspace.dynamics.{room}"), name)
    raise AttributeError(f"module 'funcspace.dynamics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
