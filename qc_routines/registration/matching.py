"""Which bead of one channel is which of another, when the channels are shifted, scaled or turned against each other.

Frame: um, axes z, y, x. Distances are in units of a tolerance along each axis, because z is known less well.
"""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
from numpy.typing import NDArray


def matched(
    first_um: NDArray[np.float64],
    second_um: NDArray[np.float64],
    tolerance_zyx_um: NDArray[np.float64],
    largest_shift_um: float,
) -> NDArray[np.intp]:
    """Return pairs (n, 2) of rows of first and second that are the same bead.

    The common shift is the one most differences agree on; pairs are mutual nearest neighbours after it is taken off.
    A linear map of the field is then fitted and they are paired once more about it, so that a chromatic
    magnification does not part them at the edge of the field.
    """
    if len(first_um) == 0 or len(second_um) == 0:
        return np.empty((0, 2), np.intp)
    shift = common_shift_um(first_um, second_um, tolerance_zyx_um, largest_shift_um)
    if shift is None:
        return np.empty((0, 2), np.intp)
    predicted = first_um + shift
    for reach in (2.0, 1.0):
        pairs = mutual_nearest(predicted, second_um, reach * tolerance_zyx_um)
        if len(pairs) < 6:
            return pairs
        design = np.column_stack([np.ones(len(first_um)), first_um[:, 1:]])
        moves = second_um[pairs[:, 1]] - first_um[pairs[:, 0]]
        terms = _robust_lines(design[pairs[:, 0]], moves)
        predicted = first_um + design @ terms
    return mutual_nearest(predicted, second_um, tolerance_zyx_um)


def common_shift_um(
    first_um: NDArray[np.float64],
    second_um: NDArray[np.float64],
    tolerance_zyx_um: NDArray[np.float64],
    largest_shift_um: float,
) -> NDArray[np.float64] | None:
    """Return the shift (z, y, x) that most differences second - first agree on; None when none is small enough.

    Differences vote in cells of one tolerance; a cell counts with its 26 neighbours. Of equal votes the smallest
    shift wins.
    """
    differences = (second_um[None] - first_um[:, None]).reshape(-1, 3)
    differences = differences[np.linalg.norm(differences, axis=1) <= largest_shift_um]
    if differences.size == 0:
        return None
    cells = np.rint(differences / tolerance_zyx_um).astype(int)
    votes = Counter(map(tuple, cells.tolist()))
    around = list(product((-1, 0, 1), repeat=3))

    def support(cell: tuple[int, ...]) -> tuple[int, float]:
        n = sum(votes.get((cell[0] + a, cell[1] + b, cell[2] + c), 0) for a, b, c in around)
        return n, -float(np.linalg.norm(np.array(cell) * tolerance_zyx_um))

    best = max(votes, key=support)
    agreeing = (np.abs(cells - np.array(best)) <= 1).all(axis=1)
    return np.median(differences[agreeing], axis=0)


def mutual_nearest(
    first: NDArray[np.float64], second: NDArray[np.float64], tolerance_zyx: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return pairs (n, 2) that are each other's nearest and closer than one tolerance.

    Examples
    --------
    >>> first, second = np.array([[0.0, 0, 0], [0, 5, 0]]), np.array([[0.0, 5.2, 0], [0, 4.9, 0], [9, 9, 9]])
    >>> mutual_nearest(first, second, np.ones(3)).tolist()
    [[1, 1]]
    """
    distance2 = (((second[None] - first[:, None]) / tolerance_zyx) ** 2).sum(axis=2)
    there, back = distance2.argmin(axis=1), distance2.argmin(axis=0)
    rows = np.arange(len(first))
    is_mutual = (back[there] == rows) & (distance2[rows, there] < 1.0)
    return np.column_stack([rows[is_mutual], there[is_mutual]])


def _robust_lines(design: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return least-squares terms (k, 3) with rows beyond four robust sigma left out."""
    keep = np.ones(len(design), bool)
    for _ in range(3):
        terms, *_ = np.linalg.lstsq(design[keep], values[keep], rcond=None)
        residual = np.abs(values - design @ terms)
        keep = (residual <= 4 * 1.4826 * np.median(residual[keep], axis=0) + 1e-9).all(axis=1)
        if keep.sum() <= design.shape[1]:
            break
    return terms
