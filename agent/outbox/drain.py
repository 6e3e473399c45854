"""One pass over everything that waits: batches out, acknowledgements in, segments deleted."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent.clock import Clock
from agent.errors import CollectorAwayError, CollectorRefusedError
from agent.outbox.batches import after, compressed, headers_of
from agent.outbox.collector import Collector
from agent.outbox.cursor import Cursor, Position
from agent.outbox.disk import Ballast, is_disk_full
from agent.outbox.folders import SpoolFolder, all_spools, may_grow
from agent.outbox.kept import Kept
from agent.outbox.lanes import Lane
from agent.outbox.limit import last_seq_of
from agent.outbox.outbox import Outbox
from agent.outbox.poison import set_aside
from agent.outbox.reader import Feed, SpoolReader, Stored
from agent.outbox.reports import Reports
from agent.outbox.spool import ASIDE_NAME
from agent.outbox.tidy import acknowledged_segments, remove_empty_sessions, remove_segment, remove_spool
from agent.records.wire import (
    MAX_BATCH_RECORDS,
    MAX_BODY_BYTES,
    MAX_EXPANDED_BYTES,
    Flagged,
    IngestReply,
)

_log = logging.getLogger(__name__)
_BATCHES_A_TURN = 8  # of a lane that is not critical, before critical records get another chance
_MAX_REWINDS = 3
_LOOK_BACK_NS = 24 * 3600 * 10**9  # how often the collector is asked whether it still has what it once had
_SURELY_SMALL_BYTES = 64 << 10  # whoever refuses this as too large is a misconfigured proxy, not a collector


class Drain:
    """Sends what lies in a data folder to one collector; used by one thread at a time.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    collector : Collector
        Where records go.
    outbox : Outbox
        Takes the gap and event records about what cannot be sent.
    kept : Kept
        Where segments go that were sent.
    clock : Clock
        Tells how old those are.

    Attributes
    ----------
    n_sent : int
        Records acknowledged since it was made.
    flagged : deque of Flagged
        The latest records that the collector kept but could not index.
    refused : dict
        Spool to the refusal that stopped it; the others go on.
    """

    def __init__(
        self, data_dir: Path, collector: Collector, outbox: Outbox, kept: Kept, clock: Clock
    ) -> None:
        self.n_sent = 0
        self.flagged: deque[Flagged] = deque(maxlen=1000)
        self.refused: dict[str, CollectorRefusedError] = {}
        self._data_dir = data_dir
        self._collector = collector
        self._reports = Reports(outbox)
        self._ballast = Ballast(data_dir)
        self._max_body_bytes = MAX_BODY_BYTES
        self._max_records = MAX_BATCH_RECORDS
        self._has_more = False
        self._unsaved: dict[str, Position] = {}
        self._n_rewinds: dict[str, int] = {}
        self._acked_once: dict[str, int] = {}
        self._damaged: set[Path] = set()
        self._aside: set[str] = set()
        self._kept = kept
        self._clock = clock
        self._looked_back_ns: int | None = None

    def everything(self, stop: threading.Event) -> None:
        """Send all that is there now, critical records first, or until `stop` is set.

        Raises
        ------
        CollectorAwayError
            Nothing can be sent at present.
        CollectorRefusedError
            The collector takes nothing from this agent (401, 403).
        """
        self.refused.clear()
        self._n_rewinds.clear()
        self._has_more = True
        while self._has_more and not stop.is_set():
            self._has_more = False
            self._reports.pay()
            self._look_back_if_due(stop)
            for spool, is_live in self._in_order():
                if not stop.is_set() and spool.spool_id not in self.refused:
                    self._one(spool, is_live, stop)
            self._has_more |= self._reports.has_told()
        remove_empty_sessions(self._data_dir)
        self._kept.tidy(self._clock.wall_at())

    def is_aside(self, spool: SpoolFolder) -> bool:
        """Return whether a spool is kept and never sent, because the collector holds it to be forked."""
        return spool.spool_id in self._aside or (spool.path / ASIDE_NAME).exists()

    def _look_back_if_due(self, stop: threading.Event) -> None:
        """Ask whether the collector still has what it once had: at the start, when it has lost something, and daily."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_back_ns is not None and now_ns - self._looked_back_ns < _LOOK_BACK_NS:
            return
        for spool in all_spools(self._data_dir):
            position = Cursor(spool.path).load()
            if position and position.acked and not self.is_aside(spool) and not stop.is_set():
                asked = self._asked_position(spool)
                if asked.acked < position.acked:
                    self._take_word(spool, position, asked)
        for spool in self._kept.spools():
            if not stop.is_set():
                self._send_again(spool)
        self._looked_back_ns = None if stop.is_set() else now_ns

    def _send_again(self, spool: SpoolFolder) -> None:
        """Bring back what is kept of a spool and what the collector no longer has."""
        try:
            last_seq, asked = self._kept.last_seq(spool), self._asked_position(spool)
            if asked.acked < last_seq:
                self._reports.collector_lost(spool, last_seq, asked.acked)
                self._acked_once[spool.spool_id] = max(last_seq, self._acked_once.get(spool.spool_id, 0))
                self._kept.bring_back(spool, asked.acked)
        except OSError as error:
            _log.warning("What is kept of spool %s cannot be sent again now (%s).", spool.path, error)

    def _in_order(self) -> Iterator[tuple[SpoolFolder, bool]]:
        spools = [spool for spool in all_spools(self._data_dir) if not self.is_aside(spool)]
        for lane in Lane:
            for spool in spools:
                if spool.lane is lane:
                    # Asked before anything is read: what cannot grow any more is complete.
                    yield spool, may_grow(spool)

    def _one(self, spool: SpoolFolder, is_live: bool, stop: threading.Event) -> None:
        """Drain one spool; what is wrong with it does not stop the others."""
        try:
            self._drain(spool, is_live, stop)
        except CollectorRefusedError as error:
            if error.status in (401, 403):
                raise
            if error.error == "fork":
                self._set_spool_aside(spool, error)
            else:
                self.refused[spool.spool_id] = error
        except OSError as error:
            _log.warning("Spool %s cannot be drained now (%s); it is tried again later.", spool.path, error)

    def _drain(self, spool: SpoolFolder, is_live: bool, stop: threading.Event) -> None:
        start = self._position(spool)
        position: Position | None = start
        reader = SpoolReader(spool, start, is_live=is_live)
        feed = Feed(iter(reader))
        n_batches = 0
        while position and (run := feed.take(self._max_records, MAX_EXPANDED_BYTES)):
            self._report_damage(spool, reader, is_at_end=False)
            if stop.is_set() or (spool.lane is not Lane.CRITICAL and n_batches >= _BATCHES_A_TURN):
                self._has_more = True
                return
            if run[0].seq > position.next_seq and not self._is_truly_missing(spool, position, run[0].seq - 1):
                return
            position = self._send(spool, position, run, feed)
            n_batches += 1
        if position:
            self._report_damage(spool, reader, is_at_end=not is_live)
            if not is_live:
                remove_spool(self._data_dir, spool, self._kept, self._damaged)

    def _send(self, spool: SpoolFolder, position: Position, run: list[Stored], feed: Feed) -> Position | None:
        """Send a batch and return where the spool stands then; None to read anew from the saved position."""
        body = compressed(run)
        if len(body) > self._max_body_bytes and len(run) > 1:
            return self._halve(position, run, feed)
        try:
            reply = self._collector.ingest(headers_of(spool.spool_id, position, run), body)
        except CollectorRefusedError as error:
            if error.status == 413 and len(run) > 1:
                return self._halve(position, run, feed)
            if error.status == 413 and (error.error != "proxy" or len(body) > _SURELY_SMALL_BYTES):
                return self._poison(spool, position, run[0], error)
            if error.error == "gap" and error.expected is not None:
                self._take_word(spool, position, self._asked_position(spool))
                return None
            raise
        return self._acknowledged(spool, position, run, feed, reply)

    def _acknowledged(
        self, spool: SpoolFolder, position: Position, run: list[Stored], feed: Feed, reply: IngestReply
    ) -> Position:
        acked = _believable(spool, run, reply)
        new = after(position, run, acked)
        self._save(spool, new)
        self._delete_acknowledged(spool, new)
        feed.give_back([stored for stored in run if stored.seq > acked])
        self.n_sent += acked - run[0].seq + 1
        self.flagged += reply.flagged
        self._max_body_bytes = min(MAX_BODY_BYTES, max(reply.max_body_bytes, 1))
        self._max_records = min(MAX_BATCH_RECORDS, self._max_records + self._max_records // 8 + 1)
        return new

    def _halve(self, position: Position, run: list[Stored], feed: Feed) -> Position:
        feed.give_back(run)
        self._max_records = len(run) // 2
        return position

    def _poison(
        self, spool: SpoolFolder, position: Position, stored: Stored, error: CollectorRefusedError
    ) -> Position:
        set_aside(self._data_dir, f"{spool.spool_id}-{stored.seq}", stored.record, str(error))
        self._reports.poisoned(spool, stored.seq)
        new = replace(position, next_seq=stored.seq + 1, segment=stored.segment, offset=stored.end)
        self._save(spool, new)
        return new

    def _is_truly_missing(self, spool: SpoolFolder, position: Position, last_seq: int) -> bool:
        """Ask the collector before a run of records is declared lost: it may have them all."""
        asked = self._asked_position(spool)
        if asked.acked != position.acked:
            self._take_word(spool, position, asked)
            return False
        first_seq = max(position.next_seq, self._acked_once.get(spool.spool_id, 0) + 1)
        if first_seq <= last_seq:
            self._reports.missing(spool, first_seq, last_seq)
        return True

    def _take_word(self, spool: SpoolFolder, position: Position, asked: Position) -> None:
        """Believe the collector where the spool stands, but not for ever if it keeps changing its mind."""
        self._n_rewinds[spool.spool_id] = self._n_rewinds.get(spool.spool_id, 0) + 1
        if self._n_rewinds[spool.spool_id] > _MAX_REWINDS:
            raise CollectorAwayError(
                f"The collector contradicts itself about spool {spool.spool_id}: it asks for records it then says it has."
            )
        if asked.acked < position.acked:
            self._reports.collector_lost(spool, position.acked, asked.acked)
            self._acked_once[spool.spool_id] = max(position.acked, self._acked_once.get(spool.spool_id, 0))
            self._looked_back_ns = None  # other spools will lack something too
        self._has_more = True
        self._save(spool, asked)

    def _position(self, spool: SpoolFolder) -> Position:
        position = self._unsaved.get(spool.spool_id) or Cursor(spool.path).load()
        return position or self._asked_position(spool)

    def _asked_position(self, spool: SpoolFolder) -> Position:
        reply = self._collector.cursor(spool.spool_id)
        return Position(reply.acked, reply.chain, reply.acked + 1)

    def _save(self, spool: SpoolFolder, position: Position, *, sync: bool = False) -> None:
        for _ in range(2):
            try:
                Cursor(spool.path).save(position, sync=sync)
            except OSError as error:
                # Not fatal: without it, the collector is asked or recognises what it already has.
                self._unsaved[spool.spool_id] = position
                if not (is_disk_full(error) and self._ballast.release()):
                    _log.warning("The cursor of %s cannot be written now (%s).", spool.path, error)
                    return
            else:
                self._unsaved.pop(spool.spool_id, None)
                return

    def _delete_acknowledged(self, spool: SpoolFolder, position: Position) -> None:
        if done := acknowledged_segments(spool, position.next_seq):
            self._save(spool, position, sync=True)
            for path in done:
                remove_segment(self._data_dir, spool, path, self._kept, is_damaged=path in self._damaged)

    def _report_damage(self, spool: SpoolFolder, reader: SpoolReader, *, is_at_end: bool) -> None:
        segments = spool.segments() if reader.unreadable else []
        newest = segments[-1][1] if segments else None
        for damage in reader.unreadable:
            self._damaged.add(damage.path)
            is_end_of_spool = is_at_end and damage.is_tail and damage.path == newest
            self._reports.unreadable(spool, damage, is_end_of_spool=is_end_of_spool)

    def _set_spool_aside(self, spool: SpoolFolder, error: CollectorRefusedError) -> None:
        self._aside.add(spool.spool_id)
        with suppress(OSError):
            (spool.path / ASIDE_NAME).write_text(json.dumps({"error": error.error, "message": str(error)}))
        self._reports.forked(spool, str(error))


def _believable(spool: SpoolFolder, run: list[Stored], reply: IngestReply) -> int:
    """Return up to where a reply acknowledges `run`.

    Raises
    ------
    CollectorAwayError
        The reply makes no sense; nothing is taken as acknowledged.
    """
    first, last = run[0].seq, run[-1].seq
    if first <= reply.acked <= last:
        return reply.acked
    if last < reply.acked <= last_seq_of(spool):
        return last  # it has more of this spool than we knew
    raise CollectorAwayError(
        f"The collector was sent records {first} to {last} and answered that it holds everything up to {reply.acked}. "
        "That cannot be; nothing was deleted here. Check whether the collector's store was replaced."
    )
