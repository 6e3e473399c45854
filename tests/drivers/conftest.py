"""Drivers over real hardware: Micro-Manager's core with its demo adapters, and devices written in Python among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers import HardwareEvent, OwningDriver


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
    from drivers.mmcore.loading import fenced_import

    monkeypatch.setenv("PATH", os.environ["PATH"])  # every core appends its adapters' folder
    made: list[Any] = []

    def make(core_type: Any = None, **python_devices: Any) -> Any:
        if core_type is None and not python_devices:
            made.append(load_core("demo"))
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
        return core

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


@pytest.fixture(params=["mmcore"])
def driver(
    request: pytest.FixtureRequest, make_core: Callable[..., Any], faulty_probe: Any
) -> Iterator[OwningDriver]:
    """Each driver over hardware with a camera, an XY stage, a focus, a channel group, and a property that fails."""
    from drivers.mmcore import OwningMMCoreDriver

    opened = OwningMMCoreDriver(make_core(Probe=faulty_probe))
    yield opened
    opened.stop_listening()
