"""What the focus drive adds to the uncertainty of whatever is measured on beads.

A drive that misses each plane by a little moves that plane of all beads alike: their scatter does not show it, and more
beads do not help; finer steps do. It changes more than axial widths: a real PSF is wider out of focus, so a plane that
is missed changes lateral widths too, and asymmetry and tilt.

What it changes is found by doing it: some beads are measured again with one plane after another moved a little. How
far the drive misses is stated, or the residuals of the beads show it: they are alike, plane by plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.bell_curve import fit_bell
from qc_routines.conditions import VoxelSize
from qc_routines.psf.beads import Beads
from qc_routines.psf.fitting import fit, in_um, widths_um
from qc_routines.psf.table import shape_columns

MOST_MOVED = 6
"""Brightest beads that are measured again."""
MOST_PLANES = 16
"""Planes of a bead that are moved; where it has more, every second or third, whose effects stand for all."""
MOST_VOXELS = 500_000
"""That are measured again; but one bead at least."""
MOVED_BY = 0.1
"""Planes."""

MOST_ASKED = 64
"""Brightest beads whose residuals are looked at; what they share, more do not tell better."""
CHANCE_SIGMAS = 3.0
"""What the beads share must be so far above what noise makes them share by chance, to count at all."""


@dataclass(frozen=True, slots=True)
class DriveEffect:
    """What a drive that misses its planes does to what is measured on beads.

    Attributes
    ----------
    change_per_um : dict of ndarray, shape (planes,)
        Column of the table, or ``centroid_z_um``, to what one um that a plane is off changes of its mean over beads.
    repeatability_um : float
        Standard deviation of where a plane really is.
    """

    change_per_um: dict[str, NDArray[np.float64]]
    repeatability_um: float

    def uncertainty(self, column: str) -> float:
        """Return the standard uncertainty of a column's mean; 0 of columns that are not of a bead's form or place.

        With c_k the change for each um that plane k is off, and planes that are off independently by e,
        u^2 = sd(e)^2 sum c_k^2 (law of propagation of uncertainty, JCGM 100:2008, equation 10).
        """
        change = self.change_per_um.get(column)
        return 0.0 if change is None else self.repeatability_um * float(np.linalg.norm(change))


NO_EFFECT = DriveEffect({}, 0.0)


def drive_effect(
    stack: NDArray[np.generic], beads: Beads, voxel: VoxelSize, repeatability_um: float | None
) -> DriveEffect:
    """Return what the drive does to the beads of a stack (z, y, x), counts.

    `repeatability_um` is as stated; None: what the residuals of the beads show.
    """
    if not beads.is_bead.any():
        return NO_EFFECT
    changes = _changes_per_um(stack, beads, voxel)
    if repeatability_um is None:
        seen = shared_width_uncertainty(stack, beads.centre_zyx[beads.is_bead], float(beads.half_zyx[0]))
        line_um = float(beads.fwhm_zyx[0]) * voxel.z_um
        repeatability_um = seen * line_um / max(float(np.linalg.norm(changes["fwhm_z_line_um"])), 1e-9)
    return DriveEffect(changes, repeatability_um)


# ---- what a plane that is off changes


@dataclass(frozen=True, slots=True)
class _Tile:
    """The voxels about one bead, float64 (planes, y, x), pixels that are none, and its fit in the tile's frame."""

    voxels: NDArray[np.float64]
    is_hidden: NDArray[np.bool_]
    start: NDArray[np.float64]
    plane: int
    """Of the stack, which was moved; -1 for none."""


