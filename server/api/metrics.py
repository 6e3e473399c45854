"""``/metrics``: what a Prometheus server scrapes, as OpenMetrics or in the older text format, whichever it asks for.

One gauge a fact, instruments as labels. Figures of quality control would multiply without end (every metric of every light
path), so they stop at `MOST_QC_FIGURES` and say how many were left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as Source

from agent.records import Heartbeat, RecordError, decode_tolerant
from server.access.roles import Permission
from server.alerts.book import book_of
from server.alerts.rules import Severity
from server.collector import Collector
from server.dependencies import TheCollector, allowed
from server.store.base import Reads
from server.store.rows import FleetRow

MOST_QC_FIGURES = 20_000
INSTRUMENT = ["instrument_id", "instrument", "site"]
SERIES = [*INSTRUMENT, "routine", "light_path"]
STATUS = {"pass": 0, "warn": 1, "fail": 2, "unknown": 3}

router = APIRouter(include_in_schema=False, dependencies=[Depends(allowed(Permission.VIEW_HEALTH))])


@router.get("/metrics")
def metrics(request: Request, collector: TheCollector) -> Response:
    """Answer a scrape. Needs a bearer token of a role that may see instruments' health."""
    registry = CollectorRegistry()
    registry.register(_Fleet(collector))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=content_type)


class _Fleet(Source):
    """Reads the store once a scrape."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        """Return nothing: what there is, is known when it is read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give every family of metrics."""
        now = self._collector.now()
        with self._collector.store.reading() as reads:
            fleet = reads.fleet()
            yield from _presence(fleet, now, self._collector.silent_after.total_seconds())
            yield from _heartbeats(fleet)
            yield from _quality(reads, fleet, now)
            yield _alerts(reads)
            quarantined = GaugeMetricFamily(
                "scopestamp_quarantined_records",
                "Records kept but not understood.",
                value=reads.n_quarantined(),
            )
            yield quarantined


def _labels(row: FleetRow) -> list[str]:
    return [row.instrument.instrument_id, row.instrument.name, row.instrument.site]


def _presence(fleet: list[FleetRow], now: datetime, silent_after_s: float) -> Iterator[Metric]:
    up = GaugeMetricFamily("scopestamp_instrument_up", "1 while its agent is heard.", labels=INSTRUMENT)
    heard = GaugeMetricFamily(
        "scopestamp_instrument_heard_timestamp_seconds",
        "When its agent was last heard, by the collector's clock.",
        labels=INSTRUMENT,
    )
    for row in fleet:
        silent_s = (now - row.heard_at).total_seconds() if row.heard_at else float("inf")
        up.add_metric(_labels(row), float(silent_s <= silent_after_s))
        if row.heard_at is not None:
            heard.add_metric(_labels(row), row.heard_at.timestamp())
    yield up
    yield heard


_GAUGES = (
    ("spool_waiting_records", "Records not yet acknowledged.", lambda beat: beat.spool.n_waiting),
    ("spool_bytes", "Size of what waits on disk.", lambda beat: beat.spool.bytes_on_disk),
    ("disk_free_bytes", "Free on the spool's volume.", lambda beat: beat.disk_free_bytes),
    ("clock_offset_seconds", "Collector's clock minus the instrument's.", lambda beat: beat.clock_offset_s),
    ("agent_memory_bytes", "Resident memory of the agent.", lambda beat: beat.memory_bytes),
    ("agent_uptime_seconds", "Since the agent started.", lambda beat: beat.uptime_s),
    ("acquiring", "1 while it acquires.", lambda beat: float(beat.hardware == "acquiring")),
    ("hardware_down", "1 while the hardware cannot be reached.", lambda beat: float(beat.hardware == "down")),
)
_COUNTERS = (
    (
        "hardware_restarts",
        "Restarts of the hardware process since the agent started.",
        lambda beat: beat.n_restarts,
    ),
    ("events_lost", "Events lost to a full queue since the agent started.", lambda beat: beat.n_overflow),
    ("records_set_aside", "Records that could not be sent.", lambda beat: beat.spool.n_poisoned),
)


def _heartbeats(fleet: list[FleetRow]) -> Iterator[Metric]:
    beats = [(row, beat) for row in fleet if (beat := _heartbeat(row)) is not None]
    for families, make in ((_GAUGES, GaugeMetricFamily), (_COUNTERS, CounterMetricFamily)):
        for name, text, value_of in families:
            family = make(f"scopestamp_{name}", text, labels=INSTRUMENT)
            for row, beat in beats:
                value = value_of(beat)
                if value is not None:
                    family.add_metric(_labels(row), value)
            yield family


def _heartbeat(row: FleetRow) -> Heartbeat | None:
    try:
        record = decode_tolerant(row.heartbeat.raw) if row.heartbeat else None
    except RecordError:  # written under rules that this collector does not know
        return None
    return record if isinstance(record, Heartbeat) else None


def _quality(reads: Reads, fleet: list[FleetRow], now: datetime) -> Iterator[Metric]:
    status = GaugeMetricFamily(
        "scopestamp_qc_status", "Verdict of the newest run: 0 pass, 1 warn, 2 fail, 3 unknown.", labels=SERIES
    )
    age = GaugeMetricFamily("scopestamp_qc_age_seconds", "Since the newest run.", labels=SERIES)
    value = GaugeMetricFamily(
        "scopestamp_qc_value", "Figure of the newest run, in its unit.", labels=[*SERIES, "figure", "unit"]
    )
    n_told, n_left_out = 0, 0
    for row in fleet:
        for series in reads.qc_series(row.instrument.instrument_id):
            light_path = " ".join(f"{part}={name}" for part, name in sorted(series.light_path.items()))
            labels = [*_labels(row), series.routine, light_path]
            status.add_metric(labels, STATUS[series.status])
            age.add_metric(labels, (now - series.captured_at).total_seconds())
            points = reads.qc_points(series.instrument_id, series.series_key, since=series.captured_at)
            for point in points:
                if point.value is None or point.record_id != series.record_id:
                    continue
                if n_told < MOST_QC_FIGURES:
                    value.add_metric([*labels, point.metric, point.unit or ""], point.value)
                    n_told += 1
                else:
                    n_left_out += 1
    yield status
    yield age
    yield value
    yield GaugeMetricFamily(
        "scopestamp_qc_figures_left_out", "Figures beyond the limit of a scrape.", value=n_left_out
    )


def _alerts(reads: Reads) -> Metric:
    firing = Counter(alert.severity for alert in book_of(reads).values() if alert.state == "firing")
    family = GaugeMetricFamily("scopestamp_alerts_firing", "Alerts that fire now.", labels=["severity"])
    for severity in Severity:
        family.add_metric([severity.value], firing[severity])
    return family
