"""Reports datasets that have settled, one after the other: joins, hashes, publishes, stamps."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from agent.capture.publish import Publisher
from agent.capture.stamp import sidecar_path, stamp_record, write_stamp
from agent.chronicle import Chronicle
from agent.mint import Mint
from agent.records import (
    AcquisitionFinished,
    DatasetFound,
    QcStamp,
    SystemState,
    encode,
)
from agent.watch.errors import ChangedError
from agent.watch.extent import extent_of, glance
from agent.watch.hashing import DatasetHash, Throttle
from agent.watch.join import SLACK, Joined, Written, join
from agent.watch.register import Register
from agent.watch.settling import Settled

STAMPED_INSIDE = frozenset(("ome-zarr", "ome-tiff"))
"""Micro-Manager's own stacks hold offsets into themselves, so they get the stamp beside them only."""
_log = logging.getLogger("scopestamp.watch")


@dataclass(frozen=True, slots=True)
class Reporting:
    """How datasets are reported.

    Attributes
    ----------
    is_shared : callable
        Says whether a path lies on a share.
    is_open : callable
        Says of an acquisition without an end whether it may still come.
    qc : callable
        Returns the quality control that held in a state of the instrument at a time.
    """

    mint: Mint
    publisher: Publisher
    chronicle: Chronicle
    register: Register
    beside: bool = True
    inside: bool = True
    hash_files: bool = True
    is_shared: Callable[[Path], bool] = lambda _: False
    is_open: Callable[[UUID], bool] = lambda _: True
    qc: Callable[[SystemState | None, datetime], QcStamp | None] = lambda *_: None


