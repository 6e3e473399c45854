"""The figures of a quality-control series over time: every value, which of them count, and the control chart over these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import NamedTuple

from server.logbook import Signed, baselines, every_note, invalidations
from server.quality.control_chart import N_MOST, Chart, Sample, chart_of
from server.store.base import Reads
from server.store.rows import QcPoint, QcSeriesRow

_WORST_FIRST = {"fail": 0, "warn": 1, "unknown": 2, "pass": 3}
_CHARTS_KEPT = 256


class Value(NamedTuple):
    """One value of a figure; `signal` names the rule of control that it breaks."""

    # A named tuple: thousands are made for one page.
    point: QcPoint
    is_valid: bool
    is_baseline: bool
    signal: str | None


@dataclass(frozen=True)
class Figure:
    """One figure over time; its chart is made when somebody looks at it."""

    name: str
    points: tuple[QcPoint, ...]
    """Oldest first, all in the unit of the newest."""
    invalid: frozenset[str]
    """Records of the runs that must not be relied on: they are told, and enter no chart."""
    zero: str | None
    """The record of the run that staff chose as baseline."""

    @cached_property
    def valid(self) -> tuple[QcPoint, ...]:
        """The points that count, oldest first."""
        return tuple(point for point in self.points if point.record_id not in self.invalid)

    @cached_property
    def chart(self) -> Chart | None:
        """The control chart, None with too few values."""
        at = next((point.captured_at for point in self.points if point.record_id == self.zero), None)
        return _chart(tuple((p.captured_at, p.value or 0.0, p.uncertainty) for p in self.valid), at)

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """Every value, oldest first."""
        broken: dict[str, str] = {}
        if self.chart is not None:
            counted = self.valid[-len(self.chart.samples) :]
            broken = {counted[signal.index].record_id: signal.rule for signal in self.chart.signals}
        return tuple(
            Value(point, point.record_id not in self.invalid, point.record_id == self.zero, broken.get(point.record_id))
            for point in self.points
        )  # fmt: skip

    @property
    def newest(self) -> QcPoint:
        """The value that says how the figure stands: the last that counts, else the last."""
        return self.valid[-1] if self.valid else self.points[-1]

    @property
    def baseline(self) -> float | None:
        """Time zero: what staff chose, else what the run itself was compared with."""
        chosen = [point.value for point in self.points if point.record_id == self.zero]
        return chosen[-1] if chosen else self.newest.baseline

    @property
    def crossing(self) -> tuple[float, timedelta] | None:
        """The limit that the figure drifts to, and in how long it gets there."""
        limits = (self.newest.lower_limit, self.newest.upper_limit)
        drift = self.chart.drift if self.chart else None
        found = [(limit, drift.crosses(limit)) for limit in limits if limit is not None] if drift else []
        return min(((a, b) for a, b in found if b is not None), key=lambda one: one[1], default=None)


@dataclass(frozen=True, slots=True)
class Said:
    """What people said of the runs of an instrument: those that must not be relied on, and the baseline of each series."""

    invalid: Mapping[str, Signed]
    baselines: Mapping[str, Signed]


def said_of(reads: Reads, instrument_id: str) -> Said:
    """Return what people said of the runs of an instrument."""
    told = list(every_note(reads, instrument_id, "invalidation", "baseline"))
    invalid, chosen = invalidations(told), baselines(told)
    return Said(invalid, {series: one for series, one in chosen.items() if one.subject not in invalid})


def figures_of(reads: Reads, series: QcSeriesRow, said: Said, metric: str | None = None) -> list[Figure]:
    """Return the figures of a series over its newest runs, those in trouble first."""
    newest = N_MOST if series.n_runs > N_MOST else None
    points = reads.qc_points(series.instrument_id, series.series_key, metric, newest=newest)
    by_metric: dict[str, list[QcPoint]] = {}
    for point in points:
        if point.value is not None:
            by_metric.setdefault(point.metric, []).append(point)
    chosen = said.baselines.get(series.series_key)
    found = [figure_in(name, told, said.invalid, chosen) for name, told in by_metric.items()]
    return sorted(found, key=lambda figure: (_WORST_FIRST.get(figure.newest.status, 4), figure.name))


def figure_in(
    name: str, points: Sequence[QcPoint], invalid: Mapping[str, Signed], chosen: Signed | None
) -> Figure:
    """Return a figure of points, oldest first; runs declared invalid are told but enter no chart."""
    told = tuple(point for point in points if point.unit == points[-1].unit)
    return Figure(name, told, frozenset(invalid), chosen.subject if chosen else None)


@lru_cache(maxsize=_CHARTS_KEPT)
def _chart(
    samples: tuple[tuple[datetime, float, float | None], ...], time_zero: datetime | None
) -> Chart | None:
    """Return the chart of samples; it costs milliseconds, and most are looked at more than once.

    What it is made of is its key, all of it: whatever changes the chart makes another key.
    """
    return chart_of([Sample(*one) for one in samples], time_zero)
