"""The capture of one instrument: turns what a driver tells into records.

    driver's threads ──► EventQueue ──► capture thread ──► outbox
    poll thread (reads hardware) ──┘        └──► close thread (hashes and stamps data)

The capture thread never touches hardware, so a device that hangs delays no frame stamp.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from agent.capture.acquisition import OpenAcquisition
from agent.capture.close import Closer, Stamping
from agent.capture.instrument import InstrumentWatch, Snapshot, Stated
from agent.capture.journal import JournalSession
from agent.capture.poll import Poller, Readings
from agent.capture.publish import Publisher, Puts
from agent.capture.quality import KeptQuality
from agent.capture.queue import EventQueue, Lost
from agent.capture.recover import recover_open_acquisitions
from agent.capture.runs import Runs
from agent.capture.temperatures import temperatures_in
from agent.capture.usage import UsageOptions, UsageTracker, shutters_of
from agent.capture.usage_journal import UsageJournal, publish_left
from agent.chronicle import Chronicle
from agent.mint import Mint
from agent.pulse import Pulse
from agent.records import Gap, Severity, SnapshotReason
from agent.supervise import Failures, shielded, words_of
from drivers import (
    ConfigurationLoaded,
    Driver,
    FrameSeen,
    Hardware,
    ImageSnapped,
    InstrumentLeft,
    Key,
    LiveToggled,
    Moment,
    PresetSet,
    PropertyMoved,
    SequenceFinished,
    SequenceStarted,
)

_RETRY_NS = 1_000_000_000
_IDLE_WAIT_S = 5.0
_LATE_S = 40.0


@dataclass(frozen=True)
class CaptureOptions:
    """How to capture; see the [capture] section of the settings for what the values mean."""

    queue_size: int = 10_000
    poll_interval_s: float = 30.0
    poll_pause_s: float = 0.005
    key_frame_interval_s: float = 3600.0
    ledger_flush_s: float = 0.25
    after_deadline_s: float = 30.0
    stall_s: float = 30.0  # a frame may be this much later than its plan explains
    is_supervised: bool = False  # by the daemon, which ends a process in which something hangs, and tells
    stamping: Stamping = field(default_factory=Stamping)
    left_alone: frozenset[Key] = frozenset()
    usage: Callable[[Path], UsageOptions] | None = (
        None  # from the data folder; None: sessions are not recorded
    )


class _Stop:
    """Ends the capture thread."""


class Capture:
    """Captures one instrument from `start` to `stop`.

    Parameters
    ----------
    driver : Driver
        The hardware.
    outbox : Puts
        Takes the records.
    mint : Mint
        Makes them.
    data_dir : Path
        Where the journals of open acquisitions lie.
    options : CaptureOptions, optional
    stated : Stated, optional
        What the facility states of the instrument.
    """

    def __init__(
        self,
        driver: Driver,
        outbox: Puts,
        mint: Mint,
        data_dir: Path,
        options: CaptureOptions | None = None,
        stated: Stated | None = None,
    ) -> None:
        self.options = options = options or CaptureOptions()
        stated = stated or Stated()
        self._driver, self._mint, self._data_dir = driver, mint, data_dir
        self._chronicle = Chronicle(data_dir)
        self.publisher = Publisher(outbox, self._chronicle.note)
        self.queue = EventQueue(options.queue_size)
        self.poller = Poller(
            driver, self.queue.put_always, options.poll_interval_s, options.poll_pause_s, options.left_alone
        )
        self._quality = KeptQuality(data_dir, stated.profile)
        self._closer = Closer(mint, self.publisher, options.stamping, self._quality)
        self._session = JournalSession(data_dir)
        self._runs = Runs(
            mint,
            self.publisher,
            self._closer,
            self.poller,
            self._session,
            options.after_deadline_s,
            stated.profile_sha256,
        )
        self._watch = InstrumentWatch(
            driver, self.poller, mint, self.publisher, stated, lambda: self._runs.is_any_open
        )
        self._usage_journal = UsageJournal(data_dir)
        self._usage = self._usage_tracker(options.usage(data_dir)) if options.usage else None
        self._thread = threading.Thread(target=self._run, name="scopestamp-capture", daemon=True)
        self._settled = threading.Condition()
        self._is_settled = False
        self._is_stopped = False
        self._n_lost_untold = 0
        self._key_frame_ns = time.monotonic_ns()
        self._retry_ns = self._flushed_ns = 0
        self.last_capture_at: datetime | None = None
        self.is_live = False
        self.pulse = Pulse()
        self._failures = Failures()
        self._halted: frozenset[str] = frozenset()
        self.temperatures: dict[str, float] = {}
        self.on_moved: Callable[[PropertyMoved], None] = lambda event: None

    def _usage_tracker(self, options: UsageOptions) -> UsageTracker:
        return UsageTracker(
            options,
            self._mint,
            self.publisher.publish,
            self._usage_journal,
            self._watch.state.known,
            lambda: shutters_of(self._watch.hardware),
        )

    def start(self) -> None:
        """Describe the hardware, take the first snapshot, and follow everything from here on.

        What a process that died here left open is closed meanwhile. An instrument that is not there yet is waited for.
        """
        self._closer.start()
        self._closer.do(
            lambda: recover_open_acquisitions(
                self._data_dir, self._mint, self.publisher, self.options.stamping, self._quality
            )
        )
        self._closer.do(lambda: publish_left(self._usage_journal, self.publisher.publish))
        is_present = self._driver.is_present
        if is_present:
            shielded(self._watch.describe, "describing the hardware")
        self._thread.start()
        self.poller.start()
        self._driver.listen(self.queue.put)
        if is_present:
            self.snapshot(SnapshotReason.STARTUP)

    def snapshot(self, reason: SnapshotReason = SnapshotReason.REQUESTED) -> None:
        """Have the whole state read from hardware and published."""
        self.poller.ask(Snapshot(reason))

    def settle(self, timeout_s: float) -> bool:
        """Wait until every event so far is a published record; return whether that came in time."""
        deadline = time.monotonic() + timeout_s
        asked = threading.Event()
        self.poller.ask(asked, ())  # comes back behind every read that was asked for before
        if not asked.wait(timeout_s):
            return False
        with self._settled:
            is_quiet = self._settled.wait_for(lambda: self._is_settled, max(0.0, deadline - time.monotonic()))
        return self._closer.settle(max(0.0, deadline - time.monotonic())) and is_quiet

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop following, publish what is known, and return whether all of it was done in time; once only.

        What could not be done in time, such as hashing a large dataset, is done at the next start. An acquisition
        that still runs is closed as interrupted once this process has ended: until then its data is being written.
        """
        deadline = time.monotonic() + timeout_s

        def left_s() -> float:
            return max(0.1, deadline - time.monotonic())

        if self._is_stopped:
            return True
        self._is_stopped = True
        self._driver.stop_listening()
        is_settled = self.settle(timeout_s)
        is_polled = self.poller.stop(left_s())
        self.queue.put_always(_Stop())
        self._thread.join(left_s())
        is_closed = self._closer.stop(left_s())
        self.publisher.retry()
        self._chronicle.close()
        self._usage_journal.close()
        if self._runs.is_any_running:
            self._session.keep()
        else:
            self._session.close()
        return is_settled and is_polled and is_closed and not self._thread.is_alive()

    @property
    def hardware(self) -> Hardware:
        """What is loaded."""
        return self._watch.hardware

    @property
    def is_acquiring(self) -> bool:
        """Whether an acquisition is running."""
        return self._runs.is_any_running

    @property
    def stalled_s(self) -> float:
        """For how long an acquisition has delivered no frame although one was due; 0 while all is well."""
        return max(0.0, self._runs.silent_s(time.monotonic_ns()) - self.options.stall_s)

    def parts(self) -> list[tuple[str, bool, float]]:
        """Return name, whether its thread runs, and how late it is, of each part."""
        return [
            ("capture", self._thread.is_alive(), self.pulse.late_s),
            ("poll", self.poller.is_alive, self.poller.pulse.late_s),
            ("close", self._closer.is_alive, self._closer.pulse.late_s),
        ]

    @property
    def n_frames(self) -> int:
        """Frames stamped since the start."""
        return self._runs.n_frames

    # -- the capture thread

    def _run(self) -> None:
        is_running = True
        while is_running:
            wait_s = self._wait_s()
            self.pulse.beat(wait_s + _LATE_S)
            for message in self.queue.take(wait_s):
                self.pulse.beat(_LATE_S)
                if isinstance(message, _Stop):
                    is_running = False
                else:
                    shielded(partial(self._take, message), "capturing an event")
            shielded(partial(self._tick, is_last=not is_running), "publishing what is due")
            shielded(self._tell_failures, "telling what failed")
            shielded(self._tell_halts, "telling what came to a halt")
            is_quiet = self._is_quiet()
            with self._settled:
                self._is_settled = is_quiet
                self._settled.notify_all()
        self._runs.close_journals()

    def _wait_s(self) -> float:
        is_idle = self._is_quiet() and not (self._runs.is_any_open or self.publisher.n_held)
        return _IDLE_WAIT_S if is_idle else self.options.ledger_flush_s

    def _take(self, message: object) -> None:
        match message:
            case FrameSeen():
                self._runs.add_frame(message, self._watch.state.known)
            case PropertyMoved():
                self.on_moved(message)
                self._note_use(message)
                self._runs.note_moved(self._watch.moved(message))
            case PresetSet():
                self._note_use(message)
                self._runs.note_moved(self._watch.preset_set(message))
            case Readings():
                self._take_readings(message)
            case SequenceStarted():
                self._watch.publish_changes()
                before = self._watch.state.with_summary(message.readings())
                self._runs.start(message, self._watch.hardware, before)
                if self._usage and (run := self._runs.newest):
                    self._usage.began(run.acquisition_id, message.moment)
            case SequenceFinished():
                self._take_end(message)
            case ConfigurationLoaded():
                self._watch.reload(message.moment)
            case InstrumentLeft():
                self._watch.left(message.why)
            case LiveToggled():
                self.is_live = message.is_live
                self._note_use(message)
            case ImageSnapped():
                self._note_use(message)
            case Lost():
                self._runs.note_lost(message.n_events)
                self._n_lost_untold += message.n_events

    def _take_readings(self, read: Readings) -> None:
        if isinstance(read.request, threading.Event):
            self._is_settled = False  # until this very message is done with
            read.request.set()
            return
        self.last_capture_at = self._mint.clock.wall_at()
        self.temperatures |= temperatures_in(read.readings)
        if isinstance(read.request, OpenAcquisition):
            self._runs.close(read.request, read)
            self._watch.read_after_run(read)
        else:
            self._watch.read(read)

    def _note_use(self, event: object) -> None:
        if self._usage is not None:
            self._usage.take(event)

    def _take_end(self, event: SequenceFinished) -> None:
        run = self._runs.newest
        if self._usage is not None and run is not None:
            self._usage.ended(run.acquisition_id, event.moment, run.n_frames, run.exposed_ms)
        if not self._runs.end(event):
            self._watch.tell(
                Severity.ERROR,
                "acquisition_did_not_start",
                f"An acquisition ended as {event.reason} before it took its first frame; "
                "the program that ran it knows why.",
            )

    def _tick(self, *, is_last: bool) -> None:
        now = time.monotonic_ns()
        self._runs.write_journals()
        self._watch.tick(now)
        if self._usage is not None:
            (self._usage.stop if is_last else self._usage.tick)(Moment.now())
        if is_last:
            self._watch.publish_changes()
        if is_last or now - self._flushed_ns >= self.options.ledger_flush_s * 1e9:
            self._flushed_ns = now
            self._runs.flush(now)
        self._runs.give_up_overdue(now, is_last=is_last)
        self._tell_stall()
        if is_last or now - self._retry_ns >= _RETRY_NS:
            self._retry_ns = now
            self.publisher.retry()
            self._tell_overflow()
        if now - self._key_frame_ns >= self.options.key_frame_interval_s * 1e9 and not self._runs.is_any_open:
            self._key_frame_ns = now
            if self._driver.is_present:
                self.snapshot(SnapshotReason.KEY_FRAME)

    def _is_quiet(self) -> bool:
        return not (len(self.queue) or self._runs.n_ending or self._n_lost_untold) and self._watch.is_quiet

    def _tell_stall(self) -> None:
        run, late_s = self._runs.newest, self.stalled_s
        if run is None or run.is_stall_told or not late_s:
            return
        run.is_stall_told = True
        self._watch.tell(
            Severity.WARNING,
            "acquisition_stalled",
            f"An acquisition has delivered {run.n_frames} frames, and none for {late_s + self.options.stall_s:.0f} s more "
            "than its plan explains. Unless somebody has paused it, look at the camera and what triggers it.",
        )

    def _tell_failures(self) -> None:
        for what, n_times in self._failures.news().items():
            self._watch.tell(Severity.ERROR, "failed_inside", words_of(what, n_times))

    def _tell_halts(self) -> None:
        """Tell once of what hangs in somebody's program, where nobody may end it; of our own process the daemon tells."""
        if self.options.is_supervised or self._is_stopped:
            return
        halted = {f"the thread '{name}'" for name, is_alive, late_s in self.parts() if not is_alive or late_s}
        call = self.poller.call
        if call is not None and time.monotonic_ns() - call.since_monotonic_ns > self.options.stall_s * 1e9:
            halted.add(f"reading {call.key.device}-{call.key.property}")
        for what in sorted(halted - self._halted):
            self._watch.tell(
                Severity.ERROR,
                "capture_part_stopped",
                f"In this program {what} came to a halt, and is not captured any more. Acquisitions go on. Check the device's "
                "cable and power; restart the program if it does not come back.",
            )
        self._halted = frozenset(halted)

    def _tell_overflow(self) -> None:
        if self._n_lost_untold:
            gap = self._mint.make(Gap, cause="queue_overflow", lane="capture", n_records=self._n_lost_untold)
            self.publisher.publish(gap)
            self._n_lost_untold = 0