def _changes_per_um(
    stack: NDArray[np.generic], beads: Beads, voxel: VoxelSize
) -> dict[str, NDArray[np.float64]]:
    """Return for each column what a um that a plane is off changes of its mean, (planes,)."""
    reach = np.ceil(beads.half_zyx).astype(int) + 1
    depth = min(len(stack), 2 * int(reach[0]) + 1)
    stride = -(-depth // MOST_PLANES)
    size = (depth // stride + 1) * depth * (2 * reach[1] + 1) * (2 * reach[2] + 1)
    n_beads = min(len(beads.parameters_um), int(np.clip(MOST_VOXELS // size, 1, MOST_MOVED)))
    tiles = [tile for n in range(n_beads) for tile in _tiles(stack, beads, n, reach, depth, stride)]
    scale = 1 / (n_beads * MOVED_BY * voxel.z_um)
    return {
        name: scale * _by_plane(values, tiles, len(stack), stride)
        for name, values in _columns(tiles, beads, voxel).items()
    }


def _tiles(
    stack: NDArray[np.generic], beads: Beads, n: int, reach: NDArray[np.int_], depth: int, stride: int
) -> list[_Tile]:
    """Return the n-th bead as it is, and with one plane after another moved."""
    start = beads.fits.parameters[n].copy()
    z, y, x = np.rint(start[2:5]).astype(int)
    first = int(np.clip(z - reach[0], 0, len(stack) - depth))
    rows, columns = (np.arange(c - r, c + r + 1) for c, r in ((y, reach[1]), (x, reach[2])))
    n_rows, n_columns = stack.shape[1:]
    at = np.ix_(np.clip(rows, 0, n_rows - 1), np.clip(columns, 0, n_columns - 1))
    outside = np.logical_or.outer((rows < 0) | (rows >= n_rows), (columns < 0) | (columns >= n_columns))
    planes = np.clip(np.arange(first - 2, first + depth + 2), 0, len(stack) - 1)
    voxels = stack[planes][:, at[0], at[1]].astype(np.float64)
    slope = (8 * (voxels[3:-1] - voxels[1:-3]) - (voxels[4:] - voxels[:-4])) / 12  # fourth order
    tile = _Tile(voxels[2:-2], beads.is_defect[at] | outside, start - _at(first, rows[0], columns[0]), -1)
    moved = []
    for k in range(-first % stride, depth, stride):
        voxels = tile.voxels.copy()
        voxels[k] += MOVED_BY * slope[k]
        moved.append(replace(tile, voxels=voxels, plane=first + k))
    return [tile, *moved]


def _at(z: float, y: float, x: float) -> NDArray[np.float64]:
    """Return a place as a row of parameters."""
    return np.array([0, 0, z, y, x, 0, 0, 0, 0, 0, 0], np.float64)


def _columns(tiles: list[_Tile], beads: Beads, voxel: VoxelSize) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the table, one row for each tile: they are laid below one another and measured as one stack."""
    stack = np.concatenate([tile.voxels for tile in tiles], axis=1)
    is_hidden = np.concatenate([tile.is_hidden for tile in tiles])
    height = tiles[0].voxels.shape[1]
    starts = np.array([tile.start + _at(0, k * height, 0) for k, tile in enumerate(tiles)])
    voxel_um = np.array(voxel.zyx_um)
    fits = fit(stack, is_hidden, starts, beads.half_zyx, beads.noise)
    parameters_um, covariance_um = in_um(fits, voxel_um)
    again = replace(
        beads,
        fits=fits,
        parameters_um=parameters_um,
        covariance_um=covariance_um,
        widths=widths_um(parameters_um, covariance_um),
        is_defect=is_hidden,
    )
    return shape_columns(stack, again, voxel_um) | {"centroid_z_um": parameters_um[:, 2]}


def _by_plane(
    values: NDArray[np.float64], tiles: list[_Tile], n_planes: int, stride: int
) -> NDArray[np.float64]:
    """Return what moving each plane changes of the sum over beads; those that were left out do as the one before."""
    change, unmoved = np.zeros(n_planes), 0.0
    for value, tile in zip(values, tiles, strict=True):
        if tile.plane < 0:
            unmoved = value
        elif np.isfinite(value - unmoved):
            change[tile.plane : tile.plane + stride] += value - unmoved
    return change


# ---- how far the planes are off


def shared_width_uncertainty(
    stack: NDArray[np.generic], centre_zyx: NDArray[np.float64], half_z: float
) -> float:
    """Return the relative standard uncertainty of axial widths that all beads share, from what their residuals share.

    Parameters
    ----------
    stack : ndarray, shape (z, y, x)
        Counts.
    centre_zyx : ndarray, shape (n, 3)
        Of the beads, voxels, brightest first.
    half_z : float
        How far from the centre a bead is looked at, planes.

    Notes
    -----
    Influences of each plane on the width of a Gaussian through each bead's axis are added over the beads before they
    are squared (see `BellCurve.influence`); what noise alone gives, added after, is taken off. Where the PSF is no
    Gaussian, what that leaves is alike for all beads too, and the uncertainty is rather too large than too small.
    """
    influences = [_influence(stack, centre, half_z) for centre in centre_zyx[:MOST_ASKED]]
    each = np.array([influence for influence in influences if influence is not None])
    if len(each) < 2:
        return 0.0
    together, apart = np.sum(each.mean(axis=0) ** 2), np.sum(each**2) / len(each) ** 2
    n_planes = np.count_nonzero(each.any(axis=0))
    if together < (1 + CHANCE_SIGMAS * np.sqrt(2 / n_planes)) * apart:
        return 0.0
    return float(np.sqrt((together - apart) / (1 - 1 / len(each))))


def _influence(stack: NDArray[np.generic], centre: NDArray[Any], half_z: float) -> NDArray[np.float64] | None:
    """Return by what part of it each plane's own error moves a bead's axial width; None where no bell fits."""
    z, y, x = centre
    row, column = round(float(y)), round(float(x))
    planes = np.arange(max(0, int(np.ceil(z - half_z))), min(len(stack), int(z + half_z) + 1))
    light = stack[planes, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].astype(np.float64)
    means = light.mean(axis=(1, 2))
    bell = fit_bell(planes.astype(float), means) if np.isfinite(means).all() else None
    if bell is None:
        return None
    influence = np.zeros(len(stack))
    influence[planes] = bell.influence[:, 1] / bell.sigma
    return influence
