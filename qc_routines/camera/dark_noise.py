"""Offset, read noise and fixed pattern of a camera in the dark.

EMVA 1288 release 4.0 (https://www.emva.org), sections 8.2 (spatial variances) and 6.4 (dark noise). Temporal noise is
the standard deviation in time, offset the mean in time; DSNU is the standard deviation of the offsets over pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.camera.moments import PixelMoments, as_moments
from qc_routines.camera.pixels import common_variance_adu2, is_trusted, need_frames
from qc_routines.camera.spatial import spatial_variances
from qc_routines.few import sd_uncertainty, widened
from qc_routines.protocols import Protocol, sequence_s, time_series
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import Expected

QUANTISATION_ADU2 = 1 / 12
QUARTILES_APART = 1.349
"""Of a normal distribution, in standard deviations."""
LEAST_VARIANCE_ADU2 = 0.24
"""Below this a count hardly ever changes and its variance says little: EMVA 1288 release 4.0, section 6.4."""


def measure_dark_noise(
    dark: PixelMoments | Iterable[NDArray[np.generic]], conversion_e_per_adu: float | None = None
) -> Measurement:
    """Return offset, read noise and DSNU of frames taken in the dark.

    Parameters
    ----------
    dark : PixelMoments or iterable of ndarray, (y, x)
        At least two frames of the shortest exposure without light; 20 for the noise, 100 for maps.
    conversion_e_per_adu : float, optional
        Electrons per count, from `measure_photon_transfer`; without it there are no figures in electrons.

    Returns
    -------
    Measurement
        Figures without `_all` leave out pixels whose level or noise is an outlier. What all pixels do together
        from frame to frame (`offset_instability`) is taken out of the noise. Median and mean of the pixels' noise are
        those of many frames: of few, a root of a variance is too small. Counts that hardly ever change (rms below half a
        count) state no uncertainty of it. Map ``read_noise_adu``.

    Raises
    ------
    InputError
        Fewer than two usable frames.
    """
    moments = as_moments(dark)
    need_frames(moments, 2, "dark")
    trusted = is_trusted(moments)
    figures = [*_offset(moments, trusted), *_noise(moments, trusted), *_pattern(moments, trusted)]
    electrons = [_in_electrons(f, conversion_e_per_adu) for f in figures if f.name in IN_ELECTRONS]
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(*figures, *electrons),
        n_used=moments.n_frames,
        n_rejected=moments.n_rejected,
        parameters={"conversion_e_per_adu": conversion_e_per_adu},
        inputs=(input_of("mean of dark frames", moments.mean_adu),),
        maps={"read_noise_adu": np.sqrt(moments.variance_adu2), "offset_adu": moments.mean_adu},
    )


def _offset(moments: PixelMoments, trusted: NDArray[np.bool_]) -> list[Figure]:
    n = moments.n_frames
    means_adu = moments.frame_means_adu
    scatter_adu = float(np.std(means_adu, ddof=1))
    offset_adu = float(np.mean(moments.mean_adu[trusted], dtype=np.float64))
    return [
        Figure("offset", offset_adu, "ADU", widened(scatter_adu / n**0.5, n - 1), n),
        Figure("offset_instability", scatter_adu, "ADU", sd_uncertainty(scatter_adu, n - 1), n),
        Figure("offset_range", float(np.ptp(means_adu)), "ADU", None, n),
        Figure("n_pixels_left_out", int(np.sum(~trusted)), "1", None, trusted.size),
    ]


def _noise(moments: PixelMoments, trusted: NDArray[np.bool_]) -> list[Figure]:
    """Return rms, median and mean of the pixels' noise, and the rms over all pixels."""
    variance = moments.variance_adu2 - np.float32(common_variance_adu2(moments))
    kept, n_free = np.maximum(variance[trusted], 0.0), moments.n_frames - 1
    rms, n = _root_mean(kept), kept.size
    changes = rms**2 >= LEAST_VARIANCE_ADU2
    of_rms = rms * (2.0 * _spread(kept) / n_free / n) ** 0.5 / 2
    mean, of_mean = _mean_sigma(kept, n_free)
    median, of_median = _median_sigma(kept, n_free)
    dark_noise = (max(rms**2, LEAST_VARIANCE_ADU2) - QUANTISATION_ADU2) ** 0.5
    return [
        Figure("read_noise_rms", rms, "ADU", of_rms, n),
        Figure("read_noise_median", median, "ADU", of_median if changes else None, n),
        Figure("read_noise_mean", mean, "ADU", of_mean if changes else None, n),
        Figure("read_noise_rms_all", _root_mean(variance), "ADU", None, variance.size),
        Figure("dark_noise", dark_noise, "ADU", rms * of_rms / dark_noise if changes else None, n),
    ]


