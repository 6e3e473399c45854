"""Errors of the routines. A message says what was expected, what came, and what to do.

RoutineError
└── InputError   the arguments cannot be measured: wrong type, shape or range
"""

from __future__ import annotations

from collections.abc import Mapping


class RoutineError(Exception):
    """A routine gives no result."""


class InputError(RoutineError, ValueError):
    """The arguments cannot be measured: wrong type, shape or range."""


def reason_of(error: InputError) -> str:
    """Return what was wanting, in words that are the same for equal reasons: for counts of what was left out.

    Examples
    --------
    >>> reason_of(InputError("expected a pair of lines above the noise; got none"))
    'no pair of lines above the noise'
    >>> reason_of(InputError("expected at least 2 usable frames; got 1"))
    'fewer than 2 usable frames'
    """
    wanted = str(error).split(";")[0].removeprefix("expected ")
    if wanted.startswith("at least "):
        return f"fewer than {wanted.removeprefix('at least ')}"
    if wanted.startswith("something "):
        return f"nothing {wanted.removeprefix('something ')}"
    return f"no {wanted.removeprefix('a ').removeprefix('an ')}"


def counted(reasons: Mapping[str, int]) -> str:
    """Return how many were left out for which reason, for messages.

    Examples
    --------
    >>> counted({"NaN or infinite": 12, "one single value": 1})
    '12 NaN or infinite, 1 one single value'
    """
    return ", ".join(f"{n} {reason}" for reason, n in reasons.items()) or "none"
