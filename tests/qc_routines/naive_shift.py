"""Slow and obvious oracles of shift, focus and dots. Plain Python, no FFT."""

from __future__ import annotations

import math


def whole_shift(first: list[list[float]], second: list[list[float]], most: int) -> tuple[int, int]:
    """Return the shift of whole pixels, at most `most`, with the largest Pearson correlation of the overlap."""
    n_y, n_x = len(first), len(first[0])

    def correlation(dy: int, dx: int) -> float:
        pairs = [
            (first[y][x], second[y + dy][x + dx])
            for y in range(n_y)
            for x in range(n_x)
            if 0 <= y + dy < n_y and 0 <= x + dx < n_x
        ]
        mean_a, mean_b = (math.fsum(p[i] for p in pairs) / len(pairs) for i in (0, 1))
        top = math.fsum((a - mean_a) * (b - mean_b) for a, b in pairs)
        squares = [math.fsum((p[i] - m) ** 2 for p in pairs) for i, m in ((0, mean_a), (1, mean_b))]
        return top / math.sqrt(squares[0] * squares[1])

    shifts = [(dy, dx) for dy in range(-most, most + 1) for dx in range(-most, most + 1)]
    return max(shifts, key=lambda shift: correlation(*shift))


def squared_differences(image: list[list[float]]) -> tuple[float, float]:
    """Return mean squared differences of pixels two apart and one apart, along y and x together."""
    ys, xs = range(len(image) - 2), range(len(image[0]) - 2)
    sums = [
        math.fsum(
            (image[y][x + k] - image[y][x]) ** 2 + (image[y + k][x] - image[y][x]) ** 2
            for y in ys
            for x in xs
        )
        for k in (2, 1)
    ]
    n = len(ys) * len(xs)
    return sums[0] / n, sums[1] / n


def components(is_bright: list[list[bool]]) -> list[set[tuple[int, int]]]:
    """Return the 8-connected sets of bright pixels, by joining neighbours until nothing changes."""
    sets = [{(y, x)} for y, row in enumerate(is_bright) for x, bright in enumerate(row) if bright]
    i = 0
    while i < len(sets):
        touching = [
            j
            for j in range(len(sets))
            if j != i and any(abs(a - c) <= 1 and abs(b - d) <= 1 for a, b in sets[i] for c, d in sets[j])
        ]
        if not touching:
            i += 1
            continue
        joined = set().union(sets[i], *(sets[j] for j in touching))
        sets = [s for j, s in enumerate(sets) if j != i and j not in touching] + [joined]
        i = 0
    return sets
