"""Arithmetic of time spans: sets of moments as sorted, disjoint pairs of seconds since 1970 (UTC).

In a set no moment stands twice, so hours summed from sets that were taken from each other are counted once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Span = tuple[float, float]
Spans = Sequence[Span]


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the moments that are in any of the spans, in whatever order those come.

    >>> union([(5, 7), (0, 2), (1, 3), (3, 4), (9, 9)])
    [(0, 4), (5, 7)]
    """
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def minus(spans: Spans, taken: Spans) -> list[Span]:
    """Return the moments of a set that are not in another set.

    >>> minus([(0, 10), (20, 30)], [(2, 3), (5, 25)])
    [(0, 2), (3, 5), (25, 30)]
    """
    left: list[Span] = []
    for begin, end in spans:
        at = begin
        for number in range(bisect_right(taken, begin, key=_end), len(taken)):
            first, last = taken[number]
            if first >= end:
                break
            if first > at:
                left.append((at, first))
            at = max(at, last)
        if at < end:
            left.append((at, end))
    return left


def within(spans: Spans, begin: float, end: float) -> list[Span]:
    """Return the moments of a set from `begin` to before `end`.

    >>> within([(0, 10), (20, 30)], 5, 21)
    [(5, 10), (20, 21)]
    """
    found: list[Span] = []
    for number in range(bisect_right(spans, begin, key=_end), len(spans)):
        first, last = spans[number]
        if first >= end:
            break
        found.append((max(first, begin), min(last, end)))
    return found


def _end(span: Span) -> float:
    return span[1]


def length(spans: Spans) -> float:
    """Return how long a set is, s."""
    return sum(end - begin for begin, end in spans)
