"""How an integration ended, as the compiled drivers report it."""

from __future__ import annotations

__all__ = ["ACROSS", "BLOWN_UP", "DONE", "NOT_FINITE", "REASONS", "STEP_TOO_SMALL", "STIFF", "TOO_MANY_STEPS"]

DONE, TOO_MANY_STEPS, STEP_TOO_SMALL, NOT_FINITE, BLOWN_UP, STIFF = 0, 1, 2, 3, 4, 5
# Steps at the resolution of time that are taken in a row whatever their error: a jump of the right-hand side lies in
# one of them, a singularity is not passed by so few.
ACROSS = 20
REASONS = {
    TOO_MANY_STEPS: "took more than max_steps={max_steps} steps",
    STEP_TOO_SMALL: "needed steps below the resolution of time (a singularity, or a jump of the right-hand side)",
    NOT_FINITE: "met a right-hand side that is not finite",
    BLOWN_UP: "left the bound |x| <= {limit:g} scale",
    STIFF: "is stiff",
}
