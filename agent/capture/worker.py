"""The capture of one instrument: turns what a driver tells into records.

    driver's threads ──► EventQueue ──► capture thread ──► outbox
    poll thread (reads hardware) ──┘        └──► close thread (hashes and stamps data)

The capture thread never touches hardware, so a device that hangs delays no frame stamp.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from agent.capture.acquisition import OpenAcquisition
from agent.capture.close import Closer, Ending, Stamping
from agent.capture.convert import devices_of, groups_of, image_of, plan_of, state_of
from agent.capture.journal import JournalSession
from agent.capture.poll import Poller, Readings
from agent.capture.publish import Publisher, Puts
from agent.capture.queue import EventQueue
from agent.capture.recover import recover_open_acquisitions
from agent.capture.state import ChangeLog, StateOfRecord, difference
from agent.mint import Mint
from agent.records import (
    AcquisitionPlan,
    AcquisitionStarted,
    AgentEvent,
    Cause,
    FinishReason,
    Gap,
    InstrumentDescription,
    Quantity,
    Severity,
    SnapshotReason,
    StateChange,
    StateSnapshot,
)
from agent.supervise import shielded
from drivers import (
    ConfigurationLoaded,
    Driver,
    FrameSeen,
    Hardware,
    How,
    Key,
    LiveToggled,
    PresetSet,
    PropertyMoved,
    PropertyReading,
    SequenceFinished,
    SequenceStarted,
    Status,
)

_log = logging.getLogger("scopestamp.capture")
_CHANGE_WAIT_NS = 1_000_000_000  # a change is published this long after it was first seen
_RETRY_NS = 1_000_000_000


@dataclass(frozen=True)
class CaptureOptions:
    """How to capture; the values of the [capture] section of the settings."""

    queue_size: int = 10_000
    poll_interval_s: float = 30.0
    poll_pause_s: float = 0.005
    key_frame_interval_s: float = 3600.0
    ledger_flush_s: float = 0.25
    after_deadline_s: float = 30.0
    stamping: Stamping = field(default_factory=Stamping)
    left_alone: frozenset[Key] = frozenset()


@dataclass(frozen=True)
class Profile:
    """What the facility states of the instrument and, by label, of its devices."""

    nameplate: Mapping[str, Quantity] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, Quantity]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Snapshot:
    reason: SnapshotReason


@dataclass(frozen=True)
class _After:
    acquisition: OpenAcquisition


@dataclass(frozen=True)
class _Settle:
    devices: frozenset[str]


class _Stop:
    pass


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
    """

    def __init__(
        self,
        driver: Driver,
        outbox: Puts,
        mint: Mint,
        data_dir: Path,
        options: CaptureOptions | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.options = options or CaptureOptions()
        self._profile = profile or Profile()
        self._driver, self._mint, self._data_dir = driver, mint, data_dir
        self.publisher = Publisher(outbox)
        self.queue = EventQueue(self.options.queue_size)
        self.poller = Poller(
            driver,
            self.queue.put_always,
            self.options.poll_interval_s,
            self.options.poll_pause_s,
            self.options.left_alone,
        )
        self._closer = Closer(mint, self.publisher, self.options.stamping)
        self._hardware = Hardware(devices={})
        self._state = StateOfRecord()
        self._changes = ChangeLog(mint)
        self._open: dict[int, OpenAcquisition] = {}
        self._ending: list[OpenAcquisition] = []
        self._n_lost_told = 0
        self._key_frame_ns = self._retry_ns = self._flushed_ns = 0
        self._is_live = False
        self.last_capture_at: datetime | None = None
        self.n_frames = 0
        self._settled = threading.Condition()

    # -- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Describe the hardware, take the first snapshot, and follow everything from here on.

        Raises
        ------
        OSError
            The data folder cannot be written.
        """
        self._session = JournalSession(self._data_dir)
        self._closer.start()
        self._closer.do(
            lambda: recover_open_acquisitions(
                self._data_dir, self._mint, self.publisher, self.options.stamping
            )
        )
        self._describe()
        self._thread = threading.Thread(target=self._run, name="scopestamp-capture", daemon=True)
        self._thread.start()
        self.poller.start()
        self._driver.listen(self.queue.put)
        self.snapshot(SnapshotReason.STARTUP)

    def snapshot(self, reason: SnapshotReason = SnapshotReason.REQUESTED) -> None:
        """Have the whole state read from hardware and published."""
        self.poller.ask(_Snapshot(reason))

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Stop following, publish what is known, and return whether all of it was done in time.

        What could not be done in time, such as hashing a large dataset, is done at the next start.
        """
        deadline = time.monotonic() + timeout_s
        self._driver.stop_listening()
        is_settled = self.settle(timeout_s)
        is_polled = self.poller.stop(max(0.1, deadline - time.monotonic()))
        self.queue.put_always(_Stop())
        self._thread.join(max(0.1, deadline - time.monotonic()))
        is_closed = self._closer.stop(max(0.1, deadline - time.monotonic()))
        self._session.close()
        return is_settled and is_polled and is_closed and not self._thread.is_alive()

    def settle(self, timeout_s: float) -> bool:
        """Wait until every event so far is a published record; return whether that came in time."""
        deadline = time.monotonic() + timeout_s
        asked = threading.Event()
        self.poller.ask(asked, ())  # comes back behind every read that was asked for before
        if not asked.wait(timeout_s):
            return False
        with self._settled:
            is_quiet = self._settled.wait_for(self._is_quiet, max(0.0, deadline - time.monotonic()))
        return self._closer.settle(max(0.0, deadline - time.monotonic())) and is_quiet

    def _is_quiet(self) -> bool:
        return not (len(self.queue) or self._ending or len(self._changes) or self._state.unsettled)

    @property
    def is_acquiring(self) -> bool:
        """Whether an acquisition is running."""
        return bool(self._open)

    @property
    def is_live(self) -> bool:
        """Whether the camera runs freely."""
        return self._is_live

    # -- the capture thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        is_running = True
        while is_running:
            message = self.queue.get(self._wait_s())
            if isinstance(message, _Stop):
                is_running = False
            elif message is not None:
                shielded(lambda: self._take(message), "capturing an event")  # noqa: B023 - called at once
            shielded(lambda: self._tick(is_last=not is_running), "publishing what is due")  # noqa: B023
            with self._settled:
                self._settled.notify_all()

    def _wait_s(self) -> float:
        if self._open or self._ending or len(self._changes):
            return self.options.ledger_flush_s
        return min(self.options.poll_interval_s, 5.0)

    def _take(self, message: object) -> None:
        match message:
            case FrameSeen():
                self._on_frame(message)
            case PropertyMoved():
                self._on_moved(message)
            case PresetSet():
                self._on_preset(message)
            case Readings():
                self._on_readings(message)
            case SequenceStarted():
                self._on_started(message)
            case SequenceFinished():
                self._on_finished(message)
            case ConfigurationLoaded():
                self._on_configuration(message)
            case LiveToggled():
                self._is_live = message.is_live

    def _tick(self, *, is_last: bool) -> None:
        now = time.monotonic_ns()
        if is_last or self._changes.is_due(now, _CHANGE_WAIT_NS):
            self._publish_changes()
        if self._state.unsettled and not self._open and not self._is_asked:
            self._ask_unsettled()
        if now - self._flushed_ns >= self.options.ledger_flush_s * 1e9 or is_last:
            self._flushed_ns = now
            self._flush_ledgers(now)
        if now - self._retry_ns >= _RETRY_NS:
            self._retry_ns = now
            self.publisher.retry()
            self._tell_overflow()
        if now - self._key_frame_ns >= self.options.key_frame_interval_s * 1e9 and not self._open:
            self._key_frame_ns = now
            self.snapshot(SnapshotReason.KEY_FRAME)
        for acquisition in [a for a in self._ending if self._is_overdue(a, now)]:
            self._close(
                acquisition, None, ["The hardware did not answer in time: the state after is not known."]
            )
        if is_last:
            for acquisition in list(self._ending):
                self._close(acquisition, None, ["The agent was stopped before the state after was read."])

    # -- hardware -----------------------------------------------------------------------------------------

    def _describe(self) -> None:
        """Publish what is loaded."""
        self._hardware = self._driver.describe()
        self._key_frame_ns = time.monotonic_ns()
        self.publisher.publish(
            self._mint.make(
                InstrumentDescription,
                nameplate=dict(self._profile.nameplate),
                devices=devices_of(self._hardware, self._profile.devices),
                config_groups=groups_of(self._hardware),
                pixel_sizes={
                    name: Quantity(
                        value=size, unit="um", source="device", observed_at=self._mint.clock.wall_at()
                    )
                    for name, size in self._hardware.pixel_sizes_um.items()
                },
                software=dict(self._hardware.software),
                configuration_sha256=_sha256(self._hardware.configuration_file),
            )
        )
        for label in self._profile.devices:
            if label not in self._hardware.devices:
                self._tell(
                    Severity.WARNING,
                    "profile_names_missing_device",
                    f"The profile states facts of the device '{label}', but no such device is loaded. Loaded are: "
                    f"{', '.join(self._hardware.devices) or 'none'}.",
                )
        if not self._hardware.has_camera:
            self._tell(
                Severity.WARNING,
                "no_camera",
                "The loaded configuration has no camera: state is captured, acquisitions cannot be run.",
            )

    def _on_configuration(self, event: ConfigurationLoaded) -> None:
        self._publish_changes()
        self._state.forget()
        shielded(self._describe, "describing the hardware")
        self.snapshot(SnapshotReason.CONFIGURATION_LOADED)

    def _on_moved(self, event: PropertyMoved) -> None:
        device = event.reading.key.device
        cause = Cause.COMMANDED if event.is_commanded else Cause.NOTIFIED
        self._note_moved(device, cause)
        self._observe(event.reading, cause)

    def _on_preset(self, event: PresetSet) -> None:
        preset = self._hardware.preset(event.group, event.preset)
        for key, value in preset.settings.items() if preset else ():
            self._note_moved(key.device, Cause.COMMANDED)
            self._observe(
                PropertyReading(key, Status.OK, How.COMMANDED, event.moment, self._as_declared(key, value)),
                Cause.COMMANDED,
            )

    def _as_declared(self, key: Key, value: str) -> str | int | float:
        declared = (
            self._hardware.devices[key.device].properties.get(key.property)
            if key.device in self._hardware.devices
            else None
        )
        if declared is None or declared.value_type not in ("float", "integer"):
            return value
        try:
            return int(value) if declared.value_type == "integer" else float(value)
        except ValueError:
            return value

    def _note_moved(self, device: str, cause: Cause) -> None:
        self._state.unsettle(device, cause)
        for acquisition in self._open.values():
            acquisition.moved[device] = cause

    def _observe(self, reading: PropertyReading, cause: Cause) -> None:
        """Take a reading into the state of record, and into the change log unless an acquisition is running."""
        before = self._state.observe(reading)
        if before is not None and not self._open and not self._ending:
            self._changes.add(before, reading, cause)

    _is_asked = False

    def _ask_unsettled(self) -> None:
        """Have devices that were moved read again: a commanded label moves a state, a preset is but a wish."""
        self._is_asked = True
        devices = self._state.unsettled
        keys = [key for key in self._driver.keys() if key.device in devices or key.device == "Core"]
        self.poller.ask(_Settle(devices), keys)

    def _on_readings(self, read: Readings) -> None:
        self.last_capture_at = self._mint.clock.wall_at()
        if isinstance(read.request, threading.Event):
            read.request.set()
            return
        if isinstance(read.request, _After):
            self._on_after(read.request.acquisition, read)
            return
        for reading in read.readings:
            if reading.how is not How.CACHE:
                self._observe(reading, self._state.cause_of(_mover(reading.key, self._state)))
        if isinstance(read.request, _Settle):
            self._is_asked = False
            if read.is_complete:
                self._state.settle(read.request.devices)
        if isinstance(read.request, _Snapshot):
            self.publisher.publish(
                self._mint.make(
                    StateSnapshot,
                    reason=read.request.reason,
                    state=state_of(read.readings, self._mint.instant(read.moment), read.duration_ms),
                )
            )

    def _publish_changes(self) -> None:
        if changes := self._changes.take():
            self.publisher.publish(self._mint.make(StateChange, changes=changes))

    # -- acquisitions -------------------------------------------------------------------------------------

    def _on_started(self, event: SequenceStarted) -> None:
        self._publish_changes()
        now = self._mint.clock.wall_at()
        before = self._state.with_summary(event.readings())
        started = self._mint.make(
            AcquisitionStarted,
            acquisition_id=uuid4(),
            started=self._mint.instant(event.moment),
            plan=plan_of(event.plan(), self._hardware, now),
            images=tuple(image_of(image, now) for image in event.images()),
            before=state_of(before.values(), self._mint.instant(event.moment), 0.0),
            outputs=event.outputs,
        )
        self._begin(event.sequence_key, started, before)

    def _begin(
        self, sequence_key: int, started: AcquisitionStarted, before: Mapping[Key, PropertyReading]
    ) -> OpenAcquisition:
        journal = self._session.open(started.acquisition_id, started)
        acquisition = OpenAcquisition(started, journal, before, self.queue.n_lost)
        self._open[sequence_key] = acquisition
        self.publisher.publish(started)
        return acquisition

    def _on_frame(self, frame: FrameSeen) -> None:
        acquisition = next(reversed(self._open.values()), None) or self._begin_unannounced(frame)
        acquisition.add_frame(frame)
        self.n_frames += 1
        if batch := acquisition.take_batch(self._mint, frame.moment.monotonic_ns):
            self.publisher.publish(batch)

    def _begin_unannounced(self, frame: FrameSeen) -> OpenAcquisition:
        """Open an acquisition whose start was not seen, because the agent came later."""
        before = self._state.known()
        moment = self._mint.instant(frame.moment)
        started = self._mint.make(
            AcquisitionStarted,
            acquisition_id=uuid4(),
            started=moment,
            plan=AcquisitionPlan(axes={}),
            before=state_of(before.values(), moment, 0.0),
        )
        acquisition = self._begin(0, started, before)
        acquisition.problems.append(
            "The agent came after the acquisition had begun: its plan and first frames are not known."
        )
        return acquisition

    def _flush_ledgers(self, now: int) -> None:
        for acquisition in self._open.values():
            acquisition.journal.flush()
            if batch := acquisition.take_batch(self._mint, now):
                self.publisher.publish(batch)

    def _on_finished(self, event: SequenceFinished) -> None:
        acquisition = self._open.pop(event.sequence_key, None) or self._open.pop(0, None)
        if acquisition is None:
            self._tell(
                Severity.ERROR,
                "acquisition_did_not_start",
                f"An acquisition ended as {event.reason} before it took its first frame; the acquiring program knows why.",
            )
            return
        acquisition.finished = event
        finished = self._mint.instant(event.moment)
        acquisition.journal.end(event.reason, finished.wall_at.isoformat(), finished.monotonic_ns)
        if batch := acquisition.take_batch(self._mint, event.moment.monotonic_ns, is_last=True):
            self.publisher.publish(batch)
        self._ending.append(acquisition)
        self.poller.ask(_After(acquisition))

    def _is_overdue(self, acquisition: OpenAcquisition, now: int) -> bool:
        assert acquisition.finished is not None
        return now - acquisition.finished.moment.monotonic_ns > self.options.after_deadline_s * 1e9

    def _on_after(self, acquisition: OpenAcquisition, read: Readings) -> None:
        if acquisition not in self._ending:
            return  # it was given up before the hardware answered
        problems = (
            []
            if read.is_complete
            else ["Another acquisition began at once: part of the state after is from the cache."]
        )
        self._close(acquisition, read, problems)
        for reading in read.readings:
            if reading.how is not How.CACHE:
                self._state.observe(reading)
        if read.is_complete:
            self._state.settle(self._state.unsettled)

    def _close(self, acquisition: OpenAcquisition, read: Readings | None, problems: list[str]) -> None:
        assert acquisition.finished is not None
        self._ending.remove(acquisition)
        acquisition.journal.close()
        after = None
        changed = ()
        if read is not None:
            after = state_of(read.readings, self._mint.instant(read.moment), read.duration_ms)
            readings = {reading.key: reading for reading in read.readings}
            changed = difference(acquisition.before, readings, acquisition.moved, self._mint)
        n_lost = self.queue.n_lost - acquisition.n_lost_before
        self._closer.close(
            Ending(
                started=acquisition.started,
                reason=FinishReason(acquisition.finished.reason),
                n_frames=acquisition.n_frames,
                folder=acquisition.journal.folder,
                fields={
                    "finished": self._mint.instant(acquisition.finished.moment),
                    "after": after,
                    "changed": changed,
                    "capture_overflow": n_lost,
                    "unstamped": n_lost,
                },
                problems=acquisition.problems + problems,
                remove=acquisition.journal.remove,
            )
        )

    # -- ourselves ----------------------------------------------------------------------------------------

    def _tell_overflow(self) -> None:
        n_lost = self.queue.n_lost
        if n_lost > self._n_lost_told:
            self.publisher.publish(
                self._mint.make(
                    Gap, cause="queue_overflow", lane="capture", n_records=n_lost - self._n_lost_told
                )
            )
            self._n_lost_told = n_lost

    def _tell(self, severity: Severity, event: str, message: str) -> None:
        _log.log({"info": 20, "warning": 30, "error": 40}[severity], message)
        self.publisher.publish(self._mint.make(AgentEvent, severity=severity, event=event, message=message))


def _mover(key: Key, state: StateOfRecord) -> str:
    """Return the device whose move explains a change of `key`: a preset or pixel size follows its devices."""
    if key.device == "Core" and state.unsettled:
        return next((device for device in state.unsettled if device != "Core"), "Core")
    return key.device


def _sha256(path: str | None) -> str | None:
    if path is None or not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
