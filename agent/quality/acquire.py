"""Carry out the steps of a run through the hardware process."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from math import isnan, nan
from pathlib import Path
from typing import Any

from agent.capture.stamp import sidecar_path
from agent.errors import CaptureError, HardwareError
from agent.quality.restore import CALL_S, MOVE_S, Hardware
from agent.quality.scene import Scene
from agent.quality.steps import Key, Preset, Readings, Set, Shot, Step, Trial, Wait
from agent.quality.watcher import Watcher
from agent.records import AcquisitionFinished, QcInput, RecordError, decode

FOCUS_S = 120.0
_ACQUIRE_S = 6 * 3600.0
_LOOK_S = 0.2
SETTLED_S = 1800.0


@dataclass
class Acquired:
    """What came of the steps.

    Attributes
    ----------
    datasets : dict
        Role to datasets.
    columns : dict
        Name to readings; NaN where one failed.
    """

    datasets: dict[str, list[Path]] = field(default_factory=dict)
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add_row(self, row: Mapping[str, float]) -> None:
        """Add a reading to each column."""
        for name, value in row.items():
            self.columns.setdefault(name, []).append(value)


class Acquisition:
    """Takes the steps of one run.

    Parameters
    ----------
    hardware : Hardware
        Who does it.
    images : Path
        Folder of the datasets.
    routine : str
        Named in them.
    watcher : Watcher
        Who is told.
    sleep : callable
        How time passes between steps.
    """

    def __init__(
        self,
        hardware: Hardware,
        images: Path,
        routine: str,
        watcher: Watcher,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hardware, self._images = hardware, images
        self._watcher, self._sleep = watcher, sleep
        self._stem = _free_stem(images, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{routine}")
        self._n_done = self._n_datasets = 0
        self._is_broken_off = False
        self._notes: Path | None = images / f"{self._stem}-readings.csv"
        self._acquired = Acquired()

    def take(self, steps: Sequence[Step]) -> Acquired:
        """Take all steps.

        Raises
        ------
        HardwareError
            One could not be taken to its end.
        KeyboardInterrupt
            It was broken off; what was under way has ended when this is raised.
        """
        self._images.mkdir(parents=True, exist_ok=True)
        for step in steps:
            self._take(step)
        return self._acquired

    def _take(self, step: Step) -> None:
        match step:
            case Shot():
                self._shoot(step)
            case Set(key=key, value=value):
                self._hardware.call("set_property", CALL_S, device=key[0], property=key[1], value=value)
            case Preset(group=group, name=name):
                self._hardware.call("set_preset", CALL_S, group=group, preset=name)
            case Wait(duration_s=duration_s):
                self._sleep(duration_s)
            case Readings():
                self._read(step)
            case Trial():
                self._try(step)

    def _counted(self, n: int) -> None:
        self._n_done += n
        self._watcher.on_frames(self._n_done)

    # ---- frames

    def _shoot(self, shot: Shot) -> None:
        path = self._images / f"{self._stem}-{shot.role}-{self._n_datasets:02d}.ome.zarr"
        self._n_datasets += 1
        set_light(self._hardware, is_dark=shot.is_dark)
        self._acquire(shot, path)
        self._counted(shot.n_counts)
        self._watcher.on_shot(shot, path)
        self._acquired.datasets.setdefault(shot.role, []).append(path)

    def _acquire(self, shot: Shot, output: Path) -> None:
        before = self._hardware.call("ping", CALL_S)["n_frames"]
        failed: list[HardwareError] = []
        done = threading.Event()

        def work() -> None:
            try:
                self._hardware.call("acquire", _ACQUIRE_S, sequence=dict(shot.sequence), output=str(output))
                self._settle(output)
            except HardwareError as error:
                failed.append(error)
            finally:
                done.set()

        thread = threading.Thread(target=work, name="scopestamp-qc", daemon=True)
        thread.start()
        try:
            while not done.wait(_LOOK_S):
                self._look(before)
        except BaseException:
            self._break_off(done)
            raise
        finally:
            thread.join(CALL_S)
        if failed:
            raise failed[0]

    def _settle(self, output: Path) -> None:
        """Wait until the frames are hashed and stamped, which takes a slow disk minutes for gigabytes."""
        until_s = time.monotonic() + SETTLED_S
        while not self._hardware.call("settle", CALL_S) and not self._is_broken_off:
            if time.monotonic() >= until_s:
                raise HardwareError(
                    f"{output} was acquired, and is not hashed and stamped after {SETTLED_S / 60:g} min: is the disk slow, or "
                    "full? The frames are there; 'scopestamp qc analyse' measures them."
                )

    def _break_off(self, done: threading.Event) -> None:
        """Have what is under way end, and ask again until it has: what has not begun yet is not reached."""
        self._is_broken_off = True
        until_s = time.monotonic() + CALL_S
        while not done.is_set() and time.monotonic() < until_s:
            self._hardware.call("cancel", CALL_S)
            done.wait(_LOOK_S)

    def _look(self, n_before: int) -> None:
        """Tell how far it is, and what the newest frame holds."""
        n = self._hardware.call("ping", CALL_S)["n_frames"] - n_before
        self._watcher.on_frames(self._n_done + n)
        if n and (numbers := self._hardware.call("look", CALL_S)):
            self._watcher.on_numbers(numbers)

    # ---- readings

    def _read(self, readings: Readings) -> None:
        starts_at_s = time.monotonic()
        for n in range(readings.n_counts):
            if (early_s := starts_at_s + n * readings.interval_s - time.monotonic()) > 0:
                self._sleep(early_s)
            row = self._row(readings)
            self._acquired.add_row(row)
            self._note(row)
            self._counted(1)
            self._watcher.on_numbers(row)

    def _note(self, row: Mapping[str, float]) -> None:
        """Write a reading down: hours of them outlive a run that is cut off, and `scopestamp qc analyse` measures the table."""
        path, cells = self._notes, {n: "" if isnan(value) else repr(value) for n, value in row.items()}
        if path is None:
            return
        try:
            with path.open("a", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, list(cells))
                if not file.tell():
                    table.writeheader()
                table.writerow(cells)
        except OSError as error:  # the run has them in memory
            self._watcher.say(f"{path} cannot be written ({error}); the run goes on without it.")
            self._notes = None

    def _row(self, readings: Readings) -> dict[str, float]:
        row, at_s = dict(readings.constants), nan
        for name, (key, factor) in readings.columns.items():
            value, at_s = read_number(self._hardware, key)
            row[name] = factor * value
        return {**row, "time_s": at_s} if readings.has_time else row

    # ---- trials of the autofocus

    def _try(self, trial: Trial) -> None:
        away_um = trial.focus_um + trial.defocus_um
        self._hardware.call("move", MOVE_S, position_um={"z": away_um})
        recovered_um = self._recovered_um()
        self._acquired.add_row({"recovered_um": recovered_um, "defocus_um": trial.defocus_um})
        self._watcher.on_numbers({"defocus_um": trial.defocus_um, "recovered_um": recovered_um})
        if recovered_um != recovered_um:  # gave up
            self._hardware.call("move", MOVE_S, position_um={"z": trial.focus_um})
            self._counted(trial.n_counts)
            return
        places = [{**place, "z": recovered_um} for place in trial.stack.sequence["stage_positions"]]
        self._shoot(
            Shot(trial.stack.role, {**trial.stack.sequence, "stage_positions": places}, trial.stack.is_dark)
        )

    def _recovered_um(self) -> float:
        """Return where the focus drive stands after the autofocus has done its work; NaN when it gave up."""
        try:
            self._hardware.call("focus", FOCUS_S)
        except HardwareError as error:
            if "no autofocus" in str(error):
                raise
            self._hardware.call("ping", CALL_S)  # raises when it is the process that is gone
            self._watcher.say(str(error))
            return nan
        drive = Scene.of(self._hardware.call("read_all", CALL_S)).role("Focus")
        return read_number(self._hardware, (drive, "@position"))[0]


def _free_stem(folder: Path, stem: str) -> str:
    """Return `stem`, numbered where datasets already bear it: runs within a second, or a clock that was set back."""
    numbered = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
    return next(name for name in numbered if not any(folder.glob(f"{name}-*")))


def read_number(hardware: Hardware, key: Key) -> tuple[float, float]:
    """Return a property's value and when it was there, s on the hardware process' monotonic clock; NaN if it failed.

    Raises
    ------
    HardwareError
        The value is no number.
    """
    reading = hardware.call("read", CALL_S, device=key[0], property=key[1])
    if reading["status"] != "ok":
        return nan, reading["monotonic_s"]
    try:
        return float(reading["value"]), reading["monotonic_s"]
    except (TypeError, ValueError):
        raise HardwareError(
            f"{key[0]}-{key[1]} says {reading['value']!r}; a number is wanted. Name another property."
        ) from None


def set_light(hardware: Hardware, *, is_dark: bool) -> None:
    """Let the shutter open by itself for frames with light, and keep it closed for those without."""
    scene = Scene.of(hardware.call("read_all", CALL_S))
    wanted = "0" if is_dark else "1"
    if str(scene.readings.get(("Core", "AutoShutter"), wanted)) != wanted:
        hardware.call("set_property", CALL_S, device="Core", property="AutoShutter", value=wanted)
    shutter = scene.role("Shutter")
    if is_dark and not shutter:
        raise HardwareError("Dark frames want a shutter, and the configuration has none (Core, Shutter).")
    if is_dark and str(scene.readings.get((shutter, "State"), "0")) != "0":
        hardware.call("set_property", CALL_S, device=shutter, property="State", value="0")


def stamped(datasets: Mapping[str, list[Path]]) -> tuple[list[AcquisitionFinished], list[QcInput]]:
    """Return the records of the acquisitions and their files, as the capture stamped them.

    Raises
    ------
    CaptureError
        A dataset was not stamped, or its record cannot be read.
    """
    finished: list[Any] = []
    for path in (path for paths in datasets.values() for path in paths):
        try:
            record = decode(sidecar_path(path).read_bytes())
        except (OSError, RecordError) as error:
            raise CaptureError(f"{path} was not stamped: {error}.") from error
        if isinstance(record, AcquisitionFinished):
            finished.append(record)
    files = [
        QcInput(name=Path(file.path).name, sha256=file.sha256)
        for record in finished
        for file in record.files
        if file.sha256
    ]
    return finished, files
