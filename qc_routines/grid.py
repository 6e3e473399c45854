"""Pitch, rotation and distortion of an image, from a square or hexagonal grid of dots.

A grid of known pitch (Argolight rings or dots, etched or printed dots) gives the pixel size along x and y. *Distortion* is the
distance of each dot from where the best-fitting undistorted (affine) grid has it, as in the ArgoLight analysis tool
of BIOP (Processing.java). *Radial distortion* is k in r' = r (1 + k (r/R)²), with R half the diagonal of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines.advice import OURS, Cause
from qc_routines.affine import Affine, parts
from qc_routines.errors import InputError
from qc_routines.lattice import lattice_indices, lattice_of
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.spots import Spots, find_spots

LEAST_SIDE_PX = 32
OUTLIER_SIGMAS = 6.0
DOTS = ("bright", "dark")


def measure_grid(
    image: NDArray[np.generic], pitch_um: float, lattice: str | None = None, dots: str = "bright"
) -> Measurement:
    """Return pixel size, rotation and distortion from a square or hexagonal grid of dots.

    Parameters
    ----------
    image : ndarray, (y, x)
        One channel, ADU.
    pitch_um : float
        Distance of neighbouring dots in the sample.
    lattice : {"square", "hexagonal"}, optional
        How the dots lie; without it, as they show themselves. Stated otherwise than they lie, it is refused.
    dots : {"bright", "dark"}
        On a darker or on a brighter ground.

    Raises
    ------
    InputError
        Wrong axes, nothing visible, fewer than nine dots, or dots on no such grid.
    """
    if dots not in DOTS:
        raise InputError(f"expected dots as {' or '.join(DOTS)}; got {dots!r}")
    if not (np.isfinite(pitch_um) and pitch_um > 0):
        raise InputError(f"expected a positive pitch_um; got {pitch_um!r}")
    pixels = checked_counts(image, "YX", "image")
    _check_visible(pixels)
    spots = find_spots(pixels if dots == "bright" else np.nanmax(pixels) - pixels)
    kind = lattice_of(spots.centroid_yx_px, lattice)
    indices = lattice_indices(spots.centroid_yx_px, kind)
    on_grid = np.isfinite(indices[:, 0])
    middle_yx = (np.array(pixels.shape) - 1) / 2
    affine, radial, used = _fitted(kind.nodes_yx(indices[on_grid]), spots.centroid_yx_px[on_grid], middle_yx)
    counts = spots.n_rejected | {"on no node": int((~on_grid).sum()), "off the grid": int((~used).sum())}
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=_figures(affine, radial, pitch_um, used),
        n_used=int(used.sum()),
        n_rejected={reason: n for reason, n in counts.items() if n},
        parameters={"pitch_um": pitch_um, "lattice": kind.name, "dots": dots},
        inputs=(input_of("image", pixels),),
        table=_table(indices[on_grid], spots, on_grid, affine, used),
    )


def _check_visible(pixels: NDArray[np.generic]) -> None:
    if min(pixels.shape) < LEAST_SIDE_PX:
        rows, columns = pixels.shape
        raise InputError(
            f"expected an image of dots with at least {LEAST_SIDE_PX} pixels a side; got {rows} x {columns}"
        )
    is_finite = np.isfinite(pixels)
    if not is_finite.any():
        raise InputError("expected an image of dots; got NaN or infinity in every pixel")
    if np.ptp(pixels[is_finite]) == 0:
        raise InputError(
            f"expected an image of dots; got {pixels[is_finite][0]:g} ADU in every pixel. Check light, shutter and exposure"
        )


def _fitted(
    nodes: NDArray[np.float64], points: NDArray[np.float64], middle_yx: NDArray[np.float64]
) -> tuple[Affine, tuple[float, float], NDArray[np.bool_]]:
    """Return the affine over all good dots, k with its uncertainty, and which dots are good.

    A dot is good when near the grid with its radial distortion, or the corners of a bent grid would be left out.
    """
    used = np.ones(len(points), bool)
    for _ in range(5):
        affine = _plain_affine(nodes, points, used)
        k, sigma, rest = _radial(nodes, affine, middle_yx, used)
        distance = np.hypot(*rest.T)
        limit = OUTLIER_SIGMAS * max(float(np.median(distance[used])) / 1.1774, 0.02)
        closer = distance <= limit
        if np.array_equal(closer, used) or closer.sum() < 9:
            break
        used = closer
    return affine, (k, sigma), used


def _plain_affine(nodes: NDArray[np.float64], points: NDArray[np.float64], used: NDArray[np.bool_]) -> Affine:
    design = np.column_stack([nodes, np.ones(len(nodes))])
    found, *_ = np.linalg.lstsq(design[used], points[used], rcond=None)
    residuals = points - design @ found
    noise = float(np.sum(residuals[used] ** 2)) / max(2 * int(used.sum()) - 6, 1)
    each = np.linalg.inv(design[used].T @ design[used])[:2, :2] * noise
    return Affine(found[:2].T.copy(), found[2], np.kron(np.eye(2), each), residuals, used)


def _radial(
    nodes: NDArray[np.float64], affine: Affine, middle_yx: NDArray[np.float64], used: NDArray[np.bool_]
) -> tuple[float, float, NDArray[np.float64]]:
    """Return k, its uncertainty and what remains of the residuals.

    The affine has already taken what it could of the cubic field, so that part is taken off the model, and added to
    the grid again: k is relative to the undistorted grid of the middle of the image.
    """
    design = np.column_stack([nodes, np.ones(len(nodes))])
    plain = np.vstack([affine.matrix.T, affine.offset])
    radius, ideal, k = np.hypot(*middle_yx), design @ plain - middle_yx, 0.0
    for _ in range(4):
        cubic = ideal * np.sum(ideal**2, axis=1, keepdims=True) / radius**2
        taken, *_ = np.linalg.lstsq(design[used], cubic[used], rcond=None)
        model = cubic - design @ taken
        square = float(np.sum(model[used] ** 2))
        k = float(np.sum(model[used] * affine.residuals[used])) / square if square > 0 else 0.0
        ideal = design @ (plain - k * taken) - middle_yx
    rest = affine.residuals - k * model
    noise = float(np.sum(rest[used] ** 2)) / max(2 * int(used.sum()) - 7, 1)
    return k, (noise / square) ** 0.5 if square > 0 else float("inf"), rest


def _figures(
    affine: Affine, radial: tuple[float, float], pitch_um: float, used: NDArray[np.bool_]
) -> tuple[Figure, ...]:
    n, of = int(used.sum()), parts(affine)
    size_x, size_y = _per_pixel(of.scale_x, pitch_um), _per_pixel(of.scale_y, pitch_um)
    size_um = (size_x[0] + size_y[0]) / 2
    away_px = np.hypot(*affine.residuals[used].T)
    return (
        Figure("pixel_size_x", *_with_unit(size_x, "um"), n),
        Figure("pixel_size_y", *_with_unit(size_y, "um"), n),
        Figure("pixel_size", size_um, "um", (size_x[1] ** 2 + size_y[1] ** 2) ** 0.5 / 2, n),
        Figure("pitch_x", *_with_unit(of.scale_x, "px"), n),
        Figure("pitch_y", *_with_unit(of.scale_y, "px"), n),
        Figure("rotation", *_with_unit(of.rotation_deg, "deg"), n),
        Figure("shear", *_with_unit(of.shear_deg, "deg"), n),
        Figure("distortion_mean", float(away_px.mean()) * size_um, "um", None, n),
        Figure("distortion_largest", float(away_px.max()) * size_um, "um", None, n),
        Figure("distortion_largest_px", float(away_px.max()), "px", None, n),
        Figure("radial_distortion", 100 * radial[0], "%", 100 * radial[1], n),
    )


def _per_pixel(scale: tuple[float, float], pitch_um: float) -> tuple[float, float]:
    return pitch_um / scale[0], pitch_um * scale[1] / scale[0] ** 2


def _with_unit(pair: tuple[float, float], unit: str) -> tuple[float, str, float]:
    return pair[0], unit, pair[1]


def _table(
    indices: NDArray[np.float64],
    spots: Spots,
    on_grid: NDArray[np.bool_],
    affine: Affine,
    used: NDArray[np.bool_],
) -> dict[str, NDArray[np.generic]]:
    points = spots.centroid_yx_px[on_grid]
    return {
        "row": indices[:, 0].astype(int),
        "column": indices[:, 1].astype(int),
        "y_px": points[:, 0],
        "x_px": points[:, 1],
        "off_y_px": affine.residuals[:, 0],
        "off_x_px": affine.residuals[:, 1],
        "peak_adu": spots.peak_adu[on_grid],
        "is_used": used,
    }


def protocol(channel: str = "FITC", exposure_ms: float = 50.0) -> Protocol:
    """Return how to acquire a grid."""
    return Protocol(
        routine="grid",
        sample="slide with a square or hexagonal grid of dots or rings of known pitch",
        sequence={"axis_order": "tpcz", "channels": [{"config": channel, "exposure": exposure_ms}]},
        exposure="dots at half of full scale",
        duration_s=exposure_ms / 1000 + 0.1,
        steps=("Focus on the grid; fill the field; level the slide so that all corners are sharp",),
        every_days=365,
        parameters={"exposure_ms": exposure_ms},
        source="BIOP ArgoLight_analysis_tool; Argolight user guides",
    )


ROUTINE = Routine(
    name="grid",
    title="Grid: pixel size and distortion",
    measure=measure_grid,
    inputs={"image": "YX counts of a grid of dots, ADU", "pitch_um": "distance of neighbouring dots, um"},
    figures={
        "pixel_size_x": FigureNames("um", "Along the grid's rows"),
        "pixel_size_y": FigureNames("um", "Across the grid's rows"),
        "pixel_size": FigureNames("um", "Mean of both"),
        "pitch_x": FigureNames("px", "Distance of dots in a row"),
        "pitch_y": FigureNames("px", "What is a pitch in the sample, across the rows"),
        "rotation": FigureNames("deg", "Of the rows, from x towards y"),
        "shear": FigureNames("deg", "How far rows and columns are from the grid's own angle"),
        "distortion_mean": FigureNames("um", "Mean distance from the undistorted grid"),
        "distortion_largest": FigureNames("um", "Largest distance from the undistorted grid"),
        "distortion_largest_px": FigureNames("px", "Largest distance from the undistorted grid"),
        "radial_distortion": FigureNames("%", "At the corners; positive is a pincushion, negative a barrel"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "an optical element is not seated or not made for this objective",
            "Check tube lens, camera adapter and optovar; compare with another objective",
            ("distortion_mean", "distortion_largest", "distortion_largest_px", "radial_distortion"),
            OURS,
        ),
        Cause(
            "scan not linear or not calibrated (point scanners)",
            "Calibrate scan amplitude and phase; compare scan speeds and bidirectional with one direction",
            ("distortion_mean", "distortion_largest", "distortion_largest_px", "pitch_x", "shear"),
            OURS,
        ),
        Cause(
            "slide not level",
            "Compare sharpness in the corners; level the slide",
            ("distortion_mean", "shear"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
