"""Errors of the routines. A message says what was expected, what came, and what to do.

RoutineError
└── InputError   the arguments cannot be measured: wrong type, shape or range
"""

from __future__ import annotations


class RoutineError(Exception):
    """A routine gives no result."""


class InputError(RoutineError, ValueError):
    """The arguments cannot be measured: wrong type, shape or range."""
