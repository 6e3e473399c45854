"""The one way in which the simulation compiles a kernel: a kernel is private, only computes, and trusts its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""All fast-math flags but `nnan` and `ninf`, which would remove checks for NaN and infinity."""


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel on its first call.

    The machine code is cached on disk; division by zero gives inf or NaN as in numpy; the interpreter lock is
    released, because a real camera does not hold up other threads either.
    """
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True, fastmath=FASTMATH)(function)
    except RuntimeError:  # no folder that numba may write to
        return numba.njit(cache=False, error_model="numpy", nogil=True, fastmath=FASTMATH)(function)
