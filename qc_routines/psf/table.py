"""One row for each candidate: where it is, what was measured on it, or why nothing was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.conditions import VoxelSize
from qc_routines.psf import profiles
from qc_routines.psf.beads import Beads
from qc_routines.psf.fitting import Widths


def bead_table(
    stack: NDArray[np.generic], beads: Beads, voxel: VoxelSize, has_camera: bool
) -> dict[str, NDArray[Any]]:
    """Return the columns (n,) of all candidates; NaN in the rows of those that were left out.

    Without a calibrated camera the columns in electrons and the ratio of signal to background are NaN: the first
    needs the conversion, the second the offset.
    """
    voxel_um = np.array(voxel.zyx_um)
    measured = shape_columns(stack, beads, voxel_um) | _light_columns(stack, beads, voxel_um, has_camera)
    table: dict[str, NDArray[Any]] = {"reason": beads.reason}
    for axis, name in enumerate("zyx"):
        table[f"centroid_{name}_um"] = beads.centre_zyx[:, axis] * voxel_um[axis]
    table["peak_adu"], table["n_saturated"] = beads.looks["peak_adu"], beads.looks["n_saturated"]
    return table | {name: _spread(values, beads.is_bead) for name, values in measured.items()}


def shape_columns(
    stack: NDArray[np.generic], beads: Beads, voxel_um: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return what is measured of the form of each bead, (m,)."""
    return _fit_columns(beads) | _profile_columns(stack, beads, voxel_um)


def ellipticity_um2(w: Widths) -> dict[str, NDArray[np.float64]]:
    """Return the difference of the squared FWHM along x and y, and that along the two diagonals.

    Unlike ratio and angle, they scatter about nought in a round bead, and their mean is that of the beads' shapes.
    """
    size, twice = w.lateral_um[:, 0] ** 2 - w.lateral_um[:, 1] ** 2, np.radians(2 * w.angle_deg)
    return {"ellipticity_xy_um2": size * np.cos(twice), "ellipticity_diagonal_um2": size * np.sin(twice)}


def _spread(values: NDArray[np.float64], is_bead: NDArray[np.bool_]) -> NDArray[np.float64]:
    column = np.full(is_bead.size, np.nan)
    column[is_bead] = values
    return column


def _fit_columns(beads: Beads) -> dict[str, NDArray[np.float64]]:
    w, errors = beads.widths, np.sqrt(np.einsum("nii->ni", beads.covariance_um))
    columns: dict[str, NDArray[np.float64]] = {}
    for axis, name in enumerate("zyx"):
        columns[f"centroid_{name}_error_um"] = errors[:, 2 + axis]
        columns[f"fwhm_{name}_um"] = w.fwhm_zyx_um[:, axis]
        columns[f"fwhm_{name}_error_um"] = w.fwhm_zyx_error_um[:, axis]
        columns[f"principal_{axis + 1}_um"] = w.principal_um[:, axis]
        columns[f"principal_{axis + 1}_error_um"] = w.principal_error_um[:, axis]
    for k, name in enumerate(("major", "minor")):
        columns[f"lateral_{name}_um"] = w.lateral_um[:, k]
        columns[f"lateral_{name}_error_um"] = w.lateral_error_um[:, k]
    columns["lateral_axes_ratio"] = w.lateral_um[:, 1] / w.lateral_um[:, 0]
    columns |= {"lateral_angle_deg": w.angle_deg, "lateral_angle_error_deg": w.angle_error_deg}
    columns |= ellipticity_um2(w)
    columns |= {"tilt_deg": w.tilt_deg, "tilt_azimuth_deg": w.tilt_azimuth_deg}
    quality = beads.fits.quality
    return columns | {name: quality[name] for name in ("r_squared", "reduced_chi2", "n_voxels")}


def _profile_columns(
    stack: NDArray[np.generic], beads: Beads, voxel_um: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    given = stack, beads.is_defect, beads.fits.parameters, beads.half_zyx, beads.noise, voxel_um
    lines, r_squared = profiles.line_fwhm_um(*given)
    plane, angle = profiles.plane_fwhm_um(*given)
    columns = {f"fwhm_{name}_line_um": lines[:, axis] for axis, name in enumerate("zyx")}
    columns |= {f"r_squared_{name}_line": r_squared[:, axis] for axis, name in enumerate("zyx")}
    columns["lateral_asymmetry_ratio"] = lines[:, 1:].min(axis=1) / lines[:, 1:].max(axis=1)
    columns |= {"plane_major_um": plane[:, 0], "plane_minor_um": plane[:, 1], "plane_angle_deg": angle}
    columns["axial_asymmetry"] = profiles.axial_asymmetry(stack, beads.fits.parameters, beads.noise)
    return columns


def _light_columns(
    stack: NDArray[np.generic], beads: Beads, voxel_um: NDArray[np.float64], has_camera: bool
) -> dict[str, NDArray[np.float64]]:
    background_e, amplitude_e = beads.fits.parameters[:, 0], beads.fits.parameters[:, 1]
    offset_adu, e_per_adu, variance_e2, _ = beads.noise
    peak_noise_e = np.sqrt(np.maximum(background_e + amplitude_e + variance_e2, 1e-12))
    radius_um = float(beads.fwhm_zyx[1:] @ voxel_um[1:]) / 4
    rings = np.empty((len(amplitude_e), 2))
    profiles.signal_and_ring(
        stack, beads.is_defect, beads.fits.parameters[:, 2:5], radius_um, radius_um + profiles.GAP_UM,
        radius_um + profiles.GAP_UM + profiles.RING_UM, voxel_um[1:], rings,
    )  # fmt: skip
    light = rings - offset_adu
    known = 1.0 if has_camera else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        sbr = np.where(light[:, 1] > 0, light[:, 0] / light[:, 1], np.nan)
    return {
        "amplitude_adu": amplitude_e / e_per_adu,
        "background_adu": background_e / e_per_adu + offset_adu,
        "amplitude_e": amplitude_e * known,
        "background_e": background_e * known,
        "snr": amplitude_e / peak_noise_e,
        "sbr": sbr * known,
        "ring_adu": rings[:, 1],
    }
