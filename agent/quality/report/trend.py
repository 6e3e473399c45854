"""A figure over the runs of one routine and light path, beside theory, time zero and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.quality.report.words import figure_name, has_rule, number, shown, unit_of, when, with_unit
from agent.records import QcMetric, QcResult, QcStatus

MOST_RUNS = 60
MOST_TRENDS_WITHOUT_LIMITS = 4
WORST_FIRST = (QcStatus.FAIL, QcStatus.WARN, QcStatus.UNKNOWN, QcStatus.PASS)


@dataclass(frozen=True, slots=True)
class Point:
    """One run's value."""

    at: datetime
    value: float
    uncertainty: float | None
    status: QcStatus
    run_id: str
    is_this: bool
    is_method_new: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over all runs up to this one.

    Attributes
    ----------
    name, title, unit : str
        Of the figure.
    points : tuple of Point
        Oldest first; runs that could not measure it are left out.
    lines : tuple of (str, float)
        What it is compared with, by name: theory, time zero, lowest, highest; those of the last run.
    """

    name: str
    title: str
    unit: str
    points: tuple[Point, ...]
    lines: tuple[tuple[str, float], ...]

    @property
    def summary(self) -> str:
        """The chart in words."""
        values = [point.value for point in self.points]
        if not values:
            return f"{self.title} was measured in none of the runs."
        last = with_unit(shown(values[-1]), self.unit)
        if len(values) == 1:
            return f"{self.title}: one run so far, {last}. A chart begins with the second."
        low, high = with_unit(shown(min(values)), self.unit), with_unit(shown(max(values)), self.unit)
        first, latest = when(self.points[0].at)[:10], when(self.points[-1].at)[:10]
        return (
            f"{self.title}, {len(values)} runs from {first} to {latest}: from {low} to {high}, last {last}."
        )


def trends(result: QcResult, runs: Sequence[QcResult]) -> tuple[Trend, ...]:
    """Return the trends of all figures with limits; where nobody set any, of the first few that were measured.

    Parameters
    ----------
    result : QcResult
        This run: the last of all points.
    runs : sequence of QcResult
        Of this routine and light path; later ones than this are left out, so that a report stays what it was.
    """
    before = [r for r in runs if r.run_id != result.run_id and r.captured.wall_at <= result.captured.wall_at]
    series = [*sorted(before, key=lambda run: run.captured.wall_at)[-(MOST_RUNS - 1) :], result]
    ruled = list(dict.fromkeys(m.metric for m in result.metrics if has_rule(m)))
    known = list(dict.fromkeys(m.metric for m in result.metrics if number(m.measured) is not None))
    return tuple(_trend(name, result, series) for name in ruled or known[:MOST_TRENDS_WITHOUT_LIMITS])


def _trend(name: str, result: QcResult, series: Sequence[QcResult]) -> Trend:
    points: list[Point] = []
    version = series[0].routine_version
    for run in series:
        own = [metric for metric in run.metrics if metric.metric == name]
        value = number(own[0].measured) if own else None
        if value is not None:
            points.append(
                Point(
                    run.captured.wall_at, value, number(own[0].uncertainty), _worst(own), str(run.run_id),
                    run.run_id == result.run_id, run.routine_version != version,
                )
            )  # fmt: skip
            version = run.routine_version
    own = [metric for metric in result.metrics if metric.metric == name]
    unit = next((unit_of(metric) for metric in own if unit_of(metric)), "")
    return Trend(name, figure_name(name), unit, tuple(points), tuple(_lines(own)))


def _worst(metrics: Sequence[QcMetric]) -> QcStatus:
    return next(status for status in WORST_FIRST if status in {metric.status for metric in metrics})


def _lines(metrics: Sequence[QcMetric]) -> list[tuple[str, float]]:
    lowest = [m.lower_limit for m in metrics if m.lower_limit is not None]
    highest = [m.upper_limit for m in metrics if m.upper_limit is not None]
    expected = [n for m in metrics if (n := number(m.expected)) is not None]
    baseline = [n for m in metrics if (n := number(m.baseline)) is not None]
    found = {
        "theory": expected[0] if expected else None,
        "time zero": baseline[0] if baseline else None,
        "lowest": max(lowest) if lowest else None,
        "highest": min(highest) if highest else None,
    }
    return [(name, value) for name, value in found.items() if value is not None]
