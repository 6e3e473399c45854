"""How the figures of a quality-control series went, drawn as SVG shapes on a time axis that all of them share.

Everything drawn also stands in words in the page: values in a table, levels in a legend, events in a numbered list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import floor, log10
from typing import NamedTuple

import numpy as np

from server.numbers import decimal, measured
from server.quality.causes import Companion, Event, Suspect
from server.quality.control_chart import Chart
from server.quality.figures import Figure, Value

WIDTH, HEIGHT = 820.0, 210.0
N_LANES = 3
"""Rows that the numbers of events stand in, so that neighbours do not cover each other."""

_LANE_APART = 20.0
_FARTHEST = timedelta(days=730)
"""A slope says nothing of what comes later: lamps are changed and objectives cleaned before."""
_FARTHEST_SIGMAS = 12.0
_LEAST_SHARE = 0.12
"""Of the height the values must have at least; a limit too far off for that is told in words alone."""


class Dot(NamedTuple):
    """One value and where it is drawn; `is_off` when it lies beyond the chart's edge."""

    # A named tuple: thousands are made for one page.
    value: Value
    x: float
    y: float
    y_top: float
    y_bottom: float
    is_off: bool

    @property
    def text(self) -> str:
        """The value in words."""
        return measured(self.value.point.value, self.value.point.uncertainty)


@dataclass(frozen=True, slots=True)
class Level:
    """A line across; without `y` it lies beyond the chart's edge."""

    what: str
    value: float
    y: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A number or a day at an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An event on the time axis, by its number in the list of the page."""

    number: int
    x: float
    lane: int
    sort: str


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """A change of level, and what may have made it."""

    x: float
    at: datetime
    before: float
    after: float
    n_sigma: float
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure as it is drawn; dots newest first."""

    figure: Figure
    dots: tuple[Dot, ...]
    line: str
    levels: tuple[Level, ...]
    band: tuple[float, float] | None
    centre: float | None
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    steps: tuple[DrawnStep, ...]
    drift: tuple[float, float, float, float] | None
    companions: tuple[Companion, ...] = ()

    @property
    def has_invalid(self) -> bool:
        """Whether any of its runs must not be relied on."""
        return not all(dot.value.is_valid for dot in self.dots)

    @property
    def has_baseline(self) -> bool:
        """Whether the run that staff chose as baseline is among the values."""
        return any(dot.value.is_baseline for dot in self.dots)

    @property
    def crosses_at(self) -> datetime | None:
        """When the figure reaches a limit if it drifts on, None when that is too far off for a slope to tell."""
        crossing, chart = self.figure.crossing, self.figure.chart
        if crossing is None or chart is None or chart.drift is None or crossing[1] > _FARTHEST:
            return None
        return chart.drift.at + crossing[1]


@dataclass(frozen=True)
class Span:
    """The time that all charts of a page show."""

    first: datetime
    last: datetime

    @cached_property
    def _length_s(self) -> float:
        return (self.last - self.first).total_seconds()

    def x(self, at: datetime) -> float:
        """Return where a time is drawn."""
        length_s = self._length_s
        return WIDTH * (at - self.first).total_seconds() / length_s if length_s else WIDTH / 2

    def ticks(self) -> tuple[Tick, ...]:
        """Return about five days to write at the axis."""
        length = self.last - self.first
        if not length:
            return (Tick(WIDTH / 2, f"{self.first:%Y-%m-%d}"),)
        is_long = length > timedelta(days=4)
        told, shares = (
            ("%Y-%m-%d", (0.0, 0.25, 0.5, 0.75, 1.0)) if is_long else ("%Y-%m-%d %H:%M", (0.0, 1.0))
        )
        return tuple(Tick(share * WIDTH, f"{self.first + share * length:{told}}") for share in shares)


def span_of(figures: Sequence[Figure], events: Sequence[Event]) -> Span:
    """Return the time from the first value to the last value or event."""
    times = [value.point.captured_at for figure in figures for value in figure.values]
    first = min(times)
    return Span(first, max(*times, *(event.at for event in events if event.at >= first), first))


