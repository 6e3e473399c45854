"""Electrons that come without light, per pixel and second.

EMVA 1288 release 4.0 (https://www.emva.org), section 6.5: from the mean against exposure and, independently of any
offset drift, from the variance against exposure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.camera.moments import PixelMoments
from qc_routines.camera.pixels import common_variance_adu2, is_trusted, need_frames, need_same_shape
from qc_routines.errors import InputError
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.straight_line import fit_known_points

LEAST_EXPOSURES = 3


def measure_dark_current(
    dark_by_exposure_ms: Mapping[float, PixelMoments],
    conversion_e_per_adu: float,
    sensor_temperature_c: float | None = None,
) -> Measurement:
    """Return the dark current.

    Parameters
    ----------
    dark_by_exposure_ms : mapping of float to PixelMoments
        Exposure, ms, to dark frames of it: three exposures or more, two frames or more each; spread them widely.
    conversion_e_per_adu : float
        Electrons per count, from `measure_photon_transfer`.
    sensor_temperature_c : float, optional
        Kept with the result: dark current doubles every few kelvin.

    Raises
    ------
    InputError
        Fewer than three exposures, or frames of different shapes.
    """
    series = sorted(dark_by_exposure_ms.items())
    if len(series) < LEAST_EXPOSURES:
        raise InputError(f"expected at least {LEAST_EXPOSURES} exposures; got {len(series)}")
    shortest = series[0][1]
    for _, moments in series:
        need_frames(moments, 2, "dark")
        need_same_shape(moments, shortest)
    trusted = is_trusted(shortest)
    exposure_s = np.array([exposure_ms / 1000 for exposure_ms, _ in series])
    mean_e = conversion_e_per_adu * np.array([np.mean(m.mean_adu[trusted], dtype=float) for _, m in series])
    variance_e2 = conversion_e_per_adu**2 * np.array(
        [np.mean(m.variance_adu2[trusted], dtype=float) - common_variance_adu2(m) for _, m in series]
    )
    of_mean_e = conversion_e_per_adu * np.array([_mean_error(m) for _, m in series])
    of_variance_e2 = conversion_e_per_adu**2 * np.array([_variance_error(m, trusted) for _, m in series])
    by_mean = fit_known_points(exposure_s, mean_e, of_mean_e)
    by_variance = fit_known_points(exposure_s, variance_e2, of_variance_e2)
    hottest_e_per_s = _hottest(series, conversion_e_per_adu)
    n = len(series)
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(
            Figure("dark_current", by_mean.slope, "e-/s", by_mean.slope_uncertainty, n),
            Figure("dark_current_by_variance", by_variance.slope, "e-/s", by_variance.slope_uncertainty, n),
            Figure("dark_current_p99", hottest_e_per_s, "e-/s", None, shortest.mean_adu.size),
            Figure("r2", by_mean.r2, "1", None, n),
        ),
        n_used=sum(m.n_frames for _, m in series),
        n_rejected=_all_rejected(series),
        parameters={
            "conversion_e_per_adu": conversion_e_per_adu,
            "sensor_temperature_c": sensor_temperature_c,
            "n_pixels_left_out": int(np.sum(~trusted)),
        },
        inputs=tuple(input_of(f"mean of dark frames of {t:g} ms", m.mean_adu) for t, m in series),
        table={"exposure_s": exposure_s, "mean_e": mean_e, "variance_e2": variance_e2},
    )


def _mean_error(moments: PixelMoments) -> float:
    """Return the standard error of the mean of a series, ADU: of its frames' means, or more if they are few and alike."""
    by_frames = float(np.std(moments.frame_means_adu, ddof=1)) / moments.n_frames**0.5
    by_pixels = (
        float(np.mean(moments.variance_adu2, dtype=float)) / moments.mean_adu.size / moments.n_frames
    ) ** 0.5
    return max(by_frames, by_pixels)


def _variance_error(moments: PixelMoments, trusted: NDArray[np.bool_]) -> float:
    """Return the standard error of the mean of the pixels' variances, ADU^2: each is uncertain by 2 v^2 / (n - 1).

    n + 1 stands for n - 1, because squares of uncertain variances are too large by (n + 1)/(n - 1).
    """
    squares = np.square(moments.variance_adu2[trusted], dtype=float)
    return float(2 * squares.sum() / (moments.n_frames + 1)) ** 0.5 / squares.size


def _hottest(series: list[tuple[float, PixelMoments]], conversion: float) -> float:
    """Return the dark current that 1 % of the pixels exceed, from the longest and the shortest exposure, e-/s."""
    (short_ms, short), (long_ms, long) = series[0], series[-1]
    rates_adu = (long.mean_adu - short.mean_adu) / ((long_ms - short_ms) / 1000)
    return float(np.percentile(rates_adu, 99)) * conversion


def _all_rejected(series: list[tuple[float, PixelMoments]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for _, moments in series:
        for reason, n in moments.n_rejected.items():
            total[reason] = total.get(reason, 0) + n
    return total


def protocol(
    channel: str = "dark",
    exposures_ms: tuple[float, ...] = (10.0, 100.0, 1000.0, 10_000.0),
    n_frames: int = 10,
) -> Protocol:
    """Return how to acquire dark frames of several exposures."""
    return Protocol(
        routine=ROUTINE.name,
        sample="none; camera port closed",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms} for exposure_ms in exposures_ms],
            "time_plan": {"interval": 0.0, "loops": n_frames},
        },
        exposure="from the shortest to the longest that is used in experiments; sensor cooled and settled",
        duration_s=round(n_frames * (sum(exposures_ms) / 1000 + 0.1 * len(exposures_ms)), 1),
        steps=(
            "Close the shutter or block the camera port",
            "Switch the room light off",
            "Wait for the cooling",
        ),
        every_days=180,
        is_automatic=True,
        parameters={"n_frames": n_frames},
        source="EMVA 1288 release 4.0, section 6.5; exposures: ours",
    )


ROUTINE = Routine(
    name="dark_current",
    title="Camera dark current",
    holds_for=("camera",),
    measure=measure_dark_current,
    inputs={"dark_by_exposure_ms": "exposure, ms, to moments of TYX dark counts, ADU"},
    figures={
        "dark_current": FigureNames("e-/s", "Slope of the mean against exposure, per pixel"),
        "dark_current_by_variance": FigureNames("e-/s", "Slope of the variance against exposure, per pixel"),
        "dark_current_p99": FigureNames("e-/s", "Exceeded by 1 % of all pixels"),
        "r2": FigureNames("1", "Of the mean against exposure"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "sensor warmer than it should be",
            "Read the sensor temperature; clean fan and filters; check water cooling and room temperature",
            ("dark_current", "dark_current_by_variance", "dark_current_p99"),
            OURS,
        ),
        Cause(
            "light reaches the camera",
            "Cap the camera and compare; then look for leaks at the port and along the light path",
            ("dark_current", "dark_current_by_variance"),
            OURS,
        ),
        Cause(
            "the camera corrects its offset by itself",
            "A mean that falls or stays while the variance grows: trust the figure by variance",
            ("dark_current", "r2"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
