"""An sCMOS camera: from expected electrons to digital numbers.

Model, per pixel: electrons = min(Poisson(response x light + dark), full well) + read noise + telegraph noise; number =
round(electrons / gain + offset + own offset), clipped to the converter. It is the linear model of EMVA 1288 (release
4.0, section 2) with a response, an offset, a read noise and a dark current of each pixel's own. Binning adds numbers
after conversion, as these cameras do, and keeps one offset.

With multiplication, which is off unless it is asked for, each electron becomes an exponentially distributed number of them
before it is read: as in a multiplying register, or a PMT at its worst, with twice the variance of the electrons alone (F² =
2). Of n electrons that is a gamma distribution of shape n, drawn after Wilson & Hilferty, doi:10.1073/pnas.17.12.684.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated._jit import kernel
from drivers.simulated.noise import normal, poisson, stream
from drivers.simulated.truth import ReadoutMode, Sensor

DEAD_RESPONSE = 0.02
DARK_SPREAD = 0.3
"""Log-normal spread of the pixels' dark currents."""

LEAST_SHARED = 500_000
"""Pixels of a frame below which other threads cost more than they save."""
N_PARTS = 4

Map = NDArray[np.float32]


@dataclass(frozen=True)
class PixelMaps:
    """What each pixel is like; every map has the sensor's shape, axes (y, x)."""

    response: Map
    """Relative to the mean pixel."""
    offset_adu: Map
    read_noise: Map
    """Relative to the mode's median."""
    dark_e_per_s: Map
    blinking_e: Map
    hot_yx: NDArray[np.int64]
    dead_yx: NDArray[np.int64]
    blinking_yx: NDArray[np.int64]


def pixel_maps(sensor: Sensor, seed: int) -> PixelMaps:
    """Draw the pixels of one sensor. A defect changes its own pixels and no others."""
    shape = (sensor.height_px, sensor.width_px)
    maps, places = (np.random.default_rng((seed, n)) for n in (1, 2))

    def spread(deviation: float) -> Map:
        return np.float32(deviation) * maps.standard_normal(shape, dtype=np.float32)

    response = 1 + spread(sensor.response_spread)
    offset_adu = sensor.offset_adu + spread(sensor.offset_spread_adu)
    read_noise = np.exp(spread(sensor.read_noise_spread))
    dark = np.float32(sensor.dark_current_e_per_s) * np.exp(
        spread(DARK_SPREAD) - np.float32(DARK_SPREAD**2 / 2)
    )
    counts = (sensor.n_hot, sensor.n_dead, sensor.n_blinking)
    chosen = places.choice(shape[0] * shape[1], sum(counts), replace=False)
    hot, dead, blink = np.split(chosen, np.cumsum(counts)[:2])
    blinking_e = np.zeros(shape, np.float32)
    dark.flat[hot] = sensor.hot_current_e_per_s
    dark += np.float32(
        sensor.stray_light_e_per_s
    )  # like dark current, a pixel collects it while it is exposed
    response *= _dusty(sensor, seed)
    response.flat[dead] = DEAD_RESPONSE
    blinking_e.flat[blink] = sensor.blinking_e
    positions = (np.stack(np.unravel_index(np.sort(part), shape), axis=1) for part in (hot, dead, blink))
    return PixelMaps(response, offset_adu.astype(np.float32), read_noise, dark, blinking_e, *positions)


def _dusty(sensor: Sensor, seed: int) -> Map:
    """Return the share of the light that the sensor window lets through: 1 but for soft round specks."""
    passed = np.ones((sensor.height_px, sensor.width_px), np.float32)
    random = np.random.default_rng((seed, 15))
    y, x = np.arange(sensor.height_px)[:, None], np.arange(sensor.width_px)
    for _ in range(sensor.n_dust):
        at_y, at_x = random.random(2) * passed.shape
        depth, width_px = random.uniform(0.1, 0.4), random.uniform(2.0, 5.0)
        speck = np.exp(-((y - at_y) ** 2) / 2 / width_px**2) * np.exp(-((x - at_x) ** 2) / 2 / width_px**2)
        passed *= (1 - depth * speck).astype(np.float32)
    return passed