class Reporter:
    """Reports what is handed to it; every method is called on the watcher's thread.

    Parameters
    ----------
    how : Reporting
    throttle : Throttle
        How fast data may be read.
    give_back : callable
        Takes a dataset that changed while it was reported.
    """

    def __init__(self, how: Reporting, throttle: Throttle, give_back: Callable[[Settled], None]) -> None:
        self._how, self._throttle, self._give_back = how, throttle, give_back
        self._queue: deque[Settled] = deque()
        self._keys: set[str] = set()
        self._work: Iterator[int] | None = None
        self._current: Settled | None = None
        self._allowed = 0
        self.n_reported = 0

    @property
    def n_waiting(self) -> int:
        """How many are being reported or wait for it."""
        return len(self._keys)

    def add(self, settled: Settled) -> None:
        """Have a dataset reported; one that waits already is not added again."""
        if settled.entry.candidate.key not in self._keys:
            self._keys.add(settled.entry.candidate.key)
            self._queue.append(settled)

    def is_reporting(self, key: str) -> bool:
        """Return whether a dataset is being reported or waits for it."""
        return key in self._keys

    def advance(self, now_s: float, *, is_paused: bool) -> None:
        """Go on reporting, as far as may be read now; datasets whose acquisition still runs are given back."""
        self._allowed = self._throttle.allow(now_s, is_paused=is_paused)
        n_left = len(self._queue) + (self._work is not None)
        while n_left and self._next():
            try:
                while self._work is not None:
                    if next(self._work, None) is None:
                        self._finish()
                    elif self._allowed <= 0:
                        return
            except ChangedError as error:
                _log.debug("%s", error)
                self._drop()
            n_left -= 1

    def _next(self) -> bool:
        if self._work is None and self._queue:
            self._current = self._queue.popleft()
            self._work = self._report(self._current)
        return self._work is not None

    def _finish(self) -> None:
        assert self._current is not None
        self._keys.discard(self._current.entry.candidate.key)
        self._work = self._current = None

    def _drop(self) -> None:
        settled = self._current
        self._finish()
        assert settled is not None
        self._give_back(settled)

    # -- one dataset, as a generator that stops where it must not read on

    def _report(self, settled: Settled) -> Iterator[int]:
        candidate, register = settled.entry.candidate, self._how.register
        if (moved_from := register.same_elsewhere(candidate, settled.extent)) is not None:
            _log.debug("%s is what was %s", candidate.path, moved_from)
            register.done(candidate, glance(candidate), settled.extent)
            return
        joined = self._join(settled)
        if joined is None:
            register.done(candidate, glance(candidate), settled.extent)
            return
        if joined.is_open:
            raise ChangedError(
                f"{candidate.path} waits for the end of the acquisition that may have produced it."
            )
        hashing = DatasetHash(candidate)
        kept = register.kept(candidate)
        if self._how.hash_files and not (kept and self._is_stamped_with(kept, joined)):
            yield from self._hash(hashing)
        if extent_of(candidate) != settled.extent:
            raise ChangedError(f"{candidate.path} changed while it was hashed.")
        if kept is not None and (hashing.sha256 == kept.sha256 or self._is_stamped_with(kept, joined)):
            record = kept  # we died after it was minted
        else:
            record = self._record(settled, joined, hashing.sha256)
            register.keep(candidate, record)
        self._how.publisher.publish(record)
        yield from self._stamp(settled, joined, record, hashing)
        while (
            self._how.publisher.n_held
        ):  # the disk is full: until the record is on it, this dataset is not done
            yield 0
            self._allowed = 0
            self._how.publisher.retry()
        register.done(candidate, glance(candidate), extent_of(candidate))
        self.n_reported += 1

    def _hash(self, hashing: DatasetHash) -> Iterator[int]:
        while hashing.sha256 is None:
            if self._allowed > 0:
                n_read = hashing.advance(self._allowed)
                self._throttle.spend(n_read)
                self._allowed -= n_read
            if hashing.sha256 is None:
                yield hashing.n_bytes

    def _join(self, settled: Settled) -> Joined | None:
        """Return the acquisition of a dataset; None when the capture has reported and stamped it by itself."""
        path = settled.entry.candidate.path
        written = self._written(settled)
        stamped_at = self._how.chronicle.stamped_at(path)
        if stamped_at is not None and _wall(settled.extent.last_ns) <= stamped_at + SLACK:
            return None
        return join(written, self._how.chronicle, self._how.is_open, is_written_since=stamped_at is not None)

    def _written(self, settled: Settled) -> Written:
        """Return when a dataset was written: on a share by our own clock, as far as we saw it."""
        began, ended = _wall(settled.extent.first_ns), _wall(settled.extent.last_ns)
        is_shared = self._how.is_shared(settled.entry.candidate.path)
        if settled.was_growing and is_shared:
            ended = settled.changed_at
        if settled.was_growing:
            began = min(settled.entry.first_seen_at, began)
        n_frames = settled.verdict.n_frames
        return Written(settled.entry.candidate.path, min(began, ended), ended, n_frames, is_shared)

    def _record(self, settled: Settled, joined: Joined, sha256: str | None) -> DatasetFound:
        entry, verdict, extent = settled.entry, settled.verdict, settled.extent
        written = self._written(settled)
        known = joined.acquisition
        finished = joined.carried or (known.finished() if known else None)
        state = None if finished else self._how.chronicle.state_at(written.ended_at)
        acquisition_id = finished.acquisition_id if finished else known.acquisition_id if known else None
        return self._how.mint.make(
            DatasetFound,
            dataset_id=uuid4(),
            acquisition_id=acquisition_id,
            joined_by=joined.by,
            path=str(entry.candidate.path),
            format=entry.candidate.format,
            completeness=verdict.completeness,
            completeness_note=verdict.note,
            n_frames=verdict.n_frames,
            n_frames_expected=verdict.n_frames_expected,
            size_bytes=extent.size_bytes,
            n_files=extent.n_files,
            sha256=sha256,
            first_seen_at=entry.first_seen_at,
            began_at=written.began_at,
            last_written_at=_wall(extent.last_ns),
            facts=verdict.facts,
            reader=verdict.reader,
            state=state,
            qc=finished.qc if finished else self._how.qc(state, written.ended_at),
            supersedes=entry.supersedes,
            problems=(*verdict.problems, *([joined.problem] if joined.problem else [])),
        )

    def _is_stamped_with(self, kept: DatasetFound, joined: Joined) -> bool:
        """Return whether the stamp of a kept record lies beside the data already, and so maybe inside."""
        known = joined.acquisition.finished() if joined.acquisition else None
        try:
            beside = sidecar_path(Path(kept.path)).read_bytes()
        except OSError:
            return False
        return beside in (encode(kept), encode(known) if known else None)

    def _stamp(
        self, settled: Settled, joined: Joined, record: DatasetFound, hashing: DatasetHash
    ) -> Iterator[int]:
        """Write the stamp: of the acquisition when its record is known, else of the dataset's own."""
        if joined.carried is not None or not (self._how.beside or self._how.inside):
            return
        path = settled.entry.candidate.path
        stamped: AcquisitionFinished | DatasetFound = record
        if joined.acquisition is not None:
            stamped = joined.acquisition.finished() or record
        is_whole = record.completeness == "complete" and record.format in STAMPED_INSIDE
        file = write_stamp(stamped, path, None, beside=self._how.beside, inside=self._how.inside and is_whole)
        sha256, size_bytes = record.sha256, record.size_bytes
        if file.is_stamped_inside:
            again, size_bytes = hashing.again(), extent_of(settled.entry.candidate).size_bytes
            if self._how.hash_files:
                yield from self._hash(again)
            sha256 = again.sha256
        file = file.model_copy(update={"sha256": sha256, "size_bytes": size_bytes})
        self._how.publisher.publish(stamp_record(record, stamped, (file,)))


def _wall(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)
