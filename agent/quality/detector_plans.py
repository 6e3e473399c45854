"""The steps of the routine of detectors: the gain is set, frames are taken with light and without, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.quality.given import DARK, MAIN
from agent.quality.meters import detector_of
from agent.quality.scene import Scene
from agent.quality.steps import Set, Shot, Step, Wait
from qc_routines.protocols import Protocol


def detector_plan(
    protocol: Protocol, sequence: Mapping[str, Any], scene: Scene, options: Mapping[str, Any]
) -> tuple[tuple[Step, ...], dict[str, tuple[Any, str]], dict[str, str]]:
    """Return steps, facts, and what the result holds for. What is set is set back after the run, as ever.

    Raises
    ------
    MissingFactError
        Which property is the detector's gain is not clear.
    """
    key, steps = detector_of(scene, options), list[Step]()
    settings = str(protocol.parameters["settings"]).split(", ")
    for setting in settings:
        steps += [Set(key, setting), Wait(float(protocol.parameters["wait_s"] or 0.0))]
        steps += [Shot(MAIN, sequence), Shot(DARK, sequence, is_dark=True)]
    facts: dict[str, tuple[Any, str]] = {"settings": (settings, "plan"), "gain": ("-".join(key), "plan")}
    return tuple(steps), facts, {"detector": "-".join(key)}
