"""The PSF routine: a z stack of beads to the resolution of the microscope and its change over the field.

Frame: um, axes z, y, x, origin at the centre of the stack's first voxel; x to the right, y down, z as acquired. FWHM
are those of the 3D Gaussian's marginals unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.errors import InputError
from qc_routines.few import median_uncertainty
from qc_routines.psf.average import AveragePsf, average_psf
from qc_routines.psf.beads import Beads, find_and_fit
from qc_routines.psf.drive import DriveEffect, drive_effect
from qc_routines.psf.field import robust_sd, surface, tile_medians
from qc_routines.psf.selection import Rules
from qc_routines.psf.table import bead_table
from qc_routines.results import Figure, Measurement, Scalar, input_of
from qc_routines.theory import (
    axial_fwhm_um,
    bead_corrected_fwhm_um,
    lateral_fwhm_um,
    nyquist_axial_um,
    nyquist_lateral_um,
    pixel_corrected_fwhm_um,
)

VERSION = "3"
LEAST_PLANES = 5
LEAST_PIXELS = 8
LEAST_RANGE_FWHM = 1.5
"""Range of a stack, in axial FWHM of theory, below which no bead can be seen whole."""

ELLIPTICITY = ("ellipticity_xy_um2", "ellipticity_diagonal_um2")
ANY_DIRECTION_DEG = 180 / 12**0.5
"""Standard deviation of an angle of which nothing is known."""
DIRECTED_SIGMAS = 3.0
"""By how much beads must be longer in one direction, in standard errors, for that to be more than chance: chance
reaches it in one run of ninety."""

UNITS = {"um": "um", "deg": "deg", "adu": "ADU", "e": "e-"}


def measure_psf(
    stack: NDArray[np.generic],
    voxel: VoxelSize,
    optics: Optics | None = None,
    camera: Camera | None = None,
    bead_diameter_um: float | None = None,
    rules: Rules | None = None,
    z_repeatability_um: float | None = None,
) -> Measurement:
    """Return the figures of the beads in a z stack.

    Parameters
    ----------
    stack : ndarray, shape (z, y, x)
        Counts in ADU; uint8, uint16, uint32, float32 or float64. It is not changed and not copied when it is
        contiguous. NaN and infinite voxels, hot and dead pixels take part in nothing.
    voxel : VoxelSize
        Distance between voxels.
    optics : Optics, optional
        Gives the scale of the first search; without it four voxels, then what the beads show.
    camera : Camera, optional
        Gives offset, shot noise and read noise; without it a line of variance against signal is fitted to the beads
        themselves, and what needs electrons or the offset is not given.
    bead_diameter_um : float, optional
        Of the beads; with it the FWHM are also given with the beads' size taken off.
    rules : Rules, optional
        What counts as a bead.
    z_repeatability_um : float, optional
        Standard deviation of where a plane really is, as the routines ``axial_steps`` or ``autofocus`` find it or the
        maker states it, for the drive's part in all uncertainties, which the scatter of the beads does not show; without
        it, it is taken from what the beads' residuals share.

    Returns
    -------
    Measurement
        One row in the table for each candidate, with the reason when it was left out. Without any bead the figures
        have no value and a remark says why.

    Raises
    ------
    InputError
        The arguments cannot be a z stack of beads: wrong axes or dtype, unknown voxel size, too few planes.
    """
    pixels = checked_stack(stack, voxel, optics)
    rules = rules or Rules()
    beads = find_and_fit(pixels, voxel, _expected_um(optics), camera, rules)
    table = bead_table(pixels, beads, voxel, has_camera=camera is not None)
    average = average_psf(pixels, beads, voxel.zyx_um)
    drive = drive_effect(pixels, beads, voxel, z_repeatability_um)
    figures = (
        *_bead_figures(table, beads, drive),
        *_corrected_figures(table, beads, voxel, bead_diameter_um, drive),
        *_average_figures(average, int(beads.is_bead.sum())),
        *_field_figures(table, beads, pixels.shape, voxel),
    )
    return Measurement(
        routine="psf",
        version=VERSION,
        figures=figures,
        n_used=int(beads.is_bead.sum()),
        n_rejected=beads.n_rejected,
        parameters=_parameters(voxel, optics, camera, bead_diameter_um, rules, beads)
        | {"z_repeatability_um": z_repeatability_um},
        inputs=(input_of("stack", pixels),),
        remarks=tuple(_remarks(pixels, beads, voxel, optics, camera)),
        table=table,
        maps=_maps(table, beads, average, pixels.shape, voxel),
    )


def checked_stack(stack: NDArray[np.generic], voxel: VoxelSize, optics: Optics | None) -> NDArray[np.generic]:
    """Return a bead stack (z, y, x) in C order and native byte order; raise InputError for what cannot be one."""
    if not isinstance(voxel, VoxelSize):
        raise InputError(
            f"expected a VoxelSize; got {voxel!r}. Without the size of a voxel no width in um can be given: take "
            "it from the pixel-size calibration and the z step."
        )
    pixels = checked_counts(stack, "ZYX", "a bead stack")
    planes, rows, columns = pixels.shape
    if columns * 2 < min(planes, rows):
        raise InputError(
            f"expected a bead stack as (z, y, x); got shape {pixels.shape}, whose last axis is much the shortest and "
            "looks like z. Move it to the front, as np.moveaxis(stack, -1, 0) does."
        )
    if planes < LEAST_PLANES or min(rows, columns) < LEAST_PIXELS:
        raise InputError(
            f"expected at least {LEAST_PLANES} planes of {LEAST_PIXELS} x {LEAST_PIXELS} pixels; got {pixels.shape}. "
            "Acquire a z stack through the beads."
        )
    if optics is not None and (planes - 1) * voxel.z_um < LEAST_RANGE_FWHM * axial_fwhm_um(optics):
        raise InputError(
            f"expected a stack of at least {LEAST_RANGE_FWHM * axial_fwhm_um(optics):.2f} um along z for these "
            f"optics; got {planes} planes of {voxel.z_um:g} um. Acquire a longer stack: eight axial FWHM are good."
        )
    return pixels


def _expected_um(optics: Optics | None) -> tuple[float, float, float] | None:
    if optics is None:
        return None
    return axial_fwhm_um(optics), lateral_fwhm_um(optics), lateral_fwhm_um(optics)


# ---- figures

MEDIANS = (
    "fwhm_z_um", "fwhm_y_um", "fwhm_x_um", "principal_1_um", "principal_2_um", "principal_3_um",
    "lateral_major_um", "lateral_minor_um", "lateral_axes_ratio", "tilt_deg", "axial_asymmetry",
    "fwhm_z_line_um", "fwhm_y_line_um", "fwhm_x_line_um", "lateral_asymmetry_ratio",
    "r_squared_z_line", "r_squared_y_line", "r_squared_x_line", "plane_major_um", "plane_minor_um",
    "r_squared", "reduced_chi2", "snr", "sbr", "amplitude_adu", "background_adu",
    "amplitude_e", "background_e", "peak_adu",
)  # fmt: skip
"""Columns of the table whose median over the beads is a figure of the same name, less the unit."""


def _bead_figures(table: dict[str, NDArray[Any]], beads: Beads, drive: DriveEffect) -> list[Figure]:
    figures = [_median(column, table[column][beads.is_bead], drive.uncertainty(column)) for column in MEDIANS]
    for axis in "zyx":
        widths = table[f"fwhm_{axis}_um"][beads.is_bead]
        spread = robust_sd(widths) if widths.size > 2 else None
        figures.append(Figure(f"fwhm_{axis}_spread", spread, "um", n=widths.size))
    along, across = (table[name][beads.is_bead] for name in ELLIPTICITY)
    return [*figures, _angle(along, across, drive)]


def _median(column: str, values: NDArray[np.float64], of_drive: float) -> Figure:
    """Return the median with its standard error: from the spread of the values, and what the drive does to all."""
    stem, _, ending = column.rpartition("_")
    name, unit = (stem, UNITS[ending]) if ending in UNITS else (column, "1")
    name += "_electrons" if ending == "e" else ""  # the same in ADU has the plain name
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Figure(name, None, unit)
    error = None
    if values.size > 2:
        error = float(np.hypot(median_uncertainty(values), of_drive))
    return Figure(name, float(np.median(values)), unit, error, values.size)


def _angle(along: NDArray[np.float64], across: NDArray[np.float64], drive: DriveEffect) -> Figure:
    """Return the direction in which the typical bead is longest; of round beads it is any, and uncertain as such.

    From the medians of the `ellipticity`, whose error across the direction over twice its length is that of the angle.
    """
    if along.size == 0:
        return Figure("lateral_angle", None, "deg")
    middle = np.array([np.median(along), np.median(across)])
    length = float(np.hypot(*middle))
    errors = [
        np.hypot(median_uncertainty(values) if values.size > 2 else np.inf, drive.uncertainty(name))
        for values, name in zip((along, across), ELLIPTICITY, strict=True)
    ]
    error = float(np.hypot(errors[0] * middle[1], errors[1] * middle[0])) / max(length, 1e-300)
    is_directed = length > DIRECTED_SIGMAS * error
    return Figure(
        "lateral_angle",
        float(np.degrees(np.arctan2(middle[1], middle[0])) / 2),
        "deg",
        float(np.degrees(error / length / 2)) if is_directed else ANY_DIRECTION_DEG,
        along.size,
    )


def _corrected_figures(
    table: dict[str, NDArray[Any]],
    beads: Beads,
    voxel: VoxelSize,
    diameter_um: float | None,
    drive: DriveEffect,
) -> list[Figure]:
    """Return FWHM less the beads' size, and that less the pixels' too."""
    figures = []
    for axis, pixel_um in zip("zyx", voxel.zyx_um, strict=True):
        column = f"fwhm_{axis}_um"
        widths = table[column][beads.is_bead] if diameter_um is not None else np.empty(0)
        less_bead = np.array([bead_corrected_fwhm_um(width, diameter_um or 0.0) for width in widths])
        less_both = np.array([pixel_corrected_fwhm_um(width, pixel_um) for width in less_bead])
        for kind, less in (("corrected", less_bead), ("pixel_corrected", less_both)):
            if kind == "corrected" or axis != "z":
                known = np.isfinite(less)
                steeper = float(np.median(widths[known] / less[known])) if known.any() else 1.0
                figures.append(_median(f"fwhm_{axis}_{kind}_um", less, steeper * drive.uncertainty(column)))
    return figures


def _average_figures(average: AveragePsf | None, n: int) -> list[Figure]:
    widths = average.fwhm_zyx_um if average else (None, None, None)
    figures = [
        Figure(f"fwhm_{axis}_average", width, "um", n=n) for axis, width in zip("zyx", widths, strict=True)
    ]
    return [*figures, Figure("average_residual", average.residual_rms if average else None, "1", n=n)]


def _field_figures(
    table: dict[str, NDArray[Any]], beads: Beads, shape: tuple[int, ...], voxel: VoxelSize
) -> list[Figure]:
    z, y, x = (table[f"centroid_{axis}_um"][beads.is_bead] for axis in "zyx")
    size = shape[1] * voxel.y_um, shape[2] * voxel.x_um
    middle = [(length - step) / 2 for length, step in zip(size, (voxel.y_um, voxel.x_um), strict=True)]
    found = surface(y - middle[0], x - middle[1], z, size)
    if found is None:
        names = {"field_tilt": "deg", "field_tilt_azimuth": "deg"}
        names |= dict.fromkeys(("field_planarity", "field_curvature", "field_residual"), "um")
        return [Figure(name, None, unit) for name, unit in names.items()]
    return [
        Figure("field_tilt", found.tilt_deg, "deg", found.tilt_error_deg, found.n),
        Figure("field_tilt_azimuth", found.azimuth_deg, "deg", n=found.n),
        Figure("field_planarity", found.range_um, "um", n=found.n),
        Figure("field_curvature", found.curvature_um, "um", n=found.n),
        Figure("field_residual", found.residual_um, "um", n=found.n),
    ]


def _maps(
    table: dict[str, NDArray[Any]],
    beads: Beads,
    average: AveragePsf | None,
    shape: tuple[int, ...],
    voxel: VoxelSize,
) -> dict[str, NDArray[Any]]:
    y, x = (table[f"centroid_{axis}_um"][beads.is_bead] for axis in "yx")
    size = shape[1] * voxel.y_um, shape[2] * voxel.x_um
    columns = ("fwhm_z_um", "fwhm_y_um", "fwhm_x_um", "lateral_axes_ratio", "centroid_z_um")
    maps: dict[str, NDArray[Any]] = {
        f"tiles_{name}": tile_medians(y, x, table[name][beads.is_bead], size) for name in columns
    }
    maps["defect_pixels_yx"] = np.argwhere(beads.is_defect)
    if average is not None:
        maps |= {"average_psf": average.mean, "average_psf_sd": average.sd}
        maps["average_psf_step_um"] = np.array(average.step_um)
    return maps


# ---- what a reader must know


def _parameters(
    voxel: VoxelSize,
    optics: Optics | None,
    camera: Camera | None,
    diameter_um: float | None,
    rules: Rules,
    beads: Beads,
) -> dict[str, Scalar]:
    described = {f"voxel_{name}": value for name, value in asdict(voxel).items()}
    for name, item in (("optics", optics), ("camera", camera), ("rules", rules)):
        if item is not None:
            described |= {f"{name}_{key}": value for key, value in asdict(item).items()}
    offset_adu, e_per_adu, variance_e2, misfit = map(float, beads.noise)
    described |= {
        "noise_offset_adu": offset_adu,
        "noise_e_per_adu": e_per_adu,
        "noise_variance_e2": variance_e2,
        "misfit": misfit,
    }
    return described | {"bead_diameter_um": diameter_um}


def _remarks(
    pixels: NDArray[np.generic], beads: Beads, voxel: VoxelSize, optics: Optics | None, camera: Camera | None
) -> list[str]:
    remarks = []
    if not beads.is_bead.any():
        remarks.append(_why_no_beads(pixels, beads))
    if optics is None:
        remarks.append("Optics unknown: the scale of the search came from the beads alone.")
    elif voxel.z_um > nyquist_axial_um(optics) or max(voxel.y_um, voxel.x_um) > nyquist_lateral_um(optics):
        remarks.append(
            f"Voxels are coarser than the Nyquist limit of {nyquist_axial_um(optics):.3f} um axially and "
            f"{nyquist_lateral_um(optics):.3f} um laterally."
        )
    if camera is None:
        remarks.append("Camera unknown: the noise was estimated from the beads; no figure is in electrons.")
    if beads.n_no_beads and beads.is_bead.any():
        remarks.append(
            f"{beads.n_no_beads} fainter maxima are rings of beads or specks; they are in the table and count as no beads."
        )
    if n_defects := int(beads.is_defect.sum()):
        remarks.append(f"{n_defects} hot, dead or undefined pixels took part in nothing.")
    return remarks


def _why_no_beads(pixels: NDArray[np.generic], beads: Beads) -> str:
    if beads.n_rejected:
        reasons = ", ".join(f"{n} {reason}" for reason, n in beads.n_rejected.items())
        return f"No beads: every candidate was left out ({reasons})."
    if beads.is_defect.all():
        return "No beads: no pixel of the stack has a finite value."
    lowest, highest = np.nanmin(pixels), np.nanmax(pixels)
    if lowest == highest:
        return f"No beads: the stack is constant at {highest:g} ADU. Check light, shutter and camera."
    return "No beads: nothing stands out from the noise. Check slide, focus, light and channel."
