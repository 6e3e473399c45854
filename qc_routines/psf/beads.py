"""From a stack to beads with fits and reasons: what PSF and registration have in common.

1. defect pixels; 2. maxima at the expected scale; 3. fits of some of them show the real scale and, where the camera
is unknown, the noise; 4. a reason for every maximum that is no single whole bead; 5. fits of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import full_scale_adu
from qc_routines.conditions import Camera, VoxelSize
from qc_routines.psf import noise, selection
from qc_routines.psf._beads import LOOK_COLUMNS, first_looks
from qc_routines.psf.detection import find_candidates, find_defects
from qc_routines.psf.fitting import Fits, Widths, fit, in_um, widths_um
from qc_routines.psf.selection import NO_BEADS, Reason, Rules
from qc_routines.theory import FWHM_PER_SIGMA

FIT_REACH_FWHM = 2.0
"""Half axes of the ellipsoid that is fitted; within 2 % of the precision that all voxels would give."""

KEPT_OUT_SHARE = 0.9
"""Half axes, as a share of the fitted ellipsoid's, of what is left out about a neighbour: there its light is below
1 e-3 of its peak."""

THRESHOLD_SIGMA = 8.0
UNKNOWN_FWHM_VOXELS = 4.0
N_PILOTS = 16
N_ROUNDS = 4
LEAST_MISFIT = 0.01
"""Below this the misfit rules no weight: it is the noise of 10 000 electrons."""

SAME_SCALE = (0.6, 1.6)
"""Ratio of real to searched FWHM within which a search need not be repeated."""

SETTLED = 0.1
"""Change of the scale, as a share, that needs no second round of pilots."""

FULL_SCALES = {2**bits - 1 for bits in range(8, 17)}
LEAST_CLIPPED = 3
"""A bead with this many voxels at the highest count of all, where that is 2^bits - 1, shows the camera's bit depth."""

PEAK, N_SATURATED = LOOK_COLUMNS.index("peak_adu"), LOOK_COLUMNS.index("n_saturated")


@dataclass(frozen=True, slots=True)
class Beads:
    """All candidates of a stack, brightest against the noise first, and the fits of those that are beads.

    Attributes
    ----------
    reason : ndarray of str, shape (n,)
        Why a candidate was left out; empty for beads.
    centre_zyx : ndarray, shape (n, 3)
        Voxels; of the light, for beads of the fit.
    looks : dict of ndarray, shape (n,)
        Columns of `_beads.LOOK_COLUMNS`.
    fits : Fits
        Of the beads alone, in the order of the candidates.
    parameters_um, covariance_um : ndarray, shape (m, 11), (m, 11, 11)
        Of the beads alone, lengths in um.
    widths : Widths
        Of the beads alone.
    fwhm_zyx : ndarray, shape (3,)
        Typical FWHM, voxels.
    noise : ndarray, shape (4,)
        Offset (ADU), conversion (e-/ADU), read noise variance (e-^2), misfit; see `noise`.
    is_defect : ndarray, shape (y, x)
        Pixels that took part in nothing.
    """

    reason: NDArray[np.str_]
    centre_zyx: NDArray[np.float64]
    looks: dict[str, NDArray[np.float64]]
    fits: Fits
    parameters_um: NDArray[np.float64]
    covariance_um: NDArray[np.float64]
    widths: Widths
    fwhm_zyx: NDArray[np.float64]
    noise: NDArray[np.float64]
    is_defect: NDArray[np.bool_]

    @property
    def is_bead(self) -> NDArray[np.bool_]:
        """Which candidates are beads."""
        return self.reason == Reason.NONE

    @property
    def n_rejected(self) -> dict[str, int]:
        """Reason to number of beads that were left out."""
        reasons = [r for r in Reason if r is not Reason.NONE and r not in NO_BEADS]
        return {r.value: int(n) for r in reasons if (n := (self.reason == r.value).sum())}

    @property
    def n_no_beads(self) -> int:
        """Candidates that are rings of beads, or far too dim for one."""
        return int(np.isin(self.reason, NO_BEADS).sum())

    @property
    def half_zyx(self) -> NDArray[np.float64]:
        """Half axes of the ellipsoid that was fitted, voxels."""
        return FIT_REACH_FWHM * self.fwhm_zyx

    @property
    def others_zyx(self) -> NDArray[np.float64]:
        """Centres of everything that is no hot pixel and no side lobe, voxels."""
        return _rivals(self.centre_zyx, self.reason)


