"""Pixel size, rotation and handedness of a camera against its stage, from moves of the stage.

Stage positions are (y, x), um, as the stage reports them. When the stage moves by s the content of the image moves by
the shift p, px; matrix @ p = s, in um per px. Like Micro-Manager's pixel calibrator (AutomaticCalibrationThread.java)
the matrix is kept with its sign: a camera that sees the stage move left as content moving right has negative terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.affine import Affine, fit_affine, parts
from qc_routines.errors import InputError, reason_of
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement
from qc_routines.routine import FigureNames, Routine
from qc_routines.shift import measure_shift
from qc_routines.theory import Expected


def measure_pixel_size(
    stage_yx_um: ArrayLike, shift_yx_px: ArrayLike, n_unplaced: dict[str, int] | None = None
) -> Measurement:
    """Return the map from image to stage.

    Parameters
    ----------
    stage_yx_um : array_like, (n, 2)
        Position of the stage for each image.
    shift_yx_px : array_like, (n, 2)
        Where the content went, from `measure_shift`; NaN where it could not be found.
    n_unplaced : dict of str to int, optional
        Why shifts are NaN; see `shifts_of`.

    Raises
    ------
    InputError
        Fewer than four known shifts, moves along one line, or shifts that do not follow the stage.
    """
    stage, shift = np.asarray(stage_yx_um, float), np.asarray(shift_yx_px, float)
    affine = fit_affine(shift, stage)
    n_unknown = int((~np.isfinite(shift).all(axis=1)).sum())
    n_off = int((~affine.is_used).sum()) - n_unknown
    rejected = {"off the map": n_off} | (n_unplaced or {"no shift": n_unknown})
    size_px = _residual_px(affine)
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=_figures(affine, size_px),
        n_used=int(affine.is_used.sum()),
        n_rejected={reason: n for reason, n in rejected.items() if n},
        remarks=("The image is mirrored against the stage.",) if parts(affine).is_mirrored else (),
        table={
            "stage_y_um": stage[:, 0],
            "stage_x_um": stage[:, 1],
            "shift_y_px": shift[:, 0],
            "shift_x_px": shift[:, 1],
            "is_used": affine.is_used,
        },
        maps={"affine_um_per_px": affine.matrix},
    )


def shifts_of(images: Sequence[NDArray[np.generic]]) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Return where the content of each image went against the first (n, 2), px, and why some are NaN."""
    if not images:
        raise InputError("expected images; got none")
    shifts, reasons = np.full((len(images), 2), np.nan), Counter()
    for i, image in enumerate(images):
        try:
            shifts[i] = measure_shift(images[0], image).yx_px
        except InputError as error:
            reasons[reason_of(error)] += 1
    return shifts, dict(reasons)


def _residual_px(affine: Affine) -> float:
    """Return the rms distance of shift and map, px."""
    scale = abs(float(np.linalg.det(affine.matrix))) ** 0.5
    if not scale > 0:
        raise InputError(
            "expected shifts that follow the stage; got a map without size. Did the stage move at all?"
        )
    n_free = max(2 * int(affine.is_used.sum()) - 6, 1)
    return float(np.sqrt(np.sum(affine.residuals[affine.is_used] ** 2) * 2 / n_free)) / scale


def _figures(affine: Affine, residual_px: float) -> tuple[Figure, ...]:
    n, of = int(affine.is_used.sum()), parts(affine)
    mean = (of.scale_x[0] + of.scale_y[0]) / 2
    matrix = [
        Figure(
            f"affine_{'yx'[i]}{'yx'[j]}",
            affine.matrix[i, j],
            "um/px",
            affine.covariance[2 * i + j, 2 * i + j] ** 0.5,
            n,
        )
        for i in (0, 1)
        for j in (0, 1)
    ]
    return (
        Figure("pixel_size_x", of.scale_x[0], "um", of.scale_x[1], n),
        Figure("pixel_size_y", of.scale_y[0], "um", of.scale_y[1], n),
        Figure("pixel_size", mean, "um", (of.scale_x[1] ** 2 + of.scale_y[1] ** 2) ** 0.5 / 2, n),
        Figure("anisotropy", of.scale_x[0] / of.scale_y[0], "1", _ratio_sigma(of.scale_x, of.scale_y), n),
        Figure("rotation", of.rotation_deg[0], "deg", of.rotation_deg[1], n),
        Figure("shear", of.shear_deg[0], "deg", of.shear_deg[1], n),
        Figure("is_mirrored", float(of.is_mirrored), "1", None, n),
        Figure("residual", residual_px, "px", None, n),
        *matrix,
    )