@dataclass(frozen=True)
class Region:
    """What part of the sensor is read, in unbinned pixels."""

    y: int
    x: int
    height: int
    width: int


def read_out(
    light: Map,
    dose: float,
    exposure_ms: float,
    maps: PixelMaps,
    mode: ReadoutMode,
    sensor: Sensor,
    region: Region,
    binning: int,
    seed: int,
    frame: int,
    out: NDArray[Any],
    multiplication: float = 1.0,
) -> None:
    """Expose and read a region.

    Parameters
    ----------
    light : ndarray, float32, shape of the region
        Expected photo-electrons per unit of dose; read only.
    dose : float
        How much light there was; 0 with a closed shutter.
    exposure_ms : float
        Exposure time, during which dark current collects.
    maps, mode, sensor : PixelMaps, ReadoutMode, Sensor
        The camera.
    region : Region
        Height and width are multiples of `binning`.
    binning : int
        Pixels added along either axis.
    seed, frame : int
        What the noise depends on, beside the pixel.
    out : ndarray, uint8 or uint16, shape of the region divided by `binning`
        Receives the image.
    multiplication : float
        Mean number of electrons that each becomes before it is read, as in a PMT; 1: none.
    """
    rows, columns = (slice(region.y, region.y + region.height), slice(region.x, region.x + region.width))
    cut = [
        np.ascontiguousarray(part[rows, columns])
        for part in (maps.response, maps.offset_adu, maps.read_noise, maps.dark_e_per_s, maps.blinking_e)
    ]

    def read(first: int, last: int) -> None:
        rows = slice(first * binning, last * binning)
        _read_out(
            light[rows],
            *(part[rows] for part in cut),
            dose,
            exposure_ms,
            mode.gain_e_per_adu,
            mode.full_well_e,
            mode.read_noise_e,
            sensor.offset_adu,
            float(mode.max_adu),
            region.y + first * binning,
            region.x,
            sensor.width_px,
            binning,
            seed,
            frame,
            out[first:last],
            multiplication,
        )

    _by_rows(read, len(out), out.size)


def _by_rows(read: Callable[[int, int], None], n_rows: int, n_pixels: int) -> None:
    """Read all rows, those of a large frame on several cores: each pixel's noise is its own, whoever reads it."""
    if n_pixels < LEAST_SHARED:
        read(0, n_rows)
        return
    edges = [n_rows * part // N_PARTS for part in range(N_PARTS + 1)]
    with ThreadPoolExecutor(
        min(N_PARTS, os.cpu_count() or 1), thread_name_prefix="simulated-camera"
    ) as threads:
        for done in [threads.submit(read, *span) for span in pairwise(edges)]:
            done.result()


@kernel
def _read_out(
    light, response, offset, read_noise, dark, blinking, dose, exposure_ms, gain, well, noise_e, shared_offset,
    max_adu, y0, x0, width, binning, seed, frame, out, multiplication,
):  # fmt: skip
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            total = 0.0
            for y in range(row * binning, (row + 1) * binning):
                for x in range(column * binning, (column + 1) * binning):
                    state = stream(seed, frame, (y + y0) * width + x + x0)
                    mean = dose * light[y, x] * response[y, x] + 0.001 * exposure_ms * dark[y, x]
                    electrons, state = poisson(mean, state)
                    electrons = min(electrons, well)
                    if blinking[y, x] > 0.0 and state & np.uint64(1 << 40):
                        electrons += blinking[y, x]
                    if multiplication > 1.0 and electrons > 0.0:
                        n, state = normal(state)
                        root = 1.0 - 1.0 / (9.0 * electrons) + n / (3.0 * np.sqrt(electrons))
                        electrons *= multiplication * max(root, 0.0) ** 3
                    n, state = normal(state)
                    electrons += noise_e * read_noise[y, x] * n
                    adu = np.floor(electrons / gain + offset[y, x] + 0.5)
                    total += min(max(adu, 0.0), max_adu) - shared_offset
            out[row, column] = min(max(total + shared_offset, 0.0), max_adu)
