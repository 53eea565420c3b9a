"""What is known of a system by measurement, beside what the database says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from funcspace.dynamics.estimate import Estimate
from funcspace.dynamics.pickling import by_fields
from funcspace.errors import InputError

__all__ = ["CHAOTIC_KINDS", "KINDS", "Annotations", "KindOfMotion"]

KindOfMotion = Literal["chaotic", "hyperchaotic", "quasi-periodic", "regular", "transient", "escaping"]
KINDS: tuple[KindOfMotion, ...] = ("chaotic", "hyperchaotic", "quasi-periodic", "regular", "transient", "escaping")
CHAOTIC_KINDS = ("chaotic", "hyperchaotic")


@dataclass(frozen=True, eq=False, repr=False)
class Annotations(Mapping[str, Any]):
    r"""Measured numbers of a system, by name or as attributes; as a mapping it holds those that are known.

    Attributes
    ----------
    kind : how it moves at its parameters, in the long run, from its initial state:

        ================  ==========================================================================================
        "chaotic"         one positive Lyapunov exponent
        "hyperchaotic"    two or more
        "quasi-periodic"  no positive exponent, at least two that vanish (of a map: one)
        "regular"         a cycle or a fixed point
        "transient"       chaotic for a `lifetime`, then regular
        "escaping"        chaotic for a `lifetime`, then without bound
        ================  ==========================================================================================

    largest_exponent, spectrum : Lyapunov exponents per unit of time (of a map: per iteration) with standard errors;
        while it is chaotic, where that ends.
    kaplan_yorke_dimension : of the spectrum.
    correlation_dimension : slope of the correlation sum; None where there is no scaling region.
    mean_divergence : to which the exponents add up.
    decorrelation_time : until the autocorrelation of every component has fallen to 1/e; None where it does not.
    lifetime : mean time, in periods (iterations), that chaos lasts, with its error; None where it does not end.
    periods : of all orbits together, over which exponents were measured (of a map: iterations).
    dysts : numbers of the database as published there; not all of them are right.

    Examples
    --------
    >>> import funcspace as fs
    >>> known = fs.dynamics.system("Lorenz").annotations
    >>> known.kind, round(known.largest_exponent.value, 2), known.dysts["maximum_lyapunov_estimated"] > 0.8
    ('chaotic', 0.91, True)
    """

    kind: KindOfMotion | None = None
    largest_exponent: Estimate | None = None
    spectrum: Estimate | None = None
    kaplan_yorke_dimension: Estimate | None = None
    correlation_dimension: Estimate | None = None
    mean_divergence: float | None = None
    decorrelation_time: float | None = None
    lifetime: Estimate | None = None
    periods: float | None = None
    dysts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise InputError(f"the kind of motion must be one of {', '.join(KINDS)}; got {self.kind!r}")
        object.__setattr__(self, "dysts", MappingProxyType(dict(self.dysts)))

    @property
    def chaotic(self) -> bool:
        """Whether it stays chaotic."""
        return self.kind in CHAOTIC_KINDS

    def known(self) -> dict[str, Any]:
        """The measured numbers that there are, by name."""
        names = [each.name for each in fields(self) if each.name != "dysts"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def __getitem__(self, name: str) -> Any:
        return self.known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known())

    def __len__(self) -> int:
        return len(self.known())

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in self.known().items())
        return f"Annotations({inside})"

    __reduce__ = by_fields

    def to_record(self) -> dict[str, Any]:
        """Plain data for JSON: numbers to six digits, an Estimate as [value, error]; `dysts` is left out."""
        return {name: _plain(value) for name, value in self.known().items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], dysts: Mapping[str, Any] | None = None) -> Annotations:
        """From what `to_record` gave."""
        known = {each.name: record.get(each.name) for each in fields(cls) if each.name != "dysts"}
        values: dict[str, Any] = {n: Estimate(*v) if isinstance(v, list) else v for n, v in known.items()}
        return cls(**values, dysts=dysts or {})


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return [_rounded(value.value), _rounded(value.error)]
    return value if isinstance(value, str) else _rounded(value)


def _rounded(value: Any) -> Any:
    if np.ndim(value):
        return [_rounded(entry) for entry in value]
    return float(f"{float(value):.6g}")
