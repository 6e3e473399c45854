"""Closes acquisitions: hashes and stamps the data, off the capture thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from agent.capture.acquisition import finished_record
from agent.capture.journal import FRAMES, keep_finished
from agent.capture.publish import Publisher
from agent.capture.quality import KeptQuality
from agent.capture.stamp import describe_output, stamp_dataset, stamp_record
from agent.errors import CaptureError
from agent.mint import Mint
from agent.pulse import Pulse
from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    FinishReason,
    OutputFile,
)
from agent.supervise import shielded

WORK_WITHIN_S = 6 * 3600.0  # to hash one acquisition of terabytes
WRITTEN_WITHIN_S = 600.0
_log = logging.getLogger("scopestamp.capture")


@dataclass(frozen=True)
class Stamping:
    """How data is stamped."""

    beside: bool = True
    inside: bool = True
    hash_files: bool = True


@dataclass(frozen=True)
class Ending:
    """All that is known of an acquisition that has ended."""

    started: AcquisitionStarted
    reason: FinishReason
    n_frames: int
    folder: Path
    fields: Mapping[str, Any]
    problems: Sequence[str] = ()
    finished: AcquisitionFinished | None = None  # minted before a crash; published as it is
    wait_written: Callable[[float], bool] = lambda timeout_s: True
    remove: Callable[[], None] = field(default=lambda: None)


def close_acquisition(
    ending: Ending, mint: Mint, publisher: Publisher, stamping: Stamping, quality: KeptQuality
) -> AcquisitionFinished:
    """Publish how an acquisition ended, stamp its data, and remove its journal.

    While records still wait in memory the journal stays: the next start publishes what the journal tells again.
    """
    ending, stamping = _once_written(ending, stamping)
    record = ending.finished or _mint_finished(ending, mint, stamping, quality)
    is_safe = publisher.publish(record)
    ledger = ending.folder / FRAMES
    stamped = tuple(
        stamp_dataset(record, Path(path), ledger, beside=stamping.beside, inside=stamping.inside)
        for path in ending.started.outputs
    )
    if stamped:
        is_safe = publisher.publish(stamp_record(record, record, stamped))
    if is_safe:
        ending.remove()
    return record


def _once_written(ending: Ending, stamping: Stamping) -> tuple[Ending, Stamping]:
    """Wait for a writer that is behind; two who write into one file at once would destroy it."""
    if ending.wait_written(WRITTEN_WITHIN_S):
        return ending, stamping
    problem = (
        f"The data was still being written {WRITTEN_WITHIN_S:g} s after the end: neither hashed nor stamped inside. "
        "Look whether the disk is slow or full."
    )
    return (
        replace(ending, problems=[*ending.problems, problem]),
        replace(stamping, inside=False, hash_files=False),
    )


def _mint_finished(
    ending: Ending, mint: Mint, stamping: Stamping, quality: KeptQuality
) -> AcquisitionFinished:
    problems = list(ending.problems)
    files = _describe(ending.started.outputs, problems) if stamping.hash_files else ()
    record = finished_record(
        mint,
        ending.started,
        ending.reason,
        ending.n_frames,
        files=files,
        ledger_sha256=_sha256(ending.folder / FRAMES),
        problems=tuple(problems),
        **ending.fields,
    )
    record = shielded(partial(quality.stamped, record), "looking up quality control") or record
    try:
        keep_finished(ending.folder, record)
    except OSError as error:  # disk full: after a crash from here on another record would be minted
        _log.error("The record of acquisition %s cannot be kept: %s", record.acquisition_id, error)
    return record


def _describe(outputs: Sequence[str], problems: list[str]) -> tuple[OutputFile, ...]:
    described = []
    for path in outputs:
        try:
            described.append(describe_output(Path(path)))
        except CaptureError as error:
            problems.append(str(error))
    return tuple(described)


def _sha256(path: Path) -> str | None:
    return describe_output(path).sha256 if path.is_file() else None


class Closer:
    """A thread that closes one acquisition after the other."""

    def __init__(self, mint: Mint, publisher: Publisher, stamping: Stamping, quality: KeptQuality) -> None:
        self._mint, self._publisher, self._stamping = mint, publisher, stamping
        self._quality = quality
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._n_open = 0
        self.pulse = Pulse()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scopestamp-close", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, ending: Ending) -> None:
        """Have an acquisition closed."""
        self.do(lambda: close_acquisition(ending, self._mint, self._publisher, self._stamping, self._quality))

    def do(self, work: Callable[[], object]) -> None:
        """Have other slow work on data done, such as closing what a crash left open."""
        with self._changed:
            self._n_open += 1
        self._work.put(work)

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do; return whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_open == 0, timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """End the thread after what it has to do; what is not done in time is done at the next start."""
        self._work.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self.pulse.beat(WORK_WITHIN_S)
            shielded(work, "closing an acquisition")
            self.pulse.rest()
            with self._changed:
                self._n_open -= 1
                self._changed.notify_all()
