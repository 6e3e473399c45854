"""How the figures of a quality-control series went, drawn as SVG shapes on a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.records import QcMetric, Quantity
from server.quality import Run, Series, worst_first

WIDTH, HEIGHT = 480.0, 130.0
MOST_POINTS = 60


@dataclass(frozen=True, slots=True)
class Point:
    """One run's value of a figure, and where it is drawn; times and values stand in the table as well."""

    record_id: str
    at: datetime
    metric: QcMetric
    x: float
    y: float
    y_top: float
    y_bottom: float


@dataclass(frozen=True, slots=True)
class Level:
    """A line across: a limit, what theory expects, or time zero."""

    what: str
    value: float
    y: float


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over time, newest point first."""

    metric: QcMetric
    points: tuple[Point, ...]
    levels: tuple[Level, ...]
    line: str
    low: float
    high: float


def trends_of(series: Series) -> list[Trend]:
    """Return a trend for every figure that the newest run measured as a number, worst first."""
    metrics = worst_first(series.newest.result.metrics)
    found = (_trend(metric, series.runs[:MOST_POINTS]) for metric in metrics)
    return [trend for trend in found if trend is not None]


def figure(quantity: Quantity | None) -> float | None:
    """Return the number in a quantity, None when it is absent or no number that can be drawn."""
    value = quantity.value if quantity else None
    if value is None or isinstance(value, bool | str):
        return None
    return float(value) if abs(value) < 1e300 else None


def _trend(metric: QcMetric, runs: Sequence[Run]) -> Trend | None:
    """Return the trend of one figure; values in another unit than the newest's are left out."""
    if metric.measured is None:
        return None
    unit = metric.measured.unit
    told = [(run, one) for run in runs for one in run.result.metrics if one.metric == metric.metric]
    told = [(run, one) for run, one in told if one.measured is not None and one.measured.unit == unit]
    told = [(run, one) for run, one in told if figure(one.measured) is not None]
    if not told:
        return None
    levels = _levels(metric)
    spans = [_span(one) for _, one in told]
    everything = [value for span in spans for value in span] + [value for _, value in levels]
    low, high = min(everything), max(everything)
    points = tuple(_points(told, low, high))
    return Trend(
        metric=metric,
        points=points,
        levels=tuple(Level(what, value, _y(value, low, high)) for what, value in levels),
        line=" ".join(f"{point.x:.1f},{point.y:.1f}" for point in points),
        low=low,
        high=high,
    )


def _levels(metric: QcMetric) -> list[tuple[str, float]]:
    named: list[tuple[str, float | None]] = [
        ("lower limit", metric.lower_limit),
        ("upper limit", metric.upper_limit),
        ("expected", figure(metric.expected)),
        ("baseline", figure(metric.baseline)),
    ]
    return [(what, value) for what, value in named if value is not None and abs(value) < 1e300]


def _span(metric: QcMetric) -> tuple[float, float, float]:
    """Return a value with its uncertainty: lowest, itself, highest."""
    value = figure(metric.measured) or 0.0
    uncertainty = abs(figure(metric.uncertainty) or 0.0)
    return value - uncertainty, value, value + uncertainty


def _points(told: Sequence[tuple[Run, QcMetric]], low: float, high: float) -> list[Point]:
    times = [run.row.captured_at for run, _ in told]
    first, length = min(times), (max(times) - min(times)).total_seconds()
    points = []
    for run, metric in told:
        bottom, y, top = (_y(value, low, high) for value in _span(metric))
        share = (run.row.captured_at - first).total_seconds() / length if length else 0.5
        at = run.row.captured_at
        points.append(Point(run.row.record_id, at, metric, share * WIDTH, y, top, bottom))
    return points


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT * (high - value) / (high - low) if high > low else HEIGHT / 2
