"""Schedules from the collector: asked for, never pushed; the last good ones stay on disk for when it is away.

What people said there of the instrument's runs comes with them, and goes to the history of runs.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from agent.errors import CollectorAwayError, CollectorError
from agent.outbox.disk import write_atomically
from agent.quality.schedule.book import FETCHED_FILE
from agent.records.schedules import BaselineRun, InvalidRun

_log = logging.getLogger("scopestamp.schedule")
MOST_PAUSE_S = 1800.0
_LOOK_S = 0.2

Ask = Callable[[str | None], tuple[bytes, str | None] | None]
"""Takes the ETag of what is there; returns a body and its ETag, or None when nothing is new. Raises `CollectorError`."""

Heed = Callable[[list[InvalidRun], list[BaselineRun]], None]


def unless_ending(ask: Ask, ends: threading.Event) -> Ask:
    """Return a way to ask that gives up once the agent is to end: a request may hang in the network for a minute.

    It is left to itself then, and ends with the process.
    """

    def asked(etag: str | None) -> tuple[bytes, str | None] | None:
        answers: list[tuple[bytes, str | None] | None] = []
        errors: list[Exception] = []
        done = threading.Event()

        def work() -> None:
            try:
                answers.append(ask(etag))
            except (CollectorError, OSError, ValueError) as error:
                errors.append(error)
            finally:
                done.set()

        thread = threading.Thread(target=work, name="scopestamp-fetch", daemon=True)
        thread.start()
        while not done.wait(_LOOK_S):
            if ends.is_set():
                raise CollectorAwayError("The agent was told to end before the collector had answered.")
        thread.join()
        if errors:
            raise errors[0]
        return answers[0]

    return asked


class Fetcher:
    """Keeps a copy of the collector's schedules.

    Parameters
    ----------
    ask : Ask
        Asks the collector.
    folder : Path
        Where the copy lies.
    interval_s : float
        How often it is asked; after failures less and less often.
    monotonic_s : callable
        Tells when it is time.
    heed : callable, optional
        Gets the runs that were declared invalid, and those that were chosen as time zero.
    """

    def __init__(
        self,
        ask: Ask,
        folder: Path,
        interval_s: float,
        monotonic_s: Callable[[], float],
        heed: Heed = lambda invalid_runs, baselines: None,
    ) -> None:
        self._ask, self._path, self._heed = ask, folder / FETCHED_FILE, heed
        self._interval_s, self._monotonic_s = interval_s, monotonic_s
        self._due_s = monotonic_s()
        self._n_failures = 0
        self.last_error = ""

    def fetch_if_due(self) -> None:
        """Ask when it is time; a collector that is away or answers nonsense leaves what is there."""
        if self._monotonic_s() < self._due_s:
            return
        try:
            answer = self._ask(self._etag())
            if answer is not None:
                self._keep(*answer)
            self._n_failures, self.last_error = 0, ""
        except (CollectorError, OSError, ValueError) as error:
            self._n_failures += 1
            if str(error) != self.last_error:
                _log.info("Schedules were not fetched, the last ones hold: %s", error)
            self.last_error = str(error)
        pause_s = min(self._interval_s * 2 ** min(self._n_failures, 8), max(MOST_PAUSE_S, self._interval_s))
        self._due_s = self._monotonic_s() + pause_s

    def _etag(self) -> str | None:
        try:
            etag = json.loads(self._path.read_bytes())["etag"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return etag if isinstance(etag, str) else None

    def _keep(self, body: bytes, etag: str | None) -> None:
        reply = json.loads(body)
        if not isinstance(reply, dict) or not isinstance(reply.get("schedules"), list):
            raise ValueError("The collector's answer holds no schedules; a proxy may stand in between.")
        self._heed(
            [InvalidRun.model_validate(one) for one in reply.get("invalid_runs", ())],
            [BaselineRun.model_validate(one) for one in reply.get("baselines", ())],
        )  # before the ETag is kept, after which it is not told again
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps({"etag": etag, "reply": reply}).encode())
