"""The search for an exposure, on cameras that are known: a straight line, clipped at full scale."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import HardwareError
from agent.quality.assess import routine_named
from agent.quality.exposure import LONGEST_MS, MOST_SNAPS, SHORTEST_MS, find_exposure, with_exposures
from agent.quality.options import facts_of
from agent.quality.plans import plan_of, protocol_of
from agent.quality.scene import Scene
from agent.quality.steps import Shot, Trial
from qc_routines.conditions import Mode, Optics
from qc_routines.levels import LEVELS, Level

FULL_ADU = 4095.0
HALF = Level(0.4, 0.6)
OIL = Optics(Mode.WIDEFIELD, 1.4, 1.518, 520.0)
CORE = {
    "ChannelGroup": "Channel", "@preset Channel": "FITC", "Camera": "Camera",
    "Focus": "Z", "AutoFocus": "Lock", "XYStage": "XY",
}  # fmt: skip
PLACE = {("XY", "@x"): 1.0, ("XY", "@y"): 2.0, ("Z", "@position"): 7.0}
SCENE = Scene({("Core", name): value for name, value in CORE.items()} | PLACE)


class Camera:
    """Answers snaps; `rate` is the light in ADU per ms, above an offset."""

    def __init__(self, rate: float, offset_adu: float = 100.0) -> None:
        self.rate, self.offset_adu, self.snaps_ms = rate, offset_adu, []

    def call(self, name: str, deadline_s: float, **args: Any) -> dict[str, float]:
        assert name == "snap"
        self.snaps_ms.append(args["exposure_ms"])
        adu = min(self.offset_adu + self.rate * args["exposure_ms"], FULL_ADU)
        return {"field_adu": adu, "beads_adu": adu, "full_scale_adu": FULL_ADU}

    def level(self, exposure_ms: float) -> float:
        return min(self.offset_adu + self.rate * exposure_ms, FULL_ADU) / FULL_ADU


@pytest.mark.parametrize("rate", [3.0, 20.0, 150.0, 400.0, 5000.0], ids=lambda rate: f"{rate:g} ADU/ms")
def test_search_ends_at_the_level(rate):
    camera = Camera(rate)
    found = find_exposure(camera, "FITC", HALF, 50.0, 10_000.0)
    assert found.is_reached and 0.4 <= camera.level(found.exposure_ms) <= 0.6
    assert found.n_snaps == len(camera.snaps_ms) <= MOST_SNAPS
    assert found.light_ms == pytest.approx(sum(camera.snaps_ms))


def test_search_uses_no_more_light_than_it_may():
    camera = Camera(0.5)
    found = find_exposure(camera, "FITC", HALF, 50.0, budget_ms=0.0)
    assert not found.is_reached
    assert sum(camera.snaps_ms) <= 2000.0 and max(camera.snaps_ms) <= LONGEST_MS
    assert "too dark. Use more light" in found.remark(HALF)


def test_light_that_is_too_bright_at_any_exposure_is_an_error_with_advice():
    camera = Camera(1e6)
    with pytest.raises(
        HardwareError, match=r"too bright: 100 % of full scale at 0\.1 ms.*Turn the light down"
    ):
        find_exposure(camera, "FITC", HALF, 50.0, 10_000.0)
    assert min(camera.snaps_ms) == SHORTEST_MS


def test_no_beads_to_be_seen_are_told_and_no_error():
    found = find_exposure(Camera(0.0), "FITC", LEVELS["psf"], 50.0, 10_000.0)
    assert not found.is_reached and found.level == pytest.approx(100 / FULL_ADU)


def test_field_that_stays_dark_is_an_error_with_advice():
    with pytest.raises(
        HardwareError, match=r"too dark: 2 % of full scale.*40 to 60 % is wanted.*right slide in"
    ):
        find_exposure(Camera(0.0), "FITC", HALF, 50.0, 10_000.0)


def test_exposures_go_to_their_channels():
    sequence = {"channels": [{"config": "A", "exposure": 1.0}, {"config": "B", "exposure": 2.0}], "x": 1}
    assert with_exposures(sequence, {"B": 7.0})["channels"] == [
        {"config": "A", "exposure": 1.0},
        {"config": "B", "exposure": 7.0},
    ]


@pytest.mark.parametrize("name", LEVELS)
def test_every_level_is_of_a_routine_and_for_an_argument_of_its_protocol(name):
    import inspect

    from qc_routines.catalogue import ROUTINES

    level, parameters = LEVELS[name], inspect.signature(ROUTINES[name].protocol).parameters
    assert level.argument in parameters or name == "defects"  # whose protocol is that of its dark frames
    assert 0 < level.low < level.high < 1


@pytest.mark.parametrize("name", LEVELS)
def test_exposure_that_is_not_found_can_be_stated_with_the_option_that_is_named(name: str) -> None:
    with pytest.raises(HardwareError, match="too bright") as refused:
        find_exposure(Camera(1e9), "FITC", LEVELS[name], 50.0, 10_000.0)
    option = str(refused.value).partition("--set ")[2].rstrip("…")
    routine = routine_named(name)
    assert facts_of(routine, further=[f"{option}40"]) == {LEVELS[name].argument: 40}
    plan = plan_of(
        routine, protocol_of(routine, {LEVELS[name].argument: 40.0}, ("FITC",), OIL), ("FITC",), SCENE
    )
    shots = [each.stack if isinstance(each, Trial) else each for each in plan.steps]
    lit = [shot.sequence["channels"] for shot in shots if isinstance(shot, Shot) and not shot.is_dark]
    assert 40.0 in {channel["exposure"] for channels in lit for channel in channels}
