"""Settings of a detector, or detectors, held against each other at equal light."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qc_routines.detector.series import SATURATED_FRACTION, Dark, SeriesNoise, dark_of, series_noise
from qc_routines.errors import InputError
from qc_routines.results import Figure, Input, Measurement, input_of
from qc_routines.straight_line import StraightLine, fit_known_points

NOT_MEASURED = "frames of a setting that cannot be measured"
LEAST_ON_LINE = 3
"""Settings below which a gain law is not told from chance."""
CORRELATED = 0.1
"""Correlation of neighbouring pixels from which on photons are remarked on: the electronics smear one into the next."""
OF_SETTING = {
    "mean": "ADU", "cv": "%", "cv_noise": "%", "cv_fixed": "%", "relative_cv": "1", "snr": "1", "photons": "1",
    "gain": "ADU", "bleaching": "%", "saturated_fraction": "%", "neighbour_correlation": "1",
}  # fmt: skip
"""Figures of each setting and their units."""
Named = tuple[float | None, float | None]


def measure_point_detector(
    series: Sequence[NDArray[np.generic]],
    settings: Sequence[float | str],
    dark: Sequence[NDArray[np.generic]] = (),
    offset_adu: float | None = None,
    full_scale_adu: float | None = None,
) -> Measurement:
    """Return noise, effective photons and gain of a point detector at each of its settings.

    Parameters
    ----------
    series : sequence of ndarray, (t, y, x)
        Frames of a uniform slide in equal light, one series for each setting; 20 frames or more are good.
    settings : sequence of float or str
        Gain or high voltage of each series, or the names of detectors that are compared.
    dark : sequence of ndarray, (t, y, x)
        Frames without light: none, one series for all settings, or one for each.
    offset_adu : float, optional
        Count without light, where there are no dark frames.
    full_scale_adu : float, optional
        Largest count; by default that of the integer type, or where counts are clipped.

    Returns
    -------
    Measurement
        Figures of a setting have it in brackets: ``snr[650]``. Photons are *effective*: as many as would give the same
        ratio of signal to noise, fewer than were detected by the excess noise of the multiplication (F², 1.2 to 2 of
        a PMT, near 1 of a hybrid detector or of counted photons). Table: one row for each setting. What is relative to the
        best leans towards too large where several are about as good, by less than its uncertainty: chance chose among them.

    Raises
    ------
    InputError
        Not as many series as settings, or none of them can be measured.
    """
    names = [_name(setting) for setting in settings]
    _check(series, names, dark)
    found, refused = _each(series, names, dark, offset_adu, full_scale_adu)
    if not found:
        raise InputError("; ".join(f"{name}: {error}" for name, error in refused.items()))
    best = _best(found)
    line = _gain_line(found)
    rejected: Counter[str] = Counter()
    for noise in found.values():
        rejected.update(noise.n_rejected)
    rejected[NOT_MEASURED] = sum(_n_frames(series[names.index(name)]) for name in refused)
    return Measurement(
        routine="point_detector",
        version="1",
        figures=(*_across(found, best, line), *(f for name in names for f in _figures(name, found, best))),
        n_used=sum(noise.n_frames for noise in found.values()),
        n_rejected=dict(+rejected),
        parameters={
            "settings": ", ".join(names),
            "best_setting": best,
            "n_dark_series": len(dark),
            "offset_adu": offset_adu,
            "full_scale_adu": full_scale_adu,
        },
        inputs=tuple(_inputs(series, names, dark)),
        remarks=tuple(_remarks(found, refused, dark, offset_adu)),
        table=_table(found),
    )


def _name(setting: float | str) -> str:
    return setting.strip() if isinstance(setting, str) else f"{float(setting):g}"


def _check(series: Sequence[NDArray[np.generic]], names: Sequence[str], dark: Sequence[object]) -> None:
    if len(series) != len(names) or not names:
        raise InputError(f"expected one series for each setting; got {len(series)} and {len(names)}")
    if len(set(names)) != len(names) or not all(names):
        raise InputError(f"expected every setting once; got {', '.join(names)}")
    if len(dark) not in (0, 1, len(series)):
        raise InputError(
            f"expected no dark series, one, or one for each of {len(series)} settings; got {len(dark)}"
        )


def _each(
    series: Sequence[NDArray[np.generic]],
    names: Sequence[str],
    dark: Sequence[NDArray[np.generic]],
    offset_adu: float | None,
    full_scale_adu: float | None,
) -> tuple[dict[str, SeriesNoise], dict[str, str]]:
    """Return what each setting says; one that cannot be measured fails none of the others."""
    known = [dark_of(frames) for frames in dark] or [Dark(offset_adu or 0.0)]
    found: dict[str, SeriesNoise] = {}
    refused: dict[str, str] = {}
    for k, (name, frames) in enumerate(zip(names, series, strict=True)):
        try:
            found[name] = series_noise(frames, known[k % len(known)], full_scale_adu)
        except InputError as error:
            refused[name] = str(error)
    return found, refused


def _best(found: Mapping[str, SeriesNoise]) -> str | None:
    """Return the setting with the best ratio of signal to noise of those that are not cut off."""
    usable = {name: noise.snr[0] for name, noise in found.items() if not _is_cut(noise)}
    return max(usable, key=lambda name: usable[name]) if usable else None


def _is_cut(noise: SeriesNoise) -> bool:
    return noise.saturated > 100 * SATURATED_FRACTION


def _gain_line(found: Mapping[str, SeriesNoise]) -> StraightLine | None:
    """Return the line through log gain against log setting; None where settings are names or too few."""
    points = [
        (number, *noise.gain_adu)
        for name, noise in found.items()
        if noise.gain_adu is not None and (number := _number(name)) is not None and number > 0
    ]
    if len(points) < LEAST_ON_LINE:
        return None
    setting, gain, sigma = np.array(points).T
    return fit_known_points(np.log(setting), np.log(gain), np.maximum(sigma / gain, 1e-6))


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _across(
    found: Mapping[str, SeriesNoise], best: str | None, line: StraightLine | None
) -> tuple[Figure, ...]:
    n = 0 if line is None else line.residuals.size
    snr = found[best].snr if best else (0.0, 0.0)
    return (
        Figure("best_setting", _number(best) if best else None, "1", None, len(found)),
        Figure("best_snr", snr[0], "1", _of_chosen(snr[1], len(found)), found[best].n_frames)
        if best
        else Figure("best_snr", None, "1"),
        Figure("gain_slope", line.slope, "1", line.slope_uncertainty, n)
        if line
        else Figure("gain_slope", None, "1"),
        Figure("gain_r2", line.r2 if line else None, "1", None, n),
    )


def _figures(name: str, found: Mapping[str, SeriesNoise], best: str | None) -> list[Figure]:
    noise = found.get(name)
    if noise is None:
        return [Figure(f"{figure}[{name}]", None, unit) for figure, unit in OF_SETTING.items()]
    values: dict[str, Named] = {
        "mean": noise.signal_adu,
        "cv": noise.cv,
        "cv_noise": noise.cv_noise,
        "cv_fixed": noise.cv_fixed,
        "relative_cv": _relative_cv(noise, found, best) if best else (None, None),
        "snr": noise.snr,
        "photons": noise.photons or (None, None),
        "gain": noise.gain_adu or (None, None),
        "bleaching": noise.bleaching,
        "saturated_fraction": (noise.saturated, None),
        "neighbour_correlation": (noise.neighbour_correlation, noise.n_values**-0.5),
    }
    return [
        Figure(f"{figure}[{name}]", *_in(values[figure], unit), noise.n_frames)
        for figure, unit in OF_SETTING.items()
    ]


def _in(value: Named, unit: str) -> tuple[float | None, str, float | None]:
    return value[0], unit, value[1]


def _relative_cv(noise: SeriesNoise, found: Mapping[str, SeriesNoise], best: str) -> Named:
    (cv, of_cv), (least, of_least) = noise.cv, found[best].cv
    if noise is found[best]:
        return 1.0, None
    return cv / least, _of_chosen(cv / least * float(np.hypot(of_cv / cv, of_least / least)), len(found))


def _of_chosen(sigma: float, n: int) -> float:
    """Return an uncertainty that knows that the best of n was chosen, which chance has had a part in.

    It may have been any of n - 1 others: the deviate is that of so many comparisons at once, after Bonferroni; Hsu, Ann.
    Stat. 9, 1026 (1981), doi:10.1214/aos/1176345582, on comparisons with the best.
    """
    return sigma * NormalDist().inv_cdf(1 - 0.025 / max(n - 1, 1)) / 1.96


def _remarks(
    found: Mapping[str, SeriesNoise],
    refused: Mapping[str, str],
    dark: Sequence[object],
    offset_adu: float | None,
) -> list[str]:
    remarks = [f"{name} cannot be measured: {error}." for name, error in refused.items()]
    if not dark and offset_adu is None:
        remarks.append(
            "Without dark frames the offset and the noise without light are taken for zero: photons and gain are "
            "wrong where they are not."
        )
    for name, noise in found.items():
        if _is_cut(noise):
            remarks.append(
                f"{name}: {noise.saturated:.2g} % of the counts are at full scale, so that the noise is cut off; photons and "
                "gain are not read from it."
            )
        elif noise.gain_adu is None:
            remarks.append(f"{name}: no noise beyond that in the dark; photons and gain are not known.")
        if noise.neighbour_correlation > CORRELATED:
            remarks.append(
                f"{name}: the noise of neighbouring pixels is alike ({noise.neighbour_correlation:.2f}): averaging, filtering "
                "or slow electronics; there seem to be more photons than there are, and less gain."
            )
    return remarks


def _table(found: Mapping[str, SeriesNoise]) -> dict[str, NDArray[np.generic]]:
    nothing = (np.nan, np.nan)
    rows = list(found.values())
    gain, photons = (np.array([each or nothing for each in column]) for column in (
        [noise.gain_adu for noise in rows], [noise.photons for noise in rows],
    ))  # fmt: skip
    snr = np.array([noise.snr for noise in rows])
    return {
        "setting": np.array(list(found)),
        "signal_adu": np.array([noise.signal_adu[0] for noise in rows]),
        "variance_adu2": np.array([noise.variance_adu2 for noise in rows]),
        "snr": snr[:, 0],
        "snr_uncertainty": snr[:, 1],
        "gain_adu": gain[:, 0],
        "gain_uncertainty_adu": gain[:, 1],
        "photons": photons[:, 0],
        "photons_uncertainty": photons[:, 1],
        "n_pixels": np.array([noise.n_pixels for noise in rows]),
        "n_pixels_left_out": np.array([noise.n_left_out for noise in rows]),
    }


def _inputs(
    series: Sequence[NDArray[np.generic]], names: Sequence[str], dark: Sequence[NDArray[np.generic]]
) -> list[Input]:
    pairs = [(f"frames at {name}", frames) for name, frames in zip(names, series, strict=True)]
    pairs += [
        (f"dark frames {k}" if len(dark) > 1 else "dark frames", frames) for k, frames in enumerate(dark)
    ]
    return [input_of(name, frames) for name, frames in pairs if isinstance(frames, np.ndarray)]


def _n_frames(frames: object) -> int:
    return len(frames) if isinstance(frames, np.ndarray) and frames.ndim == 3 else 1
