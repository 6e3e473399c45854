"""One line in a user's program: what it does to the program, and what it must not."""

from __future__ import annotations

import ast
import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from useq import MDASequence

import agent
from agent.capture.attach import Attachment
from agent.errors import CaptureError

ROOT = Path(__file__).parents[3]
THREADS = {"scopestamp-capture", "scopestamp-poll", "scopestamp-close"}
SIGNALS = {
    "events": [
        "propertyChanged",
        "configSet",
        "stagePositionChanged",
        "XYStagePositionChanged",
        "exposureChanged",
        "roiSet",
        "systemConfigurationLoaded",
        "continuousSequenceAcquisitionStarted",
        "sequenceAcquisitionStopped",
    ],
    "mda.events": ["frameReady", "sequenceStarted", "sequenceFinished"],
}
FRAMES = MDASequence(time_plan={"interval": 0, "loops": 5}, channels=[{"config": "DAPI", "exposure": 1}])


def our_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("scopestamp-")}


def n_handlers(core: Any) -> dict[str, int]:
    groups = {"events": core.events, "mda.events": core.mda.events}
    return {
        f"{group}.{name}": len(getattr(groups[group], name))
        for group, names in SIGNALS.items()
        for name in names
    }


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Callable[..., Attachment]]:
    attachments: list[Attachment] = []

    def attach(core: Any, **options: Any) -> Attachment:
        attachments.append(agent.attach(core, data_dir=tmp_path / "data", **options))
        return attachments[-1]

    yield attach
    for attachment in attachments:
        attachment.detach(20)


def test_attach_records_what_the_program_does(core: Any, attach: Any, spooled: Any) -> None:
    attachment = attach(core)
    core.mda.run(FRAMES)
    assert attachment.settle(20)
    kinds = [record.kind for record in spooled()]
    for kind in (
        "instrument",
        "state_snapshot",
        "acquisition_started",
        "frame_ledger",
        "acquisition_finished",
    ):
        assert kinds.count(kind) == 1, kind
    assert attachment.is_attached and attachment.capture.n_frames == 5


def test_attach_again_returns_the_same_attachment(core: Any, attach: Any) -> None:
    attachment = attach(core)
    connected = n_handlers(core)
    assert attach(core) is attachment
    assert n_handlers(core) == connected
    assert our_threads() == THREADS


def test_attach_from_many_threads_attaches_once(core: Any, attach: Any) -> None:
    barrier, got = threading.Barrier(4), []

    def one() -> None:
        barrier.wait(10)
        got.append(attach(core))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 4 and len(set(map(id, got))) == 1
    assert set(n_handlers(core).values()) == {1}


def test_detach_leaves_no_handler_and_no_thread(core: Any, attach: Any, spooled: Any) -> None:
    before = n_handlers(core)
    attachment = attach(core)
    assert set(n_handlers(core).values()) == {1}
    assert attachment.detach(20)
    assert n_handlers(core) == before
    assert our_threads() == set()
    n_records = len(spooled())
    core.mda.run(FRAMES)
    assert len(spooled()) == n_records
    assert attachment.detach() and not attachment.is_attached


def test_attach_after_detach_captures_again(core: Any, attach: Any, spooled: Any) -> None:
    first = attach(core)
    first.detach(20)
    second = attach(core)
    assert second is not first
    core.mda.run(FRAMES)
    assert second.settle(20)
    assert len(spooled(kind="acquisition_finished")) == 1


def test_detach_survives_a_program_that_took_our_handlers_off(core: Any, attach: Any) -> None:
    attachment = attach(core)
    core.mda.events.frameReady.disconnect()
    core.events.disconnect() if hasattr(
        core.events, "disconnect"
    ) else core.events.propertyChanged.disconnect()
    assert attachment.detach(20)


def test_detach_in_live_mode_does_not_wait_for_it(core: Any, attach: Any) -> None:
    attachment = attach(core)
    assert attachment.settle(20)
    core.startContinuousSequenceAcquisition(1)
    core.setProperty("Camera", "Gain", "2")
    try:
        assert attachment.detach(5)
    finally:
        core.stopSequenceAcquisition()


def test_two_cores_are_attached_apart(make_core: Any, attach: Any, spooled: Any) -> None:
    first, second = make_core(), make_core()
    attachments = [attach(first), attach(second)]
    assert attachments[0] is not attachments[1]
    second.mda.run(FRAMES)
    assert all(attachment.settle(20) for attachment in attachments)
    assert [attachment.capture.n_frames for attachment in attachments] == [0, 5]


