"""Drivers over real hardware: Micro-Manager's core with its demo adapters, and devices written in Python among them."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from drivers import Driver, HardwareEvent, Key, OwningDriver
from drivers.mmcore import OwningMMCoreDriver
from drivers.mmstudio import StudioDriver, StudioOptions


class Listening:
    """Keeps the events of a driver, and waits for them."""

    def __init__(self) -> None:
        self.events: list[HardwareEvent] = []
        self._came = threading.Condition()
        self.has_room = True

    def __call__(self, event: HardwareEvent) -> bool:
        with self._came:
            self.events.append(event)
            self._came.notify_all()
        return self.has_room

    def of(self, kind: type[HardwareEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, is_it: Callable[[HardwareEvent], bool], timeout_s: float = 10.0) -> HardwareEvent:
        with self._came:
            found = self._came.wait_for(lambda: any(map(is_it, self.events)), timeout_s)
        assert found, f"the event did not come; came: {self.events}"
        return next(event for event in self.events if is_it(event))


@pytest.fixture
def listening() -> Listening:
    return Listening()


def forget_ended_threads_of_the_core() -> None:
    """Drop Python's entries of MMCore's delivery threads, which ended with their callback and never tell Python so."""
    for thread in threading.enumerate():
        if isinstance(thread, threading._DummyThread):
            threading._active.pop(thread.ident, None)  # type: ignore[attr-defined]


@pytest.fixture
def make_core(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Load demo cores, with devices written in Python where they are named; let go of them afterwards."""
    pytest.importorskip("mm_test_adapters", reason="needs the demo adapters: pip install mm-test-adapters")
    from drivers.mmcore import load_core, release_callback
    from drivers.mmcore.engine import emptied
    from drivers.mmcore.loading import fenced_import

    monkeypatch.setenv("PATH", os.environ["PATH"])  # every core appends its adapters' folder
    made: list[Any] = []

    def losing_no_frame(core: Any) -> Any:
        """Let every frame of a burst arrive with the engine a core comes with, so that tests can count them."""
        exec_sequenced_event = core.mda.engine.exec_sequenced_event

        def exec_emptied(event: Any) -> Iterator[Any]:
            with emptied(core):
                yield from exec_sequenced_event(event)

        core.mda.engine.exec_sequenced_event = exec_emptied
        return core

    def make(core_type: Any = None, **python_devices: Any) -> Any:
        if core_type is None and not python_devices:
            made.append(losing_no_frame(load_core("demo")))
            return made[-1]
        with fenced_import():
            from pymmcore_plus import find_micromanager
            from pymmcore_plus.experimental.unicore import UniMMCore
        core = (core_type or UniMMCore)(adapter_paths=[find_micromanager()])
        made.append(core)
        core.loadSystemConfiguration("MMConfig_demo.cfg")
        for label, device in python_devices.items():
            core.loadPyDevice(label, device)
            core.initializeDevice(label)
        return losing_no_frame(core)

    yield make
    for core in made:
        core.mda.cancel()
        core.unloadAllDevices()
        release_callback(core)
    forget_ended_threads_of_the_core()


@pytest.fixture
def faulty_probe() -> Any:
    """A device written in Python, one of whose properties cannot be read."""
    from drivers.mmcore.loading import fenced_import

    with fenced_import():
        from pymmcore_plus.experimental.unicore import GenericDevice, pymm_property

    class Probe(GenericDevice):
        @pymm_property(property_type=float)
        def Temperature(self) -> float:
            return 36.6

        @pymm_property(property_type=float)
        def Broken(self) -> float:
            raise OSError("the probe does not answer")

    return Probe()


@pytest.fixture(scope="session")
def studio_standin() -> Any:
    """The stand-in for Studio, loaded by its path: tests are no package, so that they can never shadow the code."""
    name = "studio_standin"
    if name not in sys.modules:
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = [str(Path(__file__).parent / "mmstudio" / name)]
    return importlib.import_module(f"{name}.studio")


@pytest.fixture
def make_stand_in(studio_standin: Any) -> Iterator[Callable[..., Any]]:
    """Start stand-ins over cores; all are ended afterwards."""
    made: list[Any] = []

    def make(core: Any, port: int = 0, **options: Any) -> Any:
        made.append(studio_standin.StandIn(core, port, **options).start())
        return made[-1]

    yield make
    for stand_in in made:
        stand_in.stop()


