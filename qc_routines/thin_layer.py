"""Axial resolution over the field, from a z stack of a thin fluorescent or reflecting layer.

The layer is thinner than the resolution; the width of its z profile is the axial resolution for a plane, as in
MetroloJ_QC (zProfiler.java). FWHM = 2 sqrt(2 ln 2) sigma of a Gaussian fitted to the mean profile of each tile.
"""

from __future__ import annotations

from dataclasses import replace
from math import atan, degrees, hypot

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines._inputs import checked_counts
from qc_routines.advice import OURS, Cause
from qc_routines.bell_curve import BellCurve, fit_bell
from qc_routines.conditions import Optics
from qc_routines.errors import InputError, counted
from qc_routines.protocols import Protocol, sequence_s, z_stack
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import FWHM_PER_SIGMA, SOURCES, Expected, axial_fwhm_um
from qc_routines.tiles import tile_map

LEAST_SLICES = 7
TILES = 8
LEAST_R2 = 0.9
SLICES_IN_FWHM = 3.0
"""A Gaussian fitted to a profile that is none is some percent too wide where fewer slices than this lie within the FWHM."""


def measure_thin_layer(
    stack: NDArray[np.generic], z_um: ArrayLike, pixel_size_um: float | None = None, n_tiles: int = TILES
) -> Measurement:
    """Return FWHM of the layer's z profile, its spread over the field, and the layer's tilt.

    Parameters
    ----------
    stack : ndarray, (z, y, x)
        ADU. Hot pixels, NaN and slices without light are borne.
    z_um : array_like, (z,)
        Position of each slice.
    pixel_size_um : float, optional
        In the sample, for the tilt.
    n_tiles : int
        Along the shorter side of the image.

    Returns
    -------
    Measurement
        Tiles without a peak are left out by reason. Maps ``fwhm_um`` and ``height_um``, (n_y, n_x).

    Raises
    ------
    InputError
        Wrong axes, too few slices, or no layer in any tile.
    """
    pixels, z = checked_counts(stack, "ZYX", "stack"), np.asarray(z_um, float)
    if len(pixels) < LEAST_SLICES or z.shape != (len(pixels),) or not np.all(np.diff(z) != 0):
        raise InputError(
            f"expected {LEAST_SLICES} slices or more, each with its z; got {len(pixels)} and {z.shape}"
        )
    tile_px = max(1, min(pixels.shape[1:]) // n_tiles)
    maps = [tile_map(image, tile_px) for image in pixels]
    profiles = np.stack([m.mean_adu for m in maps])
    fits, reasons = _fits(z, profiles)
    figures = _figures(fits, maps[0].y_px, maps[0].x_px, pixel_size_um)
    n_used = sum(fit is not None for row in fits for fit in row)
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=figures,
        n_used=n_used,
        n_rejected=reasons,
        parameters={"tile_px": tile_px, "pixel_size_um": pixel_size_um, "least_r2": LEAST_R2},
        inputs=(input_of("stack", pixels),),
        remarks=_remarks(figures[0].value or 0.0, z),
        maps={
            "fwhm_um": _map(fits, lambda fit: FWHM_PER_SIGMA * fit.sigma),
            "height_um": _map(fits, lambda fit: fit.centre),
        },
    )


def _fits(
    z: NDArray[np.float64], profiles: NDArray[np.float64]
) -> tuple[list[list[BellCurve | None]], dict[str, int]]:
    """Return the fit of each tile or None, and why not."""
    reasons: dict[str, int] = {}
    fits: list[list[BellCurve | None]] = []
    for i in range(profiles.shape[1]):
        fits.append([])
        for j in range(profiles.shape[2]):
            fit, reason = _fit(z, profiles[:, i, j])
            fits[-1].append(fit)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
    if not any(fit for row in fits for fit in row):
        raise InputError(
            f"expected a layer inside the stack; got none in any tile ({counted(reasons)}). Widen the stack, check light"
        )
    return fits, reasons


def _fit(z: NDArray[np.float64], profile: NDArray[np.float64]) -> tuple[BellCurve | None, str | None]:
    known = np.isfinite(profile)
    if known.sum() < LEAST_SLICES:
        return None, "not finite"
    fit = fit_bell(z[known], profile[known])
    if fit is not None and not known.all():
        influence = np.zeros((z.size, 2))
        influence[known] = fit.influence
        fit = replace(fit, influence=influence)
    if fit is None or fit.r2 < LEAST_R2:
        return None, "no peak"
    half = FWHM_PER_SIGMA * fit.sigma / 2
    if not (z.min() + half < fit.centre < z.max() - half):
        return None, "peak cut off by the stack"
    return fit, None


def _figures(
    fits: list[list[BellCurve | None]],
    y_px: NDArray[np.float64],
    x_px: NDArray[np.float64],
    pixel_size_um: float | None,
) -> tuple[Figure, ...]:
    good = [
        (y, x, fit)
        for y, row in zip(y_px, fits, strict=True)
        for x, fit in zip(x_px, row, strict=True)
        if fit
    ]
    fwhm = FWHM_PER_SIGMA * np.array([fit.sigma for *_, fit in good])
    height, n = np.array([fit.centre for *_, fit in good]), len(good)
    of_height, of_sigma = np.moveaxis(np.stack([fit.influence for *_, fit in good]), 2, 0)  # (tiles, slices)
    of_fwhm, spread = FWHM_PER_SIGMA * of_sigma, float(fwhm.std(ddof=1)) if n > 1 else 0.0
    by_fwhm = (fwhm - fwhm.mean()) / (max(n - 1, 1) * spread or 1.0)
    figures = [
        Figure(
            "fwhm_z",
            float(np.median(fwhm)),
            "um",
            hypot(_shared(of_fwhm, np.full(n, 1 / n)), 1.2533 * spread / n**0.5),
            n,
        ),
        Figure("fwhm_z_sd", spread if n > 1 else None, "um", _shared(of_fwhm, by_fwhm) if n > 1 else None, n),
        Figure("fwhm_z_largest", float(fwhm.max()), "um", None, n),
        Figure("r2", float(np.median([fit.r2 for *_, fit in good])), "1", None, n),
        Figure("height_range", float(np.ptp(height)), "um", None, n),
    ]
    return (*figures, *_tilt([(y, x) for y, x, _ in good], height, of_height, pixel_size_um))


