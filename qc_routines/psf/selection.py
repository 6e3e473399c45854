"""Which candidates are single, whole beads. Each of the others is left out for one named reason.

Distances are in FWHM along each axis, so that one rule holds for every objective and every voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.psf.fitting import Fits, Widths


class Reason(StrEnum):
    """Why a candidate is not measured; empty for a bead that is. The first that holds is given."""

    NONE = ""
    HOT_PIXEL = "hot pixel"
    SATURATED = "saturated"
    SIDE_LOBE = "side lobe"
    LATERAL_EDGE = "lateral edge"
    AXIAL_EDGE = "axial edge"
    CROWDED = "crowded"
    NOT_FITTED = "not fitted"
    TOO_DIM = "too dim"
    POOR_FIT = "poor fit"
    ODD_SIZE = "odd size"
    SPECK = "speck"


NO_BEADS = (Reason.SIDE_LOBE, Reason.SPECK)
"""Light of other beads, or next to none: nobody would have called these beads, and they do not count as left out."""

AT_ONCE = 128
"""Candidates whose neighbours are looked for together: keeps the arrays of distances small."""

LEAST_BEADS = 3
"""So many beads tell how bright a bead is on this slide."""

AXIAL_FWHM = 1.0
"""Maxima closer than this in the plane are straight above one another."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of what counts as a bead; distances in FWHM. All are ours.

    Attributes
    ----------
    same_fwhm : float
        Maxima closer than this are one object.
    crowded_fwhm : float
        A neighbour closer than this disturbs the fit.
    edge_fwhm : float
        A centre closer than this to the end of the stack is not seen whole.
    side_lobe_fwhm, side_lobe_share : float
        A maximum this close to another and dimmer than this share of it is taken for part of its PSF: the rings of
        an ideal lens have 5 %, those of one with a wave of spherical aberration 15 %.
    far_lobe_fwhm, far_lobe_share : float
        The same further away: bright beads have rings around rings, of 1.5 % with an ideal lens. How bright a saturated
        bead is nobody knows, so what is far from one counts by itself.
    axial_lobe_share : float
        As `side_lobe_share` for a maximum straight above or below: spherical aberration has lobes there that are far
        brighter, and a PSF must not be left out for being bad.
    sharpest : float
        Brightest voxel over its neighbours: above, no lens made it.
    least_snr : float
        Amplitude over its standard error.
    least_r_squared : float
        Share of the explainable variance that the Gaussian explains.
    odd_size : float
        Ratio to the median FWHM, up or down, beyond which it is a cluster or dirt.
    speck_share : float
        Of the median bead's height: what is dimmer and cannot be measured is a ring of a bead outside the field, or dirt.
    """

    same_fwhm: float = 0.8
    crowded_fwhm: float = 2.2
    edge_fwhm: float = 1.0
    side_lobe_fwhm: float = 4.0
    side_lobe_share: float = 0.25
    far_lobe_fwhm: float = 12.0
    far_lobe_share: float = 0.02
    axial_lobe_share: float = 0.6
    sharpest: float = 0.85
    least_snr: float = 8.0
    least_r_squared: float = 0.5
    odd_size: float = 2.0
    speck_share: float = 0.05


def distinct(
    centre_zyx: NDArray[np.float64], fwhm_zyx: NDArray[np.float64], rules: Rules
) -> NDArray[np.intp]:
    """Return the candidates that are no second maximum of a brighter one before them in the row."""
    kept, others = np.empty(len(centre_zyx), np.intp), np.empty(centre_zyx.shape)
    n = 0
    for i, centre in enumerate(centre_zyx / fwhm_zyx):
        if n == 0 or ((others[:n] - centre) ** 2).sum(axis=1).min() >= rules.same_fwhm**2:
            kept[n], others[n] = i, centre
            n += 1
    return kept[:n]


def before_fit(
    looks: dict[str, NDArray[np.float64]],
    shape: tuple[int, ...],
    fwhm_zyx: NDArray[np.float64],
    rules: Rules,
) -> NDArray[np.str_]:
    """Return a reason for each candidate that is not worth a fit."""
    centre = np.column_stack([looks["z"], looks["y"], looks["x"]])
    room = np.minimum(centre, np.array(shape) - 1 - centre) / fwhm_zyx
    is_hot, is_full = looks["sharpness"] > rules.sharpest, looks["n_saturated"] > 0
    is_lobe, is_crowded = _neighbours(centre / fwhm_zyx, looks["amplitude_adu"], is_hot, is_full, rules)
    return _first_that_holds(
        len(centre),
        {
            Reason.HOT_PIXEL: is_hot,
            Reason.SATURATED: is_full,
            Reason.SIDE_LOBE: is_lobe,
            Reason.LATERAL_EDGE: room[:, 1:].min(axis=1, initial=np.inf) < rules.edge_fwhm,
            Reason.AXIAL_EDGE: room[:, 0] < rules.edge_fwhm,
            Reason.CROWDED: is_crowded,
            Reason.NOT_FITTED: ~np.isfinite(centre).all(axis=1),
        },
    )


def after_fit(fits: Fits, widths: Widths, rules: Rules) -> NDArray[np.str_]:
    """Return a reason for each fit that is not worth a number; sizes are compared with the median of the others."""
    amplitude, error = fits.parameters[:, 1], np.sqrt(fits.covariance[:, 1, 1])
    explained = fits.quality["r_squared"] / np.maximum(fits.quality["r_squared_possible"], 1e-3)
    is_lost = (fits.quality["has_converged"] == 0) | ~np.isfinite(error)
    reasons: dict[Reason, Any] = {
        Reason.NOT_FITTED: is_lost,
        Reason.TOO_DIM: amplitude < rules.least_snr * error,
        Reason.POOR_FIT: explained < rules.least_r_squared,
    }
    so_far = _first_that_holds(len(amplitude), reasons)
    is_good = so_far == Reason.NONE
    if is_good.any():
        ratio = widths.fwhm_zyx_um / np.median(widths.fwhm_zyx_um[is_good], axis=0)
        is_odd = (ratio > rules.odd_size) | (ratio < 1 / rules.odd_size)
        so_far[is_good & is_odd.any(axis=1)] = Reason.ODD_SIZE
    return so_far


def specks(reason: NDArray[np.str_], amplitude_adu: NDArray[np.float64], rules: Rules) -> NDArray[np.bool_]:
    """Return which of the candidates that were left out are far dimmer than the beads are."""
    is_bead = reason == Reason.NONE
    if is_bead.sum() < LEAST_BEADS:
        return np.zeros(reason.shape, bool)
    is_dim = amplitude_adu < rules.speck_share * np.median(amplitude_adu[is_bead])
    return is_dim & ~np.isin(reason, (Reason.NONE, Reason.HOT_PIXEL, Reason.SATURATED, Reason.SIDE_LOBE))


def _neighbours(
    centre_fwhm: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    is_hot: NDArray[np.bool_],
    is_full: NDArray[np.bool_],
    rules: Rules,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which are part of a brighter one's PSF, and which have a neighbour too close that is not."""
    is_lobe, is_crowded = np.zeros((2, len(amplitude)), bool)
    shares = np.where(is_hot, 0.0, amplitude)
    far_shares = np.where(is_full, 0.0, rules.far_lobe_share * shares)
    for first in range(0, len(amplitude), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        away2 = (centre_fwhm[None] - centre_fwhm[some, None]) ** 2
        across2, mine = away2[..., 1:].sum(axis=2), amplitude[some, None]
        distance2 = across2 + away2[..., 0]
        distance2[distance2 == 0] = np.inf
        share = np.where(across2 < AXIAL_FWHM**2, rules.axial_lobe_share, rules.side_lobe_share)
        is_lobe[some] = (
            ((distance2 < rules.side_lobe_fwhm**2) & (mine < share * shares))
            | ((distance2 < rules.far_lobe_fwhm**2) & (mine < far_shares))
        ).any(axis=1)
        is_crowded[some] = ((distance2 < rules.crowded_fwhm**2) & (shares > share * mine)).any(axis=1)
    return is_lobe, is_crowded


def _first_that_holds(n: int, tests: dict[Reason, Any]) -> NDArray[np.str_]:
    reasons = np.full(n, Reason.NONE.value, dtype="U16")
    for reason, holds in reversed(tests.items()):
        reasons[holds] = reason.value
    return reasons
