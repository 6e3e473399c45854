"""PSF as a routine: protocol, theory, names and causes."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt

from qc_routines.advice import FAKLARIS_TABLE_1, OURS, Cause
from qc_routines.conditions import Optics
from qc_routines.protocols import Protocol, sequence_s, z_stack
from qc_routines.psf.measure import measure_psf
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import (
    FWHM_PER_SIGMA,
    SOURCES,
    Expected,
    axial_fwhm_um,
    expected_fwhm,
    nyquist_axial_um,
)

NYQUIST_SHARE = 0.5
"""Step as a share of Nyquist's. His own would do for a perfect drive; with it only two planes lie within the FWHM, and
a drive that misses them by 20 nm changes the width of an oil lens by 7 %."""

RANGE_FWHM = 8.0
"""Range of the stack in axial FWHM: four on either side of the bead."""


def protocol(optics: Optics, channel: str = "FITC", exposure_ms: float = 50.0) -> Protocol:
    """Return how to acquire a bead stack with these optics: step half of Nyquist's, eight axial FWHM deep."""
    step_um = round(NYQUIST_SHARE * nyquist_axial_um(optics), 3)
    range_um = round(ceil(RANGE_FWHM * axial_fwhm_um(optics) / step_um) * step_um, 3)
    sequence = z_stack((channel,), exposure_ms, range_um, step_um)
    return Protocol(
        routine="psf",
        sample="fluorescent beads of 0.1 to 0.2 um, below half the lateral FWHM, under a 0.17 mm cover glass",
        sequence=sequence,
        exposure="brightest bead at 50 to 80 % of full scale; gamma 1, no binning, no averaging of frames",
        duration_s=sequence_s(sequence),
        steps=(
            "Clean the front lens and the slide; use the objective's own immersion medium, without bubbles",
            "Set the correction collar for cover glass and temperature",
            "Take out DIC prism, extra magnification and whatever else is not used in experiments",
            "Find a field of single beads, tens of them spread over all of it, and focus on them",
            "Wait until focus has settled: ten minutes after touching the slide",
        ),
        every_days=30,
        parameters={"step_um": step_um, "range_um": range_um, "exposure_ms": exposure_ms},
        source="Faklaris et al. 2022, doi:10.1083/jcb.202107093, Table 1 (monthly); bead size, step, range: ours",
    )


def theory(optics: Optics, bead_diameter_um: float | None = None) -> tuple[Expected, ...]:
    """Return what is expected of the figures with these optics.

    Widths of the image of a bead of known diameter are those of a point broadened by it; `..._corrected`, with the
    bead taken off, are those of a point. A PSF as it should be has all ratios at 1.
    """
    points = expected_fwhm(optics)
    own_um2 = (FWHM_PER_SIGMA * (bead_diameter_um or 0.0)) ** 2 / 20
    images = [replace(point, value=sqrt(point.value**2 + own_um2)) for point in points]
    ratios = ("lateral_asymmetry_ratio", "lateral_axes_ratio", "axial_asymmetry")
    return (
        *images,
        *(replace(e, figure=f"{e.figure}_{kind}") for kind in ("line", "average") for e in images),
        *(replace(point, figure=f"{point.figure}_corrected") for point in points),
        *(Expected(name, 1.0, "1", "symmetry", SOURCES["own"]) for name in ratios),
    )


def _by_axis(name: str, unit: str, meaning: str, mm: str | None = None, mj: str | None = None) -> dict:
    return {
        name.format(axis): FigureNames(
            unit, meaning.format(axis), mm and mm.format(axis), mj and mj.format(axis.upper())
        )
        for axis in "zyx"
    }


_WIDTHS = (
    _by_axis("fwhm_{}", "um", "Along {}, of the 3D Gaussian's marginal")
    | _by_axis("fwhm_{}_spread", "um", "Robust standard deviation over the beads, along {}")
    | _by_axis(
        "fwhm_{}_line", "um", "1D Gaussian along {} through the centre", "fwhm_micron_{}_median", "{} FWHM"
    )
    | _by_axis("r_squared_{}_line", "1", "R^2 of that along {}", "fit_gaussian_r2_{}_median", "{} fit R2")
    | _by_axis("fwhm_{}_corrected", "um", "Along {}, less the bead's own size")
    | _by_axis("fwhm_{}_average", "um", "Of the average PSF along {}", "average_bead_fwhm_micron_{}")
    | {f"fwhm_{a}_pixel_corrected": FigureNames("um", f"Along {a}, less bead and pixel") for a in "yx"}
    | {
        f"principal_{k}": FigureNames("um", f"FWHM along the bead's axis {k}, longest first")
        for k in (1, 2, 3)
    }
)

