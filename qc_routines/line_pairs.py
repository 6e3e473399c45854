"""Which spacing of two lines is still seen as two: contrast by spacing.

A *region* shows one pair of bright lines. Its profile across the lines is the mean along them; *ground* is the
profile's dark level, *peaks* are the two lines, *dip* is the least value between them, all above ground.
Contrast = (peak - dip)/(peak + dip). Two points at Rayleigh's distance dip to 73.5 % of their peaks, a contrast of
0.153; Born & Wolf, Principles of Optics, section 8.6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines._inputs import checked_counts
from qc_routines.advice import OURS, Cause
from qc_routines.conditions import Optics
from qc_routines.errors import InputError, reason_of
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement, Scalar
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import SOURCES, Expected, lateral_fwhm_um

RAYLEIGH_CONTRAST = 0.153
BLOCKS = 8
"""Pieces along the lines, whose disagreement is the noise's part of the uncertainty (jackknife)."""
N_PHASES = 16
"""Places of a pixel at which the pixels' part is asked for."""
SPACINGS_UM = tuple(round(0.10 + 0.05 * k, 2) for k in range(23))
"""Of the simulated slide; state those of yours."""
SEARCH = 0.45
"""Peaks are looked for within this part of the spacing from where they should be."""


def measure_line_pairs(
    regions: Sequence[NDArray[np.generic]],
    spacing_um: ArrayLike,
    pixel_size_um: float,
    lines_along: Literal["y", "x"] = "y",
) -> Measurement:
    """Return contrast for each pair of lines and the smallest spacing that is resolved.

    Parameters
    ----------
    regions : sequence of ndarray, (y, x)
        One pair in the middle of each, with dark ground to both sides, ADU.
    spacing_um : array_like, (n,)
        Distance of the lines of each pair, centre to centre.
    pixel_size_um : float
        Across the lines.
    lines_along : "y" or "x"
        Axis that the lines follow.

    Returns
    -------
    Measurement
        A region that shows no pair is counted and left out. ``smallest_resolved`` lies where contrast crosses 0.153,
        linear between two pairs; None when it never does.

    Raises
    ------
    InputError
        No region, unequal lengths, or a pixel size that is none.
    """
    spacing = np.asarray(spacing_um, float)
    if spacing.ndim != 1 or len(regions) != spacing.size or spacing.size == 0:
        raise InputError(f"expected one spacing for each region; got {spacing.shape} and {len(regions)}")
    if not pixel_size_um > 0 or lines_along not in ("y", "x"):
        raise InputError(
            f"expected a positive pixel size and lines along y or x; got {pixel_size_um}, {lines_along}"
        )
    contrasts, sigmas, reasons = _contrasts(regions, spacing / pixel_size_um, lines_along)
    order = np.argsort(spacing)
    smallest, uncertainty = _crossing(spacing[order], contrasts[order], sigmas[order])
    known = np.isfinite(contrasts)
    best = float(np.nanmax(contrasts)) if known.any() else None
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=(
            Figure("smallest_resolved", smallest, "um", uncertainty, int(known.sum())),
            Figure("largest_contrast", best, "1", None, int(known.sum())),
            Figure(
                "n_resolved", int(np.sum(contrasts[known] >= RAYLEIGH_CONTRAST)), "1", None, int(known.sum())
            ),
        ),
        n_used=int(known.sum()),
        n_rejected=reasons,
        parameters=_parameters(pixel_size_um, lines_along),
        remarks=_remarks(smallest, known),
        table={"spacing_um": spacing, "contrast": contrasts, "contrast_uncertainty": sigmas},
    )


def _remarks(smallest: object, known: NDArray[np.bool_]) -> tuple[str, ...]:
    if not known.any():
        return ("No pair of lines was measured. Check focus, slide, exposure and where the pairs are.",)
    return () if smallest is not None else ("Contrast does not cross Rayleigh's within these spacings.",)


def _parameters(pixel_size_um: float, lines_along: str) -> dict[str, Scalar]:
    return {
        "pixel_size_um": pixel_size_um,
        "lines_along": lines_along,
        "rayleigh_contrast": RAYLEIGH_CONTRAST,
    }


def _contrasts(
    regions: Sequence[NDArray[np.generic]], spacing_px: NDArray[np.float64], lines_along: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, int]]:
    values, sigmas = np.full((2, len(regions)), np.nan)
    reasons: dict[str, int] = {}
    for i, region in enumerate(regions):
        try:
            values[i], sigmas[i] = pair_contrast(region, float(spacing_px[i]), lines_along)
        except InputError as error:
            reason = reason_of(error)
            reasons[reason] = reasons.get(reason, 0) + 1
    return values, sigmas, reasons


