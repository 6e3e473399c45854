"""The three routines of power: protocols, names and causes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qc_routines.advice import OURS, Cause
from qc_routines.errors import InputError
from qc_routines.power import (
    LEAST_READINGS,
    LEAST_SETTINGS,
    measure_power_linearity,
    measure_power_stability,
    measure_sample_power,
)
from qc_routines.protocols import Protocol
from qc_routines.routine import FigureNames, Routine

_METER = (
    "Put the meter's head at the named place, centred, and set its wavelength",
    "Switch the room light off and zero the meter",
    "Wait until the source is warm, except to measure how long that takes",
)

_LINE = "which line of the light each reading is of; optional"
_ALONE = "With several lines: nothing but the line that is measured may reach the meter"


def linearity_protocol(
    n_settings: int = 11, wait_s: float = 5.0, n_readings: int = 3, channels: Sequence[str] = ()
) -> Protocol:
    """Return how to read power against setting, up and down; of several channels one after the other.

    Raises
    ------
    InputError
        Fewer settings than a line can be told from.
    """
    if n_settings < LEAST_SETTINGS:
        raise InputError(f"expected n_settings of at least {LEAST_SETTINGS}; got {n_settings}")
    return Protocol(
        routine="power_linearity",
        sample="none; power meter",
        exposure=f"0 to 100 % in {n_settings} settings, up and down again, {n_readings} readings of each",
        duration_s=2 * n_settings * (wait_s + 0.1 * n_readings) * _n_lines(channels),
        steps=_steps(channels),
        every_days=30,
        is_automatic=True,
        parameters={"n_settings": n_settings, "wait_s": wait_s, "n_readings": n_readings},
        source="QUAREP-LiMi WG1; SmartLPM; number of settings: microscopemetrics (10 or more)",
    )


def stability_protocol(
    is_long: bool = False,
    setting_percent: float | Sequence[float] | None = None,
    interval_s: float | None = None,
    n_readings: int | None = None,
    channels: Sequence[str] = (),
) -> Protocol:
    """Return how to read power over time: every second for 5 minutes, or every 30 seconds for 2 hours.

    Several settings, and several channels, are read one after the other.

    Raises
    ------
    InputError
        Too few readings, or a setting that is none.
    """
    stated = 80.0 if is_long else 20.0
    settings = (
        [stated] if setting_percent is None else np.atleast_1d(np.asarray(setting_percent, float)).tolist()
    )
    percent = ", ".join(f"{setting:g}" for setting in settings)
    interval_s = interval_s if interval_s is not None else 30.0 if is_long else 1.0
    n_readings = n_readings or (240 if is_long else 300)
    if n_readings < LEAST_READINGS:
        raise InputError(f"expected n_readings of at least {LEAST_READINGS}; got {n_readings}")
    _check_percent(settings)
    return Protocol(
        routine="power_stability",
        sample="none; power meter",
        exposure=f"constant, at {percent} %, from a cold start"
        if is_long
        else f"constant, at {percent} %; WG1 wants 5, 20 and 80 %",
        duration_s=interval_s * n_readings * len(settings) * _n_lines(channels),
        steps=_steps(channels),
        every_days=30 if not is_long else 182,
        is_automatic=True,
        parameters={
            "setting_percent": percent if len(settings) > 1 else float(settings[0]),
            "interval_s": interval_s,
            "n_readings": n_readings,
            "is_long": is_long,
        },
        source="QUAREP-LiMi WG1-Automation (Automation_Full.md); number of readings: microscopemetrics",
    )


def sample_protocol(
    setting_percent: float = 20.0, wait_s: float = 5.0, n_readings: int = 10, channels: Sequence[str] = ()
) -> Protocol:
    """Return how to read power at the sample; of several channels one after the other."""
    _check_percent([setting_percent])
    return Protocol(
        routine="sample_power",
        sample="none; slide power meter in the focus, immersion as in use",
        exposure=f"{setting_percent:g} % of each source, field diaphragm inside the meter's area",
        duration_s=30.0 * _n_lines(channels),
        steps=_steps(channels),
        every_days=30,
        parameters={"setting_percent": setting_percent, "wait_s": wait_s, "n_readings": n_readings},
        source="QUAREP-LiMi-Tool-Kit",
    )


def _check_percent(settings: Sequence[float]) -> None:
    if wrong := [setting for setting in settings if not 0 < setting <= 100]:
        raise InputError(f"expected setting_percent above 0 and up to 100; got {wrong[0]:g}")


def _n_lines(channels: Sequence[str]) -> int:
    return max(len(channels), 1)


def _steps(channels: Sequence[str]) -> tuple[str, ...]:
    return (*_METER, _ALONE) if len(channels) > 1 else _METER


def _ageing(*figures: str) -> Cause:
    return Cause(
        "the source ages or its cooling fails",
        "Compare with hours of use and with the reading at the source's exit",
        figures,
        OURS,
    )


_PATH = Cause(
    "dirt or misalignment in the light path",
    "Read along the path, place by place; clean and align where power is lost; look at the fibre's ends",
    ("ratio_to_reference", "power", "power_density", "transmission"),
    OURS,
)

LINEARITY = Routine(
    name="power_linearity",
    title="Linearity of illumination power",
    measure=measure_power_linearity,
    inputs={"setting_percent": "settings, %", "power_mw": "readings, mW", "line": _LINE},
    figures={
        "slope": FigureNames("mW/%", "Of the line", "power_linearity_slope"),
        "intercept": FigureNames("mW", "Of the line", "power_linearity_intercept"),
        "r2": FigureNames("1", "Of the line", "power_linearity_coefficient_of_determination", "R2"),
        "largest_deviation": FigureNames("%", "From the line, of the largest power"),
        "slope_through_origin": FigureNames("mW/%", "Of the line through the origin"),
        "chi2": FigureNames("1", "Per degree of freedom, of the line through the origin"),
        "chi2_tool_kit": FigureNames("1", "As the QUAREP-LiMi-Tool-Kit has it", None, "chi2"),
        "hysteresis": FigureNames("%", "Largest difference of up and down, of the largest power"),
    },
    protocol=linearity_protocol,
    causes=(
        Cause(
            "an AOTF or driver that needs calibration",
            "Renew its calibration table; check its temperature",
            ("r2", "largest_deviation", "chi2", "chi2_tool_kit"),
            OURS,
        ),
        Cause(
            "readings before the power had settled",
            "Wait longer after each setting",
            ("hysteresis", "largest_deviation", "r2"),
            OURS,
        ),
        Cause(
            "meter not zeroed, or room light",
            "Zero it, switch the room light off",
            ("intercept", "chi2", "chi2_tool_kit"),
            OURS,
        ),
    ),
)
STABILITY = Routine(
    name="power_stability",
    title="Stability of illumination power",
    measure=measure_power_stability,
    inputs={
        "time_s": "times, s",
        "power_mw": "readings, mW",
        "temperature_c": "temperatures, deg C; optional",
        "line": _LINE,
    },
    figures={
        "stability": FigureNames(
            "%", "100 (1 - (max - min)/(max + min))", "short_term_power_stability", "stability"
        ),
        "nsd": FigureNames("%", "Standard deviation over mean", None, "nsd"),
        "mean_power": FigureNames("mW", "Mean", "power_mean_mw"),
        "median_power": FigureNames("mW", "Median", "power_median_mw"),
        "sd_power": FigureNames("mW", "Standard deviation", "power_std_mw"),
        "least_power": FigureNames("mW", "Least", "power_min_mw"),
        "largest_power": FigureNames("mW", "Largest", "power_max_mw"),
        "drift": FigureNames("%/min", "Slope of a line, of the mean"),
        "largest_step": FigureNames("%", "Largest difference of neighbouring readings, of the mean"),
        "warm_up_time": FigureNames("min", "From when on it stays within 1 % of the last quarter"),
        "allan_shortest": FigureNames("%", "Allan deviation between neighbouring readings"),
        "allan_least": FigureNames("%", "Least Allan deviation"),
        "allan_least_at": FigureNames("s", "Averaging time that is steadiest"),
        "temperature_slope": FigureNames("%/K", "Change with temperature"),
        "temperature_correlation": FigureNames("1", "Correlation with temperature"),
    },
    protocol=stability_protocol,
    causes=(
        Cause(
            "the source is not warm",
            "Read warm_up_time; start later",
            ("stability", "nsd", "drift", "warm_up_time"),
            OURS,
        ),
        _ageing("stability", "nsd", "drift", "mean_power"),
        Cause(
            "temperature of the room",
            "Compare with the temperature; shield the fibre coupling from draughts",
            ("stability", "drift", "temperature_correlation"),
            OURS,
        ),
        Cause(
            "a fibre whose polarisation wanders",
            "Read before and after the fibre; do not touch or bend it",
            ("stability", "nsd"),
            OURS,
        ),
        Cause(
            "the meter was moved or lit", "Look for single steps; repeat", ("largest_step", "stability"), OURS
        ),
    ),
)
SAMPLE = Routine(
    name="sample_power",
    title="Power at the sample",
    measure=measure_sample_power,
    inputs={"power_mw": "readings, mW", "reference_mw": "at time zero, mW; optional", "line": _LINE},
    figures={
        "power": FigureNames("mW", "Mean power at the sample", "power_mean_mw"),
        "power_density": FigureNames("mW/cm^2", "Power over the lit area"),
        "ratio_to_reference": FigureNames("1", "Power over that of time zero"),
        "transmission": FigureNames("%", "Power over that at the source"),
    },
    protocol=sample_protocol,
    causes=(_PATH, _ageing("power", "ratio_to_reference")),
)
ROUTINES = (LINEARITY, STABILITY, SAMPLE)
"""For the catalogue."""
