"""A small acquisition on the adapter's hardware, captured as the agent captures every other; runs in the hardware process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.capture import Capture
from agent.capture.worker import CaptureOptions
from agent.clock import Clock
from agent.errors import CaptureError
from agent.mint import Mint
from agent.records import Record, encode
from drivers import DriverError, Key
from drivers.errors import DEVICE_ERRORS
from drivers.mmcore import OwningMMCoreDriver

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

INSTRUMENT_ID = "conformance"
_RARELY_S = 3600.0


class _Shelf:
    """Keeps the records of one acquisition."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, *records: Record) -> None:
        self.records += records


def captured_acquisition(
    core: CMMCorePlus,
    sequence: Mapping[str, Any],
    left_alone: list[list[str]],
    data_dir: Path,
    settle_s: float,
    *,
    may_light: bool,
) -> list[Any]:
    """Run a sequence and return the records it makes, as plain values.

    Parameters
    ----------
    core : CMMCorePlus
        The core; shutters, channel, focus and stage are afterwards as they were.
    sequence : mapping
        Plain dictionary in the layout of a useq MDASequence.
    left_alone : list of [device, property]
        What is not read, because it hung before.
    data_dir : Path
        Where the capture keeps its journal.
    settle_s : float
        How long the capture may take to its end.
    may_light : bool
        Whether the shutter may be opened for the exposures.

    Raises
    ------
    CaptureError
        The adapter cannot run it, or the records did not come in time.
    """
    shelf = _Shelf()
    options = CaptureOptions(poll_interval_s=_RARELY_S, left_alone=frozenset(Key(*key) for key in left_alone))
    driver = OwningMMCoreDriver(core)
    capture = Capture(driver, shelf, Mint(INSTRUMENT_ID, INSTRUMENT_ID, Clock()), data_dir, options)
    capture.start()
    try:
        with _as_it_was(core, sequence["channels"], may_light):
            driver.acquire(sequence, None)
        if not capture.settle(settle_s):
            raise CaptureError(f"the records were not complete {settle_s:g} s after the acquisition")
    except DriverError as error:
        raise CaptureError(str(error)) from error
    finally:
        capture.stop(settle_s)
        driver.stop_listening()
    return [json.loads(encode(record)) for record in shelf.records]


@contextmanager
def _as_it_was(core: CMMCorePlus, channels: list[Mapping[str, str]], may_light: bool) -> Iterator[None]:
    """Put shutters, channel, focus and stage back after an acquisition."""
    from pymmcore_plus import DeviceType

    is_open = {
        label: core.getShutterOpen(label) for label in core.getLoadedDevicesOfType(DeviceType.ShutterDevice)
    }
    focus, stage, is_automatic = core.getFocusDevice(), core.getXYStageDevice(), core.getAutoShutter()
    z_um = core.getPosition(focus) if focus else 0.0
    xy_um = core.getXYPosition(stage) if stage else (0.0, 0.0)
    data = [core.getConfigData(item["group"], item["config"]) for item in channels]
    before = {
        (device, name): core.getProperty(device, name) for settings in data for device, name, _ in settings
    }
    core.setAutoShutter(is_automatic and may_light)
    try:
        yield
    finally:
        core.setAutoShutter(is_automatic)
        try:
            for (device, name), value in before.items():
                core.setProperty(device, name, value)
                core.waitForDevice(device)
            if focus:
                core.setPosition(focus, z_um)
                core.waitForDevice(focus)
            if stage:
                core.setXYPosition(stage, *xy_um)
                core.waitForDevice(stage)
            for label, was_open in is_open.items():
                core.setShutterOpen(label, was_open)
                core.waitForDevice(label)
        except DEVICE_ERRORS as error:
            raise CaptureError(f"shutter, channel, focus or stage could not be put back: {error}") from error
