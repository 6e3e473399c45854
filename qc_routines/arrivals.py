"""How many independent positions the returns of a stage tell as much as.

An axis that a trip does not move may stand where it stood: its returns then show one *arrival* again and again. Whether
it does is seen from how alike they are; a stage that seeks its place anew after each trip shows none of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOVED_BY = {"y": ("back", "front"), "x": ("left", "right")}
"""Directions of trips that move an axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Arrivals of one axis.

    Attributes
    ----------
    number : ndarray of int, (n,)
        Of the arrival that each return shows.
    likeness : float
        Correlation of two returns that show one arrival, about the means of their directions; 0 to 1.
    """

    number: NDArray[np.int_]
    likeness: float

    def n_independent(self, chosen: NDArray[np.bool_] | slice = slice(None)) -> float:
        """Return n / (1 + the mean number of returns that share a return's arrival x likeness) of the chosen.

        L. Kish, Survey Sampling (1965), section 5.4: the design effect of clusters.

        Examples
        --------
        >>> Arrivals(np.array([1, 2, 2, 2]), 1.0).n_independent(), Arrivals(np.array([1, 2, 2, 2]), 0.0).n_independent()
        (1.6, 4.0)
        """
        _, n_each = np.unique(self.number[chosen], return_counts=True)
        n = int(n_each.sum())
        return float(n**2 / (n + self.likeness * np.sum(n_each * (n_each - 1)))) if n else 0.0


def arrivals_of(values: NDArray[np.float64], came_from: NDArray[np.str_], axis: str) -> Arrivals:
    """Return the arrivals of an axis, from its positions (n,) after each return, in order; NaN where one is unknown.

    An arrival is shown by the return whose trip moved the axis and by all after it until it is moved again.
    """
    number = np.cumsum(np.isin(came_from, MOVED_BY[axis]))
    known = np.isfinite(values)
    off = values - _means(values, came_from, known)
    within = off - _means(off, number, known)
    _, n_each = np.unique(number[known], return_counts=True)
    n_free = int(np.sum(n_each - 1))
    total = float(np.sum(off[known] ** 2)) / max(int(known.sum()) - np.unique(came_from[known]).size, 1)
    if n_free == 0 or not total > 0:
        return Arrivals(number[known], 0.0)
    return Arrivals(number[known], float(np.clip(1 - np.sum(within[known] ** 2) / n_free / total, 0, 1)))


def _means(
    values: NDArray[np.float64], group: NDArray[np.generic], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return for each value the mean of the known ones of its group."""
    means = np.zeros(values.size)
    for name in np.unique(group[known]):
        means[group == name] = values[known & (group == name)].mean()
    return means
