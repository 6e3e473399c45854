"""The one place where the agent survives what it did not foresee.

Everywhere else an error is named or it is a bug. Here a bug, ours or a device's, costs one piece of work and is logged
with its traceback, and the agent goes on: nobody is there at night to start it again. It is counted as well, and told as
an error event, because nobody reads logs at night either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
AGAIN_S = 3600.0
_log = logging.getLogger("scopestamp.supervise")
_failed: Counter[str] = Counter()
_lock = threading.Lock()


def shielded(work: Callable[[], Result], what: str) -> Result | None:
    """Do `work` and return its result; log and count what it raises, and return None.

    >>> shielded(lambda: 1 + 1, "adding")
    2
    """
    try:
        return work()
    except Exception:  # noqa: BLE001 - the one place, see above
        _log.exception("%s failed; going on without it", what)
        with _lock:
            _failed[what] += 1
        return None


class Failures:
    """What failed inside this process, for whoever tells of it: each kind of work at once, and then once an hour.

    Parameters
    ----------
    monotonic_s : callable
        A clock that does not jump.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._told_s: dict[str, float] = {}
        with _lock:
            self._known = Counter(_failed)

    def news(self) -> dict[str, int]:
        """Return work and how often it has failed since that was told last."""
        now_s = self._monotonic_s()
        with _lock:
            more = _failed - self._known
        found = {what: n for what, n in more.items() if now_s - self._told_s.get(what, -AGAIN_S) >= AGAIN_S}
        for what, n in found.items():
            self._known[what] += n
            self._told_s[what] = now_s
        return found


def words_of(what: str, n_times: int) -> str:
    """Return a failure as a sentence for an event."""
    times = "" if n_times == 1 else f" ({n_times} times)"
    return f"Something unforeseen happened{times}: {what} failed. The agent went on without it; its log says how."
