"""What is likely behind a trouble, in a few words: the first of what the page of trends or of the run says at length."""

from __future__ import annotations

from server.quality.causes import LIKELY, Event
from server.quality.control_chart import Chart
from server.quality.figures import figures_of, said_of
from server.quality.runs import runs_named
from server.quality.timeline import Timeline
from server.store.base import Reads
from server.store.rows import QcPoint, QcSeriesRow

_LATE = 8
"""Values after a step within which the rules of control notice it."""
_MOST_SAID = 200


def behind_signal(reads: Reads, series: QcSeriesRow, point: QcPoint, n_broken: int) -> str:
    """Return what happened before a figure went out of control, `n_broken` values ago; empty when nothing stands out."""
    chart = _chart(reads, series, point)
    if chart is None:
        return ""
    first = len(chart.samples) - n_broken
    steps = [step.index for step in chart.steps if first - _LATE <= step.index <= first]
    at = steps[-1] if steps else first
    if at < 1:
        return ""
    suspects = Timeline(reads, series.instrument_id).suspects_of(chart, at, series.light_path)
    return _words(suspects[0].event) if suspects and suspects[0].weight >= LIKELY else ""


def behind_drift(reads: Reads, series: QcSeriesRow, point: QcPoint) -> str:
    """Return the reading of the environment that a figure drifts along with; empty when there is none."""
    chart = _chart(reads, series, point)
    alike = Timeline(reads, series.instrument_id).companions_of(chart) if chart else []
    return alike[0].name[:_MOST_SAID] if alike else ""


def behind_verdict(reads: Reads, series: QcSeriesRow) -> str:
    """Return what the newest run itself holds for the cause of its verdict."""
    advice = [one for run in runs_named(reads, [series.record_id]) for one in run.result.advice]
    return advice[0].finding[:_MOST_SAID] if advice else ""


def _chart(reads: Reads, series: QcSeriesRow, point: QcPoint) -> Chart | None:
    told = figures_of(reads, series, said_of(reads, series.instrument_id), point.metric)
    return told[0].chart if told else None


def _words(event: Event) -> str:
    what = f"{event.subject}: {event.what}" if event.sort == "change" else event.what
    return f"{' '.join(what.split())[:_MOST_SAID]} ({event.at:%Y-%m-%d})"
