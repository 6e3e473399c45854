"""What every driver promises, over each driver there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers import (
    AcquisitionError,
    Driver,
    DriverError,
    FrameSeen,
    How,
    Key,
    OwningDriver,
    PresetSet,
    PropertyMoved,
    PropertyReading,
    SequenceFinished,
    SequenceStarted,
    Status,
)
from drivers.readings import Moment

BINNING = Key("Camera", "Binning")
GAIN = Key("Camera", "Gain")
FAILING = Key("Probe", "Broken")
PLAN = {
    "channels": [{"group": "Channel", "config": "DAPI", "exposure": 1}, {"config": "FITC", "exposure": 2}],
    "z_plan": {"range": 2, "step": 1},
}


def test_describe_tells_devices_with_their_properties(driver: Driver) -> None:
    hardware = driver.describe()
    camera = hardware.devices["Camera"]
    assert camera.device_type == "CameraDevice"
    assert camera.properties["Gain"].value_type == "integer"
    assert (camera.properties["Gain"].lower_limit, camera.properties["Gain"].upper_limit) == (-5, 8)
    assert camera.properties["CCDTemperature"].unit == "Cel"
    assert hardware.devices["Dichroic"].state_labels
    assert hardware.has_camera
    preset = hardware.preset("Channel", "DAPI")
    assert preset is not None and preset.settings


def test_keys_are_all_readable_things_of_the_description(driver: Driver) -> None:
    assert driver.keys() == ()
    hardware = driver.describe()
    keys = driver.keys()
    assert len(set(keys)) == len(keys)
    assert {key.device for key in keys} <= set(hardware.devices)
    declared = {Key(label, name) for label, device in hardware.devices.items() for name in device.properties}
    assert declared <= set(keys)
    called = {
        ("Camera", "@exposure"),
        ("XY", "@x"),
        ("XY", "@y"),
        ("Z", "@position"),
        ("Core", "@pixel_size"),
    }
    assert called <= set(keys)
    assert Key("Core", "@preset Channel") in keys


@pytest.mark.parametrize("how", [How.HARDWARE, How.CACHE])
def test_read_gives_a_value_exactly_when_it_is_ok(driver: Driver, how: How) -> None:
    driver.describe()
    earliest = Moment.now()
    for key in driver.keys():  # noqa: SIM118 - a method of drivers
        reading = driver.read(key, how)
        assert (reading.key, reading.how) == (key, how)
        assert (reading.status is Status.OK) == (reading.value is not None)
        assert (reading.status is Status.OK) == (reading.error is None)
        assert reading.moment.monotonic_ns >= earliest.monotonic_ns


@pytest.mark.parametrize(
    ("key", "how", "value", "unit"),
    [
        (BINNING, How.HARDWARE, 1, None),
        (BINNING, How.CACHE, 1, None),
        (Key("Camera", "CCDTemperature"), How.HARDWARE, 0.0, "Cel"),
        (Key("Camera", "@exposure"), How.HARDWARE, 10.0, "ms"),
        (Key("Camera", "@roi"), How.HARDWARE, "x=0 y=0 width=512 height=512", None),
        (Key("Z", "@position"), How.HARDWARE, 0.0, "um"),
        (Key("Core", "@pixel_size"), How.HARDWARE, 1.0, "um"),
        (Key("Camera", "PixelType"), How.HARDWARE, "16bit", None),
        (Key("Probe", "Temperature"), How.HARDWARE, 36.6, None),
    ],
    ids=lambda value: str(value),
)
def test_read_gives_typed_values_with_their_unit(
    driver: Driver, key: Key, how: How, value: object, unit: str | None
) -> None:
    driver.describe()
    reading = driver.read(key, how)
    assert (reading.value, reading.unit) == (value, unit)
    assert type(reading.value) is type(value)


@pytest.mark.parametrize(
    ("key", "how", "status"),
    [
        (Key("Nobody", "Nothing"), How.HARDWARE, Status.ABSENT),
        (Key("Nobody", "Nothing"), How.CACHE, Status.ABSENT),
        (Key("Nobody", "@position"), How.HARDWARE, Status.ABSENT),
        (Key("Core", "@preset Nowhere"), How.HARDWARE, Status.ABSENT),
        (Key("Camera", "Nothing"), How.HARDWARE, Status.ABSENT),
        (Key("Z", "@position"), How.CACHE, Status.UNSUPPORTED),
        (Key("Camera", "@exposure"), How.CACHE, Status.UNSUPPORTED),
        (Key("Dichroic", "@position"), How.HARDWARE, Status.FAILED),
        (FAILING, How.HARDWARE, Status.FAILED),
    ],
    ids=lambda value: str(value),
)
def test_read_tells_why_there_is_no_value(driver: Driver, key: Key, how: How, status: Status) -> None:
    driver.describe()
    reading = driver.read(key, how)
    assert reading.status is status
    assert reading.value is None and reading.error


def test_read_of_a_failing_device_says_its_own_words(driver: Driver) -> None:
    driver.describe()
    assert driver.read(FAILING, How.HARDWARE).error == "the probe does not answer"


def test_is_busy_only_while_frames_are_taken(rig: Any, driver: Driver, user: Any, listening: Any) -> None:
    driver.describe()
    assert not driver.is_busy()
    busy_at = []
    driver.listen(lambda event: busy_at.append((type(event), driver.is_busy())) or True)
    user.acquire(PLAN, None)
    during = FrameSeen if rig.is_told_of_frames else SequenceStarted
    assert (during, True) in busy_at and (during, False) not in busy_at
    assert not driver.is_busy()


def test_listener_hears_of_an_acquisition_in_order(
    rig: Any, driver: Driver, user: Any, listening: Any
) -> None:
    driver.describe()
    driver.listen(listening)
    user.acquire(PLAN, None)
    kinds = [type(event) for event in listening.events]
    kinds = [kind for kind in kinds if kind in (SequenceStarted, FrameSeen, SequenceFinished)]
    assert kinds == [SequenceStarted, *[FrameSeen] * (6 if rig.is_told_of_frames else 0), SequenceFinished]
    started, finished = listening.of(SequenceStarted)[0], listening.of(SequenceFinished)[0]
    assert started.sequence_key == finished.sequence_key
    assert (finished.reason, finished.n_frames) == ("completed", 6)
    plan = started.plan()
    assert (plan.axes, plan.n_frames, plan.z_step_um) == ({"c": 2, "z": 3}, 6, 1.0)
    assert [(channel.preset, channel.exposure_ms) for channel in plan.channels] == [("DAPI", 1), ("FITC", 2)]
    (image,) = started.images()
    assert (image.camera, image.width_px, image.height_px, image.dtype) == ("Camera", 512, 512, "uint16")
    assert started.outputs() == ()


def test_frames_tell_index_channel_exposure_and_position(
    told_of_frames: None, driver: Driver, user: Any, listening: Any
) -> None:
    driver.describe()
    driver.listen(listening)
    user.acquire(PLAN, None)
    stamps = [frame.stamp() for frame in listening.of(FrameSeen)]
    assert [stamp.index for stamp in stamps] == [{"c": c, "z": z} for c in (0, 1) for z in (0, 1, 2)]
    assert [stamp.channel for stamp in stamps] == ["DAPI"] * 3 + ["FITC"] * 3
    assert [stamp.exposure_ms for stamp in stamps] == [1.0] * 3 + [2.0] * 3
    assert [stamp.position.z_um for stamp in stamps] == pytest.approx([-1, 0, 1] * 2)
    assert {stamp.camera for stamp in stamps} == {"Camera"}
    times = [stamp.runner_time_ms for stamp in stamps]
    assert times == sorted(times) and times[0] >= 0


def test_frames_carry_the_state_when_it_changed(
    rig: Any, told_of_frames: None, driver: Driver, user: Any, listening: Any
) -> None:
    driver.describe()
    driver.listen(listening)
    user.acquire(PLAN, None)
    states = [frame.state for frame in listening.of(FrameSeen)]
    assert states[0] is not None and states[0][GAIN] == "0"
    assert [state for state in (states[1], states[2], states[4], states[5]) if state] == []
    label = Key("Dichroic", "Label")
    if rig.is_told_of_presets:
        assert states[3] is not None and states[0][label] != states[3][label]
    else:  # what the channels move is not read frame by frame, so nothing is said of it
        assert label not in states[0]


def test_state_that_found_no_room_comes_with_the_next_frame(
    told_of_frames: None, driver: Driver, user: Any, listening: Any
) -> None:
    driver.describe()
    listening.has_room = False
    driver.listen(listening)
    user.acquire(PLAN, None)
    assert all(frame.state for frame in listening.of(FrameSeen))


def test_listener_hears_of_commanded_properties_and_presets(
    rig: Any, driver: Driver, user: Any, listening: Any
) -> None:
    driver.describe()
    driver.listen(listening)
    user.set_property(GAIN, "3")
    user.set_preset("Channel", "FITC")
    moved = listening.wait_for(lambda event: isinstance(event, PropertyMoved) and event.reading.key == GAIN)
    assert moved.is_commanded == rig.is_told_who
    how = How.EVENT if rig.is_told_of_presets else How.CACHE
    assert (moved.reading.status, moved.reading.how, moved.reading.value) == (Status.OK, how, 3)
    if rig.is_told_of_presets:
        assert [(event.group, event.preset) for event in listening.of(PresetSet)] == [("Channel", "FITC")]
    else:
        label = Key("Dichroic", "Label")
        listening.wait_for(lambda event: isinstance(event, PropertyMoved) and event.reading.key == label)


def test_listening_twice_sends_every_event_once(driver: Driver, user: Any, listening: Any) -> None:
    driver.describe()
    driver.listen(listening)
    driver.listen(listening)
    user.set_property(GAIN, "3")
    assert len([event for event in listening.of(PropertyMoved) if event.reading.key == GAIN]) == 1


def test_a_second_listener_replaces_the_first(driver: Driver, user: Any, listening: Any) -> None:
    driver.describe()
    second = type(listening)()
    driver.listen(listening)
    driver.listen(second)
    user.set_property(GAIN, "3")
    assert listening.events == [] and second.events


def test_nobody_hears_after_stop_listening(driver: Driver, user: Any, listening: Any) -> None:
    driver.describe()
    driver.stop_listening()
    driver.listen(listening)
    driver.stop_listening()
    driver.stop_listening()
    user.set_property(GAIN, "3")
    user.acquire(PLAN, None)
    assert listening.events == []


def test_listening_anew_hears_again(driver: Driver, user: Any, listening: Any) -> None:
    driver.describe()
    driver.listen(listening)
    driver.stop_listening()
    driver.listen(listening)
    user.set_property(GAIN, "3")
    assert len(listening.of(PropertyMoved)) >= 1


def test_set_property_waits_and_reads_back(owner: OwningDriver) -> None:
    owner.describe()
    owner.set_property(GAIN, "-2")
    assert owner.read(GAIN, How.HARDWARE).value == -2


@pytest.mark.parametrize(
    ("key", "value"), [(GAIN, "1000"), (Key("Camera", "Nothing"), "1"), (Key("Nobody", "Nothing"), "1")]
)
def test_set_property_raises_in_the_devices_words(owner: OwningDriver, key: Key, value: str) -> None:
    with pytest.raises(DriverError, match=f"{key.device}-{key.property} could not be set"):
        owner.set_property(key, value)


def test_set_preset_raises_for_what_is_not_there(owner: OwningDriver) -> None:
    with pytest.raises(DriverError, match="Channel/Infrared could not be set"):
        owner.set_preset("Channel", "Infrared")


def test_acquire_raises_for_what_is_no_sequence(owner: OwningDriver) -> None:
    with pytest.raises(AcquisitionError, match="not a useq-schema sequence"):
        owner.acquire({"channels": 7}, None)


def test_acquire_raises_when_it_ends_in_an_error(owner: OwningDriver, listening: Any) -> None:
    owner.describe()
    owner.listen(listening)
    with pytest.raises(AcquisitionError, match="ended in an error"):
        owner.acquire({"channels": ["Infrared"]}, None)
    assert [event.reason for event in listening.of(SequenceFinished)] == ["errored"]


def test_acquire_writes_where_it_is_told(owner: OwningDriver, listening: Any, tmp_path: Path) -> None:
    owner.describe()
    owner.listen(listening)
    owner.acquire(PLAN, tmp_path / "a.ome.zarr")
    assert listening.of(SequenceStarted)[0].outputs() == (str(tmp_path / "a.ome.zarr"),)
    assert (tmp_path / "a.ome.zarr").is_dir()


def test_cancel_ends_a_running_acquisition(told_of_frames: None, driver: Driver, user: Any) -> None:
    driver.describe()
    events = []

    def listener(event: object) -> bool:
        events.append(event)
        if isinstance(event, FrameSeen):
            user.cancel()
        return True

    driver.listen(listener)
    user.acquire({"time_plan": {"interval": 0, "loops": 1000}}, None)
    (finished,) = [event for event in events if isinstance(event, SequenceFinished)]
    assert finished.reason == "canceled"
    assert finished.n_frames < 1000


def test_cancel_of_nothing_is_harmless(owner: OwningDriver, listening: Any) -> None:
    owner.describe()
    owner.listen(listening)
    owner.cancel()
    owner.acquire({"time_plan": {"interval": 0, "loops": 2}}, None)
    assert [(event.reason, event.n_frames) for event in listening.of(SequenceFinished)] == [("completed", 2)]


def test_close_unloads_the_devices(owner: OwningDriver) -> None:
    owner.describe()
    owner.close()
    assert isinstance(owner.read(GAIN, How.HARDWARE), PropertyReading)
    assert owner.read(GAIN, How.HARDWARE).status is Status.ABSENT
