"""Where the marks of a control chart lie: numbers only, the page writes them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from agent.quality.report.trend import Point, Trend
from agent.quality.report.words import shown
from agent.records import QcStatus

WIDTH, HEIGHT = 430, 210
LEFT, RIGHT, TOP, BOTTOM = 58, 78, 14, 30
LABEL_APART = 14.0
HALF = 5.0
"""Half the size of a mark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of the chart; `shape` is the points of a polygon, empty for a circle."""

    x: float
    y: float
    low_y: float
    high_y: float
    shape: str
    status: str
    is_this: bool
    is_method_new: bool
    words: str


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with its name at the right end."""

    y: float
    label_y: float
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All marks in units of the view box."""

    marks: tuple[Mark, ...]
    levels: tuple[Level, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[tuple[float, str, str], ...]
    line: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def chart(trend: Trend) -> Chart | None:
    """Return the chart of a trend; None of fewer than two points."""
    if len(trend.points) < 2:
        return None
    ticks = ticks_over(*_span(trend))
    low, high = ticks[0], ticks[-1]

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    xs = _places(trend.points)
    marks = tuple(_mark(point, x, y) for point, x in zip(trend.points, xs, strict=True))
    return Chart(
        marks,
        _levels([(name, y(value)) for name, value in trend.lines]),
        tuple((y(tick), shown(tick)) for tick in ticks),
        _dates(trend.points, xs),
        " ".join(f"{mark.x},{mark.y}" for mark in marks),
    )


def _span(trend: Trend) -> tuple[float, float]:
    """Return the least and the largest of all that is to be seen."""
    values = [value for _, value in trend.lines]
    for point in trend.points:
        spread = point.uncertainty or 0.0
        values += [point.value - spread, point.value + spread]
    return min(values), max(values)


def ticks_over(low: float, high: float) -> list[float]:
    """Return round numbers that enclose a span, four to seven of them.

    Examples
    --------
    >>> ticks_over(0.21, 0.37), ticks_over(5.0, 5.0)
    ([0.2, 0.25, 0.3, 0.35, 0.4], [4.8, 4.9, 5.0, 5.1, 5.2])
    """
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        room = max(abs(low) * 0.04, 1e-12)
        low, high = low - room, high + room
    power = 10.0 ** floor(log10((high - low) / 4))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= 5)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(k * step, 12 - floor(log10(step))) for k in range(first, last + 1)]


def _places(points: Sequence[Point]) -> list[float]:
    """Return x of each point: by time, or evenly when all are of one moment."""
    seconds = [point.at.timestamp() for point in points]
    span = seconds[-1] - seconds[0]
    share = [(s - seconds[0]) / span if span else i / (len(points) - 1) for i, s in enumerate(seconds)]
    return [round(LEFT + 10 + (WIDTH - LEFT - RIGHT - 20) * part, 1) for part in share]


def _mark(point: Point, x: float, y) -> Mark:
    spread = point.uncertainty or 0.0
    at = y(point.value)
    shapes = {
        QcStatus.WARN: ((0, -HALF * 1.2), (HALF * 1.1, HALF * 0.8), (-HALF * 1.1, HALF * 0.8)),
        QcStatus.FAIL: ((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF)),
    }
    corners = " ".join(f"{x + dx:.1f},{at + dy:.1f}" for dx, dy in shapes.get(point.status, ()))
    words = f"{point.at:%Y-%m-%d}: {shown(point.value, point.uncertainty)}, {point.status.value}"
    return Mark(
        x, at, y(point.value - spread), y(point.value + spread), corners, point.status.value, point.is_this,
        point.is_method_new, words,
    )  # fmt: skip


def _levels(lines: list[tuple[str, float]]) -> tuple[Level, ...]:
    """Return the lines with labels that do not lie on one another."""
    kinds = {"theory": "theory", "time zero": "zero", "lowest": "limit", "highest": "limit"}
    names = {"lowest": "lower limit", "highest": "upper limit"}
    levels, free_from = [], -1e9
    for name, y in sorted(lines, key=lambda line: line[1]):
        label_y = max(y, free_from)
        free_from = label_y + LABEL_APART
        levels.append(Level(y, round(label_y, 1), names.get(name, name), kinds[name]))
    return tuple(levels)


def _dates(points: Sequence[Point], xs: Sequence[float]) -> tuple[tuple[float, str, str], ...]:
    """Return x, words and anchor of the first and the last date; the times when both are of one day."""
    form = "%Y-%m-%d" if points[0].at.date() != points[-1].at.date() else "%H:%M:%S"
    return ((xs[0], f"{points[0].at:{form}}", "start"), (xs[-1], f"{points[-1].at:{form}}", "end"))
