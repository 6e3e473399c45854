"""The one way in which this house compiles a kernel.

A kernel is private and only computes. The public function beside it checks and converts its arguments, so a kernel
may count on C order, native byte order and at least one element.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""All of LLVM's fast-math flags but two: `nnan` and `ninf` allow the compiler to assume that there is no NaN and no
infinity, and then it removes the very checks that look for them. `reassoc` lets sums use vector registers; they are
kept in float64, where the order of additions changes the last digits only."""


class Kernel:
    """A function that is compiled when it is first called.

    numba is loaded then, and not before: it takes 60 MB that a program which only plans runs has no use for.

    Attributes
    ----------
    py_func : callable
        The function as it is written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.py_func = function

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        return self._dispatcher(*arguments)

    @property
    def _numba_type_(self) -> Any:
        """What numba asks of a value that it finds in another kernel."""
        return self._dispatcher._numba_type_

    @cached_property
    def _dispatcher(self) -> Any:
        try:
            return _compiled(self.py_func, cache=True)
        except RuntimeError:  # numba found no folder it may write to, as under a locked-down service account
            return _compiled(self.py_func, cache=False)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel on its first call, once per combination of argument types.

    The machine code is cached on disk (`cache`), because an instrument PC should pay for the compiler once and not
    at every start. Division by zero gives inf or NaN as in numpy (`error_model`), which spares a check in every
    loop. The global interpreter lock is released (`nogil`), so a measurement never holds up an acquisition.
    """
    return Kernel(function)


def _compiled(function: Callable[..., Any], cache: bool) -> Any:
    import numba

    # A cached kernel is looked up by its own file alone: after a change here, delete the *.nbi in __pycache__.
    return numba.njit(cache=cache, error_model="numpy", nogil=True, fastmath=FASTMATH)(function)