def _remarks(fwhm_um: float, z_um: NDArray[np.float64]) -> tuple[str, ...]:
    step_um = float(np.median(np.abs(np.diff(z_um))))
    if fwhm_um >= SLICES_IN_FWHM * step_um:
        return ()
    return (
        f"Only {fwhm_um / step_um:.1f} slices lie within the FWHM: the width may be some percent too large. Take steps of "
        f"{fwhm_um / SLICES_IN_FWHM:.2g} um or less.",
    )


def _shared(influence: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return one sigma of a weighted sum over tiles: all of them are seen at the same heights of the drive.

    What the drive scatters about these, no number of tiles averages away.
    """
    return float(np.sqrt(np.sum((weights @ influence) ** 2)))


def _tilt(
    places_px: list[tuple[float, float]],
    height_um: NDArray[np.float64],
    influence: NDArray[np.float64],
    pixel_size_um: float | None,
) -> list[Figure]:
    """Return the slopes of a plane through the heights, deg, and the scatter about it."""
    names, n = ("tilt_y", "tilt_x"), len(places_px)
    if pixel_size_um is None or n < 4:
        return [Figure(name, None, "deg", None, n) for name in names] + [
            Figure("flatness", None, "um", None, n)
        ]
    design = np.column_stack([np.array(places_px) * pixel_size_um, np.ones(n)])
    by_height = np.linalg.pinv(design)
    plane = by_height @ height_um
    residuals = height_um - design @ plane
    flatness = float(np.sum(residuals**2) / (n - 3)) ** 0.5
    by_residual = residuals / ((n - 3) * flatness or 1.0)
    return [
        *(
            Figure(name, degrees(atan(plane[i])), "deg", degrees(_shared(influence, by_height[i])), n)
            for i, name in enumerate(names)
        ),
        Figure("flatness", flatness, "um", _shared(influence, by_residual), n),
    ]


def _map(fits: list[list[BellCurve | None]], value) -> NDArray[np.float32]:  # type: ignore[no-untyped-def]
    return np.array([[value(fit) if fit else np.nan for fit in row] for row in fits], np.float32)


def theory(optics: Optics) -> tuple[Expected, ...]:
    """Return the axial FWHM of a point, which a plane's is not below."""
    kind = optics.mode.value.replace(" ", "_")
    return (Expected("fwhm_z", axial_fwhm_um(optics), "um", f"{kind}_axial_fwhm", SOURCES["metroloj_qc"]),)


def protocol(
    channel: str = "FITC", exposure_ms: float = 50.0, range_um: float = 10.0, step_um: float = 0.1
) -> Protocol:
    """Return how to acquire a thin layer."""
    sequence = z_stack((channel,), exposure_ms, range_um, step_um)
    return Protocol(
        routine="thin_layer",
        sample="thin fluorescent film, or a mirror for reflected light",
        sequence=sequence,
        exposure="half of full scale in focus",
        duration_s=sequence_s(sequence),
        steps=("Focus on the layer", "Centre the stack on it"),
        every_days=182,
        is_automatic=True,
        parameters={"range_um": range_um, "step_um": step_um},
        source="MetroloJ_QC (zProfiler.java)",
    )


ROUTINE = Routine(
    name="thin_layer",
    title="Axial resolution by a thin layer",
    measure=measure_thin_layer,
    inputs={"stack": "ZYX counts, ADU", "z_um": "position of each slice, um"},
    figures={
        "fwhm_z": FigureNames("um", "Median over the field", None, "axial FWHM"),
        "fwhm_z_sd": FigureNames("um", "Standard deviation over the field"),
        "fwhm_z_largest": FigureNames("um", "Largest over the field"),
        "r2": FigureNames("1", "Median coefficient of determination", None, "R2"),
        "height_range": FigureNames("um", "Largest less smallest height of the layer"),
        "tilt_y": FigureNames("deg", "Slope of the layer along y"),
        "tilt_x": FigureNames("deg", "Slope of the layer along x"),
        "flatness": FigureNames("um", "Scatter of heights about a plane: field curvature shows here"),
    },
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "spherical aberration: cover glass, immersion, depth",
            "Set the correction collar; check the cover glass and immersion medium",
            ("fwhm_z", "fwhm_z_largest"),
            OURS,
        ),
        Cause(
            "pinhole too large or misaligned (confocal)",
            "Set it to one Airy unit; align it",
            ("fwhm_z",),
            OURS,
        ),
        Cause("slide not level", "Level slide and stage insert", ("tilt_y", "tilt_x", "height_range"), OURS),
        Cause(
            "field curvature",
            "Compare with a plan objective",
            ("flatness", "height_range", "fwhm_z_sd"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