def _ratio_sigma(one: tuple[float, float], other: tuple[float, float]) -> float:
    return one[0] / other[0] * ((one[1] / one[0]) ** 2 + (other[1] / other[0]) ** 2) ** 0.5


def theory(sensor_pitch_um: float, magnification: float) -> tuple[Expected, ...]:
    """Return sensor pitch over magnification (tube lens and adapters included) for each pixel size."""
    if not (sensor_pitch_um > 0 and magnification > 0):
        raise InputError(
            f"expected a positive pitch and magnification; got {sensor_pitch_um} and {magnification}"
        )
    size_um = sensor_pitch_um / magnification
    return tuple(
        Expected(name, size_um, "um", "pitch_over_magnification", "by definition of magnification")
        for name in ("pixel_size", "pixel_size_x", "pixel_size_y")
    )


def protocol(channel: str = "brightfield", exposure_ms: float = 20.0, field_um: float = 200.0) -> Protocol:
    """Return how to acquire moves: a star of nine positions within a quarter of the field."""
    step = round(field_um / 4, 3)
    moves = [(0, 0), *((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)), (0, 0)]
    return Protocol(
        routine="pixel_size",
        sample="any slide with texture all over the field",
        sequence={
            "axis_order": "tpcz",
            "channels": [{"config": channel, "exposure": exposure_ms}],
            "stage_positions": [{"x": x * step, "y": y * step} for x, y in moves],
        },
        exposure="half of full scale",
        duration_s=len(moves) * 2.0,
        steps=("Focus; approach every position from the same side, or switch backlash correction on",),
        every_days=182,
        is_automatic=True,
        parameters={"field_um": field_um},
        source="Micro-Manager pixel calibrator (AutomaticCalibrationThread.java); positions: ours",
    )


ROUTINE = Routine(
    name="pixel_size",
    title="Pixel size and affine calibration",
    measure=measure_pixel_size,
    inputs={"stage_yx_um": "stage positions (n, 2), um", "shift_yx_px": "shifts of the content (n, 2), px"},
    figures={
        "pixel_size_x": FigureNames("um", "Of a pixel along x, in the sample"),
        "pixel_size_y": FigureNames("um", "Of a pixel along y, in the sample"),
        "pixel_size": FigureNames("um", "Mean of both"),
        "anisotropy": FigureNames("1", "x over y"),
        "rotation": FigureNames("deg", "Of the camera's x axis in the stage's plane, from x towards y"),
        "shear": FigureNames("deg", "Angle between the axes less 90 deg"),
        "is_mirrored": FigureNames("1", "1 when the image is mirrored against the stage"),
        "residual": FigureNames("px", "Root mean square distance of shift and map"),
    }
    | {f"affine_{a}{b}": FigureNames("um/px", f"Stage {a} per image {b}") for a in "yx" for b in "yx"},
    protocol=protocol,
    theory=theory,
    causes=(
        Cause(
            "the magnification is not what the settings say",
            "Look for an adapter, an optovar or another tube lens; check the objective's label and binning",
            ("pixel_size", "pixel_size_x", "pixel_size_y"),
            OURS,
        ),
        Cause(
            "the stage does not move as far as it says",
            "Compare with a stage micrometer or grid slide; check its calibration and backlash",
            ("pixel_size", "pixel_size_x", "pixel_size_y", "anisotropy", "shear", "residual"),
            OURS,
        ),
        Cause("the camera is turned", "Loosen and turn it until the rotation is small", ("rotation",), OURS),
    ),
)
"""For the catalogue."""
