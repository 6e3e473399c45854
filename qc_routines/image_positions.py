"""Where the content of each image of a series is, against the first, in the sample's um.

Positive y is down and positive x to the right in the image. A frame that cannot be placed gets NaN and a reason, and
the series goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError, reason_of
from qc_routines.shift import measure_shift


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Places of a series.

    Attributes
    ----------
    yx_um : ndarray, float64, (n, 2)
        Against the reference; NaN where a frame could not be placed.
    uncertainty_yx_um : ndarray, float64, (n, 2)
        One sigma.
    n_rejected : dict of str to int
        Frames that could not be placed, by reason.
    """

    yx_um: NDArray[np.float64]
    uncertainty_yx_um: NDArray[np.float64]
    n_rejected: dict[str, int]


def image_positions(
    images: Iterable[NDArray[np.generic]],
    pixel_size_um: float,
    reference: NDArray[np.generic] | None = None,
) -> Positions:
    """Return the positions of images of one bead or texture.

    Parameters
    ----------
    images : iterable of ndarray, (y, x)
        In order of time, ADU.
    pixel_size_um : float
        In the sample.
    reference : ndarray, (y, x), optional
        What positions are measured against; by default the first image, which then is at (0, 0).

    Raises
    ------
    InputError
        No image at all, or a pixel size that is none.
    """
    if not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise InputError(f"expected a positive pixel_size_um; got {pixel_size_um!r}")
    places, sigmas, rejected = [], [], Counter()
    for image in images:
        reference = image if reference is None else reference
        try:
            shift = measure_shift(reference, image)
            places.append(shift.yx_px)
            sigmas.append(shift.uncertainty_yx_px)
        except InputError as error:
            rejected[reason_of(error)] += 1
            places.append((np.nan, np.nan))
            sigmas.append((np.nan, np.nan))
    if not places:
        raise InputError("expected at least one image; got none")
    return Positions(pixel_size_um * np.array(places), pixel_size_um * np.array(sigmas), dict(rejected))
