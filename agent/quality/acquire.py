"""Carry out the acquisitions of a run through the hardware process, and put everything back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.capture.stamp import sidecar_path
from agent.errors import CaptureError, HardwareError
from agent.quality.plans import Plan, Shot
from agent.quality.restore import CALL_S, Hardware, RestorePlan, restore
from agent.quality.scene import Scene
from agent.records import AcquisitionFinished, QcInput, RecordError, decode

RESTORE_FILE = "restore.json"
_ACQUIRE_S = 6 * 3600.0
_LOOK_S = 0.1

OnFrames = Callable[[int], None]
OnShot = Callable[[Shot, Path], None]


@contextmanager
def undone(
    hardware: Hardware, data_dir: Path, touched: tuple[tuple[str, str], ...], say: Callable[[str], None]
) -> Iterator[Scene]:
    """Give the scene before a run, and put the hardware back to it afterwards, whatever happens.

    A plan that an earlier run left is carried out first.
    """
    path = data_dir / "qc" / RESTORE_FILE
    if path.is_file():
        say("An earlier QC run was cut off; the hardware is put back to where it was before that.")
        _carry_out(hardware, RestorePlan.read(path), path, say)
    scene = Scene.of(hardware.call("read_all", CALL_S))
    plan = RestorePlan.of(scene, touched)
    plan.write(path)
    try:
        yield scene
    finally:
        _carry_out(hardware, plan, path, say)


def _carry_out(hardware: Hardware, plan: RestorePlan, path: Path, say: Callable[[str], None]) -> None:
    problems = restore(hardware, plan)
    for problem in problems:
        say(f"Not put back: {problem}")
    if not problems:
        path.unlink(missing_ok=True)


def acquire_plan(
    hardware: Hardware, plan: Plan, routine: str, images: Path, on_frames: OnFrames, on_shot: OnShot
) -> dict[str, list[Path]]:
    """Take all acquisitions of a plan and return the datasets by role.

    Raises
    ------
    HardwareError
        One could not be taken to its end.
    KeyboardInterrupt
        It was broken off; the acquisition has ended when this is raised.
    """
    images.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    datasets: dict[str, list[Path]] = {}
    n_done = 0
    for number, shot in enumerate(plan.shots):
        path = images / f"{moment}-{routine}-{shot.role}-{number:02d}.ome.zarr"
        _set_light(hardware, is_dark=shot.is_dark)
        n_before = n_done

        def on_some(n: int, n_before: int = n_before) -> None:
            on_frames(n_before + n)

        _acquire(hardware, shot, path, on_some)
        n_done += shot.n_frames
        on_frames(n_done)
        on_shot(shot, path)
        datasets.setdefault(shot.role, []).append(path)
    return datasets


def _set_light(hardware: Hardware, *, is_dark: bool) -> None:
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


def _acquire(hardware: Hardware, shot: Shot, output: Path, on_frames: OnFrames) -> None:
    before = hardware.call("ping", CALL_S)["n_frames"]
    failed: list[HardwareError] = []
    done = threading.Event()

    def work() -> None:
        try:
            hardware.call("acquire", _ACQUIRE_S, sequence=dict(shot.sequence), output=str(output))
            hardware.call("settle", CALL_S)
        except HardwareError as error:
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="scopestamp-qc", daemon=True)
    thread.start()
    try:
        while not done.wait(_LOOK_S):
            on_frames(hardware.call("ping", CALL_S)["n_frames"] - before)
    except BaseException:
        hardware.call("cancel", CALL_S)
        done.wait(CALL_S)
        raise
    finally:
        thread.join(CALL_S)
    if failed:
        raise failed[0]


def stamped(datasets: Mapping[str, list[Path]]) -> tuple[list[AcquisitionFinished], list[QcInput]]:
    """Return the records of the acquisitions and their files, as the capture stamped them.

    Raises
    ------
    CaptureError
        A dataset was not stamped, or its record cannot be read.
    """
    finished = []
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
