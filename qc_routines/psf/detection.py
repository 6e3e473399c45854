"""Where the beads are: maxima above the local noise, at a scale that optics or data give.

Nothing is relative to the brightest bead and nothing is counted in pixels: one saturated bead or a dense slide must
not hide the others. Hot and dead pixels are found first and take part in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from qc_routines._threads import available_cores, side_by_side, spans
from qc_routines.psf._search import block_means, lowest_plane, mark_defects, maxima, smooth, tile_noise
from qc_routines.theory import FWHM_PER_SIGMA

TILE_BLOCKS_ZYX = (16, 32, 32)
BLOCKS_PER_FWHM = 1.6
SURROUNDINGS = 2.0
"""Width, in FWHM of a bead, of the smoothing that gives what a bead must stand out from: a slope of the background
cancels, however steep."""

ROUNDING = 1e-6
"""Of the largest value: the noise that single precision alone makes, and the least that is assumed."""

DEFECT_SIGMA = 8.0
MEDIAN_STEP_SIGMA = 0.954
"""Median of the absolute difference of two Gaussian values, in their standard deviation."""

QUANTISATION_ADU = 12**-0.5
"""Standard deviation of rounding to whole counts."""

MOST_CANDIDATES = 5000
"""A field with more maxima than this holds no single beads."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Maxima, highest score first.

    Attributes
    ----------
    centre_zyx : ndarray, shape (n, 3), float64
        Voxel indices, to about half a block.
    height_adu : ndarray, shape (n,)
        Above the local background, in the smoothed stack.
    score : ndarray, shape (n,)
        Height in units of the local noise of the smoothed stack.
    """

    centre_zyx: NDArray[np.float64]
    height_adu: NDArray[np.float64]
    score: NDArray[np.float64]


def find_defects(stack: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return the hot and dead pixels (y, x) of a stack (z, y, x): bright or dark in every plane, unlike all around.

    A stack of fewer than three planes tells no bead from a hot pixel; then only pixels without a finite value count.
    """
    lowest = np.empty(stack.shape[1:], np.float32)
    rows = spans(stack.shape[1], 2 * available_cores())
    side_by_side(lambda span: lowest_plane(stack, *span, lowest), rows)
    lowest[~np.isfinite(lowest)] = np.nan
    is_defect = np.isnan(lowest)
    if stack.shape[0] >= 3 and not is_defect.all():
        steps = np.abs(np.diff(lowest[::3], axis=1))
        steps = steps[np.isfinite(steps)]
        noise_adu = float(np.median(steps)) / MEDIAN_STEP_SIGMA if steps.size else 0.0
        least_adu = QUANTISATION_ADU if stack.dtype.kind == "u" else 1e-9
        mark_defects(lowest, DEFECT_SIGMA * max(noise_adu, least_adu), is_defect)
    return is_defect


def find_candidates(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    fwhm_zyx: NDArray[np.float64],
    threshold_sigma: float,
) -> Candidates:
    """Return the maxima of a stack (z, y, x) at the scale of beads of this FWHM, voxels.

    The stack is worked through in strips of rows that overlap, so that the smoothed copy stays small.
    """
    block = _block_zyx(stack.shape, fwhm_zyx)
    narrow = [_bell(width / size) for width, size in zip(fwhm_zyx, block, strict=True)]
    wide = [_bell(SURROUNDINGS * width / size) for width, size in zip(fwhm_zyx, block, strict=True)]
    halo = narrow[1].size + wide[1].size
    n_rows = stack.shape[1] // block[1]

    def in_strip(rows: tuple[int, int]) -> tuple[list[tuple[int, int, int]], list[float], list[float]]:
        low, high = max(0, rows[0] - halo), min(n_rows, rows[1] + halo)
        volume = block_means(stack, is_defect, block, low * block[1], high - low)
        smooth(volume, *narrow)
        surroundings = volume.copy()
        smooth(surroundings, *wide)
        rounding = ROUNDING * float(np.fmax.reduce(np.abs(volume), axis=None, initial=0.0))
        volume -= surroundings
        middles, noises = tile_noise(volume, TILE_BLOCKS_ZYX, max(rounding, 1e-12))
        found = maxima(
            volume, TILE_BLOCKS_ZYX, middles, noises, threshold_sigma, rows[0] - low, rows[1] - low
        )
        return [(z, y + low, x) for z, y, x in found[0]], found[1], found[2]

    strips = side_by_side(in_strip, spans(n_rows, 4 * available_cores(), least=TILE_BLOCKS_ZYX[1]))
    return _sorted_candidates(strips, block)


def _sorted_candidates(
    strips: list[tuple[list[tuple[int, int, int]], list[float], list[float]]], block: tuple[int, int, int]
) -> Candidates:
    places = np.array([place for strip in strips for place in strip[0]], np.float64).reshape(-1, 3)
    heights = np.array([height for strip in strips for height in strip[1]], np.float64)
    scores = np.array([score for strip in strips for score in strip[2]], np.float64)
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    centres = (places[order] + 0.5) * block - 0.5
    return Candidates(centres, heights[order], scores[order])


def _block_zyx(shape: tuple[int, ...], fwhm_zyx: NDArray[np.float64]) -> tuple[int, int, int]:
    """Return voxels per block: about `BLOCKS_PER_FWHM` blocks across a bead, at least three blocks in the stack."""
    sizes = [
        max(1, min(round(width / BLOCKS_PER_FWHM), length // 3))
        for width, length in zip(fwhm_zyx, shape, strict=True)
    ]
    return sizes[0], sizes[1], sizes[2]


def _bell(fwhm_blocks: float) -> NDArray[np.float32]:
    """Return the weights of a Gaussian of this FWHM from its centre to two sigma."""
    sigma = fwhm_blocks / FWHM_PER_SIGMA
    return np.exp(-0.5 * (np.arange(ceil(2 * sigma) + 1) / sigma) ** 2).astype(np.float32)
