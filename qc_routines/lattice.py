"""Which dot of a regular grid is which: row and column of each, although the grid is turned and bent.

Square grids have their columns across the rows; in hexagonal ones, whose dots have six neighbours each at the same
distance, columns run at 60 degrees to the rows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError

NEAR = 0.3
"""A dot is where it is expected when within this part of the pitch."""
LEAST_DOTS = 9
LEAST_ORDER = 0.3
"""How alike the directions of neighbours are, folded: 1 on a perfect grid, 0 for dots that lie anyhow."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """A kind of grid.

    Attributes
    ----------
    name : str
        As it is stated.
    n_neighbours : int
        Of each dot, at the distance of one pitch.
    basis_yx : tuple
        From a dot to the next in its column and to the next in its row, in pitches.
    steps : tuple
        Rows and columns to the neighbours that the walk goes to.
    """

    name: str
    n_neighbours: int
    basis_yx: tuple[tuple[float, float], tuple[float, float]]
    steps: tuple[tuple[int, int], ...]

    def nodes_yx(self, indices: Points) -> Points:
        """Return where rows and columns (n, 2) are in an ideal grid, in pitches."""
        return indices @ np.array(self.basis_yx)


SQUARE = Lattice("square", 4, ((1.0, 0.0), (0.0, 1.0)), ((1, 0), (-1, 0), (0, 1), (0, -1)))
HEXAGONAL = Lattice("hexagonal", 6, ((sqrt(3) / 2, 0.5), (0.0, 1.0)), (*SQUARE.steps, (1, -1), (-1, 1)))
LATTICES = {lattice.name: lattice for lattice in (SQUARE, HEXAGONAL)}


def lattice_of(points_yx: Points, stated: str | None = None) -> Lattice:
    """Return the lattice on which points (n, 2) lie: how many directions their neighbours lie in tells.

    Raises
    ------
    InputError
        Fewer than nine points, points that are no grid, or on another than the one that was stated.
    """
    if stated is not None and stated not in LATTICES:
        raise InputError(f"expected a lattice out of {', '.join(LATTICES)}; got {stated!r}")
    if len(points_yx) < LEAST_DOTS:
        raise InputError(f"expected at least {LEAST_DOTS} dots of a grid; got {len(points_yx)}")
    angles = np.arctan2(*_steps(points_yx).T)
    order = {name: abs(np.mean(np.exp(1j * each.n_neighbours * angles))) for name, each in LATTICES.items()}
    found = max(order, key=lambda name: order[name])
    if order[found] < LEAST_ORDER:
        raise InputError("expected a grid of dots; got dots whose neighbours lie in all directions")
    if stated is not None and found != stated:
        raise InputError(f"expected a {stated} grid; got dots that lie on a {found} one")
    return LATTICES[found]


def lattice_indices(points_yx: Points, lattice: Lattice = SQUARE) -> Points:
    """Return row and column of each point (n, 2), NaN for those that belong to no node.

    The row of the point nearest to the middle is 0, and so is its column; columns go along the lattice vector nearest
    to x. From there it walks from dot to dot, each time with the vectors found on the way, so that a bend adds up.

    Raises
    ------
    InputError
        Fewer than nine points, or points that are no such grid.
    """
    if len(points_yx) < LEAST_DOTS:
        raise InputError(f"expected at least {LEAST_DOTS} dots of a grid; got {len(points_yx)}")
    down, right = _lattice_vectors(points_yx, lattice)
    pitch = float(np.hypot(*right))
    start = int(np.argmin(np.hypot(*(points_yx - points_yx.mean(axis=0)).T)))
    indices = np.full((len(points_yx), 2), np.nan)
    indices[start] = 0
    queue, taken = deque([(start, down, right)]), {(0, 0)}
    while queue:
        here, down, right = queue.popleft()
        for row, column in lattice.steps:
            node = (int(indices[here, 0]) + row, int(indices[here, 1]) + column)
            step = row * down + column * right
            there = _nearest(points_yx, points_yx[here] + step, NEAR * pitch)
            if there is None or node in taken or np.isfinite(indices[there, 0]):
                continue
            indices[there] = node
            taken.add(node)
            found = points_yx[there] - points_yx[here]
            along = (
                (down + row * found) / 2 if row and not column else down,
                (right + column * found) / 2 if column and not row else right,
            )
            queue.append((there, *along))
    if np.isfinite(indices[:, 0]).sum() < LEAST_DOTS:
        raise InputError(f"expected dots on a {lattice.name} grid; got dots that are on none")
    return indices


def _steps(points: Points) -> Points:
    """Return the vectors (m, 2) from each point to its neighbours."""
    between = points[None, :] - points[:, None]
    distance = np.hypot(between[..., 0], between[..., 1])
    np.fill_diagonal(distance, np.inf)
    pitch = float(np.median(distance.min(axis=1)))
    return between[(distance > 0.75 * pitch) & (distance < 1.25 * pitch)]


def _lattice_vectors(points: Points, lattice: Lattice) -> tuple[Points, Points]:
    """Return the vectors to the next row and to the next column, from how most neighbours lie."""
    steps, n = _steps(points), lattice.n_neighbours
    angles = np.arctan2(steps[:, 0], steps[:, 1])
    turned = np.angle(np.mean(np.exp(1j * n * angles))) / n  # all directions fold into the one nearest to x
    along = [
        np.abs(np.angle(np.exp(1j * (angles - turned - corner)))) < np.pi / (2 * n)
        for corner in (2 * np.pi / n, 0)
    ]
    if not (along[0].any() and along[1].any()):
        raise InputError(
            f"expected a {lattice.name} grid; got dots whose neighbours lie in no two directions"
        )
    return np.median(steps[along[0]], axis=0), np.median(steps[along[1]], axis=0)


def _nearest(points: Points, place: Points, within: float) -> int | None:
    distance = np.hypot(*(points - place).T)
    i = int(np.argmin(distance))
    return i if distance[i] <= within else None
