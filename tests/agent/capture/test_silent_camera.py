"""The hardware process after its camera has delivered no frame."""

from __future__ import annotations

import json
import queue
from typing import Any

from agent.hardware.child import HardwareChild
from drivers import CameraSilentError
from drivers.mmcore import OwningMMCoreDriver


class Silent(OwningMMCoreDriver):
    """Its camera is told to expose, and nothing comes."""

    def acquire(self, sequence: Any, output: Any) -> None:
        raise CameraSilentError("The camera has delivered no frame.")


class Answers(queue.Queue):
    """Where the process sends to."""

    send = queue.Queue.put


def test_nothing_is_moved_after_a_silent_camera_until_the_hardware_is_loaded_anew(make_core, make_capture):
    driver, answers = Silent(make_core()), Answers()
    child = HardwareChild(driver, make_capture(driver), None, answers)

    def asked(call: str, **args: Any) -> dict[str, Any]:
        child.serve([json.dumps({"id": 1, "call": call, "args": args}).encode()])
        return answers.get(timeout=60)

    gain = {"device": "Camera", "property": "Gain", "value": "3"}
    assert asked("set_property", **gain)["result"] is None
    assert not child.status()["is_camera_silent"]
    assert asked("acquire", sequence={})["error"] == "The camera has delivered no frame."
    assert child.status()["is_camera_silent"]
    for call, args in (("set_property", gain), ("read_all", {}), ("acquire", {"sequence": {}})):
        assert "until the hardware is loaded anew" in asked(call, **args)["error"]
    assert asked("settle")["result"] is True  # what was captured is on disk all the same
