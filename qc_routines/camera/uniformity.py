"""How equally the pixels respond to equal light: PRNU.

EMVA 1288 release 4.0 (https://www.emva.org), section 8: standard deviation over the pixels of (mean in light - mean in
the dark), relative to its mean. The smooth shape of the light itself is taken off first.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.camera.moments import PixelMoments, as_moments
from qc_routines.camera.pixels import (
    OUTLIER_SIGMAS,
    is_trusted,
    need_frames,
    need_same_shape,
    robust_sigma,
)
from qc_routines.camera.spatial import spatial_variances
from qc_routines.errors import InputError
from qc_routines.protocols import Protocol, sequence_s, time_series
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine

SHAPE_ORDER = 4
"""Degree of the polynomial in x and y that stands for the light's shape: bends over a quarter of the field stay."""

LEAST_SIGNAL_SIGMAS = 10.0


def measure_uniformity(
    dark: PixelMoments | Iterable[NDArray[np.generic]], bright: PixelMoments | Iterable[NDArray[np.generic]]
) -> Measurement:
    """Return the PRNU and its parts by row, column and pixel.

    Parameters
    ----------
    dark, bright : PixelMoments or iterable of ndarray, (y, x)
        Frames of one exposure without light and with even light at half of full scale, best 100 each.

    Returns
    -------
    Measurement
        Map ``relative_response`` with mean 1, the light's shape taken off.

    Raises
    ------
    InputError
        Fewer than two frames, other shapes, or no light to speak of.
    """
    without, lit = as_moments(dark), as_moments(bright)
    need_frames(without, 2, "dark")
    need_frames(lit, 2, "bright")
    need_same_shape(lit, without)
    trusted = is_trusted(without)
    response = relative_response(without, lit, trusted)
    signal_adu = float(np.mean((lit.mean_adu - without.mean_adu)[trusted], dtype=np.float64))
    is_normal = np.abs(response - 1) <= OUTLIER_SIGMAS * robust_sigma(response[trusted])
    kept = trusted & is_normal
    noise = _noise(lit, kept) / signal_adu**2 + _noise(without, kept) / signal_adu**2
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=_figures(response, kept, noise, signal_adu),
        n_used=lit.n_frames,
        n_rejected=lit.n_rejected,
        parameters={"shape_order": SHAPE_ORDER, "n_pixels_left_out": int(np.sum(~kept))},
        inputs=(
            input_of("mean of dark frames", without.mean_adu),
            input_of("mean of lit frames", lit.mean_adu),
        ),
        maps={"relative_response": response.astype(np.float32)},
    )


def _figures(
    response: NDArray[np.float64], kept: NDArray[np.bool_], noise: float, signal_adu: float
) -> tuple[Figure, ...]:
    parts, n = spatial_variances(response, kept, noise), int(kept.sum())
    everything = 100 * max(float(np.var(response)) - noise, 0.0) ** 0.5
    uncertainty = 100 * (parts.total + noise) / max(parts.total, noise / n**0.5) ** 0.5 / (2 * n) ** 0.5
    return (
        Figure("prnu", 100 * parts.total**0.5, "%", uncertainty, n),
        Figure("prnu_all", everything, "%", None, response.size),
        Figure("prnu_row", 100 * parts.row**0.5, "%", None, n),
        Figure("prnu_column", 100 * parts.column**0.5, "%", None, n),
        Figure("prnu_pixel", 100 * parts.pixel**0.5, "%", None, n),
        Figure("signal", signal_adu, "ADU", None, n),
    )