def pair_contrast(
    region: NDArray[np.generic], spacing_px: float, lines_along: str = "y"
) -> tuple[float, float]:
    """Return contrast of the pair in a region and its uncertainty.

    Of three parts: the noise, by jackknife over blocks along the lines; that of extreme values, which lean on the noise;
    and where the lines happen to fall on the pixels, which is alike along lines that follow the pixels. How well the
    image was focused it does not know.

    Raises
    ------
    InputError
        Wrong axes, NaN, too small for the spacing, or no line above the noise.
    """
    pixels = checked_counts(region, "YX", "region")
    across = pixels.astype(float) if lines_along == "y" else pixels.T.astype(float)
    if not np.isfinite(across).all():
        raise InputError("expected a region with finite counts; got NaN or infinity")
    if across.shape[1] < 2 * spacing_px + 5 or across.shape[0] < 2:
        raise InputError(
            f"expected a region twice as wide as the spacing; got {across.shape[1]} px for {spacing_px:g} px"
        )
    blocks = [block.mean(axis=0) for block in np.array_split(across, min(BLOCKS, across.shape[0]))]
    profile = np.mean(blocks, axis=0)
    noise = float(np.median(np.std(blocks, axis=0, ddof=1))) / len(blocks) ** 0.5
    centre = _pair_centre(profile, noise)
    contrast = _contrast_at(profile, centre, spacing_px)
    total = np.sum(blocks, axis=0)
    without = [_contrast_at((total - block) / (len(blocks) - 1), centre, spacing_px) for block in blocks]
    n = len(blocks)
    by_blocks = (n - 1) / n * float(np.sum((np.array(without) - np.mean(without)) ** 2))
    of_extremes = noise / max(float(np.ptp(profile)), 1e-12)
    of_pixels = _pixels_part(profile, centre, spacing_px)
    return contrast, float(np.sqrt(by_blocks + of_extremes**2 + of_pixels**2))


def _pixels_part(profile: NDArray[np.float64], centre: float, spacing_px: float) -> float:
    """Return the SD of the contrast over where the pixels fall on two lines like these.

    The lines are the two equal Gaussians that come nearest to the profile, sampled anew at places within a pixel.
    """
    x = np.arange(profile.size)
    shift, sigma = np.meshgrid(
        np.linspace(-1, 1, 21), np.geomspace(0.35, max(spacing_px, 3.0), 40), indexing="ij"
    )
    models = _two_lines(x, centre + shift[..., None], sigma[..., None], spacing_px)
    off = models - models.mean(axis=-1, keepdims=True)
    likeness = off @ (profile - profile.mean()) / np.linalg.norm(off, axis=-1)
    best = np.unravel_index(np.argmax(likeness), likeness.shape)
    places = centre + shift[best] + np.arange(N_PHASES) / N_PHASES
    contrasts = [
        _contrast_at(_two_lines(x, place, sigma[best], spacing_px), place, spacing_px) for place in places
    ]
    return float(np.std(contrasts))


def _two_lines(x: NDArray[np.float64], centre: Any, sigma: Any, spacing: float) -> NDArray[np.float64]:
    lines = [np.exp(-(((x - centre + side * spacing / 2) / sigma) ** 2) / 2) for side in (-1, 1)]
    return np.asarray(lines[0] + lines[1])


def _pair_centre(profile: NDArray[np.float64], noise: float) -> float:
    """Return the centre of the light above ground, px."""
    ground = float(np.percentile(profile, 20))
    light = profile - ground
    if not light.max() > max(6 * noise, 1e-9 * abs(ground)):
        raise InputError("expected a pair of lines above the noise; got nothing visible")
    light = np.where(light > 0.3 * light.max(), light, 0.0)
    return float(np.sum(light * np.arange(light.size)) / light.sum())


def _contrast_at(profile: NDArray[np.float64], centre: float, spacing_px: float) -> float:
    """Return the contrast of peaks near centre ± spacing/2 and the dip between, on a spline through samples."""
    ground = float(np.percentile(profile, 20))
    fine = np.arange(0, profile.size - 1 + 1e-9, 0.1)
    curve = _interpolated(profile - ground, fine)
    peaks = [
        _largest_near(fine, curve, centre + side * spacing_px / 2, SEARCH * spacing_px) for side in (-1, 1)
    ]
    between = (fine >= fine[peaks[0]]) & (fine <= fine[peaks[1]])
    peak, dip = (curve[peaks[0]] + curve[peaks[1]]) / 2, max(float(curve[between].min()), 0.0)
    return float((peak - dip) / (peak + dip)) if peak + dip > 0 else 0.0


def _largest_near(fine: NDArray[np.float64], curve: NDArray[np.float64], place: float, within: float) -> int:
    near = np.flatnonzero(np.abs(fine - place) <= max(within, 0.5))
    if near.size == 0:
        raise InputError("expected the pair in the middle of its region; got it at an end")
    return int(near[np.argmax(curve[near])])


