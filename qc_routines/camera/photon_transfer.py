"""Electrons per count from the noise of light, and with it full well and dynamic range.

EMVA 1288 release 4.0 (https://www.emva.org), section 6: variance - dark variance = K (mean - dark mean), with the
gain K in ADU per electron. Janesick, Photon Transfer (2007), doi:10.1117/3.725073.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10, sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.camera.moments import PixelMoments, as_moments
from qc_routines.camera.pixels import common_variance_adu2, is_trusted
from qc_routines.camera.transfer_points import (
    SATURATED_FRACTION,
    PhotonTransferPoint,
    photon_transfer_point,
    saturation_index,
)
from qc_routines.errors import InputError, counted, reason_of
from qc_routines.protocols import Protocol, exposure_ladder, sequence_s
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import Expected

LINEAR_UP_TO = 0.7
"""Of the signal at saturation, for the slope: EMVA 1288 release 4.0, section 6.6."""

LEAST_LEVELS = 3
OUTLIER_LEVEL_SIGMAS = 5.0


def measure_photon_transfer(
    dark: PixelMoments | Iterable[NDArray[np.generic]],
    levels: Iterable[PixelMoments | Iterable[NDArray[np.generic]]],
    full_scale_adu: float | None = None,
) -> Measurement:
    """Return gain, conversion, full well, dynamic range from frames at several levels of light.

    Parameters
    ----------
    dark : PixelMoments or iterable of ndarray, (y, x)
        At least two dark frames of the same exposure.
    levels : iterable of PixelMoments or of iterables of ndarray, (y, x)
        At least three levels below 70 % of saturation, which seven in equal steps to just beyond it have; EMVA 1288 asks for
        fifty (recalled, not read). Two frames or more of each.
        A generator is read level by level: memory does not grow with their number.
    full_scale_adu : float, optional
        Largest count possible, for a 12-bit camera in 16-bit arrays; otherwise that of the type.

    Raises
    ------
    InputError
        Too few frames or levels; levels that do not differ; no noise that grows with light.
    """
    moments = as_moments(dark)
    trusted = is_trusted(moments)
    points, refused = [], {}
    for frames in levels:
        try:
            points.append(photon_transfer_point(as_moments(frames), moments, trusted, full_scale_adu))
        except InputError as error:
            reason = reason_of(error)
            refused[reason] = refused.get(reason, 0) + 1
    points.sort(key=lambda point: point.signal_adu)
    return _measurement(points, moments, trusted, refused, full_scale_adu)


def _measurement(
    points: Sequence[PhotonTransferPoint],
    dark: PixelMoments,
    trusted: NDArray[np.bool_],
    refused: dict[str, int],
    full_scale_adu: float | None,
) -> Measurement:
    peak = saturation_index(points)
    is_linear = _linear_levels(points, peak, refused)
    gain, uncertainty, is_used, r2 = _slope(points, is_linear)
    dark_adu2 = float(np.mean(dark.variance_adu2[trusted], dtype=np.float64)) - common_variance_adu2(dark)
    n_off = sum(is_linear) - sum(is_used)
    rejected = refused | {"beyond the linear range": len(points) - sum(is_linear), "off the line": n_off}
    return Measurement(
        routine=ROUTINE.name,
        version="3",
        figures=(
            Figure("gain", gain, "ADU/e-", uncertainty, sum(is_used)),
            Figure("conversion", 1 / gain, "e-/ADU", uncertainty / gain**2, sum(is_used)),
            Figure("r2", r2, "1", None, sum(is_used)),
            *_range_figures(points, peak, gain, uncertainty, max(dark_adu2, 0.0)),
        ),
        n_used=sum(is_used),
        n_rejected={reason: n for reason, n in rejected.items() if n},
        parameters={"linear_up_to": LINEAR_UP_TO, "full_scale_adu": full_scale_adu},
        inputs=(input_of("mean of dark frames", dark.mean_adu),),
        remarks=() if peak is not None else ("No level reached saturation: full well is not measured.",),
        table={
            "signal_adu": np.array([p.signal_adu for p in points]),
            "variance_adu2": np.array([p.variance_adu2 for p in points]),
            "variance_uncertainty_adu2": np.array([p.variance_uncertainty_adu2 for p in points]),
            "is_used": np.array(is_used),
        },
    )


def _range_figures(
    points: Sequence[PhotonTransferPoint],
    peak: int | None,
    gain: float,
    gain_uncertainty: float,
    dark_adu2: float,
) -> list[Figure]:
    """Return full well, best signal-to-noise ratio and dynamic range; EMVA 1288 release 4.0, sections 6.6 and 6.7."""
    least_e = sqrt(max(dark_adu2 - 1 / 12, 0.24) / gain**2 + 0.25) + 0.5
    well, sigma = (None, None) if peak is None else _full_well_e(points, peak, gain, gain_uncertainty)
    return [
        Figure("full_well", well, "e-", sigma, 1),
        Figure("saturation_signal", None if well is None else points[-1].signal_adu / gain, "e-", None, 1),
        Figure("snr_max", None if well is None else sqrt(well), "1", None, 1),
        Figure("least_signal", least_e, "e-", None, 1),
        Figure("dynamic_range", None if well is None else 20 * log10(well / least_e), "dB", None, 1),
    ]


def _full_well_e(
    points: Sequence[PhotonTransferPoint], peak: int, gain: float, gain_uncertainty: float
) -> tuple[float, float]:
    """Return the signal of full wells and its uncertainty.

    Where the brightest level has filled most of them, that is what they hold. Otherwise the wells are full somewhere
    between the last level before the variance falls, which the standard takes, and the next: their middle is given,
    with the spread of an even distribution. It is low in an uneven field, whose brightest part is full first.
    """
    if (ceiling_adu := points[-1].ceiling_adu) is not None:
        return ceiling_adu / gain, ceiling_adu * gain_uncertainty / gain**2
    last, following = points[peak].signal_adu, points[peak + 1].signal_adu
    return (last + following) / 2 / gain, (following - last) / gain / sqrt(12)


def _linear_levels(
    points: Sequence[PhotonTransferPoint], peak: int | None, refused: dict[str, int]
) -> list[bool]:
    if len(points) < LEAST_LEVELS:
        raise InputError(
            f"expected at least {LEAST_LEVELS} levels of light; got {len(points)} usable, left out: {counted(refused)}. Take "
            "two frames or more of each level, of the same sensor area as the dark frames"
        )
    last = len(points) - 1 if peak is None else peak
    limit_adu = points[last].signal_adu * (1.0 if peak is None else LINEAR_UP_TO)
    chosen = [
        0 < p.signal_adu <= limit_adu and p.saturated_fraction <= SATURATED_FRACTION and i <= last
        for i, p in enumerate(points)
    ]
    signals_adu = [p.signal_adu for p, is_chosen in zip(points, chosen, strict=True) if is_chosen]
    if len(signals_adu) < LEAST_LEVELS:
        end = (
            "the brightest"
            if peak is None
            else f"{LINEAR_UP_TO:.0%} of saturation, which is {limit_adu:.0f} ADU"
        )
        raise InputError(
            f"expected at least {LEAST_LEVELS} levels with light up to {end}; got {len(signals_adu)} of "
            f"{_listed(points)} ADU above dark. Seven levels in equal steps to just beyond saturation have them; the "
            "standard asks for fifty"
        )
    if signals_adu[-1] < 1.5 * signals_adu[0]:
        raise InputError(
            f"expected levels that differ by half or more; got signals of {_listed(points)} ADU above dark. Vary the "
            "exposure or the light, and see that the shutter opens"
        )
    return chosen


def _listed(points: Sequence[PhotonTransferPoint]) -> str:
    return ", ".join(f"{point.signal_adu:.4g}" for point in points)


def _slope(
    points: Sequence[PhotonTransferPoint], is_linear: Sequence[bool]
) -> tuple[float, float, list[bool], float]:
    """Return slope through the origin, its uncertainty, the levels used and R²; levels far off the line are left out.

    Weights are 1/u². The uncertainty is widened by the scatter when that is larger than the noise explains.
    """
    x = np.array([p.signal_adu for p in points])
    y = np.array([p.variance_adu2 for p in points])
    u = np.array([p.variance_uncertainty_adu2 for p in points])
    used = np.array(is_linear)
    ratio, ratio_u = (
        np.divide(y, x, where=x > 0, out=np.zeros_like(x)),
        np.where(x > 0, u / np.abs(x), np.inf),
    )
    middle = np.median(ratio[used])
    spread = 1.4826 * np.median(np.abs(ratio[used] - middle))
    used &= np.abs(ratio - middle) <= OUTLIER_LEVEL_SIGMAS * np.maximum(spread, ratio_u)
    weight = np.divide(1.0, u**2, where=u > 0, out=np.zeros_like(u))[used]
    x, y = x[used], y[used]
    slope = float(np.sum(weight * x * y) / np.sum(weight * x**2)) if weight.any() else 0.0
    if slope <= 0 or used.sum() < LEAST_LEVELS:
        raise InputError(
            "expected noise that grows with the light; found none. Are the levels frames of light, taken as they "
            "came from the camera, without averaging, denoising or compression?"
        )
    scatter = float(np.sum(weight * (y - slope * x) ** 2)) / (used.sum() - 1)
    r2 = 1 - float(np.sum((y - slope * x) ** 2) / np.sum((y - y.mean()) ** 2))
    return slope, sqrt(max(scatter, 1.0) / float(np.sum(weight * x**2))), used.tolist(), r2


def theory(conversion_e_per_adu: float, full_well_e: float | None = None) -> tuple[Expected, ...]:
    """Return what the maker's data sheet says."""
    said = {"conversion": (conversion_e_per_adu, "e-/ADU"), "full_well": (full_well_e, "e-")}
    return tuple(
        Expected(name, value, unit, "data_sheet", "the camera's data sheet")
        for name, (value, unit) in said.items()
        if value is not None
    )