def _mean_sigma(variance: NDArray[np.float32], n_free: int) -> tuple[float, float]:
    """Return the mean of the pixels' standard deviations, and its uncertainty.

    The root of a sample variance s² with n degrees of freedom is too small by 1 - 1/(4n) on average, and its own variance
    is s²/(2n): c4 of the NIST/SEMATECH e-Handbook of Statistical Methods, section 6.3.2, to first order.
    """
    too_small = 1 - 1 / (4 * n_free)
    mean = float(np.mean(np.sqrt(variance), dtype=np.float64)) / too_small
    return mean, _root_mean(variance) / (2 * n_free * variance.size) ** 0.5


def _median_sigma(variance: NDArray[np.float32], n_free: int) -> tuple[float, float | None]:
    """Return the median of the pixels' standard deviations, and how it scatters from run to run of the same pixels.

    Logarithms of the pixels' noise are normal here, with standard deviation t, of which w = 1/sqrt(2n) is chance of n
    degrees of freedom. Of log s the mean is too small by 1/(2n), and the median by the skewness less: w⁴/(3 t²). A pixel is
    above the median in one run and below it in the next with probability 2 x arccos(1 - w²/t²)/(2 pi), from the orthant
    probability of two normal deviates; so log median has the variance t² arccos(1 - w²/t²)/N. Of equal pixels that is
    the pi/2 w²/N of any median; of unequal ones few lie near enough to change sides, yet those that there are count for more.
    """
    low, median, high = (float(v) for v in np.sqrt(np.percentile(variance, (25, 50, 75))))
    of_chance2 = 1 / (2 * n_free)
    if low <= 0:
        return median, None
    spread2 = max((np.log(high / low) / QUARTILES_APART) ** 2, of_chance2)
    too_small = float(np.exp(of_chance2**2 / (3 * spread2) - of_chance2))
    uncertainty = median * float(np.sqrt(spread2 * np.arccos(1 - of_chance2 / spread2) / variance.size))
    return median / too_small, uncertainty


def _pattern(moments: PixelMoments, trusted: NDArray[np.bool_]) -> list[Figure]:
    noise_adu2 = float(np.mean(moments.variance_adu2[trusted], dtype=np.float64)) / moments.n_frames
    clean = spatial_variances(moments.mean_adu, trusted, noise_adu2)
    everything = float(np.var(moments.mean_adu, dtype=np.float64))
    own = everything - float(np.mean(moments.variance_adu2, dtype=np.float64)) / moments.n_frames
    n = int(trusted.sum())
    uncertainty = (clean.total + noise_adu2) / max(clean.total, noise_adu2 / n) ** 0.5 / (2 * n) ** 0.5
    return [
        Figure("dsnu", clean.total**0.5, "ADU", uncertainty, n),
        Figure("dsnu_all", max(own, 0.0) ** 0.5, "ADU", None, moments.mean_adu.size),
        Figure("dsnu_row", clean.row**0.5, "ADU", None, n),
        Figure("dsnu_column", clean.column**0.5, "ADU", None, n),
        Figure("dsnu_pixel", clean.pixel**0.5, "ADU", None, n),
    ]


def _root_mean(variance_adu2: NDArray[np.floating]) -> float:
    return max(float(np.mean(variance_adu2, dtype=np.float64)), 0.0) ** 0.5


def _spread(variance: NDArray[np.floating]) -> float:
    """Return mean(v²)/mean(v)²: how much less a mean over unequal variances tells than one over equal ones."""
    mean = float(np.mean(variance, dtype=np.float64))
    return float(np.mean(np.square(variance, dtype=np.float64))) / mean**2 if mean > 0 else 1.0


def _in_electrons(figure: Figure, conversion: float | None) -> Figure:
    value = None if conversion is None or figure.value is None else figure.value * conversion
    known = conversion is not None and figure.uncertainty is not None
    uncertainty = figure.uncertainty * conversion if known else None
    return Figure(f"{figure.name}_e", value, "e-", uncertainty, figure.n)


