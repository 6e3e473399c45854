"""Hands records to the outbox, and holds them when the outbox cannot take them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from agent.errors import SpoolError
from agent.records import Record

MOST_HELD = 10_000
MOST_AT_ONCE = 100  # records that go into one write
_log = logging.getLogger("scopestamp.capture")


class Puts(Protocol):
    """What takes records durably: an `agent.outbox.Outbox`."""

    def put(self, *records: Record) -> None:
        """Return once the records are durable; raise `SpoolError` otherwise."""


class Publisher:
    """Puts records into the outbox in order; safe to use from several threads.

    When the spool cannot be written (disk full, folder gone), records wait in memory, at most `MOST_HELD` of
    them, and go out first as soon as `retry` finds that it can be written again. What does not fit is counted in `n_given_up`.

    Parameters
    ----------
    outbox : Puts
        Takes the records.
    note : callable, optional
        Is told of every record at once, such as a chronicle.
    """

    def __init__(self, outbox: Puts, note: Callable[..., object] = lambda *_: None) -> None:
        self._outbox, self._note = outbox, note
        self._lock = threading.Lock()
        self._held: deque[Record] = deque()
        self.n_given_up = 0
        self.last_error: str | None = None

    def publish(self, *records: Record) -> bool:
        """Put the records, behind those that are held; return whether all are in the outbox."""
        self._note(*records)
        with self._lock:
            for record in records:
                if len(self._held) >= MOST_HELD:
                    self._held.popleft()
                    self.n_given_up += 1
                self._held.append(record)
            if self.last_error is None:
                self._put_held()
            return not self._held

    def retry(self) -> None:
        """Try again to put what is held."""
        with self._lock:
            if self._held:
                self._put_held()

    @property
    def n_held(self) -> int:
        """How many records wait in memory."""
        return len(self._held)

    def _put_held(self) -> None:
        while self._held:
            batch = list(islice(self._held, MOST_AT_ONCE))
            try:
                self._outbox.put(*batch)
            except SpoolError as error:
                if self.last_error is None:
                    _log.error("Records wait in memory, because the spool cannot be written: %s", error)
                self.last_error = str(error)
                return
            for _ in batch:
                self._held.popleft()
        self.last_error = None