def protocol(
    channel: str = "uniform light", longest_exposure_ms: float = 100.0, n_levels: int = 15
) -> Protocol:
    """Return how to acquire a photon transfer curve: pairs at exposures in equal steps, after dark pairs.

    Raises
    ------
    InputError
        Fewer levels than a slope wants.
    """
    if n_levels < LEAST_LEVELS:
        raise InputError(f"expected n_levels of at least {LEAST_LEVELS}; got {n_levels}")
    sequence = exposure_ladder(channel, longest_exposure_ms, n_levels)
    return Protocol(
        routine=ROUTINE.name,
        sample="uniform fluorescent slide out of focus, or transmitted light without a sample",
        sequence=sequence,
        exposure="steady light such that the longest exposure just saturates; then the same exposures in the dark",
        duration_s=2 * sequence_s(sequence),
        steps=(
            "Put the slide on and defocus",
            "Let the lamp warm up",
            "Take dark frames with the port closed",
        ),
        every_days=180,
        parameters={"n_levels": n_levels, "longest_exposure_ms": longest_exposure_ms},
        source="EMVA 1288 release 4.0, section 6.2; number of levels: ours, the standard asks for 50 (recalled, not read)",
    )


ROUTINE = Routine(
    name="photon_transfer",
    title="Camera gain, full well and dynamic range",
    holds_for=("camera",),
    measure=measure_photon_transfer,
    inputs={
        "dark": "TYX dark counts, ADU; or moments",
        "levels": "sequence of TYX counts, ADU; or of moments",
    },
    figures={
        "gain": FigureNames("ADU/e-", "System gain K of EMVA 1288"),
        "conversion": FigureNames("e-/ADU", "Electrons per count, 1/K", None, "conversion factor"),
        "r2": FigureNames("1", "Of the straight line"),
        "full_well": FigureNames("e-", "Signal of pixels that more light fills no further"),
        "saturation_signal": FigureNames("e-", "Largest mean signal, where more light adds no more"),
        "snr_max": FigureNames("1", "Best signal-to-noise ratio of one pixel, square root of the full well"),
        "least_signal": FigureNames("e-", "Signal that equals its noise"),
        "dynamic_range": FigureNames("dB", "20 log10 of full well over least signal"),
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "other gain or readout mode than on the data sheet",
            "Compare gain, readout rate and bit depth with those of the data sheet's figure",
            ("gain", "conversion", "full_well", "dynamic_range"),
            OURS,
        ),
        Cause(
            "the camera averages, denoises or corrects frames",
            "Switch off on-camera processing and compression: they lower the variance",
            ("gain", "conversion", "r2"),
            OURS,
        ),
        Cause(
            "light flickers from row to row",
            "Look for stripes in a difference of two frames; use exposures of whole mains periods or DC light",
            ("r2", "gain", "conversion"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
