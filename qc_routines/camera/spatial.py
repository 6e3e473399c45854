"""How much of a fixed pattern whole rows share, whole columns share, and each pixel has for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError


@dataclass(frozen=True, slots=True)
class SpatialVariances:
    """Variances over the pixels of a map, ADU²; total = row + column + pixel. None is negative."""

    total: float
    row: float
    column: float
    pixel: float


def spatial_variances(
    values_adu: NDArray[np.floating], trusted: NDArray[np.bool_], noise_adu2: float = 0.0
) -> SpatialVariances:
    """Split the variance of a map.

    Parameters
    ----------
    values_adu : ndarray, float, (y, x)
        A mean over frames.
    trusted : ndarray, bool, (y, x)
        Pixels that count.
    noise_adu2 : float
        Variance that temporal noise leaves in each pixel of the mean, ADU²: variance in time / number of frames.

    Notes
    -----
    With N columns and M rows, var(row means) = row + p/N and var(column means) = column + p/M, where p is the pixels'
    own variance with its noise; solved for row, column and p. EMVA 1288 release 4.0, section 8.2.
    """
    n_rows, n_columns = values_adu.shape
    if n_rows < 3 or n_columns < 3:
        raise InputError(f"expected a map of at least 3 x 3 pixels; got {values_adu.shape}")
    mean = np.mean(values_adu[trusted], dtype=np.float64)
    centred = np.where(trusted, values_adu - mean, 0.0)
    of_rows = _variance_of_means(centred, trusted, axis=1)
    of_columns = _variance_of_means(centred, trusted, axis=0)
    total = float(np.sum(np.square(centred))) / int(trusted.sum())
    own = max((total - of_rows - of_columns) / (1 - 1 / n_rows - 1 / n_columns), 0.0)
    row, column = max(of_rows - own / n_columns, 0.0), max(of_columns - own / n_rows, 0.0)
    pixel = max(own - noise_adu2, 0.0)
    return SpatialVariances(row + column + pixel, row, column, pixel)


def _variance_of_means(centred: NDArray[np.floating], trusted: NDArray[np.bool_], axis: int) -> float:
    n_each = trusted.sum(axis=axis)
    means = centred.sum(axis=axis)[n_each > 0] / n_each[n_each > 0]
    return float(np.var(means))
