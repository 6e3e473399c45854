"""What the listener really says, read by the driver that asks it: one vocabulary on both sides."""

import json
import shutil
from pathlib import Path

import pytest

from drivers.errors import JavaError
from drivers.mmstudio.heard import moved_in
from drivers.mmstudio.runs import plan_of, stamp_of
from drivers.mmstudio.views import ListenerView
from drivers.readings import Key

pytestmark = [
    pytest.mark.skipif(shutil.which("javac") is None or shutil.which("java") is None, reason="no JDK"),
    pytest.mark.skipif(not Path("/usr/share/java/guava.jar").is_file(), reason="no Guava (libguava-java)"),
]


class Answers:
    """Stands for the bridge: gives the answers that the listener gave in a scenario, in their order."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def call(self, name, *arguments, **options):
        return json.dumps(self._answers.pop(0))

    def release(self):
        pass


def test_description_state_and_readings_are_understood(play):
    attached, state, description, *readings, dead, _ = play("core")
    view = ListenerView(Answers(attached, description, state, *readings, dead), None)
    hardware = view.describe()
    gain = hardware.devices["Camera"].properties["Gain"]
    assert (gain.value_type, gain.lower_limit, gain.upper_limit) == ("integer", -5.0, 8.0)
    assert hardware.devices["Objective"].state_labels == ("10X", "20X")
    assert hardware.preset("Channel", "蓝").settings == {Key("Objective", "State"): "1"}
    assert (hardware.pixel_sizes_um, hardware.configuration_file) == ({"Res10x": 1.0}, "C:/MM/MMConfig.cfg")
    values = view.cached_state(hardware).values
    assert values[Key("Objective", "Label")] == "Nikon 10X=S:Fluor<br>\n"
    assert (values[Key("XY", "@x")], values[Key("Core", "@preset Channel")]) == (1.0, "蓝")
    assert [view.read(Key("Camera", "any")) for _ in readings][1:3] == [12.5, 1.5]
    with pytest.raises(JavaError, match="没有反应"):
        view.read(Key("Dead", "Gain"))


def test_events_are_understood(play):
    _, first, second, *_ = play("hardware")
    moved = [each for event in first["events"] + second["events"] for each in moved_in(event)]
    assert moved == [
        (Key("Z", "@position"), 3.0),
        (Key("XY", "@x"), 1.005),
        (Key("XY", "@y"), 1.995),
        (Key("Camera", "@exposure"), 12.0),
        (Key("Core", "Shutter"), "White Light Shutter"),
        (Key("Core", "@preset System"), ""),
    ]


def test_acquisition_is_understood(play):
    _, answer, *_ = play("acquisition")
    started = next(event for event in answer["events"] if event["event"] == "acq_started")
    plan = plan_of(started["settings"], started["summary"])
    assert (plan.axes, plan.n_frames) == ({"t": 20, "c": 2}, 40)
    images = [event for event in answer["events"] if event["event"] == "image"]
    stamp = stamp_of(images[15], plan)
    assert (stamp.index["t"], stamp.runner_time_ms, stamp.position.z_um) == (15, 752.0, 7.5)


def test_nothing_a_raising_getter_left_out_is_missed(play):
    _, answer = play("raising")
    assert [moved for event in answer["events"] for moved in moved_in(event)] == []
