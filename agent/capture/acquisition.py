"""One acquisition that is running: from its start to the frame ledger and the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agent.capture.journal import FrameRow, Journal
from agent.capture.ledger import BATCH_FRAMES, ledger_record
from agent.mint import Mint
from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    Cause,
    FinishReason,
    FrameCount,
    FrameLedger,
)
from drivers import FrameSeen, Key, PropertyReading, SequenceFinished

BATCH_EVERY_NS = 10_000_000_000


@dataclass(eq=False)
class OpenAcquisition:
    """An acquisition and what was seen of it so far.

    Attributes
    ----------
    before : mapping
        The readings behind ``started.before``, to compare with those after.
    moved : dict
        Devices that were commanded or announced a change since the run began.
    batched_ns : int
        Monotonic time of the last ledger batch, or of the start.
    problems : list of str
        What went wrong while capturing, in words.
    n_lost : int
        Events of the run that found no room in the queue.
    exposed_ms : float
        Sum of the exposures of its frames.
    longest_pause_s : float or None
        How long no frame may come although all is well; None where nobody can tell.
    seen_ns : int
        Monotonic time of the last frame, or of the start.
    """

    started: AcquisitionStarted
    journal: Journal
    before: Mapping[Key, PropertyReading]
    batched_ns: int
    problems: list[str] = field(default_factory=list)
    moved: dict[str, Cause] = field(default_factory=dict)
    finished: SequenceFinished | None = None
    n_frames: int = 0
    n_lost: int = 0
    exposed_ms: float = 0.0
    longest_pause_s: float | None = None
    seen_ns: int = 0
    is_stall_told: bool = False
    _values: dict[Key, str] = field(default_factory=dict)
    _states: dict[int, dict[str, dict[str, str]]] = field(default_factory=dict)
    _rows: list[FrameRow] = field(default_factory=list)

    @property
    def acquisition_id(self) -> UUID:
        """The id in all its records."""
        return self.started.acquisition_id

    @property
    def n_unstamped(self) -> int:
        """Frames that the driver delivered and the queue had no room for; known at the end."""
        return max(self.finished.n_frames - self.n_frames, 0) if self.finished else 0

    def silent_s(self, now_ns: int) -> float:
        """Return for how long it has been longer without a frame than its plan explains."""
        if self.longest_pause_s is None:
            return 0.0
        return max(0.0, (now_ns - self.seen_ns) / 1e9 - self.longest_pause_s)

    def note_moved(self, moved: Mapping[str, Cause]) -> None:
        """Note which devices were moved; a command is not forgotten over the announcement that follows it."""
        for device, cause in moved.items():
            if self.moved.get(device) is not Cause.COMMANDED:
                self.moved[device] = cause

    def add_frame(self, frame: FrameSeen) -> None:
        """Stamp a frame into the journal."""
        if frame.state is not None:
            self._add_state(frame.state)
        stamp = frame.stamp()
        row = FrameRow(
            self.n_frames,
            frame.moment.monotonic_ns,
            stamp.runner_time_ms,
            dict(stamp.index),
            stamp.camera,
            stamp.channel,
            stamp.exposure_ms,
            stamp.position.x_um,
            stamp.position.y_um,
            stamp.position.z_um,
            stamp.position.how,
            len(self._states),
        )
        self.journal.add_frame(row)
        self._rows.append(row)
        self.n_frames += 1
        self.exposed_ms += stamp.exposure_ms or 0.0
        self.seen_ns, self.is_stall_told = frame.moment.monotonic_ns, False

    def _add_state(self, values: Mapping[Key, str]) -> None:
        known = self._values or {key: str(reading.value) for key, reading in self.before.items()}
        differing: dict[str, dict[str, str]] = {}
        for key, value in values.items():
            if not _same(known.get(key), value):
                differing.setdefault(key.device, {})[key.property] = value
        self._values = dict(values)
        if differing:
            number = len(self._states) + 1
            self._states[number] = differing
            self.journal.add_state(number, differing)

    def take_batch(self, now_ns: int, *, is_last: bool = False) -> FrameLedger | None:
        """Return the next batch of the ledger when it is full or has waited, or whatever is left at the end."""
        is_due = len(self._rows) >= BATCH_FRAMES or now_ns - self.batched_ns >= BATCH_EVERY_NS
        if not self._rows or not (is_due or is_last):
            return None
        self.journal.end_batch(self.n_frames)
        record = ledger_record(self.started, self._rows, self._states)
        self._rows, self.batched_ns = [], now_ns
        return record


def _same(known: str | None, value: str) -> bool:
    """Return whether two texts are the same value: the cache and the hardware format numbers differently."""
    if known == value:
        return True
    try:
        return known is not None and float(known) == float(value)
    except ValueError:
        return False


def finished_record(
    mint: Mint, started: AcquisitionStarted, reason: FinishReason, n_frames: int, **fields: Any
) -> AcquisitionFinished:
    """Return the record that closes an acquisition; `fields` are those that only the caller knows."""
    expected = started.plan.n_frames_expected
    unstamped = fields.pop("unstamped", 0)
    dropped = None if expected is None else max(expected - n_frames - unstamped, 0)
    return mint.make(
        AcquisitionFinished,
        acquisition_id=started.acquisition_id,
        started=started.started,
        reason=reason,
        plan=started.plan,
        images=started.images,
        before=started.before,
        frames=FrameCount(expected=expected, seen=n_frames, unstamped=unstamped, dropped=dropped),
        **fields,
    )
