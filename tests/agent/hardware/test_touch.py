"""Which announcements of the hardware are a hand's doing."""

from __future__ import annotations

import pytest

from agent.hardware.touch import ECHO_S, TouchWatch, moved_by
from drivers import Device, Hardware, How, Key, Moment, Preset, PropertyMoved, PropertyReading, Status

TYPES = {
    "Nose": "StateDevice", "Wheel": "StateDevice", "XY": "XYStageDevice", "Z": "StageDevice",
    "Sh": "ShutterDevice", "Cam": "CameraDevice", "Thermometer": "GenericDevice",
}  # fmt: skip
HARDWARE = Hardware(
    {label: Device(label, kind, "lib", "adapter") for label, kind in TYPES.items()},
    (Preset("Channel", "FITC", {Key("Wheel", "Label"): "green"}),),
)


class Bench:
    """A watch whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self.s = 100.0
        self.watch = TouchWatch(HARDWARE, lambda: self.s)

    def says(self, device: str, name: str, value: object, *, is_commanded: bool = False) -> None:
        reading = PropertyReading(Key(device, name), Status.OK, How.EVENT, Moment.now(), value)
        self.watch.moved(PropertyMoved(reading, is_commanded))


@pytest.fixture
def bench():
    return Bench()


def test_turret_and_stage_moved_by_hand_are_counted(bench):
    bench.says("Nose", "Label", "60x")
    bench.says("XY", "@x", 0.0)
    bench.says("XY", "@x", 100.0)
    assert bench.watch.touched == {"Nose": 1, "XY": 1}


@pytest.mark.parametrize(
    ("device", "name", "first", "then"),
    [
        ("XY", "@x", 0.0, 1.5),
        ("Z", "@position", 50.0, 50.5),
        ("Thermometer", "T", 20.0, 30.0),
        ("Nose", "Speed", 1, 2),
        ("Cam", "@exposure", 10.0, 20.0),
    ],
    ids=lambda value: str(value),
)
def test_what_trembles_or_nobody_moves_by_hand_is_not(bench, device, name, first, then):
    bench.says(device, name, first)
    bench.says(device, name, then)
    assert bench.watch.touched == {}


def test_what_we_ordered_is_not_nor_its_echo(bench):
    with bench.watch.ordered():
        bench.says("Nose", "Label", "10x")
    bench.s += ECHO_S - 0.1
    bench.says("Nose", "State", 1)
    bench.says("Wheel", "Label", "red", is_commanded=True)
    assert bench.watch.touched == {}
    bench.s += ECHO_S
    bench.says("Nose", "Label", "60x")
    assert bench.watch.touched == {"Nose": 1}


def test_during_a_sequence_only_what_it_moves_is_ours(bench):
    sequence = {"channels": [{"group": "Channel", "config": "FITC"}], "z_plan": {"range": 2, "step": 1}}
    with bench.watch.ordered(moved_by(sequence, HARDWARE)):
        bench.says("Wheel", "Label", "green")
        bench.says("Z", "@position", 1.0)
        bench.says("Z", "@position", 9.0)
        bench.says("Nose", "Label", "10x")
    assert bench.watch.touched == {"Nose": 1}


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ({}, {"Core", "Cam", "Sh"}),
        ({"stage_positions": [(0, 0, 0), (5, 0, 0)]}, {"Core", "Cam", "Sh", "XY"}),
        ({"stage_positions": [{"z": 0}, {"z": 3}]}, {"Core", "Cam", "Sh", "Z"}),
        ({"channels": [{"group": "Channel", "config": "FITC"}]}, {"Core", "Cam", "Sh", "Wheel"}),
        ({"channels": ["FITC"]}, {"Core", "Cam", "Sh", "Wheel"}),
        ({"channels": ["unheard of"]}, None),
        ({"channels": 7}, None),
    ],
    ids=["nothing", "stages", "focus", "channel of a group", "channel by name", "unknown channel", "no list"],
)
def test_devices_that_a_sequence_moves(sequence, expected):
    assert moved_by(sequence, HARDWARE) == expected
