"""Let go of MMCore so that the process can end with exit code 0.

A process that ends while MMCore's delivery thread still has notifications queued aborts (exit code 134): the
interpreter unwinds that C++ thread. Unregistering the callback at the C++ level, which pymmcore-plus' own method
refuses, ends the thread first.
"""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus


def release_callback(core: CMMCorePlus) -> None:
    """Unregister the callback of `core`: no event arrives from it any more."""
    import pymmcore

    pymmcore.CMMCore.registerCallback(core, None)


def release_callback_at_exit(core: CMMCorePlus) -> None:
    """Call `release_callback` when the interpreter exits, if `core` still lives then."""
    reference = weakref.ref(core)

    def release() -> None:
        if (living := reference()) is not None:
            release_callback(living)

    atexit.register(release)