def find_and_fit(
    stack: NDArray[np.generic],
    voxel: VoxelSize,
    expected_fwhm_um: tuple[float, float, float] | None,
    camera: Camera | None,
    rules: Rules,
) -> Beads:
    """Return the beads of a stack (z, y, x), counts in ADU, C order."""
    is_defect = find_defects(stack)
    fwhm = np.full(3, UNKNOWN_FWHM_VOXELS)
    if expected_fwhm_um is not None:
        fwhm = np.array(expected_fwhm_um) / voxel.zyx_um
    scale_adu = full_scale_adu(stack, camera.full_scale_adu if camera else None)
    known = noise.of_camera(camera) if camera else None
    looks = _searched(stack, is_defect, fwhm, scale_adu, rules)
    pilot_fwhm, model = _pilots(stack, is_defect, looks, fwhm, known, rules)
    ratio = pilot_fwhm / fwhm
    if (ratio < SAME_SCALE[0]).any() or (ratio > SAME_SCALE[1]).any():
        looks = _searched(stack, is_defect, pilot_fwhm, scale_adu, rules)
        pilot_fwhm, model = _pilots(stack, is_defect, looks, pilot_fwhm, known, rules)
    return _fitted(stack, is_defect, looks, pilot_fwhm, model, voxel, rules)


def _searched(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    fwhm: NDArray[np.float64],
    scale_adu: float,
    rules: Rules,
) -> dict[str, NDArray[np.float64]]:
    found = find_candidates(stack, is_defect, fwhm, THRESHOLD_SIGMA)
    half = FIT_REACH_FWHM * fwhm
    looks = np.empty((len(found.score), len(LOOK_COLUMNS)))
    first_looks(stack, is_defect, found.centre_zyx, half, scale_adu, looks)
    highest_adu = np.nanmax(looks[:, PEAK], initial=0.0)
    if highest_adu in FULL_SCALES and highest_adu < scale_adu < np.inf:
        clipped = looks.copy()
        first_looks(stack, is_defect, found.centre_zyx, half, highest_adu, clipped)
        looks = clipped if (clipped[:, N_SATURATED] >= LEAST_CLIPPED).any() else looks
    looks = looks[np.isfinite(looks[:, 2:5]).all(axis=1)]
    looks = looks[selection.distinct(looks[:, 2:5], fwhm, rules)]
    return dict(zip(LOOK_COLUMNS, looks.T, strict=True))


def _starts(
    looks: dict[str, NDArray[np.float64]], fwhm: NDArray[np.float64], model: NDArray[np.float64]
) -> NDArray[np.float64]:
    starts = np.zeros((len(looks["z"]), 11))
    starts[:, 0] = (looks["background_adu"] - model[0]) * model[1]
    starts[:, 1] = np.maximum(looks["amplitude_adu"] * model[1], 1e-12)
    starts[:, 2:5] = np.column_stack([looks["z"], looks["y"], looks["x"]])
    starts[:, 5:8] = (FWHM_PER_SIGMA / fwhm) ** 2
    return starts