class StudioUser:
    """Whoever works at a Studio: sets, and runs acquisitions; each time the driver has looked before it goes on."""

    def __init__(self, stand_in: Any, driver: StudioDriver) -> None:
        self._stand_in, self._driver = stand_in, driver

    def set_property(self, key: Key, value: str) -> None:
        self._stand_in.core.setProperty(key.device, key.property, value)
        self._driver.catch_up()

    def set_preset(self, group: str, preset: str) -> None:
        self._stand_in.core.setConfig(group, preset)
        self._driver.catch_up()

    def acquire(self, plan: Mapping[str, Any], output: Path | None) -> None:
        self._stand_in.engine.on_image = lambda n: self._driver.catch_up()
        self._stand_in.engine.run(_settings_of(plan))
        self._driver.catch_up()

    def cancel(self) -> None:
        self._stand_in.engine.abort()


def _settings_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a useq-schema plan as Studio's acquisition settings."""
    from useq import MDASequence

    sequence = MDASequence.model_validate(dict(plan))
    slices = list(sequence.z_plan) if sequence.z_plan else []
    return {
        "useFrames": sequence.time_plan is not None,
        "numFrames": sequence.time_plan.loops if sequence.time_plan else 1,
        "useChannels": bool(sequence.channels),
        "channels": [
            {"channelGroup": c.group, "config": c.config, "exposure": c.exposure or 10.0, "useChannel": True}
            for c in sequence.channels
        ],
        "useSlices": bool(slices),
        "slices": slices,
        "acqOrderMode": 1,  # all slices of a channel, then the next
    }


class Rig(NamedTuple):
    """A driver, and who moves the hardware that it watches.

    Attributes
    ----------
    is_told_of_frames, is_told_of_presets, is_told_who : bool
        Whether frames, presets that were set, and who moved a property, are announced to it.
    """

    driver: Driver
    user: Any
    is_told_of_frames: bool = True
    is_told_of_presets: bool = True
    is_told_who: bool = True


RIGS = ("mmcore", "simulated", "studio with listener", "studio with core polling")


def own_core(make_core: Callable[..., Any], probe: Any) -> OwningDriver:
    return OwningMMCoreDriver(make_core(Probe=probe))


def own_simulated_core(make_core: Callable[..., Any], probe: Any) -> OwningDriver:
    """Return the simulated microscope's driver over the demo hardware: its core must do all that the plain one does."""
    from drivers.simulated import SimulatedMicroscope
    from drivers.simulated.core import SimulatedCore
    from drivers.simulated.opening import SimulatedDriver

    return SimulatedDriver(make_core(SimulatedCore, Probe=probe), SimulatedMicroscope())


OWNERS = {"mmcore": own_core, "simulated": own_simulated_core}


@pytest.fixture(params=RIGS)
def rig(
    request: pytest.FixtureRequest, make_core: Any, faulty_probe: Any, make_stand_in: Any
) -> Iterator[Rig]:
    """Each driver over hardware with a camera, an XY stage, a focus, a channel group, and a property that fails."""
    if request.param in OWNERS:
        opened: Any = OWNERS[request.param](make_core, faulty_probe)
        yield Rig(opened, opened)
        opened.stop_listening()
        return
    core = make_core(Probe=faulty_probe)
    has_listener = request.param == "studio with listener"
    stand_in = make_stand_in(core, has_listener=has_listener)
    # looks when the user has done something, and by itself only at the beginning
    opened = StudioDriver(
        StudioOptions(stand_in.port, core_polling=not has_listener, interval_s=3600, timeout_s=20)
    )
    yield Rig(opened, StudioUser(stand_in, opened), has_listener, False, has_listener)
    opened.close()


@pytest.fixture
def driver(rig: Rig) -> Driver:
    return rig.driver


@pytest.fixture
def user(rig: Rig) -> Any:
    return rig.user


@pytest.fixture
def told_of_frames(rig: Rig) -> None:
    if not rig.is_told_of_frames:
        pytest.skip("Studio announces frames to our listener alone")


@pytest.fixture(params=OWNERS)
def owner(
    request: pytest.FixtureRequest, make_core: Callable[..., Any], faulty_probe: Any
) -> Iterator[OwningDriver]:
    """Each driver that owns its hardware."""
    opened = OWNERS[request.param](make_core, faulty_probe)
    yield opened
    opened.stop_listening()
