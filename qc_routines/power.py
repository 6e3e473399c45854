"""Power of a light source: does it follow its setting, does it stay, and how much reaches the sample.

Readings are of any power meter, mW, always at a named place in the light path. Stability is 100 (1 - (max - min)/(max +
min)) and nsd is 100 SD/mean: QUAREP-LiMi WG1, QUAREP-LiMi-Tool-Kit (pageLightSourceResults.py), microscopemetrics
(light_source_power.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.errors import InputError
from qc_routines.few import sd_uncertainty, widened
from qc_routines.power_lines import line_by_line, names_of, of_line
from qc_routines.results import Figure, Measurement
from qc_routines.straight_line import StraightLine, fit_line, widening

LEAST_SETTINGS = 4
LEAST_READINGS = 10
WARM_PERCENT = 1.0
"""A source is warm when its power stays within this of that of the last quarter."""


class Place(StrEnum):
    """Where the meter was; the names of microscopemetrics."""

    SOURCE_EXIT = "SOURCE_EXIT"
    FIBER_EXIT = "FIBER_EXIT"
    OBJECTIVE_BACKFOCAL = "OBJECTIVE_BACKFOCAL"
    OBJECTIVE_EXIT = "OBJECTIVE_EXIT"
    OBJECTIVE_FOCAL = "OBJECTIVE_FOCAL"
    OTHER = "OTHER"


def measure_power_linearity(
    setting_percent: ArrayLike,
    power_mw: ArrayLike,
    place: Place | str = Place.OTHER,
    line: ArrayLike | None = None,
) -> Measurement:
    """Return how power follows its setting.

    Parameters
    ----------
    setting_percent : array_like, (n,)
        Settings in the order in which they were set: up and down again, for the hysteresis.
    power_mw : array_like, (n,)
        Readings; NaN ones are left out and counted.
    place : Place
        Of the meter.
    line : array_like, (n,), optional
        Which line of the light each reading is of, where a run goes through several; see `power_lines`.

    Notes
    -----
    ``chi2`` is that of the line through the origin with the SD between readings of one setting as noise, per degree of
    freedom; the QUAREP-LiMi-Tool-Kit's has power in place of the variance and is ``chi2_tool_kit``.

    Raises
    ------
    InputError
        Fewer than four different settings, or no power.
    """
    if line is not None:
        return line_by_line(
            lambda _, **columns: measure_power_linearity(**columns, place=place),
            line,
            {"setting_percent": setting_percent, "power_mw": power_mw},
        )
    setting, power, n_missing = _pairs(setting_percent, power_mw)
    if np.unique(setting).size < LEAST_SETTINGS:
        raise InputError(f"expected at least {LEAST_SETTINGS} settings; got {np.unique(setting).size}")
    _need_light(power)
    fitted = fit_line(setting, power)
    n = setting.size
    return Measurement(
        routine="power_linearity",
        version="1",
        figures=(
            Figure("slope", fitted.slope, "mW/%", fitted.slope_uncertainty, n),
            Figure("intercept", fitted.intercept, "mW", fitted.intercept_uncertainty, n),
            Figure("r2", fitted.r2, "1", None, n),
            _largest_deviation(fitted, power),
            *_through_origin(setting, power),
            _hysteresis(setting, power),
        ),
        n_used=n,
        n_rejected={"not a number": n_missing} if n_missing else {},
        parameters={"place": Place(place).value},
        table={"setting_percent": setting, "power_mw": power, "deviation_mw": fitted.residuals},
    )


def _largest_deviation(line: StraightLine, power: NDArray[np.float64]) -> Figure:
    """Return the largest distance from the line relative to the largest power."""
    worst = float(np.max(np.abs(line.residuals)))
    return Figure("largest_deviation", 100 * worst / float(power.max()), "%", None, power.size)


def _through_origin(setting: NDArray[np.float64], power: NDArray[np.float64]) -> list[Figure]:
    slope = float(np.sum(setting * power) / np.sum(setting**2))
    residuals, model, n = power - slope * setting, slope * setting, power.size
    groups = [power[setting == s] for s in np.unique(setting) if np.count_nonzero(setting == s) > 1]
    n_free = sum(g.size - 1 for g in groups)
    noise = sum(float(np.sum((g - g.mean()) ** 2)) for g in groups) / n_free if n_free else 0.0
    chi2 = float(np.sum(residuals**2)) / noise / (n - 1) if noise > 0 else None
    lit, sigma = model > 0, float(np.sqrt(np.sum(residuals**2) / (n - 1) / np.sum(setting**2)))
    return [
        Figure("slope_through_origin", slope, "mW/%", widened(sigma, n - 1), n),
        Figure("chi2", chi2, "1", None, n),
        Figure("chi2_tool_kit", float(np.sum(residuals[lit] ** 2 / model[lit])), "1", None, n),
    ]  # fmt: skip


def _hysteresis(setting: NDArray[np.float64], power: NDArray[np.float64]) -> Figure:
    """Return the largest |up - down| at one setting relative to the largest power; None without a way back."""
    top = int(np.argmax(setting))
    up = {float(s): float(p) for s, p in zip(setting[: top + 1], power[: top + 1], strict=True)}
    down = {float(s): float(p) for s, p in zip(setting[top + 1 :], power[top + 1 :], strict=True)}
    both = sorted(set(up) & set(down))
    worst = max((abs(up[s] - down[s]) for s in both), default=None)
    return Figure("hysteresis", worst and 100 * worst / float(power.max()), "%", None, len(both))


def measure_power_stability(
    time_s: ArrayLike,
    power_mw: ArrayLike,
    place: Place | str = Place.OTHER,
    temperature_c: ArrayLike | None = None,
    line: ArrayLike | None = None,
) -> Measurement:
    """Return how power stays over time; short and long series alike.

    Parameters
    ----------
    time_s, power_mw : array_like, (n,)
        Readings in order; NaN ones are left out and counted. Every reading counts for the stability: a meter's glitch
        is seen in ``largest_step``.
    place : Place
        Of the meter.
    temperature_c : array_like, (n,), optional
        Beside each reading.
    line : array_like, (n,), optional
        Which line of the light, or which of its settings, each reading is of, where a run goes through several; see
        `power_lines`.

    Raises
    ------
    InputError
        Fewer than ten readings, times that do not rise, or no power.
    """
    if line is not None:
        columns = {"time_s": time_s, "power_mw": power_mw}
        return line_by_line(
            lambda _, **columns: measure_power_stability(**columns, place=place),
            line,
            columns if temperature_c is None else {**columns, "temperature_c": temperature_c},
        )
    time, power, n_missing = _pairs(time_s, power_mw)
    if time.size < LEAST_READINGS or not np.all(np.diff(time) > 0):
        raise InputError(f"expected at least {LEAST_READINGS} readings at times that rise; got {time.size}")
    _need_light(power)
    taus_s, allan = allan_deviation(time, power / power.mean())
    return Measurement(
        routine="power_stability",
        version="1",
        figures=(*_stability(time, power), *_allan_figures(taus_s, allan), *_by_temperature(power, temperature_c, power_mw)),
        n_used=time.size,
        n_rejected={"not a number": n_missing} if n_missing else {},
        parameters={"place": Place(place).value, "duration_s": float(np.ptp(time)), "interval_s": float(np.median(np.diff(time)))},
        table={"time_s": time, "power_mw": power},
        maps={"allan_tau_s": taus_s, "allan_deviation": allan},
    )  # fmt: skip


def _stability(time_s: NDArray[np.float64], power: NDArray[np.float64]) -> list[Figure]:
    n, mean, sd = power.size, float(power.mean()), float(power.std(ddof=1))
    low, high = float(power.min()), float(power.max())
    line = fit_line(time_s / 60, 100 * power / mean)
    wider = widening(line.residuals)
    alike = widening(power - mean)
    u_mean, u_sd = widened(sd / n**0.5 * alike, n - 1), sd_uncertainty(sd, (n - 1) / alike**2)
    return [
        Figure("stability", 100 * (1 - (high - low) / (high + low)), "%", None, n),
        Figure("nsd", 100 * sd / mean, "%", 100 * u_sd / mean, n),
        Figure("mean_power", mean, "mW", u_mean, n),
        Figure("median_power", float(np.median(power)), "mW", 1.25 * u_mean, n),
        Figure("sd_power", sd, "mW", u_sd, n),
        Figure("least_power", low, "mW", None, n),
        Figure("largest_power", high, "mW", None, n),
        Figure("drift", line.slope, "%/min", line.slope_uncertainty * wider, n),
        Figure("largest_step", 100 * float(np.max(np.abs(np.diff(power)))) / mean, "%", None, n),
        Figure("warm_up_time", _warm_up_min(time_s, power), "min", None, n),
    ]


def _warm_up_min(time_s: NDArray[np.float64], power: NDArray[np.float64]) -> float | None:
    """Return from when on a running median of five stays near the mean of the last quarter, min; None if not before it."""
    last = max(LEAST_READINGS // 2, power.size // 4)
    end = float(power[-last:].mean())
    padded = np.pad(power, 2, mode="edge")
    calm = np.median([padded[i : i + power.size] for i in range(5)], axis=0)
    outside = np.flatnonzero(np.abs(calm / end - 1) > WARM_PERCENT / 100)
    first = int(outside[-1]) + 1 if outside.size else 0
    return float(time_s[first] - time_s[0]) / 60 if first <= power.size - last else None


def allan_deviation(
    time_s: NDArray[np.float64], relative: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return averaging times, s, and overlapping Allan deviations of evenly read relative power.

    sigma²(m) = <(mean of m readings - mean of the m before)²>/2; D. W. Allan 1966, doi:10.1109/PROC.1966.4634.
    """
    interval_s = float(np.median(np.diff(time_s)))
    sums = np.concatenate([[0.0], np.cumsum(relative - relative.mean())])
    lengths = 2 ** np.arange(int(np.log2(max(relative.size // 3, 1))) + 1)
    deviations = []
    for m in lengths:
        means = (sums[m:] - sums[:-m]) / m
        deviations.append(np.sqrt(np.mean((means[m:] - means[:-m]) ** 2) / 2))
    return lengths * interval_s, np.array(deviations)


def _allan_figures(taus_s: NDArray[np.float64], allan: NDArray[np.float64]) -> list[Figure]:
    best = int(np.argmin(allan))
    return [
        Figure("allan_shortest", 100 * float(allan[0]), "%", None, 1),
        Figure("allan_least", 100 * float(allan[best]), "%", None, 1),
        Figure("allan_least_at", float(taus_s[best]), "s", None, 1),
    ]


def _by_temperature(
    power: NDArray[np.float64], temperature_c: ArrayLike | None, all_readings: ArrayLike
) -> list[Figure]:
    if temperature_c is None:
        return []
    temperature = np.asarray(temperature_c, float)
    readings = np.asarray(all_readings, float)
    if temperature.shape != readings.shape:
        raise InputError(
            f"expected a temperature for each reading; got {temperature.shape} and {readings.shape}"
        )
    known = np.isfinite(temperature) & np.isfinite(readings)
    if np.unique(temperature[known]).size < 3:
        return [Figure("temperature_slope", None, "%/K"), Figure("temperature_correlation", None, "1")]
    line = fit_line(temperature[known], 100 * readings[known] / power.mean())
    r = float(np.corrcoef(temperature[known], readings[known])[0, 1])
    sigma = line.slope_uncertainty * widening(line.residuals)
    n = int(known.sum())
    return [
        Figure("temperature_slope", line.slope, "%/K", sigma, n),
        Figure("temperature_correlation", r, "1", None, n),
    ]


def measure_sample_power(
    power_mw: ArrayLike,
    reference_mw: float | Sequence[float] | Mapping[str, float] | None = None,
    field_diameter_um: float | None = None,
    source_mw: float | Sequence[float] | Mapping[str, float] | None = None,
    place: Place | str = Place.OBJECTIVE_FOCAL,
    line: ArrayLike | None = None,
) -> Measurement:
    """Return power at the sample, its density, and its ratio to a reference.

    Parameters
    ----------
    power_mw : array_like, (n,)
        Readings at the sample.
    reference_mw : float, or one for each line, optional
        What it was at time zero with the same settings.
    field_diameter_um : float, optional
        Of the lit disc in the sample.
    source_mw : float, or one for each line, optional
        Power at the source with the same settings, for the transmission of the path.
    line : array_like, (n,), optional
        Which line of the light each reading is of, where a run goes through several; see `power_lines`.

    Raises
    ------
    InputError
        No finite reading, or no power.
    """
    if line is not None:
        names = names_of(line)
        references = {name: of_line(reference_mw, name, names, "reference_mw") for name in names}
        sources = {name: of_line(source_mw, name, names, "source_mw") for name in names}
        return line_by_line(
            lambda name, power_mw: _at_sample(
                power_mw, references[name], field_diameter_um, sources[name], place
            ),
            line,
            {"power_mw": power_mw},
        )
    reference, source = (
        of_line(values, "", [""], name)
        for name, values in (("reference_mw", reference_mw), ("source_mw", source_mw))
    )
    return _at_sample(power_mw, reference, field_diameter_um, source, place)


def _at_sample(
    power_mw: ArrayLike,
    reference_mw: float | None,
    field_diameter_um: float | None,
    source_mw: float | None,
    place: Place | str,
) -> Measurement:
    readings = np.atleast_1d(np.asarray(power_mw, float))
    power = readings[np.isfinite(readings)]
    if power.size == 0:
        raise InputError("expected at least one reading; got none")
    _need_light(power)
    n, mean = power.size, float(power.mean())
    sigma = widened(float(power.std(ddof=1)) / n**0.5, n - 1) if n > 1 else None
    scales = {
        "power_density": (
            "mW/cm^2",
            None if field_diameter_um is None else 1e8 / (pi * field_diameter_um**2 / 4),
        ),
        "ratio_to_reference": ("1", None if reference_mw is None else 1 / reference_mw),
        "transmission": ("%", None if source_mw is None else 100 / source_mw),
    }
    return Measurement(
        routine="sample_power",
        version="1",
        figures=(
            Figure("power", mean, "mW", sigma, n),
            *(
                Figure(name, scale and mean * scale, unit, scale and sigma and sigma * scale, n)
                for name, (unit, scale) in scales.items()
            ),
        ),
        n_used=n,
        n_rejected={"not a number": readings.size - n} if readings.size > n else {},
        parameters={
            "reference_mw": reference_mw,
            "field_diameter_um": field_diameter_um,
            "source_mw": source_mw,
            "place": Place(place).value,
        },
        table={"power_mw": power},
    )


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    x, y = np.asarray(first, float), np.asarray(second, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(
            f"expected as many readings as settings or times; got shapes {x.shape} and {y.shape}"
        )
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known], int((~known).sum())


def _need_light(power: NDArray[np.float64]) -> None:
    if not power.max() > 0 or power.mean() <= 0:
        raise InputError(
            "expected power above zero; got none. Is the source on, the shutter open, the meter zeroed?"
        )
