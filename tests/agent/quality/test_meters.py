"""Which property is the meter and which sets the light: stated, or the only one; else it is asked for."""

from __future__ import annotations

import pytest

from agent.quality.facts import MissingFactError
from agent.quality.meters import Line, light_of, lines_of, meter_of, settings_of_light, thermometer_of
from agent.quality.scene import Scene

CORE = {("Core", "ChannelGroup"): "Channel", ("Core", "@preset Channel"): "FITC", ("Core", "Camera"): "Cam"}
SIMULATED = {
    ("PowerMeter", "Power-mW"): 0.1,
    ("LightSource", "FITC-Power-percent"): 50.0,
    ("LightSource", "DAPI-Power-percent"): 50.0,
    ("Thermometer", "Temperature-degC"): 22.0,
    ("Cam", "CCDTemperature-degC"): -10.0,
}


def scene(*without: tuple[str, str]) -> Scene:
    return Scene({k: v for k, v in {**CORE, **SIMULATED}.items() if k not in without})


def test_only_meter_and_the_light_of_the_channel_are_found():
    assert meter_of(scene(), {}) == (("PowerMeter", "Power-mW"), 1.0)
    assert light_of(scene(), {}) == ("LightSource", "FITC-Power-percent")
    assert thermometer_of(scene(), {}) == ("Thermometer", "Temperature-degC")
    assert len(settings_of_light(scene(), {})) == 2


@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [("Power (uW)", "", 1e-3), ("Power_W", "", 1e3), ("Reading", "mW", 1.0), ("Power", "nW", 1e-6)],
)
def test_unit_is_read_off_the_name_or_stated(name, unit, factor):
    readings = Scene({**CORE, ("PM100", name): 1.0})
    options = {"meter": f"PM100-{name}"} | ({"meter_unit": unit} if unit else {})
    assert meter_of(readings, options) == (("PM100", name), pytest.approx(factor))


def test_unit_that_nobody_states_is_asked_for():
    with pytest.raises(MissingFactError, match=r"unit of PM100-Reading.*--set meter_unit=mW"):
        meter_of(Scene({("PM100", "Reading"): 1.0}), {"meter": "PM100-Reading"})


def test_several_lights_are_named_and_asked_for():
    readings = {**CORE, ("Core", "@preset Channel"): "", **SIMULATED}
    with pytest.raises(
        MissingFactError, match=r"2 could be it: LightSource-DAPI.*--set light=DEVICE-PROPERTY"
    ):
        light_of(Scene(readings), {})


def test_no_meter_is_asked_for():
    with pytest.raises(MissingFactError, match=r"none could be it\. Name it with --set meter="):
        meter_of(scene(("PowerMeter", "Power-mW")), {})


def test_property_that_is_not_there_is_named():
    with pytest.raises(MissingFactError, match="There is no property Laser-488"):
        light_of(scene(), {"light": "Laser-488"})


# ---- several lines in one run

LIGHTS = {name: ("LightSource", f"{name}-Power-percent") for name in ("FITC", "DAPI")}


def test_each_channel_has_the_light_that_bears_its_name():
    lines = lines_of(scene(), ("DAPI", "FITC"), {})
    assert lines == tuple(Line(name, name, LIGHTS[name]) for name in ("DAPI", "FITC"))
    assert lines_of(scene(), ("FITC",), {}) == (Line("", "", LIGHTS["FITC"]),)


def test_several_lights_are_lines_without_channels():
    stated = {"light": "LightSource-FITC-Power-percent, LightSource-DAPI-Power-percent"}
    lines = lines_of(scene(), ("FITC",), stated)
    assert [(line.name, line.channel) for line in lines] == [
        ("LightSource-FITC-Power-percent", ""),
        ("LightSource-DAPI-Power-percent", ""),
    ]
    assert {LIGHTS["FITC"], LIGHTS["DAPI"]} <= set(settings_of_light(scene(), stated))  # to be put back


def test_one_light_for_all_channels_and_as_many_as_channels():
    one = {"light": "LightSource-FITC-Power-percent"}
    assert [line.key for line in lines_of(scene(), ("DAPI", "FITC"), one)] == [LIGHTS["FITC"]] * 2
    crossed = {"light": "LightSource-FITC-Power-percent,LightSource-DAPI-Power-percent"}
    assert [line.key for line in lines_of(scene(), ("DAPI", "FITC"), crossed)] == [*LIGHTS.values()]
    with pytest.raises(MissingFactError, match="names 2 properties for 3 channels"):
        lines_of(scene(), ("DAPI", "FITC", "Cy5"), crossed)


def test_channel_whose_light_is_not_clear_is_asked_for():
    with pytest.raises(MissingFactError, match="2 could be it"):
        lines_of(scene(), ("FITC", "Cy5"), {})
    with pytest.raises(MissingFactError, match="There is no property Laser-488"):
        lines_of(scene(), (), {"light": "LightSource-FITC-Power-percent,Laser-488"})
