"""What a run may ask of sample and stages, held against every order before it is passed on.

Light is exposure with an open shutter, summed over the run; travel is measured from where the stages stood when it
began. Of a sequence, every event is looked at before the first is carried out. Where an objective's profile states a
safe range of the focus drive, no order goes beyond it, and no objective is chosen at a place where it would not be safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from agent.errors import LimitError
from agent.quality.scene import Scene
from agent.records import Objective
from agent.records.schedules import Schedule
from agent.settings import ScheduleSettings

_STATE_NAMES = ("Label", "State")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most a run may do.

    Attributes
    ----------
    light_s, travel_um, focus_um : float
        Light; furthest from where the stage and the focus stood.
    """

    light_s: float = inf
    travel_um: float = inf
    focus_um: float = inf

    @classmethod
    def of(cls, schedule: Schedule, settings: ScheduleSettings) -> Bounds:
        """Return the narrower of what the schedule and the PC's settings allow."""
        asked = schedule.limits

        def least(wanted: float | None, allowed: float) -> float:
            return allowed if wanted is None else min(wanted, allowed)

        return cls(
            least(asked.light_s, settings.max_light_s),
            least(asked.travel_um, settings.max_travel_um),
            least(asked.focus_um, settings.max_focus_um),
        )


class Limits:
    """Keeps account of one run.

    Parameters
    ----------
    bounds : Bounds
        The most it may do.
    home : Scene
        The microscope before it.
    objectives : sequence of Objective
        Of the profile.
    """

    def __init__(self, bounds: Bounds, home: Scene, objectives: Sequence[Objective] = ()) -> None:
        self._bounds, self._objectives = bounds, objectives
        self._home = dict(home.position)
        self._now = dict(home.position)
        self._readings: dict[tuple[str, str], Any] = dict(home.readings)
        self._focus, self.shutter = home.role("Focus"), home.role("Shutter")
        self.light_s = 0.0

    def check(self, name: str, args: Mapping[str, Any]) -> None:
        """Take account of an order, or refuse it.

        Raises
        ------
        LimitError
            It goes beyond what the run may do; nothing of it was carried out.
        """
        match name:
            case "acquire":
                self._check_sequence(args["sequence"])
            case "snap":
                self._add_light(float(args["exposure_ms"]))
            case "move":
                self._check_place(args["position_um"])
            case "set_property":
                self._check_property(args["device"], args["property"], args["value"])

    def learn(self, scene: Scene) -> None:
        """Take in what the hardware says."""
        self._readings.update(scene.readings)
        self._now.update(scene.position)

    def _check_sequence(self, sequence: Mapping[str, Any]) -> None:
        from useq import MDASequence

        light_ms, places = 0.0, []
        plan = MDASequence(**sequence)
        is_relative = plan.z_plan is not None and all(one.z is None for one in plan.stage_positions)
        for event in plan:
            place = {"x": event.x_pos, "y": event.y_pos, "z": event.z_pos}
            if is_relative and event.z_pos is not None:
                place["z"] = self._now.get("z", 0.0) + event.z_pos
            places.append({axis: value for axis, value in place.items() if value is not None})
            light_ms += event.exposure or float(self._readings.get(self._exposure_key(), 0) or 0)
        for place in places:
            self._check_place(place, is_final=False)
        self._add_light(light_ms)
        if places:
            self._now.update(places[-1])

    def _exposure_key(self) -> tuple[str, str]:
        return (str(self._readings.get(("Core", "Camera"), "")), "@exposure")

    def _add_light(self, exposure_ms: float) -> None:
        if not self._is_lit():
            return
        self.light_s += exposure_ms / 1e3
        if self.light_s > self._bounds.light_s:
            raise LimitError(
                f"The run would put {self.light_s:.4g} s of light onto the sample; allowed are {self._bounds.light_s:g} s."
            )

    def _is_lit(self) -> bool:
        """Return whether frames are taken with light, as far as one can tell: without a shutter they are."""
        auto = str(self._readings.get(("Core", "AutoShutter"), "1"))
        shutter = str(self._readings.get((self.shutter, "State"), "1"))
        return not self.shutter or auto != "0" or shutter != "0"

    def _check_place(self, place: Mapping[str, float], *, is_final: bool = True) -> None:
        for axis, value in place.items():
            most = self._bounds.focus_um if axis == "z" else self._bounds.travel_um
            away = abs(value - self._home.get(axis, value))
            if away > most:
                what = "focus" if axis == "z" else f"stage ({axis})"
                raise LimitError(
                    f"The run would move the {what} by {away:.0f} um from where it stood; allowed are {most:g} um."
                )
        if "z" in place:
            self._check_safe(place["z"], self._chosen(self._readings))
        if is_final:
            self._now.update(place)

    def _check_property(self, device: str, name: str, value: Any) -> None:
        if device == self._focus and name == "Position":
            self._check_place({"z": float(value)})
        after = {**self._readings, (device, name): value}
        if name in _STATE_NAMES and "z" in self._now:
            others = {key: text for key, text in after.items() if key[0] != device or key[1] == name}
            self._check_safe(self._now["z"], self._chosen(others))
        self._readings[device, name] = value

    def _chosen(self, readings: Mapping[tuple[str, str], Any]) -> list[Objective]:
        """Return the objectives that may be in; all of them when it cannot be told."""
        stated = [one for one in self._objectives if (one.safe_z_min_um, one.safe_z_max_um) != (None, None)]
        found = []
        for one in stated:
            told = {
                str(readings[key]) for name in _STATE_NAMES if (key := (one.device or "", name)) in readings
            }
            if not told or one.state is None or one.state in told:
                found.append(one)
        return found

    def _check_safe(self, z_um: float, objectives: Sequence[Objective]) -> None:
        for one in objectives:
            low = -inf if one.safe_z_min_um is None else one.safe_z_min_um
            high = inf if one.safe_z_max_um is None else one.safe_z_max_um
            if not low <= z_um <= high:
                raise LimitError(
                    f"The focus at {z_um:.1f} um is outside of what is safe with {one.name} ({low:g} to {high:g} um, "
                    "by the profile)."
                )
