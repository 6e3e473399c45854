"""The user's own handlers beside ours, under both signal back ends: theirs may raise or be slow, ours never are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mm_test_adapters", reason="needs the demo adapters: pip install mm-test-adapters")

N_FRAMES = 20


def needs_qt() -> None:
    pytest.importorskip("PyQt6", reason="needs PyQt6: pip install pyqt6")
    pytest.importorskip("qtpy", reason="pymmcore-plus needs it for Qt: pip install qtpy")


COMMON = """
import json, os, sys, threading, time
N_FRAMES = 20
data, what, behaviour = sys.argv[1:4]
if what.startswith("qt-"):
    from PyQt6.QtCore import QCoreApplication, QTimer
    app = QCoreApplication([])
    sys.excepthook = lambda *error: print(*error, file=sys.stderr)  # PyQt6 ends the program without one
import agent
from drivers.mmcore import load_core
from useq import MDASequence

core = load_core("demo")
is_qt = type(core.mda.events).__name__ == "QMDASignaler"
assert is_qt == what.startswith("qt-"), type(core.mda.events)
core.mda.engine.use_hardware_sequencing = False
"""

BESIDE = (
    COMMON
    + """
signal = what.removeprefix("qt-").removeprefix("psygnal-")
owner = core.mda.events if hasattr(core.mda.events, signal) else core.events

def user(*args):
    if behaviour == "slow":
        time.sleep(0.01)
    else:
        raise RuntimeError("the user's bug")

getattr(owner, signal).connect(user)      # before ours: psygnal would call it first
attachment = agent.attach(core, data_dir=data)
attachment.settle(20)

def work():
    try:
        core.setConfig("Channel", "FITC")
        core.setProperty("Camera", "Gain", "3")
    except Exception as error:
        print("user:", type(error).__name__, file=sys.stderr)
    try:
        core.mda.run(MDASequence(time_plan={"interval": 0, "loops": N_FRAMES}))
    except Exception as error:
        print("user:", type(error).__name__, file=sys.stderr)

if is_qt:
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        app.processEvents()
        thread.join(0.001)
    app.processEvents()
else:
    work()
assert attachment.settle(20)
print(json.dumps({"n_frames": attachment.capture.n_frames}))
attachment.detach()
"""
)


@pytest.mark.parametrize("behaviour", ["raises", "slow"])
@pytest.mark.parametrize("back_end", ["psygnal", "qt"])
@pytest.mark.parametrize(
    "signal", ["frameReady", "sequenceStarted", "sequenceFinished", "propertyChanged", "configSet"]
)
def test_users_handler_costs_us_nothing(
    run_python: Callable[..., Any], spooled: Any, tmp_path: Path, signal: str, back_end: str, behaviour: str
) -> None:
    if back_end == "qt":
        needs_qt()
    done = run_python(
        BESIDE,
        tmp_path / "data",
        f"{back_end}-{signal}",
        behaviour,
        QT_QPA_PLATFORM="offscreen",
        PYTEST_RUNNING="1",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # under psygnal what a user's handler raises ends the user's own call: their run, their setConfig, every snap
    is_raised = (back_end, behaviour) == ("psygnal", "raises")
    is_without_frames = is_raised and signal in ("sequenceStarted", "propertyChanged")
    n_expected = 0 if is_without_frames else N_FRAMES
    assert json.loads(done.stdout) == {"n_frames": n_expected}
    (finished,) = spooled(kind="acquisition_finished")
    assert finished.frames.seen == n_expected
    assert finished.reason == ("errored" if is_raised and signal == "sequenceStarted" else "completed")
    changed = {change.property for record in spooled(kind="state_change") for change in record.changes}
    assert "Label" in changed
    assert "Gain" in changed or (is_raised and signal in ("configSet", "propertyChanged"))


BLOCKED = (
    COMMON
    + """
attachment = agent.attach(core, data_dir=data)
seen_by_plain_handler = []
core.mda.events.frameReady.connect(lambda image, event, meta: seen_by_plain_handler.append(event))
thread = core.run_mda(MDASequence(time_plan={"interval": 0, "loops": N_FRAMES}))
thread.join(30)                        # the GUI thread is blocked for the whole run
assert not thread.is_alive()
assert attachment.settle(20)
blocked = {"ours": attachment.capture.n_frames, "plain": len(seen_by_plain_handler)}
app.processEvents()
blocked["plain later"] = len(seen_by_plain_handler)
print(json.dumps(blocked))
attachment.detach()
"""
)


def test_blocked_gui_thread_delays_no_stamp(run_python: Any, spooled: Any, tmp_path: Path) -> None:
    needs_qt()
    done = run_python(BLOCKED, tmp_path / "data", "qt-", "", QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {"ours": N_FRAMES, "plain": 0, "plain later": N_FRAMES}
    assert spooled(kind="acquisition_finished")[0].frames.seen == N_FRAMES


NEVER_RAISE = (
    COMMON
    + """
if is_qt:
    sys.excepthook = sys.__excepthook__   # now an unhandled raise would end the program
attachment = agent.attach(core, data_dir=data)
def broken(event):
    raise RuntimeError("our own bug")
attachment.capture._driver.listen(broken)
core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 3}, channels=["FITC"]))
core.setProperty("Camera", "Gain", "3")
core.setPosition(3)
print("alive")
attachment.detach()
"""
)


@pytest.mark.parametrize("back_end", ["psygnal", "qt"])
def test_bug_of_ours_never_reaches_the_users_program(run_python: Any, tmp_path: Path, back_end: str) -> None:
    if back_end == "qt":
        needs_qt()
    done = run_python(NEVER_RAISE, tmp_path / "data", f"{back_end}-", "", QT_QPA_PLATFORM="offscreen")
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-3000:]


THREADS = (
    COMMON
    + """
from PyQt6.QtCore import QThread
attachment = agent.attach(core, data_dir=data)
attachment.settle(20)
class Worker(QThread):
    def run(self):
        core.setProperty("Camera", "Gain", "3")
worker = Worker()
worker.start()
worker.wait()
core.setPosition(5)
attachment.settle(20)
attachment.detach()
"""
)


def test_command_on_a_thread_of_qt_is_commanded(run_python: Any, spooled: Any, tmp_path: Path) -> None:
    needs_qt()
    done = run_python(THREADS, tmp_path / "data", "qt-", "", QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 0, done.stderr[-3000:]
    causes = {
        (change.device, change.property): change.cause
        for record in spooled(kind="state_change")
        for change in record.changes
    }
    assert causes["Camera", "Gain"] == "commanded"
    assert causes["Z", "@position"] == "notified"
