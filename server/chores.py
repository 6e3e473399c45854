"""What a running collector does beside answering: alerts all the time, a checkpoint every hour, retention once a day."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta

from server.alerts.round import AlertRound
from server.alerts.telling import Teller
from server.collector import Collector
from server.errors import survived
from server.keeping import retention
from server.keeping.checkpoints import Signer, Tree, grown, next_checkpoint
from server.lease import Lease
from server.store.rows import AuditEntry
from server.use.days import rolling_job, to_roll_up

CHECKPOINT_EVERY = timedelta(hours=1)
RETENTION_EVERY = timedelta(days=1)
ROLL_UP_EVERY = timedelta(minutes=10)
MOST_ROLLED_UP = 50
"""Instruments of which days of use are rolled up before alerts are looked at again."""
_LOOK_S = 20.0
_REST_S = 0.02
_REST_OF_WRITER_S = 0.1
_RETENTION_S = 30.0
"""Then alerts are looked at again: after a long time without retention, or under new rules, it may take hours."""


class _Stopping(BaseException):
    """The collector stops: ends work that rests. Not an `Exception`, which would be survived."""


class Chores:
    """Does them on a thread of its own.

    Parameters
    ----------
    collector : Collector
        Whose store is looked after; its clock decides what is due.
    signer : Signer
        Signs the checkpoints.
    """

    def __init__(self, collector: Collector, signer: Signer) -> None:
        self._collector = collector
        self._signer = signer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector-chores")
        self._lease = Lease(collector, signer.verifier)
        settings = collector.settings
        self._alerts = AlertRound(collector, Teller(settings.smtp, settings.outgoing), self._rest)
        self._tree: Tree | None = None
        self._checkpoint_due: datetime | None = None
        self._retention_due: datetime | None = None
        self._roll_up_due: datetime | None = None
        self._is_more_to_roll_up = False
        self._is_more_to_give_up = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next rest of what is being done."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            survived(self._lease.give_back, "Leaving the chores to another collector")

    def do_what_is_due(self) -> None:
        """Do everything whose time has come; what fails holds up nothing else, and is due again at the next look.

        Where several collectors share a store, one of them does it.
        """
        survived(self._lease.take, "Asking who does the chores")
        if not self._lease.is_ours:
            return
        now = self._collector.now()
        survived(self._alerts.go, "Looking for alerts")
        survived(self.grow, "The tree over all batches")
        if _is_due(self._checkpoint_due, now) and survived(self.checkpoint, "The checkpoint"):
            self._checkpoint_due = now + CHECKPOINT_EVERY
        if _is_due(self._retention_due, now) and survived(self.retention, "Retention"):
            self._retention_due = None if self._is_more_to_give_up else now + RETENTION_EVERY
        if _is_due(self._roll_up_due, now) and survived(self.roll_up, "Rolling up days of use"):
            self._roll_up_due = None if self._is_more_to_roll_up else now + ROLL_UP_EVERY

    def grow(self) -> None:
        """Take what has come into the tree, so that a checkpoint is not the work of a whole hour."""
        with self._collector.store.reading() as reads:
            self._tree = grown(reads, self._tree, self._rest)

    def checkpoint(self) -> None:
        """Sign a checkpoint over what has come since the last."""
        with self._collector.store.reading() as reads:
            checkpoint = next_checkpoint(reads, self._signer, self._collector.now(), self._tree)
        if checkpoint is not None:
            self._collector.writer.do(lambda writes: writes.add_checkpoint(checkpoint))

    def retention(self) -> None:
        """Give up what the settings say, for a while, and put it into the audit log."""
        collector, now, ends_at = self._collector, self._collector.now(), time.monotonic() + _RETENTION_S

        def goes_on() -> bool:
            return not self._stop.wait(_REST_S) and time.monotonic() < ends_at

        rules, do = collector.settings.retention, collector.writer.do
        counts = retention.apply(collector.store, rules, now, do, goes_on)
        self._is_more_to_give_up = time.monotonic() >= ends_at
        told = ", ".join(f"{rule}: {n}" for rule, n in counts.items() if n)
        if told:
            entry = AuditEntry(now, "retention", "give up", "done", told)
            collector.writer.do(lambda writes: writes.add_audit(entry))

    def roll_up(self) -> None:
        """Roll up days of use that are over, of so many instruments that alerts need not wait long."""
        collector, zone, now = self._collector, self._collector.settings.collector.zone, self._collector.now()
        with collector.store.reading() as reads:
            left = to_roll_up(reads, zone, now)
        for one in left[:MOST_ROLLED_UP]:
            collector.writer.do(rolling_job(one, zone, now))
            self._rest(_REST_OF_WRITER_S)
        self._is_more_to_roll_up = bool(left)

    def _rest(self, seconds: float = _REST_S) -> None:
        """Let those go first who wait for an answer: long work is done a little at a time."""
        if self._stop.wait(seconds):
            raise _Stopping
        self._lease.take()

    def _run(self) -> None:
        with suppress(_Stopping):
            while not self._stop.wait(_LOOK_S):
                self.do_what_is_due()


def _is_due(at: datetime | None, now: datetime) -> bool:
    return at is None or now >= at
