"""What the instrument is and in what state: describes it, follows its state, and keeps the change log."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.capture.convert import devices_of, groups_of, state_of
from agent.capture.poll import Poller, Readings
from agent.capture.publish import Publisher
from agent.capture.state import ChangeLog, StateOfRecord
from agent.mint import Mint
from agent.profile import misfits
from agent.records import (
    AgentEvent,
    Cause,
    Change,
    InstrumentDescription,
    InstrumentProfile,
    Profile,
    Quantity,
    Severity,
    SnapshotReason,
    Source,
    StateChange,
    StateSnapshot,
)
from agent.supervise import shielded
from drivers import (
    Driver,
    Hardware,
    How,
    Key,
    Moment,
    PresetSet,
    PropertyMoved,
    PropertyReading,
    Status,
)

_log = logging.getLogger("scopestamp.capture")
_CHANGE_WAIT_NS = 1_000_000_000  # a change is published this long after it was first seen
_REST_NS = 100_000_000  # a device is read again once it was at rest for this long
_BUSY_WAIT_NS = 1_000_000_000  # and this long after frames were in the way
_AUTO_SHUTTER = Key("Core", "AutoShutter")
_INITIALIZE = Key("Core", "Initialize")


@dataclass(frozen=True)
class Stated:
    """What the facility states of the instrument and, by label, of its devices.

    Attributes
    ----------
    nameplate, devices : mapping
        Single values, as the instrument's record carries them.
    profile : agent.records.Profile or None
        The whole profile, which is published as a record of its own.
    """

    nameplate: Mapping[str, Quantity] = field(default_factory=dict)
    devices: Mapping[str, Mapping[str, Quantity]] = field(default_factory=dict)
    profile: Profile | None = None

    @property
    def profile_sha256(self) -> str | None:
        """Names the profile that holds."""
        return self.profile.sha256 if self.profile else None


@dataclass(frozen=True)
class Snapshot:
    """A request to the poller: read everything and publish it."""

    reason: SnapshotReason


@dataclass(frozen=True)
class Settle:
    """A request to the poller: read again what was moved."""

    devices: frozenset[str]


class InstrumentWatch:
    """Follows one instrument; every method is called on the capture thread, but for `describe` at the start.

    Parameters
    ----------
    driver, poller, mint, publisher
        The capture's own.
    stated : Stated
        What the facility states.
    is_acquiring : callable
        Says whether an acquisition is open; what it moves stands in its own record, not in the change log.
    """

    def __init__(
        self,
        driver: Driver,
        poller: Poller,
        mint: Mint,
        publisher: Publisher,
        stated: Stated,
        is_acquiring: Callable[[], bool],
    ) -> None:
        self._driver, self._poller, self._mint, self._publisher = driver, poller, mint, publisher
        self._stated, self._is_acquiring = stated, is_acquiring
        self.hardware = Hardware(devices={})
        self.state = StateOfRecord()
        self._changes = ChangeLog(mint)
        self._is_settling = False
        self._settle_from_ns = 0
        self._is_loading = False
        self._loaded_ns = 0
        self._open_shutters: set[str] = set()  # of which the camera has opened one for an exposure

    @property
    def is_quiet(self) -> bool:
        """Whether every change so far is published, and every device that was moved was read again, if it can be.

        While frames are taken or devices are loaded, none can be.
        """
        waits_for_hardware = (
            self._is_acquiring() or self._is_loading or self._settle_from_ns > time.monotonic_ns()
        )
        return not (len(self._changes) or (self._doubtful() and not waits_for_hardware))

    # -- what it is

    def describe(self) -> None:
        """Ask the driver what is loaded, and publish it joined to the profile."""
        self.hardware = self._driver.describe()
        description = self._description()
        if (profile := self._stated.profile) is not None:
            self._publisher.publish(
                self._mint.make(InstrumentProfile, profile=profile, profile_sha256=profile.sha256)
            )
        self._publisher.publish(description)
        self._warn_of_what_is_missing(description)

    def _description(self) -> InstrumentDescription:
        now = self._mint.clock.wall_at()
        return self._mint.make(
            InstrumentDescription,
            nameplate=dict(self._stated.nameplate),
            devices=devices_of(self.hardware, self._stated.devices),
            config_groups=groups_of(self.hardware),
            pixel_sizes={
                name: Quantity(value=size, unit="um", source=Source.DEVICE, observed_at=now)
                for name, size in self.hardware.pixel_sizes_um.items()
            },
            software=dict(self.hardware.software),
            configuration_sha256=_sha256(self.hardware.configuration_file),
            profile_sha256=self._stated.profile_sha256,
        )

    def _warn_of_what_is_missing(self, description: InstrumentDescription) -> None:
        for place, reason in misfits(self._stated.profile, description) if self._stated.profile else ():
            self.tell(
                Severity.WARNING,
                "profile_does_not_fit",
                f"The profile's {place}: {reason}. Correct the profile, or the configuration.",
            )
        for label in self._stated.devices:
            if label not in self.hardware.devices and self._stated.profile is None:
                self.tell(
                    Severity.WARNING,
                    "profile_names_missing_device",
                    f"The profile states facts of the device '{label}', but no such device is loaded. "
                    f"Loaded are: {', '.join(self.hardware.devices) or 'none'}. Correct [instrument.devices].",
                )
        if not self.hardware.has_camera:
            self.tell(
                Severity.WARNING,
                "no_camera",
                "The loaded configuration has no camera: its state is captured, acquisitions cannot be run.",
            )

    def begin_loading(self) -> None:
        """Take in that devices are being unloaded and loaded: until `reload`, what they do is no change."""
        self._changes.drop_those_of_unloading()
        self.publish_changes()
        self._is_loading = True

    def reload(self, moment: Moment) -> None:
        """Begin anew after other devices were loaded, at `moment`."""
        self._changes.drop_those_of_unloading()  # the beginning of loading is not always announced
        self.publish_changes()
        self._is_loading = False
        self._loaded_ns = moment.monotonic_ns
        self._open_shutters.clear()
        self.state.forget()
        if self._driver.is_present:  # it may have gone again
            shielded(self.describe, "describing the hardware")
            self._poller.ask(Snapshot(SnapshotReason.CONFIGURATION_LOADED))

    def left(self, why: str) -> None:
        """Take in that the instrument cannot be reached any more: until `reload`, nothing of it is known."""
        self.begin_loading()
        self.tell(
            Severity.INFO, "instrument_left", f"The instrument is not there; capture waits for it. {why}"
        )

    # -- its state

    def moved(self, event: PropertyMoved) -> Mapping[str, Cause]:
        """Take in that a value changed; return which devices moved by whom."""
        reading = event.reading
        device = reading.key.device
        if reading.key == _INITIALIZE and str(reading.value) == "0":
            self.begin_loading()
        cause = Cause.COMMANDED if event.is_commanded else Cause.NOTIFIED
        self.state.unsettle(device, cause, reading.moment)
        if self._is_for_exposure(reading.key):
            (self._open_shutters.add if reading.value in (1, "1") else self._open_shutters.discard)(device)
        else:
            self._observe(reading, cause)
        if reading.key == _AUTO_SHUTTER and str(reading.value) == "0":
            self._open_shutters.clear()  # told late: what stands open was not opened for an exposure
        return {device: cause}

    def _is_for_exposure(self, key: Key) -> bool:
        """Return whether the core moves this by itself around every exposure: the shutter that it opens and closes.

        A log of every snap would be spam, so only what stays is logged, once it is read again.
        """
        told = {name: self.state.value_of(Key("Core", name)) for name in ("AutoShutter", "Shutter")}
        return key == (told["Shutter"], "State") and told["AutoShutter"] in (1, "1")

    def preset_set(self, event: PresetSet) -> Mapping[str, Cause]:
        """Take in that a preset was commanded; return which devices it moves."""
        preset = self.hardware.preset(event.group, event.preset)
        moved = {}
        for key, value in preset.settings.items() if preset else ():
            moved[key.device] = Cause.COMMANDED
            self.state.unsettle(key.device, Cause.COMMANDED, event.moment)
            typed = self.hardware.typed(key, value)
            self._observe(
                PropertyReading(key, Status.OK, How.COMMANDED, event.moment, typed), Cause.COMMANDED
            )
        return moved

    def read(self, read: Readings) -> None:
        """Take in what the poller read: a round of its own, a snapshot, or devices that were moved."""
        for reading in self._news(read):
            self._observe(reading, self._cause_of(reading.key))
        if isinstance(read.request, Settle):
            self._is_settling = False
            if read.is_complete:
                self.state.settle(read.request.devices, read.moment)
            else:
                self._settle_from_ns = time.monotonic_ns() + _BUSY_WAIT_NS
        if isinstance(read.request, Snapshot):
            state = state_of(read.readings, self._mint.instant(read.moment), read.duration_ms)
            self._publisher.publish(self._mint.make(StateSnapshot, reason=read.request.reason, state=state))

    def read_after_run(self, read: Readings) -> None:
        """Take in the state after an acquisition, without a word in the change log."""
        for reading in self._news(read):
            self.state.observe(reading)
        if read.is_complete:
            self.state.settle(self.state.unsettled, read.moment)

    def _news(self, read: Readings) -> Iterator[PropertyReading]:
        """Yield what was read from hardware, or as near to it as the driver comes, of the devices loaded now."""
        if read.moment.monotonic_ns >= self._loaded_ns:
            is_cache_news = not self._driver.reads_hardware
            yield from (reading for reading in read.readings if is_cache_news or reading.how is not How.CACHE)

    def tick(self, now_ns: int) -> None:
        """Publish changes that have waited, and have devices that were moved read again."""
        self._publish(self._changes.take(now_ns, _CHANGE_WAIT_NS))
        if self._is_settling or self._is_loading or self._is_acquiring() or now_ns < self._settle_from_ns:
            return
        if devices := self._doubtful() & self.state.at_rest_since(now_ns - _REST_NS):
            self._settle(devices)

    def publish_changes(self) -> None:
        """Publish what changed so far."""
        self._publish(self._changes.take())

    def _publish(self, changes: tuple[Change, ...]) -> None:
        if changes:
            self._publisher.publish(self._mint.make(StateChange, changes=changes))

    def tell(self, severity: Severity, event: str, message: str) -> None:
        """Publish and log an event of our own."""
        _log.log(logging.getLevelNamesMapping()[severity.upper()], message)
        self._publisher.publish(self._mint.make(AgentEvent, severity=severity, event=event, message=message))

    def _doubtful(self) -> frozenset[str]:
        return self.state.unsettled - self._open_shutters

    def _settle(self, devices: frozenset[str]) -> None:
        """Read moved devices again: a commanded label moves a number too, and a preset is but a wish."""
        self._is_settling = True
        keys = [key for key in self._driver.keys() if key.device in devices or key.device == "Core"]  # noqa: SIM118
        self._poller.ask(Settle(devices), keys)

    def _observe(self, reading: PropertyReading, cause: Cause) -> None:
        change = self.state.observe(reading)
        if change is not None and not (self._is_acquiring() or self._is_loading):
            self._changes.add(*change, cause)

    def _cause_of(self, key: Key) -> Cause:
        """Return who moved what `key` reads; the core's presets and pixel size follow the devices in them."""
        if key.device != "Core" or not self.state.unsettled:
            return self.state.cause_of(key.device)
        causes = {self.state.cause_of(device) for device in self.state.unsettled}
        return Cause.COMMANDED if Cause.COMMANDED in causes else Cause.NOTIFIED


def _sha256(path: str | None) -> str | None:
    if path is None or not Path(path).is_file():
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
