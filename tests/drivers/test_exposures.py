"""Long exposures of a camera that is ours: they can be broken off, and are frames like any other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mm_test_adapters", reason="needs the demo adapters: pip install mm-test-adapters")

from drivers import CameraSilentError, DriverError, FrameSeen, SequenceFinished
from drivers.mmcore import OwningMMCoreDriver, exposures
from drivers.simulated import CONFIGURATION, SystemClock, open_simulated_driver

WAIT_S = 60.0
LONG_MS = 4_000.0
"""Long enough to be cancelled before its end; the demo camera exposes to the end all the same."""
BURST = {"channels": [{"config": "DAPI", "exposure": LONG_MS}], "time_plan": {"interval": 0, "loops": 3}}
ONE_BY_ONE = {**BURST, "time_plan": {"interval": 0.001, "loops": 3}}


@pytest.fixture(params=["demo", "simulated"])
def owner(
    request: pytest.FixtureRequest, make_core: Callable[..., Any], tmp_path: Path
) -> Iterator[OwningMMCoreDriver]:
    if request.param == "demo":
        yield OwningMMCoreDriver(make_core())
        return
    small = "#py Property,Stand,Sensor,64x64\nProperty,Core,Initialize,1"
    path = tmp_path / "small.cfg"
    path.write_text(CONFIGURATION.read_text("utf-8").replace("Property,Core,Initialize,1", small, 1), "utf-8")
    opened = open_simulated_driver(path, clock=SystemClock())
    opened.microscope.slide = "uniform"  # beads take their time to be drawn
    yield opened
    opened.close()


def cancelled_while_exposed(owner: OwningMMCoreDriver, work: Callable[[], None]) -> None:
    """Do something on a thread, and cancel it once the camera exposes."""
    exposed = threading.Event()
    started = owner._core.events.sequenceAcquisitionStarted
    started.connect(lambda *_: exposed.set())
    thread = threading.Thread(target=work)
    thread.start()
    assert exposed.wait(WAIT_S)
    owner.cancel()
    thread.join(WAIT_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("plan", [BURST, ONE_BY_ONE], ids=["burst", "one by one"])
def test_acquisition_gives_way_in_the_middle_of_an_exposure(
    owner: OwningMMCoreDriver, listening: Any, plan: dict[str, Any]
) -> None:
    owner.describe()
    owner.listen(listening)
    cancelled_while_exposed(owner, lambda: owner.acquire(plan, None))
    (finished,) = listening.of(SequenceFinished)
    assert (finished.reason, finished.n_frames) == ("canceled", 0)
    assert not owner._core.isSequenceRunning() and not owner._core.getShutterOpen()
    owner.stop_listening()
    assert owner.snap(5.0).size  # and the camera works


def test_snap_is_broken_off(owner: OwningMMCoreDriver) -> None:
    said: list[str] = []

    def snap() -> None:
        try:
            owner.snap(LONG_MS)
        except DriverError as error:
            said.append(str(error))

    cancelled_while_exposed(owner, snap)
    assert said == ["The exposure of 4000 ms was broken off."]
    assert not owner._core.getShutterOpen()


def stamps(owner: OwningMMCoreDriver, listening: Any, plan: dict[str, Any]) -> list[Any]:
    listening.events.clear()
    owner.acquire(plan, None)
    told = [event.stamp() for event in listening.of(FrameSeen)]
    return [replace(stamp, runner_time_ms=None) for stamp in told]


def test_long_exposures_are_frames_like_any_other(
    owner: OwningMMCoreDriver, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {
        **ONE_BY_ONE,
        "channels": [{"config": "DAPI", "exposure": 20}, {"config": "FITC", "exposure": 30}],
    }
    owner.describe()
    owner.listen(listening)
    snapped = stamps(owner, listening, plan)
    frame = owner.last_frame()
    monkeypatch.setattr(exposures, "LONG_MS", 1.0)
    taken = stamps(owner, listening, plan)
    assert len(taken) == 6 and taken == snapped
    assert owner.last_frame().shape == frame.shape and owner.last_frame().dtype == frame.dtype
    assert owner.snap(20.0).shape == frame.shape
    owner.stop_listening()


def test_last_image_of_a_burst_is_not_left_behind(
    owner: OwningMMCoreDriver, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = owner._core
    count, is_running = core.getRemainingImageCount, type(core).isSequenceRunning

    def counted_before_they_came() -> int:
        """Answer "none" only after the camera has delivered all: what is rare becomes certain."""
        waiting = int(count())
        while not waiting and is_running(core):
            threading.Event().wait(0.001)
        return waiting

    monkeypatch.setattr(core, "getRemainingImageCount", counted_before_they_came)
    owner.describe()
    owner.listen(listening)
    owner.acquire(
        {"channels": [{"config": "DAPI", "exposure": 5}], "time_plan": {"interval": 0, "loops": 3}}, None
    )
    (finished,) = listening.of(SequenceFinished)
    assert (finished.reason, finished.n_frames) == ("completed", 3)


def test_camera_that_takes_no_sequence_snaps_all_the_same(
    owner: OwningMMCoreDriver, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("Sequence acquisition is not supported by this camera.")

    monkeypatch.setattr(exposures, "LONG_MS", 1.0)
    monkeypatch.setattr(owner._core, "startSequenceAcquisition", refuse)
    owner.describe()
    owner.listen(listening)
    owner.acquire({**ONE_BY_ONE, "channels": [{"config": "DAPI", "exposure": 20}]}, None)
    assert [event.n_frames for event in listening.of(SequenceFinished)] == [3]
    assert owner.snap(20.0).size
    owner.stop_listening()


def test_camera_that_never_delivers_ends_the_acquisition(
    owner: OwningMMCoreDriver, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposures, "LATE_S", -LONG_MS / 1e3)
    owner.describe()
    owner.listen(listening)
    with pytest.raises(CameraSilentError, match="delivered no frame of 4 s"):
        owner.acquire(ONE_BY_ONE, None)
    assert [event.reason for event in listening.of(SequenceFinished)] == ["errored"]
    owner.stop_listening()


def test_stage_is_stopped_on_its_way(make_core: Callable[..., Any]) -> None:
    owner = OwningMMCoreDriver(make_core())
    core, stops = owner._core, []
    is_moving = threading.Event()
    core.deviceBusy = lambda label: is_moving.set() or not stops  # type: ignore[method-assign]
    core.stop = stops.append  # type: ignore[method-assign]
    said: list[str] = []

    def move() -> None:
        try:
            owner.move({"x": 40.0, "z": 1.5}, timeout_s=600)
        except DriverError as error:
            said.append(str(error))

    thread = threading.Thread(target=move)
    thread.start()
    assert is_moving.wait(WAIT_S)
    owner.cancel()
    thread.join(WAIT_S)
    assert stops == ["XY", "Z"] and said == ["XY was told to stop on its way."]
