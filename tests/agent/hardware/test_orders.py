"""Orders that move, read and look, over the real protocol with Micro-Manager's demo hardware in the process."""

from __future__ import annotations

import psutil
import pytest

from agent.errors import HardwareError
from agent.hardware.process import HardwareProcess

CALL_S = 60.0


def place(process) -> tuple[float, float, float]:
    keys = (("XY", "@x"), ("XY", "@y"), ("Z", "@position"))
    x, y, z = (process.call("read", CALL_S, device=d, property=p)["value"] for d, p in keys)
    return x, y, z


def test_stages_move_and_stand_where_they_were_told(process):
    process.call("move", CALL_S, position_um={"x": 30.0, "y": -12.0, "z": 2.5})
    assert place(process) == pytest.approx((30.0, -12.0, 2.5), abs=0.01)
    process.call("move", CALL_S, position_um={"y": 5.0})
    assert place(process) == pytest.approx((30.0, 5.0, 2.5), abs=0.01), "what is left out stays"


def test_move_along_an_axis_there_is_not_is_refused(process):
    with pytest.raises(HardwareError, match="along x, y and z; got theta"):
        process.call("move", CALL_S, position_um={"theta": 3.0})


def test_stage_that_does_not_arrive_in_time_is_told_to_stop(process):
    process.call("set_property", CALL_S, device="XY", property="TransposeMirrorX", value="0")
    with pytest.raises(HardwareError, match=r"XY has not arrived within 0 s and was told to stop"):
        process.call("move", CALL_S, position_um={"x": 9000.0, "y": 9000.0}, timeout_s=0.0)


def test_one_property_is_read_with_its_time(process):
    process.call("set_property", CALL_S, device="Camera", property="Gain", value="3")
    first = process.call("read", CALL_S, device="Camera", property="Gain")
    assert (first["value"], first["status"]) == (3, "ok")
    assert (
        process.call("read", CALL_S, device="Camera", property="Gain")["monotonic_s"] >= first["monotonic_s"]
    )


def test_property_that_is_not_there_is_a_reading_without_a_value(process):
    reading = process.call("read", CALL_S, device="Camera", property="Flavour")
    assert (reading["status"], reading["value"]) == ("absent", None)


def test_snap_tells_what_a_frame_holds_and_writes_nothing(process):
    numbers = process.call("snap", CALL_S, exposure_ms=5.0)
    assert numbers["least_adu"] <= numbers["mean_adu"] <= numbers["largest_adu"] <= numbers["full_scale_adu"]
    assert numbers["field_adu"] <= numbers["beads_adu"] <= numbers["largest_adu"]
    assert numbers["focus_score"] > 0
    assert process.call("ping", CALL_S)["n_frames"] == 0


def test_look_tells_of_the_newest_frame_of_an_acquisition(process):
    assert process.call("look", CALL_S) is None
    process.call("acquire", CALL_S, sequence={"time_plan": {"interval": 0, "loops": 3}}, output=None)
    process.call("settle", CALL_S)
    assert process.call("look", CALL_S)["n_frames"] == 3


def test_autofocus_of_the_core_is_asked(process):
    assert isinstance(process.call("focus", CALL_S), float)
    process.call("set_property", CALL_S, device="Core", property="AutoFocus", value="")
    with pytest.raises(HardwareError, match=r"has no autofocus \(Core, AutoFocus\)"):
        process.call("focus", CALL_S)


def test_call_of_a_process_that_was_killed_fails_at_once(order):
    process = HardwareProcess(order())
    process.start(CALL_S)
    psutil.Process(process.pid).kill()
    with pytest.raises(HardwareError, match=r"process (ended|is gone)"):
        process.call("read_all", CALL_S)
    process._reader.join(CALL_S)  # it has told all who wait
    process._write = lambda line: None  # type: ignore[method-assign]  # as a pipe that still takes a line
    with pytest.raises(HardwareError, match="process ended"):
        process.call("read_all", 3600.0)
    process.kill()
