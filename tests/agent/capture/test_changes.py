"""The change log and the state behind it: what changed, from what, to what, when, and who did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.capture.state import ChangeLog, StateOfRecord, differs
from agent.records import (
    AcquisitionFinished,
    Cause,
    Change,
    How,
    InstrumentDescription,
    ReadingStatus,
    SnapshotReason,
    StateChange,
    StateSnapshot,
)
from drivers import How as DriverHow
from drivers import Key, Moment, PropertyReading, Status

GAIN = Key("Camera", "Gain")


def reading(value: Any, at_ns: int = 0, key: Key = GAIN, **fields: Any) -> PropertyReading:
    fields = {"status": Status.OK, "how": DriverHow.HARDWARE, **fields}
    return PropertyReading(key, moment=Moment(at_ns, at_ns), value=value, **fields)


def told(shelf: Any, device: str, name: str) -> list[Change]:
    return [change for change in shelf.changes() if (change.device, change.property) == (device, name)]


# ---- the state of record


@pytest.mark.parametrize(
    ("before", "after", "is_change"),
    [
        (9.0, 9.0, False),
        (9, 9.0, False),
        (0.1 + 0.2, 0.3, False),
        (9.0, 9.001, True),
        ("a", "b", True),
        ("9.00", "9.00", False),
        (1, 2, True),
        (True, False, True),
    ],
)
def test_formats_of_a_number_are_not_changes(before: Any, after: Any, is_change: bool) -> None:
    assert differs(reading(before), reading(after)) is is_change


@pytest.mark.parametrize(
    ("name", "step_um", "is_change"),
    [("@position", 0.01, False), ("@position", 0.05, True), ("@x", 0.01, False), ("Offset", 0.01, True)],
)
def test_encoder_noise_is_not_a_change(name: str, step_um: float, is_change: bool) -> None:
    key = Key("Z", name)
    assert differs(reading(5.0, key=key, unit="um"), reading(5.0 + step_um, key=key, unit="um")) is is_change


def test_status_that_changes_is_a_change() -> None:
    failed = PropertyReading(GAIN, Status.FAILED, DriverHow.HARDWARE, Moment(0, 0), error="gone")
    assert differs(reading(1), failed) and differs(failed, reading(1)) and not differs(failed, failed)


def test_late_reading_does_not_undo_an_event() -> None:
    state = StateOfRecord()
    state.observe(reading(1, at_ns=1))
    assert state.observe(reading(2, at_ns=20, how=DriverHow.EVENT)) is not None
    assert state.observe(reading(1, at_ns=10)) is None
    assert state.value_of(GAIN) == 2


def test_device_moved_after_a_read_began_stays_doubtful() -> None:
    state = StateOfRecord()
    state.unsettle("Camera", Cause.NOTIFIED, Moment(0, 20))
    state.settle(["Camera"], Moment(0, 10))
    assert state.unsettled == {"Camera"}
    state.settle(["Camera"], Moment(0, 30))
    assert state.unsettled == frozenset()


def test_command_is_not_forgotten_over_its_announcement() -> None:
    state = StateOfRecord()
    state.unsettle("Camera", Cause.COMMANDED, Moment(0, 1))
    state.unsettle("Camera", Cause.NOTIFIED, Moment(0, 2))
    assert state.cause_of("Camera") is Cause.COMMANDED
    assert state.cause_of("Z") is Cause.DRIFTED


def test_changes_of_one_thing_are_one_entry_with_a_count(mint: Any) -> None:
    log = ChangeLog(mint)
    for value in (2, 3, 4):
        log.add(reading(value - 1, value - 1), reading(value, value * 100), Cause.COMMANDED)
    assert log.take(299, 100) == ()
    assert len(log) == 1
    (change,) = log.take()
    assert (change.before.value, change.after.value, change.n_changes) == (1, 4, 3)
    assert (change.first_at.monotonic_ns, change.last_at.monotonic_ns) == (200, 400)
    assert log.take() == ()


# ---- over the real core


@pytest.fixture
def capture(core: Any, make_capture: Callable[..., Any], shelf: Any) -> Any:
    capture = make_capture(core)
    shelf.records.clear()
    return capture


def test_property_that_is_set_is_commanded(core: Any, capture: Any, shelf: Any) -> None:
    earliest = Moment.now().monotonic_ns
    core.setProperty("Camera", "Gain", "3")
    assert capture.settle(20)
    (change,) = shelf.changes()
    assert (change.device, change.property, change.cause) == ("Camera", "Gain", "commanded")
    assert (change.before.value, change.after.value, change.n_changes) == (0, 3, 1)
    assert (change.before.how, change.after.how) == (How.HARDWARE, How.EVENT)
    assert earliest < change.first_at.monotonic_ns <= change.last_at.monotonic_ns < Moment.now().monotonic_ns


def test_preset_moves_its_devices_and_what_hangs_on_them(core: Any, capture: Any, shelf: Any) -> None:
    core.setConfig("Channel", "FITC")
    assert capture.settle(20)
    (label,), (number,), (preset,) = (
        told(shelf, *what)
        for what in (("Dichroic", "Label"), ("Dichroic", "State"), ("Core", "@preset Channel"))
    )
    assert (label.before.value, label.after.value, label.after.how) == ("400DCLP", "Q505LP", How.COMMANDED)
    assert (number.before.value, number.after.value, number.after.how) == (0, 1, How.HARDWARE)
    assert preset.after.value == "FITC"
    assert {change.cause for change in shelf.changes()} == {Cause.COMMANDED}
    assert {change.n_changes for change in shelf.changes()} == {1}


def test_stage_that_announces_its_move_is_notified(core: Any, capture: Any, shelf: Any) -> None:
    core.setPosition("Z", 12)
    core.setXYPosition("XY", 100, -50)
    shelf.wait_for(lambda record: isinstance(record, StateChange))
    assert capture.settle(20)
    (z,), (x,) = told(shelf, "Z", "@position"), told(shelf, "XY", "@x")
    assert (z.before.value, z.after.value, z.cause) == (0, 12, "notified")
    assert x.after.value == pytest.approx(100, abs=0.02)
    assert core.getProperty("Z", "Position") == "12.0000"


def test_cache_that_lies_does_not_reach_the_log(core: Any, capture: Any, shelf: Any) -> None:
    core.setPosition("Z", 33)
    core.setConfig("Channel", "FITC")
    core.snapImage()
    assert core.getPropertyFromCache("Z", "Position") == "0.0000"
    shelf.wait_for(lambda record: isinstance(record, StateChange))
    assert capture.settle(20)
    capture.snapshot()
    assert capture.settle(20)
    devices = shelf.of(StateSnapshot)[-1].state.devices
    assert devices["Z"]["@position"].value == devices["Z"]["Position"].value == 33
    assert devices["Dichroic"]["State"].value == 1
    assert devices["Z"]["Position"].how is How.HARDWARE


def test_flicker_is_one_entry_with_a_count(core: Any, capture: Any, shelf: Any) -> None:
    for gain in (1, 2, 3, 4, 5):
        core.setProperty("Camera", "Gain", str(gain))
    assert capture.settle(20)
    (change,) = told(shelf, "Camera", "Gain")
    assert (change.before.value, change.after.value, change.n_changes) == (0, 5, 5)


@pytest.fixture
def closed(core: Any, capture: Any, shelf: Any) -> int:
    """Close the shutter, which the demo configuration may leave open; how many changes were told by then."""
    core.setShutterOpen(False)
    assert capture.settle(20)
    return len(shelf.changes())


def test_shutter_that_flickers_in_snaps_is_not_logged(
    core: Any, capture: Any, shelf: Any, closed: int
) -> None:
    for _ in range(10):
        core.snapImage()
    assert capture.settle(20)
    assert shelf.changes()[closed:] == []


def test_shutter_that_stays_open_is_logged(core: Any, capture: Any, shelf: Any, closed: int) -> None:
    opened = (core.getShutterDevice(), "State", 1)
    core.setAutoShutter(False)
    core.setShutterOpen(True)
    shelf.wait_for(  # MMCore announces both from a thread of its own, in its own time
        lambda record: any(
            (c.device, c.property, c.after.value) == opened for c in getattr(record, "changes", ())
        )
    )
    (change,) = [c for c in shelf.changes()[closed:] if (c.device, c.property) == opened[:2]]
    assert (change.before.value, change.after.value, change.cause) == (0, 1, "commanded")


def test_setting_what_holds_already_is_no_change(core: Any, capture: Any, shelf: Any) -> None:
    core.setProperty("Camera", "Gain", core.getProperty("Camera", "Gain"))
    core.setConfig("Channel", core.getCurrentConfig("Channel") or "DAPI")
    core.setProperty("Camera", "Exposure", "10")
    assert capture.settle(20)
    assert shelf.changes() == []


class Weather:
    def __init__(self) -> None:
        self.celsius = 20.0


@pytest.fixture
def room(make_core: Callable[..., Any]) -> tuple[Any, Weather]:
    """A core with a thermometer, and the weather it shows without a word."""
    from drivers.mmcore.loading import fenced_import

    with fenced_import():
        from pymmcore_plus.experimental.unicore import GenericDevice, pymm_property

    class Thermometer(GenericDevice):
        @pymm_property(property_type=float)
        def Celsius(self) -> float:
            return weather.celsius

    weather = Weather()
    return make_core(Thermometer=Thermometer()), weather


def test_value_that_changes_by_itself_has_drifted(room: Any, make_capture: Any, shelf: Any) -> None:
    core, weather = room
    capture = make_capture(core)
    weather.celsius = 25.0
    capture.snapshot()
    assert capture.settle(20)
    (change,) = shelf.changes()
    assert (change.device, change.property, change.cause) == ("Thermometer", "Celsius", "drifted")
    assert (change.before.value, change.after.value) == (20.0, 25.0)


def test_drift_is_found_by_polling(room: Any, make_capture: Any, shelf: Any) -> None:
    core, weather = room
    capture = make_capture(core, poll_interval_s=0.02)
    weather.celsius = 30.0
    shelf.wait_for(lambda record: isinstance(record, StateChange))
    capture.poller.interval_s = 3600.0
    assert [change.after.value for change in told(shelf, "Thermometer", "Celsius")] == [30.0]


def test_drift_during_a_run_is_in_its_record(room: Any, make_capture: Any, shelf: Any) -> None:
    from useq import MDASequence

    core, weather = room
    capture = make_capture(core)
    core.mda.events.frameReady.connect(lambda image: setattr(weather, "celsius", 31.0))
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 3}))
    assert capture.settle(20)
    changed = {(c.device, c.property): c for c in shelf.one(AcquisitionFinished).changed}
    assert changed["Thermometer", "Celsius"].cause == "drifted"
    assert shelf.changes() == []


# ---- other devices under us


def test_reloaded_configuration_is_described_and_read_anew(core: Any, capture: Any, shelf: Any) -> None:
    core.loadSystemConfiguration(core.systemConfigurationFile())
    shelf.wait_for(lambda r: isinstance(r, StateSnapshot) and r.reason is SnapshotReason.CONFIGURATION_LOADED)
    assert capture.settle(20)
    assert shelf.one(InstrumentDescription).devices.keys() == set(core.getLoadedDevices())
    assert shelf.changes() == []
    core.setProperty("Camera", "Gain", "4")
    assert capture.settle(20)
    assert [(c.property, c.before.value, c.after.value) for c in shelf.changes()] == [("Gain", 0, 4)]


def test_reload_while_polling_tells_no_spurious_change(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core, poll_interval_s=0.0)
    for _ in range(5):
        shelf.clear()
        core.loadSystemConfiguration(core.systemConfigurationFile())
        shelf.wait_for(
            lambda r: isinstance(r, StateSnapshot) and r.reason is SnapshotReason.CONFIGURATION_LOADED
        )
    capture.poller.interval_s = 3600.0
    assert capture.settle(20)
    told = [
        f"{c.device} {c.property} {c.before.value} {c.after.status} {c.after.value} {c.after.how}"
        for c in shelf.changes()
    ]
    assert not told, told


def test_run_after_a_reload_is_captured(core: Any, capture: Any, shelf: Any) -> None:
    from useq import MDASequence

    core.loadSystemConfiguration(core.systemConfigurationFile())
    shelf.wait_for(lambda record: isinstance(record, StateSnapshot))
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 3}))
    assert capture.settle(20)
    assert shelf.one(AcquisitionFinished).frames.seen == 3


def test_device_that_is_loaded_by_itself_is_found(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core, poll_interval_s=0.01)
    shelf.clear()
    core.loadDevice("Z2", "DemoCamera", "DStage")
    core.initializeDevice("Z2")
    with pytest.raises(ValueError, match="not found in cache"):
        core.getPropertyFromCache("Z2", "Position")
    shelf.wait_for(lambda r: isinstance(r, StateSnapshot) and r.reason is SnapshotReason.CONFIGURATION_LOADED)
    capture.poller.interval_s = 3600.0
    assert capture.settle(20)
    assert "Z2" in shelf.one(InstrumentDescription).devices
    readings = shelf.of(StateSnapshot)[-1].state.devices["Z2"]
    assert readings["@position"].status is ReadingStatus.OK
    assert shelf.changes() == []
