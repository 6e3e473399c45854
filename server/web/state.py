"""The state of an instrument now: the newest whole state, with every change since laid over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    InstrumentDescription,
    Reading,
    ReadingStatus,
    Record,
    RecordError,
    StateSnapshot,
    SystemState,
    decode_tolerant,
)
from server.store.base import Reads
from server.store.rows import LatestRecord

MAX_CHANGES = 500
"""Changes looked at; agents write a new whole state long before so many have gathered."""


@dataclass(frozen=True, slots=True)
class Value:
    """One property as it stands."""

    property: str
    reading: Reading
    is_changed: bool


@dataclass(frozen=True, slots=True)
class Device:
    """One device and its properties."""

    label: str
    values: tuple[Value, ...]

    @property
    def n_changed(self) -> int:
        """How many properties have changed since the whole state was read."""
        return sum(value.is_changed for value in self.values)

    @property
    def n_not_read(self) -> int:
        """How many properties could not be read although they are there."""
        failed = (ReadingStatus.FAILED, ReadingStatus.TIMEOUT)
        return sum(value.reading.status in failed for value in self.values)

    @property
    def is_notable(self) -> bool:
        """Whether a person should look at it without asking."""
        return bool(self.n_changed or self.n_not_read)


@dataclass(frozen=True, slots=True)
class StateNow:
    """All properties by device, since when, and how many changes were laid over."""

    taken_at: datetime
    devices: tuple[Device, ...]
    state: SystemState
    n_changed: int

    @property
    def n_values(self) -> int:
        """How many properties there are in all."""
        return sum(len(device.values) for device in self.devices)


def decoded(latest: LatestRecord | None) -> Record | None:
    """Return a latest record as its model, None when there is none or it cannot be read any more."""
    try:
        return decode_tolerant(latest.raw) if latest else None
    except RecordError:
        return None


def description_of(latest: dict[str, LatestRecord]) -> InstrumentDescription | None:
    """Return the newest description of the instrument."""
    record = decoded(latest.get("instrument"))
    return record if isinstance(record, InstrumentDescription) else None


def state_now(reads: Reads, instrument_id: str, latest: dict[str, LatestRecord]) -> StateNow | None:
    """Return the state now, None when no whole state was ever received."""
    state = _newest_whole_state(latest)
    if state is None:
        return None
    values = {
        (device, name): reading
        for device, properties in state.devices.items()
        for name, reading in properties.items()
    }
    since = _changes_since(reads, instrument_id, state.taken.wall_at)
    by_device: dict[str, list[Value]] = {}
    for (device, name), reading in sorted((values | since).items(), key=itemgetter(0)):
        by_device.setdefault(device, []).append(Value(name, reading, (device, name) in since))
    devices = tuple(Device(label, tuple(values)) for label, values in by_device.items())
    return StateNow(state.taken.wall_at, devices, state, len(since))


def _newest_whole_state(latest: dict[str, LatestRecord]) -> SystemState | None:
    states = []
    for kind in ("state_snapshot", "acquisition_started", "acquisition_finished"):
        match decoded(latest.get(kind)):
            case StateSnapshot(state=state):
                states.append(state)
            case AcquisitionStarted(before=state) | AcquisitionFinished(after=state) if state is not None:
                states.append(state)
    return max(states, key=lambda state: state.taken.wall_at, default=None)


def _changes_since(reads: Reads, instrument_id: str, since: datetime) -> dict[tuple[str, str], Reading]:
    newest: dict[tuple[str, str], Reading] = {}
    for row in reads.changes(instrument_id, limit=MAX_CHANGES):
        if row.change.last_at.wall_at <= since:
            break
        newest.setdefault((row.change.device, row.change.property), row.change.after)
    return newest
