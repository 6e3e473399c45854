"""Which dot of a square grid is which: row and column of each, although the grid is turned and bent."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError

NEAR = 0.3
"""A dot is where it is expected when within this part of the pitch."""
LEAST_DOTS = 9


def lattice_indices(points_yx: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return row and column of each point (n, 2), NaN for those that belong to no node.

    The row of the point nearest to the middle is 0, and so is its column; columns go along the lattice vector nearer
    to x. From there it walks from dot to dot, each time with the vectors found on the way, so that a bend adds up.

    Raises
    ------
    InputError
        Fewer than nine points, or points that are no grid.
    """
    if len(points_yx) < LEAST_DOTS:
        raise InputError(f"expected at least {LEAST_DOTS} dots of a grid; got {len(points_yx)}")
    down, right = _lattice_vectors(points_yx)
    pitch = float(np.hypot(*right))
    start = int(np.argmin(np.hypot(*(points_yx - points_yx.mean(axis=0)).T)))
    indices = np.full((len(points_yx), 2), np.nan)
    indices[start] = 0
    queue, taken = deque([(start, down, right)]), {(0, 0)}
    while queue:
        here, down, right = queue.popleft()
        for row, column in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            node = (int(indices[here, 0]) + row, int(indices[here, 1]) + column)
            step = row * down + column * right
            there = _nearest(points_yx, points_yx[here] + step, NEAR * pitch)
            if there is None or node in taken or np.isfinite(indices[there, 0]):
                continue
            indices[there] = node
            taken.add(node)
            found = (points_yx[there] - points_yx[here]) * (row + column)
            queue.append(
                (there, (down + found) / 2 if row else down, (right + found) / 2 if column else right)
            )
    if np.isfinite(indices[:, 0]).sum() < LEAST_DOTS:
        raise InputError("expected dots on a square grid; got dots that are on none")
    return indices


def _lattice_vectors(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the vectors to the next row and to the next column, from how most neighbours lie."""
    between = points[None, :] - points[:, None]
    distance = np.hypot(between[..., 0], between[..., 1])
    np.fill_diagonal(distance, np.inf)
    pitch = float(np.median(distance.min(axis=1)))
    steps = between[(distance > 0.75 * pitch) & (distance < 1.25 * pitch)]
    angles = np.arctan2(steps[:, 0], steps[:, 1])
    turned = np.angle(np.mean(np.exp(4j * angles))) / 4  # four directions fold into one; -45 to 45 deg
    along = [
        np.abs(np.angle(np.exp(1j * (angles - turned - quarter)))) < np.pi / 8 for quarter in (np.pi / 2, 0)
    ]
    if not (along[0].any() and along[1].any()):
        raise InputError("expected a square grid; got dots whose neighbours lie in no two directions")
    return np.median(steps[along[0]], axis=0), np.median(steps[along[1]], axis=0)


def _nearest(points: NDArray[np.float64], place: NDArray[np.float64], within: float) -> int | None:
    distance = np.hypot(*(points - place).T)
    i = int(np.argmin(distance))
    return i if distance[i] <= within else None
