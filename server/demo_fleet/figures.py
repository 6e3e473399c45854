"""How the figures of one instrument go: noise, temperature, ageing, and the fault in the script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.demo_fleet.script import Instrument, Span

OBJECTIVE, CAMERA, CHANNEL = "Plan Apo 60x Oil", "Camera", "GFP"
LIGHT_PATH = {"objective": OBJECTIVE, "camera": CAMERA, "channel": CHANNEL}
ROOM_C, SEASON_C = 21.5, 2.5
_YEAR_DAYS = 365.25
_WARMEST_DAY = 200


@dataclass(frozen=True, slots=True)
class FigureModel:
    """One figure of a routine: level, noise, limits, and what a scripted step or drift does to it."""

    routine: str
    figure: str
    unit: str
    level: float
    noise: float
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    step: float = 0.0
    per_kelvin: float = 0.0

    @property
    def rule(self) -> str:
        """What it must be, in words."""
        if self.lower is not None:
            return f"at least {self.lower:g} {self.unit}"
        unit = {"um": "µm"}.get(self.unit, self.unit)
        return (
            f"at most {self.upper / self.expected:.2g} × theory"
            if self.expected
            else f"at most {self.upper:g} {unit}"
        )


FIGURES = (
    FigureModel("psf", "fwhm_x", "um", 0.231, 0.004, expected=0.188, upper=0.282, step=0.032),
    FigureModel("psf", "fwhm_z", "um", 0.74, 0.02, expected=0.58, upper=1.16, step=0.0),
    FigureModel("illumination", "field_uniformity", "%", 78.0, 0.8, lower=60.0, step=-8.0),
    FigureModel("illumination", "centring", "%", 91.0, 0.7, lower=70.0),
    FigureModel("drift", "displacement_largest", "um", 0.42, 0.02, upper=1.0, per_kelvin=0.004),
)
ROUTINES: dict[str, tuple[FigureModel, ...]] = {
    name: tuple(one for one in FIGURES if one.routine == name) for name in ("psf", "illumination", "drift")
}
_FOLLOWS_PER_KELVIN = 0.04
_LEFT_WEEKS = 1.2
"""When the history ends, the figure that drifts would reach its limit in so long."""
_QUIET_WEEKS = 0.25
"""Noise of the figure that drifts, as the time in which it drifts so far: a quiet instrument, a clear line."""


def temperature_c(instrument: Instrument, at: datetime) -> float:
    """Return the temperature of the room: the season, and each building a little its own."""
    day = at.timetuple().tm_yday
    season = SEASON_C * math.cos(2 * math.pi * (day - _WARMEST_DAY) / _YEAR_DAYS)
    return ROOM_C + season + 0.1 * (instrument.number % 7)


class Figures:
    """Draws the figures of one instrument, in order of time."""

    def __init__(self, instrument: Instrument, span: Span) -> None:
        self._instrument = instrument
        self._span = span
        self._dice = instrument.dice("figures")
        own = instrument.dice("levels")
        self._level = {one.figure: one.level + own.uniform(-1, 1) * one.noise for one in FIGURES}

    def draw(self, model: FigureModel, at: datetime) -> float:
        """Return the next value of a figure."""
        kelvin = temperature_c(self._instrument, at) - ROOM_C
        noise = self._dice.gauss(0, model.noise)
        value = self._level[model.figure] + model.per_kelvin * kelvin + noise
        if self._drifts(model):
            return self._drifted(model, at, noise)
        return self._faulty(model, value, at, kelvin)

    def _drifts(self, model: FigureModel) -> bool:
        fault = self._instrument.fault
        return fault is not None and fault.kind == "drifts_to_limit" and model.figure == "fwhm_x"

    def _drifted(self, model: FigureModel, at: datetime, noise: float) -> float:
        """Return a value on a line that is days before its limit when the history ends; noise takes none beyond it."""
        assert model.upper is not None
        begins, level = self._span.week(0), self._level[model.figure]
        week, n_weeks = ((moment - begins) / timedelta(weeks=1) for moment in (at, self._span.ends_at))
        per_week = (model.upper - level) / (n_weeks + _LEFT_WEEKS)
        return level + per_week * (min(week, n_weeks) + _QUIET_WEEKS * noise / model.noise)

    def _faulty(self, model: FigureModel, value: float, at: datetime, kelvin: float) -> float:
        fault = self._instrument.fault
        if fault is None or at < fault.at:
            return value
        match fault.kind:
            case "dichroic_swapped" | "objective_cleaned" | "camera_firmware":
                return value + model.step if model.figure == fault.figure else value
            case "follows_temperature" if model.per_kelvin:
                return value + _FOLLOWS_PER_KELVIN * kelvin
            case "out_of_limits" if model.figure == "fwhm_z" and model.upper is not None:
                return value + model.upper
            case "outlier" if model.figure == "field_uniformity" and (at - fault.at).days < 7:
                return value - 20 * model.noise
        return value


def status_of(model: FigureModel, value: float) -> str:
    """Return the verdict of a value."""
    is_low = model.lower is not None and value < model.lower
    is_high = model.upper is not None and value > model.upper
    return "fail" if is_low or is_high else "pass"
