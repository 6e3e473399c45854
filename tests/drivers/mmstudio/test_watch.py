"""Studios that come, fall silent, go and come back otherwise, and what the driver tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers import (
    ConfigurationLoaded,
    FrameSeen,
    How,
    InstrumentLeft,
    Key,
    LiveToggled,
    PropertyMoved,
    SequenceFinished,
    SequenceStarted,
    Status,
)
from drivers.mmstudio import StudioDriver, StudioOptions
from drivers.mmstudio.corelog import LogTail

FRAMES = {"useFrames": True, "numFrames": 4}
GAIN = Key("Camera", "Gain")


@pytest.fixture
def make_driver(listening: Any) -> Iterator[Callable[..., StudioDriver]]:
    """Make drivers that look when they are told to."""
    made: list[StudioDriver] = []

    def make(port: int, **options: Any) -> StudioDriver:
        options = {"interval_s": 3600, "timeout_s": 20, "retry_s": 0.0, **options}
        driver = StudioDriver(StudioOptions(port, **options))
        driver.watch._listener = listening  # looks on our thread alone
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


@pytest.fixture(params=["listener", "core polling", "neither"])
def watched(
    request: Any, make_core: Any, make_stand_in: Any, make_driver: Any, listening: Any
) -> tuple[Any, StudioDriver]:
    core = make_core()
    stand_in = make_stand_in(
        core, has_listener=request.param == "listener", configuration_file=str(core.systemConfigurationFile())
    )
    driver = make_driver(stand_in.port, core_polling=request.param == "core polling")
    assert driver.is_present
    driver.describe()
    listening.events.clear()  # that it has come
    return stand_in, driver


def test_studio_that_is_not_there_is_waited_for_in_silence(
    make_core: Any, make_stand_in: Any, make_driver: Any, listening: Any, caplog: Any
) -> None:
    stand_in = make_stand_in(make_core(), has_listener=True)
    port = stand_in.port
    stand_in.stop()
    driver = make_driver(port, timeout_s=0.05)
    with caplog.at_level("INFO", "scopestamp.drivers"):
        assert not driver.is_present
        assert driver.describe().devices == {}
        for _ in range(3):
            driver.catch_up()
    assert [record.message[:37] for record in caplog.records] == ["Waiting for Micro-Manager Studio. Mic"]
    assert driver.is_busy() and listening.events == []
    make_stand_in(stand_in.core, port, has_listener=True)
    driver.watch._options = StudioOptions(port, timeout_s=20)
    driver.catch_up()
    assert [type(event) for event in listening.events] == [ConfigurationLoaded]
    assert "Camera" in driver.describe().devices


def test_killed_studio_interrupts_its_acquisition_and_is_told_once(watched: Any, listening: Any) -> None:
    stand_in, driver = watched
    stand_in.engine.begin(FRAMES)
    for _ in range(4):
        driver.catch_up()
    assert listening.of(SequenceStarted)
    stand_in.stop()
    hurry(driver)
    for _ in range(3):
        driver.catch_up()
    assert [event.reason for event in listening.of(SequenceFinished)] == ["interrupted"]
    assert len(listening.of(InstrumentLeft)) == 1
    assert driver.is_busy() and not driver.is_present
    assert driver.read(Key("Core", "Camera"), How.CACHE).status is Status.FAILED


def test_frozen_studio_is_found_again(watched: Any, listening: Any) -> None:
    stand_in, driver = watched
    stand_in.server.faults.is_silent = True
    hurry(driver)
    driver.catch_up()
    driver.catch_up()
    assert len(listening.of(InstrumentLeft)) == 1
    stand_in.server.faults.is_silent = False
    driver.watch._options = StudioOptions(stand_in.port, core_polling=True, timeout_s=20)
    driver.catch_up()
    assert len(listening.of(ConfigurationLoaded)) == 1
    assert not driver.is_busy()


def test_restarted_studio_with_another_configuration_is_described_anew(
    make_core: Any, make_stand_in: Any, make_driver: Any, listening: Any, tmp_path: Path
) -> None:
    core = make_core()
    first = make_stand_in(core, has_listener=True)
    driver = make_driver(first.port)
    assert driver.is_present and "XY" in driver.describe().devices
    listening.events.clear()
    first.stop()
    hurry(driver)
    driver.catch_up()
    smaller = tmp_path / "smaller.cfg"
    smaller.write_text(
        "Device,Camera,DemoCamera,DCam\nProperty,Core,Initialize,1\nProperty,Core,Camera,Camera\n"
    )
    core.unloadAllDevices()
    core.loadSystemConfiguration(str(smaller))
    make_stand_in(core, first.port, has_listener=True)
    driver.watch._options = StudioOptions(first.port, timeout_s=20)
    driver.catch_up()
    assert [type(event) for event in listening.events] == [InstrumentLeft, ConfigurationLoaded]
    assert set(driver.describe().devices) == {"Camera", "Core"}
    assert driver.read(Key("XY", "@x"), How.HARDWARE).status is Status.ABSENT


def test_device_that_was_removed_fails_and_the_others_do_not(watched: Any) -> None:
    stand_in, driver = watched
    stand_in.core.unloadDevice("XY")
    if driver.reads_hardware:
        assert driver.read(Key("XY", "@x"), How.HARDWARE).status is Status.FAILED
        assert driver.read(GAIN, How.HARDWARE).value == 0
    else:
        assert driver.read(Key("Core", "Camera"), How.CACHE).value == "Camera"
    driver.catch_up()
    assert driver.is_present


def test_text_beyond_latin_1_is_whole_with_the_listener_and_never_silently_wrong_without(
    watched: Any,
) -> None:
    stand_in, driver = watched
    stand_in.core.setProperty("Camera", "AsyncPropertyDelayMS", "0")
    key = Key("Camera", "AsyncPropertyLeader")
    stand_in.core.setProperty(*key, "漢字 60x µm")
    reading = driver.read(key, How.HARDWARE)
    if driver.watch.session.listener is not None:
        assert reading.value == "漢字 60x µm"
    elif driver.reads_hardware:
        assert reading.status is Status.FAILED and "'?? 60x µm'" in (reading.error or "")
        stand_in.core.setProperty(*key, "µm")
        assert driver.read(key, How.HARDWARE).value == "µm"
    else:
        assert reading.status is not Status.OK


def test_other_version_of_the_bridge_is_tried(
    make_core: Any, make_stand_in: Any, make_driver: Any, caplog: Any
) -> None:
    stand_in = make_stand_in(make_core(), has_listener=True)
    stand_in.server.faults.version = "4.2.0"
    with caplog.at_level("WARNING", "scopestamp.drivers"):
        assert make_driver(stand_in.port).is_present
    assert "is version 4.2.0; known is 5.x" in caplog.text


def test_closing_studio_is_asked_nothing_of_the_core(watched: Any) -> None:
    stand_in, driver = watched
    if driver.watch.session.listener is None:
        pytest.skip("only our listener hears that Studio begins to close")
    stand_in.close()
    driver.catch_up()
    assert driver.is_busy()
    n_before = len(stand_in.server.requests)
    driver.catch_up()
    assert [request["name"] for request in stand_in.server.requests[n_before:]] == ["drain"]


def test_acquisition_tells_its_path_its_plan_and_the_state_at_its_start(
    watched: Any, listening: Any, tmp_path: Path
) -> None:
    stand_in, driver = watched
    asked = {**FRAMES, "save": True, "root": tmp_path.as_posix(), "prefix": "cells"}
    stand_in.engine.on_image = lambda n: driver.catch_up()
    stand_in.engine.run(asked)
    driver.catch_up()
    (started,), (finished,) = listening.of(SequenceStarted), listening.of(SequenceFinished)
    assert started.outputs() == ((tmp_path / "cells_1").as_posix(),)
    assert (started.plan().axes, started.plan().n_frames) == ({"t": 4}, 4)
    assert (finished.reason, finished.n_frames) == ("completed", 4)
    assert started.readings()[Key("Objective", "Label")].value == "Nikon 10X S Fluor"
    assert Key("Objective", "State") not in started.readings()
    if driver.watch.session.listener is not None:
        assert [frame.stamp().index for frame in listening.of(FrameSeen)] == [{"t": t} for t in range(4)]


def test_aborted_acquisition_is_cancelled(watched: Any, listening: Any) -> None:
    stand_in, driver = watched

    def on_image(n: int) -> None:
        driver.catch_up()
        if n == 9:
            stand_in.engine.abort()

    stand_in.engine.on_image = on_image
    stand_in.engine.run({"useFrames": True, "numFrames": 100})
    driver.catch_up()
    assert [(event.reason, event.n_frames) for event in listening.of(SequenceFinished)] == [("canceled", 10)]


def test_live_mode_is_told_and_keeps_hardware_from_being_read(watched: Any, listening: Any) -> None:
    stand_in, driver = watched
    stand_in.set_live(True)
    driver.catch_up()
    assert driver.is_busy()
    stand_in.set_live(False)
    driver.catch_up()
    assert [event.is_live for event in listening.of(LiveToggled)] == [True, False]
    assert not driver.is_busy()


def test_nothing_of_the_core_is_asked_unless_it_is_switched_on(watched: Any) -> None:
    stand_in, driver = watched
    stand_in.engine.on_image = lambda n: driver.catch_up()
    stand_in.engine.run(FRAMES)
    for key in driver.keys():  # noqa: SIM118
        driver.read(key, How.HARDWARE)
    of_core = [r for r in stand_in.server.requests if r.get("java_class_name") == "mmcorej.CMMCore"]
    is_on = driver.watch._options.core_polling
    assert bool(of_core) == is_on
    assert is_on or "mmcorej.CMMCore" not in {r.get("classpath") for r in stand_in.server.requests}


def test_only_reads_that_do_not_wait_are_made_while_frames_are_taken(
    watched: Any, listening: Any, wire_folder: Path
) -> None:
    facts = json.loads((wire_folder / "h15_which_reads_wait.json").read_text("utf-8"))["facts"]
    waits = {call.partition("(")[0] for call in facts["waits"]}
    stand_in, driver = watched
    n_before = len(stand_in.server.requests)
    stand_in.engine.on_image = lambda n: driver.catch_up()
    stand_in.engine.run(FRAMES)
    of_core = [
        r["name"]
        for r in stand_in.server.requests[n_before:]
        if r.get("java_class_name") == "mmcorej.CMMCore"
    ]
    assert not waits & set(of_core)


def test_studio_lets_go_of_everything_when_the_driver_closes(watched: Any) -> None:
    stand_in, driver = watched
    stand_in.engine.on_image = lambda n: driver.catch_up()
    stand_in.engine.run(FRAMES)
    driver.catch_up()
    driver.close()
    assert stand_in.server.n_handles == 0


@pytest.mark.parametrize(
    "event", [{"event": "stage", "device": "Z", "position_um": "?"}, {"event": 7}, "text", {}]
)
def test_event_that_is_not_understood_costs_no_other(
    make_core: Any, make_stand_in: Any, make_driver: Any, listening: Any, caplog: Any, event: Any
) -> None:
    stand_in = make_stand_in(make_core(), has_listener=True)
    driver = make_driver(stand_in.port)
    assert driver.is_present
    driver.describe()
    listening.events.clear()
    for listener in stand_in.listeners:
        listener._events.append(event)
    stand_in.tell("live", is_on=True)
    stand_in.tell("live", is_on=False)
    with caplog.at_level("CRITICAL", "scopestamp.drivers"):
        driver.catch_up()
    assert [told.is_live for told in listening.of(LiveToggled)] == [True, False]
    assert driver.is_present


# -- the core's log


def test_core_log_tells_what_was_commanded(
    make_core: Any, make_stand_in: Any, make_driver: Any, listening: Any, tmp_path: Path
) -> None:
    core = make_core()
    log = tmp_path / "CoreLog.txt"
    log.write_text("2026-01-01T00:00:00.000000 tid1 [IFO,Core] before we came\n")
    core.setPrimaryLogFile(str(log))
    core.enableDebugLog(True)
    core.enableStderrLog(False)
    stand_in = make_stand_in(core)
    driver = make_driver(stand_in.port, core_log=str(log))
    core.setProperty("Camera", "Gain", "2")
    core.setExposure(7.0)
    core.setPrimaryLogFile("")  # written out
    driver.catch_up()
    moved = {e.reading.key: (e.reading.value, e.is_commanded) for e in listening.of(PropertyMoved)}
    assert moved[GAIN] == ("2", True)
    assert moved[Key("Camera", "@exposure")] == (7.0, True)


def test_log_tail_follows_rotation_truncation_and_floods(tmp_path: Path) -> None:
    first = tmp_path / "CoreLog1.txt"
    first.write_bytes(b"old\n")
    tail = LogTail(tmp_path)
    assert tail.lines() == []
    with first.open("ab") as log:
        log.write(b"one\ntw")
    assert tail.lines() == ["one"]
    with first.open("ab") as log:
        log.write("o µ\r\n".encode())
    assert tail.lines() == ["two µ"]
    first.write_bytes(b"new\n")
    assert tail.lines() == ["new"]
    second = tmp_path / "CoreLog2.txt"
    second.write_bytes(b"x" * (2 << 20) + b"\nlast\n")
    assert tail.lines()[-1] == "last"
    second.unlink()
    assert tail.lines() == []  # what was told is not told again
    with first.open("ab") as log:
        log.write(b"again\n")
    assert tail.lines() == ["again"]


def hurry(driver: StudioDriver) -> None:
    """Have the driver give up soon on a Studio of which we know that it is silent."""
    driver.watch._options = StudioOptions(driver.watch._options.port, timeout_s=0.05, retry_s=0.0)
    session = driver.watch.session
    for port in (session.bridge._main, *session.bridge._own):
        port._timeout_s = 0.05