_SHAPE = {
    "lateral_major": FigureNames("um", "Longest FWHM in the image plane, of the marginal"),
    "lateral_minor": FigureNames("um", "Shortest FWHM in the image plane, of the marginal"),
    "plane_major": FigureNames("um", "Longest FWHM of the 2D Gaussian in focus"),
    "plane_minor": FigureNames("um", "Shortest FWHM of the 2D Gaussian in focus"),
    "lateral_axes_ratio": FigureNames("1", "Minor over major: finds astigmatism at any angle"),
    "lateral_asymmetry_ratio": FigureNames(
        "1",
        "Smaller over larger of the line FWHM along y and x (microscopemetrics gives the inverse)",
        None,
        "LAR",
    ),
    "lateral_angle": FigureNames("deg", "Of the major axis, from +x towards +y"),
    "tilt": FigureNames("deg", "Of the long axis from z"),
    "axial_asymmetry": FigureNames("1", "Half width above the centre over that below"),
}

_LIGHT = {
    "r_squared": FigureNames("1", "Of the 3D fit; noise alone lowers it"),
    "reduced_chi2": FigureNames("1", "Of the 3D fit; 1 for a Gaussian under the noise model"),
    "snr": FigureNames("1", "Amplitude over the noise at the peak"),
    "sbr": FigureNames("1", "Mean in the bead over that in a ring about it, offset off", None, "SBR"),
    "amplitude": FigureNames("ADU", "Of the 3D fit"),
    "amplitude_electrons": FigureNames("e-", "Of the 3D fit"),
    "background": FigureNames("ADU", "Of the 3D fit, offset included"),
    "background_electrons": FigureNames("e-", "Of the 3D fit, offset off"),
    "peak": FigureNames("ADU", "Brightest voxel", "intensity_max_median"),
}

_FIELD = {
    "average_residual": FigureNames("1", "Of the average PSF about a Gaussian, share of the amplitude"),
    "field_tilt": FigureNames("deg", "Of the surface on which the beads lie against the image plane"),
    "field_tilt_azimuth": FigureNames("deg", "Where that rises, from +x towards +y"),
    "field_planarity": FigureNames("um", "Highest less lowest of that surface over the field"),
    "field_curvature": FigureNames("um", "Corners over the centre with the tilt taken off"),
    "field_residual": FigureNames("um", "Of the beads about that surface"),
}

_LATERAL = ("fwhm_y", "fwhm_x", "fwhm_y_line", "fwhm_x_line", "fwhm_y_corrected", "fwhm_x_corrected")
_AXIAL = ("fwhm_z", "fwhm_z_line", "fwhm_z_corrected")
_SYMMETRY = ("lateral_asymmetry_ratio", "lateral_axes_ratio", "axial_asymmetry", "tilt")

CAUSES = (
    Cause(
        "the front lens is dirty, scratched or detached",
        "Clean it and measure again; inspect it with a loupe; compare with another objective; have it repaired",
        (*_LATERAL, *_AXIAL, *_SYMMETRY),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "pinhole or collimator are out of alignment (confocal)",
        "Compare with the pinhole opened; align pinhole and collimator for every excitation",
        (*_LATERAL, *_AXIAL),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "spherical aberration: correction collar, cover glass or medium do not match",
        "Set the collar for cover glass and temperature; 0.17 mm cover glass; mounting and immersion medium of the "
        "right index and temperature; beads close to the cover glass",
        (*_AXIAL, "axial_asymmetry", *_LATERAL),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "a DIC prism or an extra lens is in the path",
        "Take it out and measure again",
        (*_LATERAL, "lateral_asymmetry_ratio", "lateral_axes_ratio"),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "stage or slide is not level",
        "Look at field tilt; turn the slide round: what turns with it is the slide, what stays is the stage",
        ("field_tilt", "field_planarity", "tilt"),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "vibration or drift",
        "Check the table's air pressure; take a short time-lapse of one bead",
        (*_LATERAL, *_AXIAL, "lateral_asymmetry_ratio", "lateral_axes_ratio", "tilt"),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "the scanner's two directions are out of phase",
        "Compare with a unidirectional scan; correct the phase",
        ("fwhm_x", "fwhm_x_line", "lateral_asymmetry_ratio", "lateral_axes_ratio"),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "the objective's correction is not made for this field or colour",
        "Compare centre and edge in the maps; see the objective's class of correction",
        ("field_curvature", *_LATERAL, *_AXIAL),
        FAKLARIS_TABLE_1,
    ),
    Cause(
        "the beads are larger than stated, or clusters",
        "Use beads below half the lateral FWHM; state their diameter; look at the spread of sizes",
        (*_LATERAL, *_AXIAL),
        OURS,
    ),
    Cause(
        "too little light or too much background",
        "Longer exposure, cleaner slide, room light off; check filters",
        ("snr", "sbr", "r_squared_z_line", "r_squared_y_line", "r_squared_x_line"),
        OURS,
    ),
)

ROUTINE = Routine(
    name="psf",
    title="Point spread function",
    measure=measure_psf,
    inputs={"stack": "ZYX counts of a bead slide, ADU", "voxel": "VoxelSize, um"},
    figures=_WIDTHS | _SHAPE | _LIGHT | _FIELD,
    protocol=protocol,
    theory=theory,
    causes=CAUSES,
)
"""For the catalogue."""
