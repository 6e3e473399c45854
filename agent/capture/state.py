"""What we hold to be true of the instrument, and what changed in it.

The core's cache is not the truth: after a move, a preset or an acquisition it disagrees with the hardware. So we
keep a state of record, fed by hardware reads and events, and know of each device whether something was
commanded since it was last read ("unsettled").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.capture.convert import reading_of
from agent.mint import Mint
from agent.records import Cause, Change
from drivers import How, Key, Moment, PropertyReading, Status, Value

NOISE_UM = 0.02  # stages report their encoder: below this a position has not changed


def differs(before: PropertyReading, after: PropertyReading) -> bool:
    """Return whether two readings of one thing say different things.

    Numbers are compared as numbers even where one is still text: while a configuration is being loaded, a device may
    be read before its properties' types are known.
    """
    if before.status is not after.status:
        return True
    if before.value == after.value:
        return False
    was, now = _number(before.value), _number(after.value)
    if was is None or now is None:
        return True
    tolerance = NOISE_UM if after.unit == "um" and after.key.property.startswith(("@", "Position")) else 0.0
    return not math.isclose(was, now, rel_tol=1e-9, abs_tol=tolerance)


def _number(value: Value | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


class StateOfRecord:
    """The last known reading of everything."""

    def __init__(self) -> None:
        self._readings: dict[Key, PropertyReading] = {}
        self._without_before: set[Key] = set()  # known since a moment ago, and from an event
        self._unsettled: dict[str, tuple[Cause, int]] = {}  # by whom, and when (monotonic, ns)

    def forget(self) -> None:
        """Start anew: other devices may be loaded."""
        self._readings.clear()
        self._without_before.clear()
        self._unsettled.clear()

    def observe(self, reading: PropertyReading) -> tuple[PropertyReading, PropertyReading] | None:
        """Take in a reading; return (before, after) when it tells of a change.

        A read may be overtaken by an event that happened after it. Then the event stands, and the late reading
        only tells what was before it, in case nobody knew.
        """
        known = self._readings.get(reading.key)
        if known is not None and reading.moment.monotonic_ns < known.moment.monotonic_ns:
            is_news = reading.key in self._without_before and differs(reading, known)
            self._without_before.discard(reading.key)
            return (reading, known) if is_news else None
        self._readings[reading.key] = reading
        if known is None:
            self._without_before.add(reading.key)
            return None
        self._without_before.discard(reading.key)
        return (known, reading) if differs(known, reading) else None

    def unsettle(self, device: str, cause: Cause, moment: Moment) -> None:
        """Note that a device was moved: what of it was not read since is doubtful."""
        earlier = self._unsettled.get(device)
        if earlier is not None and earlier[0] is Cause.COMMANDED:
            cause = Cause.COMMANDED
        self._unsettled[device] = (cause, moment.monotonic_ns)

    def settle(self, devices: Iterable[str], read: Moment) -> None:
        """Note that devices were read from hardware, beginning at `read`; a later move stays doubtful."""
        for device in devices:
            if device in self._unsettled and self._unsettled[device][1] <= read.monotonic_ns:
                del self._unsettled[device]

    @property
    def unsettled(self) -> frozenset[str]:
        """Devices that were moved since they were last read."""
        return frozenset(self._unsettled)

    def at_rest_since(self, ns: int) -> frozenset[str]:
        """Return the unsettled devices that were not moved after `ns` (monotonic)."""
        return frozenset(device for device, (_, moved_ns) in self._unsettled.items() if moved_ns <= ns)

    def value_of(self, key: Key) -> Value | None:
        """Return the last known value of one thing."""
        reading = self._readings.get(key)
        return reading.value if reading else None

    def cause_of(self, device: str) -> Cause:
        """Return who moved a device since it was last read; nobody means it drifted by itself."""
        return self._unsettled[device][0] if device in self._unsettled else Cause.DRIFTED

    def known(self) -> dict[Key, PropertyReading]:
        """Return everything known."""
        return dict(self._readings)

    def with_summary(self, summary: Mapping[Key, PropertyReading]) -> dict[Key, PropertyReading]:
        """Return what is known, completed by what an acquisition says of its start.

        What the summary read from hardware stands, and so does our reading of a device that nobody moved. Of a
        device that was moved since we read it, what was announced or commanded stands, the engine's (cached)
        word replaces what we read, and what neither knows is left out.
        """
        return {
            key: reading
            for key in dict.fromkeys((*self._readings, *summary))
            if (reading := self._at_start(key, summary.get(key))) is not None
        }

    def _at_start(self, key: Key, told: PropertyReading | None) -> PropertyReading | None:
        ours = self._readings.get(key)
        if told is not None and (ours is None or told.how is How.HARDWARE):
            return told
        is_doubtful = ours is not None and ours.how is How.HARDWARE and key.device in self._unsettled
        return told if is_doubtful and not key.property.startswith("@") else ours


@dataclass(slots=True)
class _Pending:
    before: PropertyReading | None
    after: PropertyReading
    cause: Cause
    first: Moment
    last: Moment
    n_changes: int = 1


class ChangeLog:
    """Sums up changes for a moment, so that a value that flickers is one entry with a count."""

    def __init__(self, mint: Mint) -> None:
        self._mint = mint
        self._pending: dict[Key, _Pending] = {}

    def add(self, before: PropertyReading | None, after: PropertyReading, cause: Cause) -> None:
        """Take in one change."""
        pending = self._pending.get(after.key)
        if pending is None:
            self._pending[after.key] = _Pending(before, after, cause, after.moment, after.moment)
        else:
            pending.after, pending.last = after, after.moment
            pending.n_changes += 1

    def __len__(self) -> int:
        return len(self._pending)

    def drop_those_of_unloading(self) -> None:
        """Forget pending changes that may come of devices being unloaded and loaded: keep what was commanded."""
        self._pending = {
            key: change
            for key, change in self._pending.items()
            if key.device != "Core" and change.cause is Cause.COMMANDED and change.after.status is Status.OK
        }

    def take(self, now_ns: int | None = None, wait_ns: int = 0) -> tuple[Change, ...]:
        """Return the pending changes and forget them; with a time, only those that have waited so long."""
        pending = {
            key: change
            for key, change in self._pending.items()
            if now_ns is None or now_ns - change.first.monotonic_ns >= wait_ns
        }
        self._pending = {key: change for key, change in self._pending.items() if key not in pending}
        return tuple(
            Change(
                device=key.device,
                property=key.property,
                before=reading_of(change.before) if change.before else None,
                after=reading_of(change.after),
                cause=change.cause,
                first_at=self._mint.instant(change.first),
                last_at=self._mint.instant(change.last),
                n_changes=change.n_changes,
            )
            for key, change in pending.items()
        )


def difference(
    before: Mapping[Key, PropertyReading],
    after: Mapping[Key, PropertyReading],
    cause_of: Mapping[str, Cause],
    mint: Mint,
) -> tuple[Change, ...]:
    """Return what differs between two states; devices that nobody moved have drifted.

    The core's presets and its pixel size follow the devices in them.
    """
    of_core = Cause.DRIFTED
    if cause_of:
        of_core = Cause.COMMANDED if Cause.COMMANDED in cause_of.values() else Cause.NOTIFIED
    log = ChangeLog(mint)
    for key, reading in after.items():
        earlier = before.get(key)
        is_known = reading.status is Status.OK or reading.how is How.HARDWARE  # not: absent from the cache
        if earlier is not None and is_known and differs(earlier, reading):
            log.add(
                earlier,
                reading,
                of_core
                if key.device == "Core" and key.property.startswith("@")
                else cause_of.get(key.device, Cause.DRIFTED),
            )
    return log.take()


def timed_out(key: Key, moment: Moment) -> PropertyReading:
    """Return the reading of something that is not asked any more because it hung."""
    return PropertyReading(
        key,
        Status.TIMEOUT,
        How.HARDWARE,
        moment,
        error="it hung when it was read last and is left alone for now",
    )