def _pilots(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    looks: dict[str, NDArray[np.float64]],
    fwhm: NDArray[np.float64],
    known: NDArray[np.float64] | None,
    rules: Rules,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the typical FWHM, voxels, and the noise model, from some candidates spread over all brightnesses."""
    reasons = selection.before_fit(looks, stack.shape, fwhm, rules)
    usable = np.flatnonzero(reasons == Reason.NONE)
    some = usable[:: max(1, len(usable) // N_PILOTS)]
    model = guess = known if known is not None else noise.of_line(1.0, 1.0)
    if some.size == 0:
        return fwhm, model
    few = {name: column[some] for name, column in looks.items()}
    if known is None:
        level, height = np.median(few["background_adu"]), max(np.median(few["amplitude_adu"]), 1e-9)
        model = guess = noise.guessed(stack, float(level), float(height))
    for _ in range(N_ROUNDS):
        fits = fit(stack, is_defect, _starts(few, fwhm, model), FIT_REACH_FWHM * fwhm, model)
        good = (fits.quality["has_converged"] > 0) & np.isfinite(fits.covariance[:, 1, 1])
        if not good.any():
            return fwhm, model
        parameters = fits.parameters[good]
        reach = FIT_REACH_FWHM * fwhm
        fwhm = np.median(widths_um(parameters, fits.covariance[good]).fwhm_zyx_um, axis=0)
        fwhm = np.clip(fwhm, 0.5, np.array(stack.shape) / 2)
        is_settled = np.allclose(reach, FIT_REACH_FWHM * fwhm, rtol=SETTLED)
        last, model = model, model.copy()
        if known is None:
            model = noise.from_beads(stack, is_defect, parameters, reach, model, guess).copy()
        model[3] = noise.misfit(_only(fits, good), model, is_known=known is not None)
        is_settled &= bool(abs(model[3] - last[3]) <= SETTLED * max(model[3], LEAST_MISFIT))
        if known is not None and is_settled:
            break
    return fwhm, model


def _rivals(centre_zyx: NDArray[np.float64], reason: NDArray[np.str_]) -> NDArray[np.float64]:
    is_rival = (reason != Reason.HOT_PIXEL) & (reason != Reason.SIDE_LOBE)
    return np.ascontiguousarray(centre_zyx[is_rival])


def _fitted(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    looks: dict[str, NDArray[np.float64]],
    fwhm: NDArray[np.float64],
    model: NDArray[np.float64],
    voxel: VoxelSize,
    rules: Rules,
) -> Beads:
    reason = selection.before_fit(looks, stack.shape, fwhm, rules)
    centre = np.column_stack([looks["z"], looks["y"], looks["x"]])
    at = np.flatnonzero(reason == Reason.NONE)
    starts = _starts(looks, fwhm, model)[at]
    half = FIT_REACH_FWHM * fwhm
    fits = fit(
        stack, is_defect, starts, half, model,
        others_zyx=_rivals(centre, reason), other_radius=KEPT_OUT_SHARE,
    )  # fmt: skip
    voxel_um = np.array(voxel.zyx_um)
    is_lost = ~np.isfinite(fits.parameters).all(axis=1) | ~np.isfinite(fits.covariance).all(axis=(1, 2))
    reason[at[is_lost]] = Reason.NOT_FITTED
    at, fits = at[~is_lost], _only(fits, ~is_lost)
    parameters_um, covariance_um = in_um(fits, voxel_um)
    reason[at] = selection.after_fit(fits, widths_um(parameters_um, covariance_um), rules)
    is_good = reason[at] == Reason.NONE
    at, fits = at[is_good], _only(fits, is_good)
    parameters_um, covariance_um = in_um(fits, voxel_um)
    centre[at] = fits.parameters[:, 2:5]
    widths = widths_um(parameters_um, covariance_um)
    reason[selection.specks(reason, looks["amplitude_adu"], rules)] = Reason.SPECK
    return Beads(reason, centre, looks, fits, parameters_um, covariance_um, widths, fwhm, model, is_defect)


def _only(fits: Fits, keep: Any) -> Fits:
    quality = {name: column[keep] for name, column in fits.quality.items()}
    return Fits(fits.parameters[keep], fits.covariance[keep], quality)
