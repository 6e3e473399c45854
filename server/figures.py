"""The figures of a quality-control series over time: every value, which of them count, and the control chart over these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from server.control_chart import N_MOST, Chart, Sample, chart_of
from server.logbook import Signed, baselines, invalid_runs, notes
from server.store.base import Reads
from server.store.rows import QcPoint, QcSeriesRow

_WORST_FIRST = {"fail": 0, "warn": 1, "unknown": 2, "pass": 3}
_CHARTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a figure; `signal` names the rule of control that it breaks."""

    point: QcPoint
    is_valid: bool
    is_baseline: bool
    signal: str | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over time, oldest value first; all in the unit of the newest."""

    name: str
    values: tuple[Value, ...]
    chart: Chart | None

    @property
    def newest(self) -> QcPoint:
        """The value that says how the figure stands: the last that counts, else the last."""
        valid = [value.point for value in self.values if value.is_valid]
        return valid[-1] if valid else self.values[-1].point

    @property
    def baseline(self) -> float | None:
        """Time zero: what staff chose, else what the run itself was compared with."""
        chosen = [value.point.value for value in self.values if value.is_baseline]
        return chosen[-1] if chosen else self.newest.baseline

    @property
    def crossing(self) -> tuple[float, timedelta] | None:
        """The limit that the figure drifts to, and in how long it gets there."""
        limits = (self.newest.lower_limit, self.newest.upper_limit)
        drift = self.chart.drift if self.chart else None
        found = [(limit, drift.crosses(limit)) for limit in limits if limit is not None] if drift else []
        return min(((a, b) for a, b in found if b is not None), key=lambda one: one[1], default=None)


def figures_of(reads: Reads, series: QcSeriesRow, metric: str | None = None) -> list[Figure]:
    """Return the figures of a series over its newest runs, those in trouble first."""
    runs = reads.qc_runs(series.instrument_id, series.series_key, limit=N_MOST)
    if not runs:
        return []
    points = reads.qc_points(series.instrument_id, series.series_key, metric, runs[-1].captured_at)
    by_metric: dict[str, list[QcPoint]] = {}
    for point in points:
        if point.value is not None:
            by_metric.setdefault(point.metric, []).append(point)
    invalid = invalid_runs(reads, series.instrument_id)
    chosen = baselines(notes(reads, series.instrument_id, ("baseline",))).get(series.series_key)
    found = [figure_in(name, told, invalid, chosen) for name, told in by_metric.items()]
    return sorted(found, key=lambda figure: (_WORST_FIRST.get(figure.newest.status, 4), figure.name))


def figure_in(
    name: str, points: Sequence[QcPoint], invalid: Mapping[str, Signed], chosen: Signed | None
) -> Figure:
    """Return a figure of points, oldest first; runs declared invalid are told but enter no chart."""
    told = [point for point in points if point.unit == points[-1].unit]
    valid = [point for point in told if point.record_id not in invalid]
    zero = next((p.captured_at for p in told if chosen and p.record_id == chosen.subject), None)
    chart = _chart(tuple(Sample(p.captured_at, p.value or 0.0, p.uncertainty) for p in valid), zero)
    broken = {}
    if chart is not None:
        counted = valid[-len(chart.samples) :]
        broken = {counted[signal.index].record_id: signal.rule for signal in chart.signals}
    values = tuple(
        Value(
            point,
            point.record_id not in invalid,
            chosen is not None and point.record_id == chosen.subject,
            broken.get(point.record_id) if point.record_id not in invalid else None,
        )
        for point in told
    )
    return Figure(name, values, chart)


@lru_cache(maxsize=_CHARTS_KEPT)
def _chart(samples: tuple[Sample, ...], time_zero: datetime | None) -> Chart | None:
    """Return the chart of samples; it costs milliseconds, and most are looked at more than once."""
    return chart_of(samples, time_zero)
