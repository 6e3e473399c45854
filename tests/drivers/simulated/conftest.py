"""A small, off-square microscope whose clock jumps."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.simulated import JumpingClock, SimulatedMicroscope, Truth
from drivers.simulated.truth import Drift, Illumination, Light, Sensor

STILL = Drift((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
STEADY = Light(nonlinearity=0.0, warm_up_fraction=0.0, flicker=0.0)


@pytest.fixture(autouse=True)
def core_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what every core leaves: its adapters' folder in PATH, and Python's entry of its ended delivery thread."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading._DummyThread):
            threading._active.pop(thread.ident, None)  # type: ignore[attr-defined]


@pytest.fixture
def make_microscope() -> Callable[..., SimulatedMicroscope]:
    """Return a maker of lit microscopes; `sensor` holds changes to a plain small sensor."""

    def make(shape: tuple[int, int] = (90, 140), seed: int = 5, **changes: Any) -> SimulatedMicroscope:
        sensor = replace(Sensor(height_px=shape[0], width_px=shape[1]), **changes.pop("sensor", {}))
        truth = Truth(seed=seed, sensor=sensor, drift=STILL, light=STEADY)
        microscope = SimulatedMicroscope(replace(truth, **changes), JumpingClock())
        microscope.shutter_open = True
        return microscope

    return make


@pytest.fixture
def flat() -> Illumination:
    """Return illumination without any profile."""
    return Illumination((0.0, 0.0), 1e6, 0.0)
