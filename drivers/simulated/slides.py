"""What lies on the stage: objects at known places, for any part of an endless slide.

The places follow from the seed and the coordinates alone, so that a stage that returns sees the same beads again and a
test can ask for the beads of any field.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.psf import Shape
from drivers.simulated.truth import YX

Array = NDArray[np.float64]
GRID_PITCH_UM = 15.0
SMALLEST_PAIR_UM, LARGEST_PAIR_UM, PAIR_STEP_UM = 0.10, 1.20, 0.05
PAIR_PITCH_UM = 8.0
STAIR_PITCH_UM, N_STAIRS = 8.0, 13
POINT = Shape()
REGULAR = ("grid", "hexagonal")
OF_OBJECTS = ("random", *REGULAR)
"""Arrangements of objects at places; the others are lines or nothing."""


@dataclass(frozen=True)
class Slide:
    """One slide; emissions per ms and per mW/mm^2 of irradiance, so that exposures of 10 to 200 ms are usual."""

    label: str
    arrangement: str
    """"random", "grid" (square), "hexagonal", "pairs" or "empty"."""
    shape: Shape = POINT
    pitch_um: float = 12.0
    object_photons: float = 0.0
    """Emission of one object, or of 1 um of line."""
    layer_photons: float = 0.0
    """Emission of 1 um^2 of the layer behind the objects, or of the whole slide when it is uniform."""
    channels: tuple[str, ...] | None = None
    """Which channels see it; None: all."""
    brightness_spread: float = 0.03
    stair_um: float = 0.0
    """How much higher each column of a grid lies than the one before; after `N_STAIRS` they start again below."""
    is_sectioned: bool = False
    """Whether the layer is seen through a spinning disk, see `layer`."""
    occupancy: float = 0.7


@dataclass(frozen=True)
class Objects:
    """Objects in slide coordinates."""

    yx_um: Array
    """Shape (n, 2)."""
    brightness: Array
    """Relative to the slide's mean, shape (n,)."""
    height_um: Array
    """Above the slide's plane, shape (n,)."""


SLIDES: dict[str, Slide] = {
    slide.label: slide
    for slide in (
        Slide("beads 0.1 um", "random", Shape("sphere", 0.1), 12.0, 45.0, 2.0, channels=("FITC",)),
        Slide("beads 0.2 um", "random", Shape("sphere", 0.2), 12.0, 120.0, 3.0),
        Slide("multicolour beads 0.5 um", "random", Shape("sphere", 0.5), 14.0, 400.0, 4.0),
        Slide("beads 2 um", "random", Shape("sphere", 2.0), 60.0, 12_000.0, 5.0, brightness_spread=0.05),
        Slide("uniform", "empty", layer_photons=1100.0),
        Slide("dot grid", "grid", Shape("sphere", 1.0), GRID_PITCH_UM, 1800.0, 4.0, brightness_spread=0.0),
        Slide(
            "hexagonal dot grid",
            "hexagonal",
            Shape("sphere", 1.0),
            GRID_PITCH_UM,
            1800.0,
            4.0,
            brightness_spread=0.0,
        ),
        Slide("ring grid", "grid", Shape("ring", 5.0), GRID_PITCH_UM, 3000.0, 4.0, brightness_spread=0.0),
        Slide("line pairs", "pairs", object_photons=60.0, layer_photons=3.0),
        Slide(
            "stairs",
            "grid",
            Shape("sphere", 0.5),
            STAIR_PITCH_UM,
            900.0,
            2.0,
            brightness_spread=0.0,
            stair_um=1.0,
        ),
        Slide("thin layer", "empty", layer_photons=1100.0, is_sectioned=True),
        Slide("dark", "empty"),
        Slide("power meter", "empty"),
    )
}


def objects_in(slide: Slide, seed: int, low_yx_um: YX, high_yx_um: YX) -> Objects:
    """Return the objects of `slide` within a rectangle of slide coordinates, sorted by y, then x.

    Random ones stand in the cells of a square grid, at most one in each and within its middle 70 %: two are never
    closer than 0.3 of the pitch. In a hexagonal grid every other row is half a pitch further along x.
    """
    if slide.arrangement not in OF_OBJECTS:
        return Objects(np.empty((0, 2)), np.empty(0), np.empty(0))
    is_hexagonal = slide.arrangement == "hexagonal"
    cell_yx_um = np.array([sqrt(3) / 2 if is_hexagonal else 1.0, 1.0]) * slide.pitch_um
    first = np.floor(np.array(low_yx_um) / cell_yx_um).astype(np.int64) - is_hexagonal
    last = np.floor(np.array(high_yx_um) / cell_yx_um).astype(np.int64)
    y, x = (cells.ravel() for cells in np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1])
    chance = [_hash_unit(seed, y, x, draw) for draw in range(4)]
    jitter = np.stack(chance[:2], axis=1) - 0.5
    if slide.arrangement in REGULAR:
        jitter, chance[2] = 0 * jitter, 0 * chance[2]
    shift = np.stack([np.zeros(y.shape), 0.5 * (y % 2) * is_hexagonal], axis=1)
    yx_um = (np.stack([y, x], axis=1) + 0.5 + shift + 0.7 * jitter) * cell_yx_um
    brightness = 1 + slide.brightness_spread * np.sqrt(12) * (chance[3] - 0.5)
    inside = np.all((yx_um >= low_yx_um) & (yx_um <= high_yx_um), axis=1)
    kept = inside & (chance[2] < (1.0 if slide.arrangement in REGULAR else slide.occupancy))
    stair = (x + N_STAIRS // 2) % N_STAIRS - N_STAIRS // 2
    return Objects(yx_um[kept], brightness[kept], slide.stair_um * stair[kept])


def lines_in(low_x_um: float, high_x_um: float) -> tuple[Array, Array]:
    """Return where the lines of the line pairs stand along x, and each line's distance to its partner, in um.

    Pairs repeat every `PAIR_PITCH_UM`; their distance grows from 0.10 to 1.20 um in steps of 0.05 um and starts again.
    """
    distances = np.arange(SMALLEST_PAIR_UM, LARGEST_PAIR_UM + PAIR_STEP_UM / 2, PAIR_STEP_UM)
    index = np.arange(np.floor(low_x_um / PAIR_PITCH_UM), np.ceil(high_x_um / PAIR_PITCH_UM) + 1)
    distance = distances[index.astype(np.int64) % len(distances)]
    middle = (index + 0.5) * PAIR_PITCH_UM
    x_um = np.stack([middle - distance / 2, middle + distance / 2], axis=1).ravel()
    inside = (x_um >= low_x_um) & (x_um <= high_x_um)
    return x_um[inside], np.repeat(distance, 2)[inside]


def _hash_unit(seed: int, y: NDArray[np.int64], x: NDArray[np.int64], draw: int) -> Array:
    """Return a number in [0, 1) per cell: three rounds of SplitMix64's mixing function (see `noise`)."""
    value = np.full(y.shape, (seed * 4 + draw) % 2**64, np.uint64)
    for part in (y, x, np.zeros_like(x)):
        value += part.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return (value >> np.uint64(11)).astype(np.float64) * 2.0**-53