def draw(
    figure: Figure,
    span: Span,
    events: Sequence[Event] = (),
    suspects: Mapping[int, Sequence[Suspect]] | None = None,
    companions: Sequence[Companion] = (),
) -> Trend:
    """Return a figure as it is drawn.

    Parameters
    ----------
    figure : Figure
        With at least one value.
    span : Span
        The time axis.
    events : sequence of Event
        Those of the page's list, in its order: the first is number 1.
    suspects : mapping, optional
        Index of a step in the chart to what may have made it.
    companions : sequence of Companion
        What goes along with the figure.
    """
    low, high = _range(figure)
    scale = _Scale(low, high)
    dots = tuple(_dots(figure, span, scale))
    valid = [dot for dot in dots if dot.value.is_valid]
    chart = figure.chart
    return Trend(
        figure=figure,
        dots=dots,
        line=" ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in valid),
        levels=tuple(_levels(figure, scale)),
        band=_band(figure, scale),
        centre=scale.inside(chart.centre) if chart else None,
        y_ticks=tuple(scale.ticks()),
        x_ticks=span.ticks(),
        marks=tuple(_marks(events, span)),
        steps=tuple(_steps(figure, span, suspects or {})),
        drift=_drift(figure, span, scale),
        companions=tuple(companions),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def y(self, value: float) -> float:
        if self.high <= self.low:
            return HEIGHT / 2
        y = HEIGHT * (self.high - value) / (self.high - self.low)
        return 0.0 if y < 0.0 else HEIGHT if y > HEIGHT else y

    def inside(self, value: float) -> float | None:
        return self.y(value) if self.low <= value <= self.high else None

    def ticks(self) -> list[Tick]:
        """Return three to six round numbers."""
        width = self.high - self.low
        if width <= 0:
            return [Tick(HEIGHT / 2, decimal(f"{self.low:.6g}"))]
        rough = width / 4
        unit = 10.0 ** floor(log10(rough))
        step = min((k * unit for k in (1, 2, 2.5, 5, 10)), key=lambda one: abs(one - rough))
        first = floor(self.low / step) + 1
        numbers = [first * step + i * step for i in range(12)]
        return [Tick(self.y(n), decimal(f"{n + 0.0:.6g}")) for n in numbers if n <= self.high]


def _range(figure: Figure) -> tuple[float, float]:
    """Return what the height of the chart stands for: the values that are no wild outliers, and the levels near them."""
    middles = np.array([value.point.value or 0.0 for value in figure.values])
    spreads = np.array([abs(value.point.uncertainty or 0.0) for value in figure.values])
    inner = _is_near(middles, figure.chart) if figure.chart else None
    if inner is not None and inner.any():
        middles, spreads = middles[inner], spreads[inner]
    low, high = float((middles - spreads).min()), float((middles + spreads).max())
    width = (high - low) or abs(high) * 0.01 or 1.0
    for _, level in _named_levels(figure):
        wider = max(high, level) - min(low, level)
        if width >= _LEAST_SHARE * wider:
            low, high = min(low, level), max(high, level)
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin


def _is_near(values: np.ndarray, chart: Chart) -> np.ndarray:
    """Whether values are drawn where they are: near the centre, or on a level that the figure stepped or drifted to."""
    levels = [chart.centre, *(step.before for step in chart.steps), *(step.after for step in chart.steps)]
    levels += [chart.drift.level] if chart.drift else []
    return (np.abs(values[:, np.newaxis] - levels) <= _FARTHEST_SIGMAS * chart.sigma).any(axis=1)


def _named_levels(figure: Figure) -> list[tuple[str, float]]:
    newest = figure.newest
    named = [
        ("lower limit", newest.lower_limit),
        ("upper limit", newest.upper_limit),
        ("expected", newest.expected),
        ("baseline", figure.baseline),
    ]
    return [(what, value) for what, value in named if value is not None]


def _levels(figure: Figure, scale: _Scale) -> list[Level]:
    return [Level(what, value, scale.inside(value)) for what, value in _named_levels(figure)]


def _band(figure: Figure, scale: _Scale) -> tuple[float, float] | None:
    """Return the top and the bottom of three σ around the centre."""
    if (chart := figure.chart) is None:
        return None
    return scale.y(chart.centre + 3 * chart.sigma), scale.y(chart.centre - 3 * chart.sigma)


def _dots(figure: Figure, span: Span, scale: _Scale) -> Iterator[Dot]:
    """Yield the values, newest first."""
    for value in reversed(figure.values):
        point = value.point
        middle, spread = point.value or 0.0, abs(point.uncertainty or 0.0)
        y = y_top = y_bottom = scale.y(middle)
        if spread:
            y_top, y_bottom = scale.y(middle + spread), scale.y(middle - spread)
        is_off = not scale.low <= middle <= scale.high
        yield Dot(value, span.x(point.captured_at), y, y_top, y_bottom, is_off)


def _marks(events: Sequence[Event], span: Span) -> list[Mark]:
    lanes = [-_LANE_APART] * N_LANES
    found = []
    for number, event in enumerate(events, start=1):
        if span.first <= event.at <= span.last:
            x = span.x(event.at)
            lane = next((i for i, end in enumerate(lanes) if x - end >= _LANE_APART), lanes.index(min(lanes)))
            lanes[lane] = x
            found.append(Mark(number, x, lane, event.sort))
    return found


def _steps(figure: Figure, span: Span, suspects: Mapping[int, Sequence[Suspect]]) -> list[DrawnStep]:
    if (chart := figure.chart) is None:
        return []
    found = []
    for step in chart.steps:
        before, after = chart.samples[step.index - 1].at, chart.samples[step.index].at
        x = (span.x(before) + span.x(after)) / 2
        told = tuple(suspects.get(step.index, ()))
        found.append(DrawnStep(x, after, step.before, step.after, step.n_sigma, told))
    return found


def _drift(figure: Figure, span: Span, scale: _Scale) -> tuple[float, float, float, float] | None:
    chart = figure.chart
    if chart is None or chart.drift is None:
        return None
    first = chart.samples[chart.steps[-1].index if chart.steps else 0].at
    days = (chart.drift.at - first).total_seconds() / 86_400
    start = chart.drift.level - chart.drift.per_day * days
    return span.x(first), scale.y(start), span.x(chart.drift.at), scale.y(chart.drift.level)