def theory(read_noise_e: float) -> tuple[Expected, ...]:
    """Return what the maker's data sheet says, e- rms."""
    return (Expected("dark_noise_e", read_noise_e, "e-", "data_sheet", "the camera's data sheet"),)


def protocol(channel: str = "dark", shortest_exposure_ms: float = 1.0, n_frames: int = 100) -> Protocol:
    """Return how to acquire dark frames."""
    sequence = time_series(channel, shortest_exposure_ms, n_frames)
    return Protocol(
        routine=ROUTINE.name,
        sample="none; camera port closed",
        sequence=sequence,
        exposure="shortest exposure, full sensor, binning 1, cooled and settled; the gain and readout mode in use",
        duration_s=sequence_s(sequence),
        steps=(
            "Close the shutter or block the camera port",
            "Switch the room light off",
            "Wait for the cooling",
        ),
        every_days=90,
        is_automatic=True,
        parameters={"n_frames": n_frames, "shortest_exposure_ms": shortest_exposure_ms},
        source="EMVA 1288 release 4.0, section 6.4; number of frames for the maps: ours",
    )


IN_ELECTRONS = ("read_noise_rms", "read_noise_median", "read_noise_mean", "read_noise_rms_all", "dark_noise",
                "dsnu", "dsnu_all", "dsnu_row", "dsnu_column", "dsnu_pixel")  # fmt: skip

_MEANINGS = {
    "offset": "Mean count in the dark",
    "offset_instability": "Standard deviation of the frames' means",
    "offset_range": "Largest less smallest mean of a frame",
    "n_pixels_left_out": "Pixels whose level or noise is an outlier",
    "read_noise_rms": "Root mean square of the pixels' standard deviations in time",
    "read_noise_median": "Median of the pixels' standard deviations in time",
    "read_noise_mean": "Mean of the pixels' standard deviations in time",
    "read_noise_rms_all": "As read_noise_rms, with defects",
    "dark_noise": "As read_noise_rms, less the noise of rounding to whole counts (EMVA 1288)",
    "dsnu": "Standard deviation of the pixels' offsets (DSNU1288), noise taken out",
    "dsnu_all": "As dsnu, with defects",
    "dsnu_row": "Part of the DSNU that whole rows share",
    "dsnu_column": "Part of the DSNU that whole columns share",
    "dsnu_pixel": "Part of the DSNU that is each pixel's own",
}
_METROLOJ = {"offset": "offset", "read_noise_rms_e": "rms noise", "read_noise_median_e": "median noise",
             "dsnu_all_e": "DSNU"}  # fmt: skip

ROUTINE = Routine(
    name="dark_noise",
    title="Camera offset, read noise and dark pattern",
    holds_for=("camera",),
    measure=measure_dark_noise,
    inputs={"dark": "TYX counts in the dark, ADU; or their moments"},
    figures={
        name: FigureNames("1" if name.startswith("n_") else "ADU", meaning, None, _METROLOJ.get(name))
        for name, meaning in _MEANINGS.items()
    }
    | {
        f"{name}_e": FigureNames("e-", _MEANINGS[name], None, _METROLOJ.get(f"{name}_e"))
        for name in IN_ELECTRONS
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "light reaches the camera",
            "Close the port, switch the room light off, compare with a capped camera",
            ("offset", "offset_range", "dark_noise", "dark_noise_e", "dsnu", "dsnu_e"),
            OURS,
        ),
        Cause(
            "sensor not at its temperature",
            "Read the sensor temperature; let it settle; clean the fan and filters",
            ("offset", "offset_instability", "offset_range", "dark_noise", "dark_noise_e", "dsnu", "dsnu_e"),
            OURS,
        ),
        Cause(
            "other gain, readout rate or mode than on the data sheet",
            "Compare the camera's settings with those of the data sheet's figure",
            ("read_noise_rms_e", "read_noise_median_e", "dark_noise_e"),
            OURS,
        ),
        Cause(
            "interference from the supply or a cable",
            "Look for stripes in the mean frame; move the power supply, try another cable",
            ("dsnu_row", "dsnu_row_e", "dsnu_column", "dsnu_column_e", "read_noise_rms_e"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
