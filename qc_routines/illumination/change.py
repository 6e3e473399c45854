"""What changed in a field since a reference: dust, fingerprints, a moved lamp.

The ratio of two fields, each relative to its own maximum, is one wherever nothing changed. Fields are maps of tiles
(`relative_intensity` of `measure_illumination`), so a spot smaller than a tile is seen diluted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.errors import InputError
from qc_routines.illumination.measure import measure_illumination
from qc_routines.illumination.routine import protocol as field_protocol
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine
from qc_routines.spots import label_components

SPOT_SIGMAS = 6.0
LEAST_SPOT_PERCENT = 0.5
"""A change of less is no spot, however little noise there is."""


def measure_illumination_change(
    image: NDArray[np.generic],
    reference: NDArray[np.generic],
    dark: NDArray[np.generic] | float | None = None,
    pixel_size_um: float | None = None,
) -> Measurement:
    """Return by how much a field differs from a reference field of the same channel.

    Parameters
    ----------
    image, reference : ndarray, (y, x)
        The same uniform slide now and at time zero, same shape, ADU.
    dark : ndarray (y, x) or float, optional
        Frame without light, or the offset, of both.
    pixel_size_um : float, optional
        For areas in um².

    Raises
    ------
    InputError
        As `measure_illumination`; and fields of different shapes.
    """
    if image.shape != reference.shape:
        raise InputError(f"expected fields of one shape; got {image.shape} and {reference.shape}")
    now, before = measure_illumination(image, dark), measure_illumination(reference, dark)
    ratio = now.maps["relative_intensity"] / before.maps["relative_intensity"]
    ratio = ratio / np.nanmedian(ratio)
    off, limit = _off_smooth(ratio)
    is_spot, labels, n_spots = _spots(off, limit)
    tile_px2 = image.size / ratio.size
    largest = int(np.bincount(labels[labels > 0]).max()) if n_spots else 0
    area_um2 = None if pixel_size_um is None else largest * tile_px2 * pixel_size_um**2
    return Measurement(
        routine=ROUTINE.name,
        version="1",
        figures=(
            Figure("ratio_sd", 100 * float(np.nanstd(ratio)), "%", None, ratio.size),
            Figure("ratio_least", float(np.nanmin(ratio)), "1", None, ratio.size),
            Figure("ratio_largest", float(np.nanmax(ratio)), "1", None, ratio.size),
            Figure("n_spots", n_spots, "1", None, ratio.size),
            Figure("largest_spot", area_um2, "um^2", None, 1),
            Figure("spot_area", 100 * float(np.mean(is_spot)), "%", None, ratio.size),
            Figure(
                "brightness_ratio", now.value("maximum_signal") / before.value("maximum_signal"), "1", None, 1
            ),
        ),
        n_used=int(np.isfinite(ratio).sum()),
        n_rejected=now.n_rejected,
        parameters={
            "spot_sigmas": SPOT_SIGMAS,
            "tile_px": now.parameters["tile_px"],
            "pixel_size_um": pixel_size_um,
        },
        inputs=(input_of("image", image), input_of("reference", reference)),
        remarks=now.remarks,
        maps={"ratio": ratio, "is_spot": is_spot},
    )


def _off_smooth(ratio: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Return how far each tile is off a smooth surface, and what is too far: a moved lamp tilts and makes no spot."""
    y, x = (np.linspace(-1, 1, n) for n in ratio.shape)
    v, u = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    design = np.stack([np.ones_like(v), v, u, v * v, v * u, u * u], axis=1)
    values = ratio.ravel().astype(float)
    kept = np.isfinite(values)
    for _ in range(4):
        smooth = design @ np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
        off = np.abs(values - smooth)
        limit = max(SPOT_SIGMAS * 1.4826 * float(np.median(off[np.isfinite(off)])), LEAST_SPOT_PERCENT / 100)
        kept = np.isfinite(off) & (off <= limit)
    return np.nan_to_num(off).reshape(ratio.shape), limit


def _spots(off: NDArray[np.float64], limit: float) -> tuple[NDArray[np.bool_], NDArray[np.int32], int]:
    """Return spots out to half of their depth, for the maps are smoothed and spots have skirts; labels; how many."""
    labels, n_spots = label_components(off > limit)
    depth = np.zeros(n_spots + 1)
    np.maximum.at(depth, labels.ravel(), off.ravel())
    is_spot = (labels > 0) & (off >= depth[labels] / 2)
    return is_spot, np.where(is_spot, labels, 0), n_spots


def protocol(channels: tuple[str, ...] = ("FITC",), exposure_ms: float = 50.0) -> Protocol:
    """Return how to acquire a field: as at time zero, same slide, same settings."""
    like = field_protocol(channels, exposure_ms)
    return Protocol(
        routine="illumination_change",
        sample=f"{like.sample}; the one of time zero",
        sequence=like.sequence,
        exposure="as at time zero",
        duration_s=like.duration_s,
        steps=like.steps,
        every_days=30,
        parameters=like.parameters,
        source="ours",
    )


ROUTINE = Routine(
    name="illumination_change",
    title="Change of field illumination",
    measure=measure_illumination_change,
    inputs={"image": "YX counts now, ADU", "reference": "YX counts at time zero, ADU"},
    figures={
        "ratio_sd": FigureNames("%", "Standard deviation of the ratio over the field"),
        "ratio_least": FigureNames("1", "Least ratio, relative to its median"),
        "ratio_largest": FigureNames("1", "Largest ratio, relative to its median"),
        "n_spots": FigureNames("1", "Places that stand out of a smooth change"),
        "largest_spot": FigureNames("um^2", "Area of the largest of them"),
        "spot_area": FigureNames("%", "Part of the field they cover"),
        "brightness_ratio": FigureNames("1", "Maximum signal now over that of time zero"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "dust or a fingerprint",
            "Turn camera, objective and filter cube one by one: what turns with a part lies on it; clean it",
            ("n_spots", "largest_spot", "spot_area", "ratio_sd", "ratio_least"),
            OURS,
        ),
        Cause(
            "lamp, fibre or diaphragm moved",
            "Centre them; compare the fitted centre with that of time zero",
            ("ratio_sd", "ratio_least", "ratio_largest"),
            OURS,
        ),
        Cause("the source ages", "Measure its power", ("brightness_ratio",), OURS),
    ),
)
"""For the catalogue."""