def _interpolated(samples: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the natural cubic spline through samples at places within them."""
    n = samples.size
    bends = np.zeros(n)  # second derivatives, 0 at both ends
    matrix = 4 * np.eye(n - 2) + np.eye(n - 2, k=1) + np.eye(n - 2, k=-1)
    bends[1:-1] = np.linalg.solve(matrix, 6 * np.diff(samples, 2))
    i = np.minimum(places.astype(int), n - 2)
    t = places - i
    left, right = 1 - t, t
    straight = left * samples[i] + right * samples[i + 1]
    return straight + ((left**3 - left) * bends[i] + (right**3 - right) * bends[i + 1]) / 6


def _crossing(
    spacing: NDArray[np.float64], contrast: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Return where contrast last rises through Rayleigh's, going to wider spacings, and its uncertainty."""
    known = np.isfinite(contrast)
    spacing, contrast, sigma = spacing[known], contrast[known], sigma[known]
    below = np.flatnonzero(contrast < RAYLEIGH_CONTRAST)
    if below.size == 0 or below[-1] == spacing.size - 1:
        return None, None
    i = int(below[-1])
    rise = (contrast[i + 1] - contrast[i]) / (spacing[i + 1] - spacing[i])
    t = (RAYLEIGH_CONTRAST - contrast[i]) / (contrast[i + 1] - contrast[i])
    u = float(np.hypot((1 - t) * sigma[i], t * sigma[i + 1])) / rise
    return float(spacing[i] + t * (spacing[i + 1] - spacing[i])), u


def theory(optics: Optics) -> tuple[Expected, ...]:
    """Return Rayleigh's distance from the lateral FWHM: 0.61/0.51 of it, both being fractions of wavelength/NA."""
    distance_um = lateral_fwhm_um(optics) * 0.61 / 0.51
    return (Expected("smallest_resolved", distance_um, "um", "rayleigh_distance", SOURCES["metroloj_qc"]),)


def protocol(
    channel: str = "FITC",
    exposure_ms: float = 50.0,
    spacing_um: Sequence[float] = SPACINGS_UM,
    pitch_um: float = 8.0,
    first_um: float = 0.0,
) -> Protocol:
    """Return how to acquire line pairs: one image for each, with the pair in its middle.

    Pairs stand `pitch_um` apart along x, in the order of `spacing_um`, the first `first_um` from where the stage stands.
    """
    places = [{"x": round(first_um + k * pitch_um, 3), "y": 0.0} for k in range(len(spacing_um))]
    return Protocol(
        routine="line_pairs",
        sample="slide with pairs of lines of graded spacing (Argolight pattern E)",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms}],
            "stage_positions": places,
        },
        exposure="lines at half of full scale, Nyquist sampling or finer",
        duration_s=round(len(places) * (exposure_ms / 1000 + 1.0), 1),
        steps=(
            "Focus on the lines, the first pair in the middle of the field",
            "Turn the slide or camera until the lines follow the pixels",
        ),
        every_days=182,
        is_automatic=True,
        parameters={"exposure_ms": exposure_ms, "pitch_um": pitch_um, "n_pairs": len(places)},
        source="microscopemetrics (argolight.py, pattern E); one image for each pair: ours",
    )


def pair_region(image: NDArray[np.generic], pixel_size_um: float, pitch_um: float) -> NDArray[np.generic]:
    """Return the part of an image, lines along y, that shows the pair in its middle and no neighbour.

    Examples
    --------
    >>> pair_region(np.zeros((50, 200)), pixel_size_um=0.1, pitch_um=8.0).shape
    (50, 80)
    """
    columns = image.shape[1]
    half = min(round(pitch_um / pixel_size_um / 2), columns // 2)
    return image[:, columns // 2 - half : columns // 2 + half]


ROUTINE = Routine(
    name="line_pairs",
    title="Resolution by line pairs",
    measure=measure_line_pairs,
    inputs={
        "regions": "sequence of YX counts, ADU, one pair each",
        "spacing_um": "distance of the lines, um",
    },
    figures={
        "smallest_resolved": FigureNames("um", "Spacing at which contrast is Rayleigh's"),
        "largest_contrast": FigureNames("1", "Of all pairs"),
        "n_resolved": FigureNames("1", "Pairs with at least Rayleigh's contrast"),
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "focus, cover glass or immersion",
            "Focus again; set the correction collar; check immersion and temperature",
            ("smallest_resolved", "largest_contrast", "n_resolved"),
            OURS,
        ),
        Cause(
            "front lens dirty or damaged",
            "Inspect and clean it; compare with a bead's PSF",
            ("smallest_resolved", "largest_contrast", "n_resolved"),
            OURS,
        ),
        Cause(
            "lines not along the pixels, or pixels too large",
            "Turn slide or camera; check the sampling",
            ("smallest_resolved", "n_resolved"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