@pytest.mark.parametrize("wrong", [None, 7, "core", object(), "class", "mmcore"])
def test_attach_refuses_what_is_no_core(wrong: Any, core: Any, tmp_path: Path) -> None:
    if wrong == "class":
        wrong = type(core)
    if wrong == "mmcore":
        import pymmcore

        wrong = pymmcore.CMMCore()
    with pytest.raises(CaptureError, match=r"wants the core of your program.*got"):
        agent.attach(wrong, data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def n_cores() -> int:
    from pymmcore_plus import CMMCorePlus

    return sum(isinstance(candidate, CMMCorePlus) for candidate in gc.get_objects())


def test_attach_never_makes_a_core(core: Any, attach: Any) -> None:
    gc.collect()
    before = n_cores()
    attachment = attach(core)
    core.mda.run(FRAMES)
    attachment.capture.snapshot()
    assert attachment.settle(20)
    assert n_cores() == before >= 1


def add_small_camera(core: Any) -> None:
    core.loadDevice("Small", "DemoCamera", "DCam")
    core.initializeDevice("Small")
    for name, value in {"PixelType": "8bit", "OnCameraCCDXSize": "128", "OnCameraCCDYSize": "128"}.items():
        core.setProperty("Small", name, value)
    core.updateSystemStateCache()


def test_snapshot_never_selects_another_camera(make_core: Any, attach: Any) -> None:
    """core.state() and summary_metadata() do, while they run."""
    from drivers.mmcore.loading import fenced_import

    with fenced_import():
        from pymmcore_plus import CMMCorePlus

    class Watched(CMMCorePlus):
        def setCameraDevice(self, label: str) -> None:
            selected.append(label)
            super().setCameraDevice(label)

    selected: list[str] = []
    core = make_core(Watched)
    add_small_camera(core)
    attachment = attach(core)
    selected.clear()
    attachment.capture.snapshot()
    attachment.capture._driver.describe()
    assert attachment.settle(20)
    assert selected == []
    core.state()
    assert "Small" in selected, "core.state() has learned not to: this test sees nothing any more"


FORBIDDEN = {
    "state": "makes other cameras the current one while it runs",
    "summary_metadata": "makes other cameras the current one while it runs",
    "image_infos": "makes other cameras the current one while it runs",
    "setCameraDevice": "the core is the user's",
    "register_core_callback": "takes Micro-Manager Studio's only callback slot",
    "instance": "makes a core where there is none",
}


def test_no_source_calls_what_disturbs_an_acquisition() -> None:
    found = []
    for room in ("agent", "drivers"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
                    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "super()":
                        continue  # a core of our own that answers such a call, not one that makes it
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                    if name in FORBIDDEN:
                        found.append(
                            f"{path.relative_to(ROOT)}:{node.lineno} calls {name}: {FORBIDDEN[name]}"
                        )
    assert found == []


def test_two_cameras_are_never_mixed_up(core: Any, attach: Any, tmp_path: Path) -> None:
    """One camera runs an acquisition; polling and snapshots beside it must not select the other."""
    add_small_camera(core)
    settings = tmp_path / "agent.toml"
    settings.write_text("[capture]\npoll_interval_s = 1\npoll_pause_ms = 0\n")
    attachment = attach(core, config=settings)
    attachment.capture.poller.interval_s = 0.0
    core.mda.engine.use_hardware_sequencing = False
    shapes: list[tuple[Any, ...]] = []

    def on_frame(image: Any) -> None:
        shapes.append((image.shape, str(image.dtype)))
        attachment.capture.snapshot()

    core.mda.events.frameReady.connect(on_frame)
    for _ in range(4):
        core.mda.run(
            MDASequence(time_plan={"interval": 0, "loops": 100}, channels=[{"config": "DAPI", "exposure": 1}])
        )
        assert core.getCameraDevice() == "Camera"
    attachment.capture.poller.interval_s = 3600.0
    assert attachment.settle(30)
    assert shapes == [((512, 512), "uint16")] * 400
    assert core.getCameraDevice() == "Camera"


def test_default_data_folder_is_not_touched_when_one_is_named(
    core: Any, attach: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    attach(core).settle(20)
    assert [name for _, _, names in os.walk(tmp_path / "home") for name in names] == []
