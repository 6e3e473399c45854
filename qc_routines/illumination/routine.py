"""Field illumination as a routine: protocol, names and causes."""

from __future__ import annotations

from qc_routines.advice import FAKLARIS_TABLE_1, OURS, Cause
from qc_routines.illumination.measure import measure_illumination
from qc_routines.illumination.regions import COLUMNS, LEVELS_PERCENT, ROWS
from qc_routines.protocols import Protocol, sequence_s
from qc_routines.routine import FigureNames, Routine


def protocol(channels: tuple[str, ...] = ("FITC",), exposure_ms: float = 50.0) -> Protocol:
    """Return how to acquire a field for each channel."""
    sequence = {
        "axis_order": "tpcz",
        "channels": [{"config": channel, "exposure": exposure_ms} for channel in channels],
    }
    return Protocol(
        routine="illumination",
        sample="uniform fluorescent plastic slide, or a dye film under a cover glass",
        sequence=sequence,
        exposure="50 to 80 % of full scale at the brightest place, nothing saturated; then a dark frame",
        duration_s=2 * sequence_s(sequence),
        steps=(
            "Put the slide on, clean, without scratches in the field",
            "Focus on the surface, then 5 to 10 um into the slide",
            "Open the field diaphragm beyond the field of the camera",
        ),
        every_days=182,
        parameters={"exposure_ms": exposure_ms},
        source="Faklaris et al. 2022, doi:10.1083/jcb.202107093 (twice a year); range and dark frame: ours",
    )


_CENTRES = {
    "fit": ("Top of a Gaussian fitted to the whole field", "center_fitted"),
    "zone": ("Centroid of the zone above 90 %", "center_geometric"),
    "mass": ("Centroid of the zone above 90 %, weighted by intensity", "center_of_mass"),
    "maximum": ("Place of the maximum", "max_intensity_pos"),
}


def _centre_names() -> dict[str, FigureNames]:
    names = {}
    for centre, (meaning, mm) in _CENTRES.items():
        distance = "max_intensity_distance" if centre == "maximum" else f"{mm}_distance"
        for axis in "yx":
            names[f"centre_{centre}_{axis}"] = FigureNames("px", meaning, f"{mm}_{axis}")
            names[f"centre_{centre}_{axis}_relative"] = FigureNames(
                "1", f"{meaning}; -1 to 1 from edge to edge", f"{mm}_{axis}_relative"
            )
        names[f"centre_{centre}_distance_relative"] = FigureNames(
            "1", f"{meaning}; from the middle", f"{distance}_relative"
        )
        names[f"centre_{centre}_distance"] = FigureNames("um", f"{meaning}; from the middle, in the sample")
    return names


_NINE = {
    f"{row}_{column}_ratio": FigureNames(
        "1",
        f"Mean signal of the square at {row} {column} over the maximum",
        f"{row}_{column}_intensity_ratio",
    )
    for row in ROWS
    for column in COLUMNS
}

ROUTINE = Routine(
    name="illumination",
    title="Field illumination",
    measure=measure_illumination,
    inputs={"image": "YX counts of a uniform slide, ADU", "dark": "YX dark counts, ADU; or the offset"},
    figures=_centre_names()
    | _NINE
    | {
        "uniformity": FigureNames("%", "Least over largest signal", None, "U"),
        "field_uniformity": FigureNames("%", "100 less the spread of eight border points", None, "fU"),
        "centring": FigureNames("%", "100 at the middle, 0 at a corner", None, "C"),
        "coefficient_of_variation": FigureNames("%", "Standard deviation over mean of the map", None, "CV"),
        "curvature_y": FigureNames("1", "|c| of a parabola down the middle", None, "|c| vertical"),
        "curvature_x": FigureNames("1", "|c| of a parabola across the middle", None, "|c| horizontal"),
        "maximum_signal": FigureNames("ADU", "Robust maximum", "max_intensity"),
        "corner_ratio": FigureNames("1", "Mean of the four corners over the maximum"),
        "corner_ratio_least": FigureNames("1", "Darkest corner over the maximum"),
        "saturated_fraction": FigureNames("%", "Pixels at full scale"),
    }
    | {f"area_above_{n}": FigureNames("%", f"Part of the field above {n} %") for n in LEVELS_PERCENT},
    protocol=protocol,
    causes=(
        Cause(
            "the objective is damaged or dirty",
            "Inspect and clean the front lens; compare with another objective",
            ("uniformity", "field_uniformity", "corner_ratio", "corner_ratio_least"),
            FAKLARIS_TABLE_1,
        ),
        Cause(
            "the sensor is larger than the corrected field",
            "Compare with the objective's field number; crop to the centre",
            ("uniformity", "field_uniformity", "corner_ratio", "corner_ratio_least"),
            FAKLARIS_TABLE_1,
        ),
        Cause(
            "the field diaphragm is off-centre",
            "Close it until it is seen, centre it, open it beyond the field",
            ("centring", "uniformity", "corner_ratio_least"),
            FAKLARIS_TABLE_1,
        ),
        Cause(
            "collector lens, light guide or co-alignment of sources is off",
            "Centre the lamp; inspect the light guide for bends and its seat; align beam size and place at the back focal plane",
            ("centring", "uniformity", "field_uniformity", "corner_ratio", "corner_ratio_least"),
            FAKLARIS_TABLE_1,
        ),
        Cause("the exposure is too long", "Shorten it or lower the light", ("saturated_fraction",), OURS),
    ),
)
"""For the catalogue."""
