"""Named subsets of the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from funcspace.dynamics.annotations.annotations import CHAOTIC_KINDS, KINDS
from funcspace.dynamics.annotations.measured import measured
from funcspace.dynamics.catalogue.own_equations import CORRECTED
from funcspace.errors import InputError

__all__ = ["SUBSETS", "Subset", "in_subset", "of_kind"]

Subset = Literal["all", "core", "gilpin131"]
SUBSETS: tuple[Subset, ...] = ("all", "core", "gilpin131")
# Published scores do not belong to these: dysts changed their parameters, initial state or period after 2023.
CHANGED = (
    "BelousovZhabotinsky",
    "BickleyJet",
    "Bouali2",
    "CircadianRhythm",
    "DoublePendulum",
    "ExcitableCell",
    "IkedaDelay",
    "InteriorSquirmer",
    "KawczynskiStrizhak",
    "MackeyGlass",
    "SprottDelay",
    "TurchinHanski",
    "VossDelay",
)
# Added later, or left out of the main figure.
NOT_IN_2023 = ("GlycolyticOscillation", "InteriorSquirmer", "SprottJerk", "SprottK")


def in_subset(names: Iterable[str], subset: Subset, kind: str) -> list[str]:
    """Those of the names of a kind ("flow", "map" or "delay") that belong to a subset.

    ===========  =====================================================================================================
    "all"        everything
    "core"       flows that are measured to stay chaotic, with the equations of the database, and not changed since the
                 benchmark of 2023
    "gilpin131"  the 131 flows and delay equations of W. Gilpin, Physical Review Research 5 (2023) 043252
    ===========  =====================================================================================================

    Raises
    ------
    InputError
        For an unknown subset.
    """
    if subset not in SUBSETS:
        raise InputError(f"the subset must be one of {', '.join(SUBSETS)}; got {subset!r}")
    if subset == "core":
        chaotic = of_kind(names, "chaotic", kind) if kind == "flow" else []
        return [name for name in chaotic if name not in (*CHANGED, *CORRECTED)]
    if subset == "gilpin131":
        return [name for name in names if kind != "map" and name not in NOT_IN_2023]
    return list(names)


def of_kind(names: Iterable[str], motion: str, kind: str) -> list[str]:
    """Those of the names whose motion was measured to be of a kind; "chaotic" includes the hyperchaotic ones.

    Raises
    ------
    InputError
        For an unknown kind of motion.
    """
    if motion not in KINDS:
        raise InputError(f"the kind of motion must be one of {', '.join(KINDS)}; got {motion!r}")
    wanted = CHAOTIC_KINDS if motion == "chaotic" else (motion,)
    records = measured().get(kind, {})
    return [name for name in names if records.get(name, {}).get("kind") in wanted]
