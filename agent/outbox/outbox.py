"""The outbox of one process: what is put in is on the disk when `put` returns."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.errors import SpoolError, SpoolFullError
from agent.outbox.budget import DiskBudget, Room, Thinning
from agent.outbox.disk import Ballast, free_bytes, is_disk_full
from agent.outbox.folders import Session
from agent.outbox.identity import Identity
from agent.outbox.lanes import Lane, lane_of
from agent.outbox.limit import bytes_on_disk, give_up_oldest
from agent.outbox.poison import set_aside
from agent.outbox.spool import SEGMENT_BYTES, Spool
from agent.records import AgentEvent, Gap, Producer, Record, Severity, encode
from agent.records.wire import MAX_RECORD_BYTES

_log = logging.getLogger(__name__)
_CHECK_BYTES = 1 << 20  # the byte budget is looked at after every MiB written


class Outbox:
    """Records of this process, on their way to the collector.

    Use `open`. Every method may be called from any thread.
    """

    def __init__(
        self,
        data_dir: Path,
        session: Session,
        *,
        identity: Identity,
        budget: DiskBudget,
        clock: Clock,
        free_bytes: Callable[[], int],
    ) -> None:
        self._data_dir = data_dir
        self._session: Session | None = session
        self._identity = identity
        self._producer = Producer(
            agent_id=identity.agent_id, version=importlib.metadata.version("scopestamp")
        )
        self._clock = clock
        self._free_bytes = free_bytes
        self._limit_bytes = budget.limit(free_bytes() + bytes_on_disk(data_dir))
        self._thinning = Thinning(budget)
        self._announced: set[Lane] = set()
        self._owed: list[Record] = []  # gap records that go with the next write
        self._n_over_budget = 0
        self._unchecked_bytes = _CHECK_BYTES
        self._ballast = Ballast(data_dir)
        self._spools: dict[Lane, Spool] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        budget: DiskBudget | None = None,
        clock: Clock,
        identity: Identity | None = None,
        free_space: Callable[[], int] | None = None,
    ) -> Outbox:
        """Return an outbox with a new session of its own in `data_dir`.

        Parameters
        ----------
        data_dir : Path
            The agent's data folder; made when absent.
        budget : DiskBudget, optional
            How much disk may be used.
        clock : Clock
            Tells the time of gap records and of the session's name.
        identity : Identity, optional
            Who makes gap records; when absent, the identity kept in `data_dir`.
        free_space : callable, optional
            Returns the free bytes of the volume; tests pass their own.

        Raises
        ------
        SpoolError
            The folder cannot be written.
        IdentityError
            The agent's key cannot be read or made.
        """
        data_dir = Path(data_dir)
        identity = identity or Identity.load_or_create(data_dir)
        try:
            session = Session(data_dir, clock.wall_at())
        except OSError as error:
            raise _not_recorded(data_dir, error) from error
        outbox = cls(
            data_dir,
            session,
            identity=identity,
            budget=budget or DiskBudget(),
            clock=clock,
            free_bytes=free_space or (lambda: free_bytes(data_dir)),
        )
        outbox._look_at_disk()
        return outbox

    def put(self, *records: Record) -> None:
        """Record; when this returns, every record is on the disk or counted in a gap record.

        Records of one lane are written together with one sync, critical ones first. A record larger than
        ``MAX_RECORD_BYTES`` goes to the poison folder and a gap record says so; under disk pressure snapshots and
        heartbeats may be thinned (`DiskBudget`), and gap records say so too.

        Raises
        ------
        SpoolFullError
            The volume is full even without the ballast. What was not recorded is not there in part either, and a
            later call works again once there is space.
        SpoolError
            The disk failed otherwise, or the outbox is closed.
        """
        with self._lock:
            self._check_open()
            self._look_at_disk()
            taken = [record for record in records if self._thinning.takes(record)]
            self._owed += self._beginnings()
            self._write([*self._owed, *taken])
            self._owed.clear()

    def note_gap(self, cause: str, lane: Lane, **facts: Any) -> None:
        """Put a gap record; `facts` are fields of `Gap`."""
        self.put(self._gap(cause, lane, **facts))

    def note_event(
        self, severity: Severity, event: str, message: str, **details: bool | int | float | str
    ) -> None:
        """Put an agent event; `details` are its figures."""
        self.put(
            AgentEvent(
                captured=self._clock.now(),
                instrument_id=self._identity.instrument_id,
                producer=self._producer,
                severity=severity,
                event=event,
                message=message,
                details=details,
            )
        )

    @property
    def n_thinned(self) -> int:
        """Records given up for want of space since the outbox was opened."""
        return self._thinning.n_thinned + self._n_over_budget

    def spool_ids(self) -> dict[Lane, str]:
        """Return the spool that each lane is written to now; a lane without a record has none."""
        with self._lock:
            return {lane: spool.spool_id for lane, spool in self._spools.items()}

    def last_seq(self) -> dict[Lane, int]:
        """Return the number of the last record of each of these spools."""
        with self._lock:
            return {lane: spool.last_seq for lane, spool in self._spools.items()}

    def close(self) -> None:
        """Report what is still unreported and end the session; what is recorded stays and is sent later."""
        with self._lock:
            if self._session is None:
                return
            try:
                self._write([*self._owed, *self._totals()])
            except SpoolError as error:
                _log.warning("The last gap records were not recorded: %s", error)
            for lane in list(self._spools):
                self._retire(lane)
            self._session.close()
            self._session = None

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._session is None:
            raise SpoolError("The outbox is closed; open a new one to record.")

    def _look_at_disk(self) -> None:
        had = self._thinning.room
        try:
            room = self._thinning.look(self._free_bytes())
            if self._unchecked_bytes >= _CHECK_BYTES:
                self._unchecked_bytes = 0
                self._keep_within_budget()
        except OSError as error:
            raise _not_recorded(self._data_dir, error) from error
        if room is Room.PLENTY:
            self._ballast.keep()
            if had is not Room.PLENTY:
                self._owed += self._totals()

    def _beginnings(self) -> list[Gap]:
        """Return a gap record for each lane that has just begun to be thinned."""
        new = {lane: n for lane, n in self._thinning.given_up.items() if lane not in self._announced}
        self._announced |= new.keys()
        return [
            self._gap("disk_pressure", lane, n_records=n, since=self._thinning.since)
            for lane, n in new.items()
        ]

    def _totals(self) -> list[Gap]:
        """Return a gap record with the total of each lane that was thinned; it replaces the one of the beginning."""
        gaps = [
            self._gap("disk_pressure", lane, n_records=n, since=self._thinning.since)
            for lane, n in self._thinning.given_up.items()
        ]
        self._thinning.forget()
        self._announced.clear()
        return gaps

    def _keep_within_budget(self) -> None:
        gone = give_up_oldest(self._data_dir, self._limit_bytes)
        self._n_over_budget += sum(loss.n_records for loss in gone)
        self._owed += [
            self._gap(
                "budget",
                loss.lane,
                spool_id=loss.spool_id,
                first_seq=loss.first_seq,
                last_seq=loss.last_seq,
                n_records=loss.n_records,
            )
            for loss in gone
        ]

    def _gap(self, cause: Any, lane: Lane, **facts: Any) -> Gap:
        return Gap(
            captured=self._clock.now(),
            instrument_id=self._identity.instrument_id,
            producer=self._producer,
            cause=cause,
            lane=lane,
            **facts,
        )

    def _write(self, records: Sequence[Record]) -> None:
        by_lane: dict[Lane, list[bytes]] = {}
        for record in records:
            encoded = encode(record)
            lane = lane_of(record)
            if len(encoded) > MAX_RECORD_BYTES:
                encoded = self._poisoned(record, lane, encoded)
                lane = Lane.CRITICAL
            by_lane.setdefault(lane, []).append(encoded)
        for lane in Lane:
            for run in _runs(by_lane.get(lane, ())):
                self._append(lane, run)

    def _poisoned(self, record: Record, lane: Lane, encoded: bytes) -> bytes:
        """Keep a record that is too large as a file, and return the gap record that stands for it."""
        reason = (
            f"A record may have {MAX_RECORD_BYTES} bytes; this one has {len(encoded)}. It was not sent; "
            "send it to the developers if it is worth sending."
        )
        try:
            set_aside(self._data_dir, record.record_id.hex, encoded, reason)
        except OSError as error:
            raise _not_recorded(self._data_dir, error) from error
        return encode(self._gap("record_too_large", lane, n_records=1, since=record.captured))

    def _append(self, lane: Lane, records: Sequence[bytes]) -> None:
        try:
            self._append_once(lane, records)
        except OSError as error:
            if not (is_disk_full(error) and self._ballast.release()):
                raise _not_recorded(self._data_dir, error) from error
            _log.warning("The disk is full; the ballast was given up.")
            try:
                self._append_once(lane, records)
            except OSError as again:
                raise _not_recorded(self._data_dir, again) from again

    def _append_once(self, lane: Lane, records: Sequence[bytes]) -> None:
        try:
            self._unchecked_bytes += self._spool(lane).append(records, self._clock.wall_at())
        except OSError:
            self._retire(lane)
            raise

    def _spool(self, lane: Lane) -> Spool:
        if lane in self._spools and self._spools[lane].is_aside():
            self._retire(lane)
        if lane not in self._spools:
            assert self._session is not None
            self._spools[lane] = Spool(self._session.folder, lane, self._clock.wall_at())
        return self._spools[lane]

    def _retire(self, lane: Lane) -> None:
        if spool := self._spools.pop(lane, None):
            spool.close()


def _runs(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split records so that one append never makes a segment much longer than a segment should be."""
    run: list[bytes] = []
    size = 0
    for record in records:
        if run and size + len(record) > SEGMENT_BYTES:
            yield run
            run, size = [], 0
        run.append(record)
        size += len(record)
    if run:
        yield run


def _not_recorded(data_dir: Path, error: OSError) -> SpoolError:
    if is_disk_full(error):
        return SpoolFullError(
            f"The volume of {data_dir} is full, so nothing more can be recorded. Make room on it; recording goes on by "
            "itself."
        )
    return SpoolError(
        f"Nothing can be recorded in {data_dir} ({error.strerror or error}). Check that the disk is there and that the "
        "account that runs the agent may write to this folder."
    )
