"""Registration as a routine: protocol, theory, names and causes."""

from __future__ import annotations

from math import ceil

from qc_routines.advice import OURS, Cause
from qc_routines.conditions import Optics
from qc_routines.protocols import Protocol, sequence_s, z_stack
from qc_routines.registration.measure import measure_registration
from qc_routines.routine import FigureNames, Routine
from qc_routines.theory import SOURCES, Expected, axial_fwhm_um, nyquist_axial_um

MARGIN_UM = 2.0
"""Above and below a bead, for shifts along z."""


def protocol(
    optics: Optics,
    channels: tuple[str, ...] = ("DAPI", "FITC", "Cy3"),
    exposure_ms: float = 50.0,
    bead_diameter_um: float = 1.0,
) -> Protocol:
    """Return how to acquire multicolour beads; the optics are those of the longest wavelength."""
    step_um = round(0.95 * nyquist_axial_um(optics), 3)
    depth_um = 4 * axial_fwhm_um(optics) + bead_diameter_um + 2 * MARGIN_UM
    sequence = z_stack(channels, exposure_ms, round(ceil(depth_um / step_um) * step_um, 3), step_um)
    sequence["axis_order"] = "tpzc"  # all channels at each height, so that drift along z parts them least
    return Protocol(
        routine="registration",
        sample=f"multicolour beads of {bead_diameter_um:g} um (1 to 4 um; 0.2 um where bright enough)",
        sequence=sequence,
        exposure="per channel: beads ten times as bright as the background, none saturated",
        duration_s=sequence_s(sequence),
        steps=(
            "Use the filters, dichroics and cameras of the experiments, and one light path for all channels",
            "Find a field with beads all over it, none touching",
            "Wait until focus and temperature have settled",
        ),
        every_days=30,
        parameters={
            "step_um": step_um,
            "exposure_ms": exposure_ms,
            "bead_diameter_um": bead_diameter_um,
        },
        source="MetroloJ_QC (bead size, brightness); order of planes and interval: ours",
    )


def theory() -> tuple[Expected, ...]:
    """Return what is expected: no shift at all, and the same magnification."""
    nothing = {"shift_z": "nm", "shift_y": "nm", "shift_x": "nm", "distance_ratio": "1"}
    nothing |= {"magnification_difference": "%", "rotation": "deg", "axial_tilt": "deg"}
    return tuple(Expected(name, 0.0, unit, "coincidence", SOURCES["own"]) for name, unit in nothing.items())


_SHIFTS = tuple(f"shift_{axis}" for axis in "zyx")

FIGURES = (
    {
        f"shift_{a}": FigureNames("nm", f"Second less first channel along {a}, at the field's centre")
        for a in "zyx"
    }
    | {
        f"shift_{a}_median": FigureNames("nm", f"Median over the beads along {a}", None, f"{a.upper()} shift")
        for a in "zyx"
    }
    | {
        "distance": FigureNames("nm", "Median distance in space", None, "calibrated distance"),
        "lateral_distance": FigureNames(
            "nm", "Median distance in the plane", None, "ISO 21073 lateral distance"
        ),
        "axial_distance": FigureNames("nm", "Median distance along z", None, "ISO 21073 axial distance"),
        "distance_ratio": FigureNames("1", "Median of distance over reference distance", None, "ratio"),
        "distance_ratio_worst": FigureNames("1", "Largest of distance over reference distance"),
        "magnification_difference": FigureNames("%", "Of the second over the first channel"),
        "rotation": FigureNames("deg", "Of the second against the first channel, from +x towards +y"),
        "axial_tilt": FigureNames("deg", "Between the focal planes of the two channels"),
        "field_residual": FigureNames("nm", "Root mean square distance in the plane that this map leaves"),
    }
)

CAUSES = (
    Cause(
        "a filter cube, dichroic or emission filter is badly seated, wedged, or of another set",
        "Reseat it and measure twice: what does not repeat is the seat; swap cubes: what goes with one is that cube",
        ("shift_y", "shift_x", "distance_ratio", "distance_ratio_worst"),
        OURS,
    ),
    Cause(
        "two cameras or the halves of an image splitter are not aligned",
        "Align them on a grid; use rotation and magnification here to see which way",
        (
            "shift_y",
            "shift_x",
            "rotation",
            "magnification_difference",
            "distance_ratio",
            "distance_ratio_worst",
        ),
        OURS,
    ),
    Cause(
        "axial colour of the objective, or source collimation that differs between colours",
        "Compare with another objective; collimate each source; set a focus offset for each channel",
        ("shift_z", "axial_tilt", "distance_ratio", "distance_ratio_worst"),
        OURS,
    ),
    Cause(
        "lateral colour of objective and tube lens",
        "Magnification differs while the centre fits: use the pair of lenses made for each other; correct it by the map",
        ("magnification_difference", "distance_ratio_worst"),
        OURS,
    ),
    Cause(
        "drift between the channels",
        "Acquire all channels at each height; repeat in reverse order: drift changes its sign",
        (*_SHIFTS, "distance_ratio"),
        OURS,
    ),
)

ROUTINE = Routine(
    name="registration",
    title="Registration of channels",
    measure=measure_registration,
    inputs={"stacks": "channel name to ZYX counts of multicolour beads, ADU", "voxel": "VoxelSize, um"},
    figures=FIGURES,
    protocol=protocol,
    theory=theory,
    causes=CAUSES,
)
"""For the catalogue."""