def relative_response(
    dark: PixelMoments, lit: PixelMoments, trusted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return each pixel's signal over the light's smooth shape, (y, x), about 1.

    Raises
    ------
    InputError
        The signal is not far above the noise.
    """
    signal = (lit.mean_adu - dark.mean_adu).astype(np.float64)
    middle = float(np.median(signal[trusted]))
    noise_adu = float(np.median(np.sqrt(dark.variance_adu2[trusted])))
    if not middle > LEAST_SIGNAL_SIGMAS * noise_adu:
        raise InputError(
            f"expected light {LEAST_SIGNAL_SIGMAS:g} times above the dark noise of {noise_adu:.3g} ADU; got "
            f"{middle:.3g} ADU. Set the light to half of full scale."
        )
    return signal / smooth_shape(signal, trusted)


def smooth_shape(signal: NDArray[np.float64], trusted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the polynomial in y and x of degree `SHAPE_ORDER` through the trusted pixels, (y, x).

    Fitted to the means of the trusted pixels of 32 x 32 tiles.
    """
    n_y, n_x = (min(32, n) for n in signal.shape)
    rows = np.array_split(np.arange(signal.shape[0]), n_y)
    columns = np.array_split(np.arange(signal.shape[1]), n_x)
    masked = np.where(trusted, signal, np.nan)
    tiles = [[np.nanmean(_tile(masked, r, c)) for c in columns] for r in rows]
    values = np.asarray(tiles)
    at_y = _legendre([_centre(r, signal.shape[0]) for r in rows])
    at_x = _legendre([_centre(c, signal.shape[1]) for c in columns])
    terms = [(i, j) for i in range(at_y.shape[1]) for j in range(at_x.shape[1]) if i + j <= SHAPE_ORDER]
    design = np.stack([np.outer(at_y[:, i], at_x[:, j]).ravel() for i, j in terms], axis=1)
    is_known = np.isfinite(values.ravel())
    found, *_ = np.linalg.lstsq(design[is_known], values.ravel()[is_known], rcond=None)
    coefficients = np.zeros((at_y.shape[1], at_x.shape[1]))
    coefficients[tuple(np.transpose(terms))] = found
    all_y = _legendre(np.linspace(-1, 1, 2 * signal.shape[0] + 1)[1::2])
    all_x = _legendre(np.linspace(-1, 1, 2 * signal.shape[1] + 1)[1::2])
    return all_y @ coefficients @ all_x.T


def _tile(
    masked: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float64]:
    tile = masked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (
        tile if np.isfinite(tile).any() else np.full((1, 1), np.inf)
    )  # no trusted pixel: left out of the fit


def _centre(indices: NDArray[np.intp], n: int) -> float:
    return (indices[0] + indices[-1] + 1) / n - 1


def _legendre(positions: Iterable[float]) -> NDArray[np.float64]:
    return np.polynomial.legendre.legvander(np.asarray(positions, float), SHAPE_ORDER)


def _noise(moments: PixelMoments, kept: NDArray[np.bool_]) -> float:
    return float(np.mean(moments.variance_adu2[kept], dtype=np.float64)) / moments.n_frames


def protocol(channel: str = "uniform light", exposure_ms: float = 50.0, n_frames: int = 100) -> Protocol:
    """Return how to acquire frames for the PRNU."""
    sequence = time_series(channel, exposure_ms, n_frames)
    return Protocol(
        routine=ROUTINE.name,
        sample="uniform fluorescent slide far out of focus, or transmitted light without a sample",
        sequence=sequence,
        exposure="half of full scale; then as many frames of the same exposure in the dark",
        duration_s=2 * sequence_s(sequence),
        steps=("Put the slide on and defocus until no structure is seen", "Let the lamp warm up"),
        every_days=180,
        parameters={"n_frames": n_frames},
        source="EMVA 1288 release 4.0, section 8",
    )


ROUTINE = Routine(
    name="uniformity",
    title="Camera response uniformity",
    holds_for=("camera",),
    measure=measure_uniformity,
    inputs={"dark": "TYX dark counts, ADU; or moments", "bright": "TYX counts, ADU; or moments"},
    figures={
        "prnu": FigureNames("%", "Standard deviation of the pixels' response (PRNU1288), noise taken out"),
        "prnu_all": FigureNames("%", "As prnu, with defects"),
        "prnu_row": FigureNames("%", "Part that whole rows share"),
        "prnu_column": FigureNames("%", "Part that whole columns share"),
        "prnu_pixel": FigureNames("%", "Part that is each pixel's own"),
        "signal": FigureNames("ADU", "Mean less dark mean"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "dust or fingerprints on the sensor window or in the light path",
            "Look for rings and spots in the map; turn the camera: what stays is on the sensor window",
            ("prnu", "prnu_all", "prnu_pixel"),
            OURS,
        ),
        Cause(
            "interference fringes of coherent light (etaloning)",
            "Look for fringes in the map; repeat with broadband light",
            ("prnu", "prnu_pixel"),
            OURS,
        ),
        Cause(
            "structure of the slide in the image",
            "Defocus further or move the stage during the series",
            ("prnu", "prnu_all"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
