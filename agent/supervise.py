"""The one place where the agent survives what it did not foresee.

Everywhere else an error is named or it is a bug. Here a bug, ours or a device's, costs one piece of work and is logged
with its traceback, and the agent goes on: nobody is there at night to start it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_log = logging.getLogger("scopestamp.supervise")


def shielded(work: Callable[[], Result], what: str) -> Result | None:
    """Do `work` and return its result; log what it raises and return None.

    >>> shielded(lambda: 1 + 1, "adding")
    2
    """
    try:
        return work()
    except Exception:  # noqa: BLE001 - the one place, see above
        _log.exception("%s failed; going on without it", what)
        return None
