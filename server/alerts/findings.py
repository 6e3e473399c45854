"""Where a rule's condition holds now. Pure questions to the store; nothing here remembers or tells anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from packaging.version import InvalidVersion, Version

from agent.records import AgentEvent, Heartbeat, RecordError, ScheduleState, decode_tolerant
from server.alerts import rules as r
from server.alerts.away import Away
from server.alerts.charted import Charted, InTrouble
from server.alerts.likely import behind_drift, behind_signal, behind_verdict
from server.alerts.scene import Finding, Firing, Fleetwide, Scene
from server.ingest.evidence import records_of
from server.logbook import invalid_runs
from server.store.base import Readable, Reads
from server.store.rows import FleetRow, QcSeriesRow, RecordRow


def _(text: str) -> str:
    """Mark a text for the catalogues; it is translated when it is shown."""
    return text


_EVENTS_AT_ONCE, _MOST_EVENTS = 20, 1000
_MOST_SAID = 500
"""Characters of an agent's message that are told: a chat declines a message of many kilobytes, and with it all that is in it."""
_BETWEEN_RESTS = 50


class Looker:
    """Evaluates rules; remembers what the control charts said.

    Parameters
    ----------
    away : Away, optional
        When the collector was away: nobody is called silent for not having been heard then.
    rest : callable, optional
        Called after every few instruments, and after every series that was charted.
    """

    def __init__(self, away: Away | None = None, rest: Callable[[], object] = lambda: None) -> None:
        self._away = away
        self._rest = rest
        self._charted = Charted(rest)

    def prepare(self, store: Readable, rules: Iterable[r.Rule]) -> frozenset[str]:
        """Draw charts that these rules ask for, for a while, so that a look is short.

        Returns
        -------
        frozenset of str
            Keys of the rules that cannot be looked at yet: of a large fleet not all charts are drawn.
        """
        of_charts = [
            rule.key for rule in rules if isinstance(rule.condition, r.OutOfControl | r.DriftToLimit)
        ]
        is_ready = not of_charts or self._charted.catch_up(store)
        return frozenset() if is_ready else frozenset(of_charts)

    def look(self, reads: Reads, rules: Iterable[r.Rule], now: datetime, is_firing: Firing) -> list[Finding]:
        """Return every finding of these rules."""
        self._charted.heed_people(reads)
        rules = list(rules)
        found: list[Finding] = []
        fleet = Fleetwide(reads)
        for number, row in enumerate(reads.fleet(), start=1):
            if number % _BETWEEN_RESTS == 0:
                self._rest()
            scene = Scene(reads, fleet, row, _heartbeat(row), now, is_firing, self._away)
            for rule in rules:
                if rule.concerns(scene.instrument_id, row.instrument.site):
                    found += self._holds(rule, scene)
        return found

    def _holds(self, rule: r.Rule, scene: Scene) -> Iterator[Finding]:
        match rule.condition:
            case r.Silent() as condition:
                yield from _silent(rule, condition, scene)
            case r.HeartbeatFigure() as condition:
                yield from _heartbeat_figure(rule, condition, scene)
            case r.AgentVersion() as condition:
                yield from _agent_version(rule, condition, scene)
            case r.AgentError() as condition:
                yield from _agent_error(rule, condition, scene)
            case r.PartStopped():
                yield from _part_stopped(rule, scene)
            case r.AcquisitionTrouble():
                yield from _acquisition_trouble(rule, scene)
            case r.QcOverdue() as condition:
                yield from _qc_overdue(rule, condition, scene)
            case r.QcVerdict() as condition:
                yield from _qc_verdict(rule, condition, scene)
            case r.OutOfControl() as condition:
                yield from self._out_of_control(rule, condition, scene)
            case r.DriftToLimit() as condition:
                yield from self._drift(rule, condition, scene)

    def _out_of_control(self, rule: r.Rule, condition: r.OutOfControl, scene: Scene) -> Iterator[Finding]:
        for series, one in self._in_trouble(scene):
            if one.n_broken >= condition.in_a_row:
                finding = Finding(
                    rule=rule.key,
                    instrument_id=scene.instrument_id,
                    subject=f"{series.series_key} {one.newest.metric}",
                    what=_("%(figure)s of %(routine)s is out of control: %(pattern)s"),
                    values={
                        "figure": one.newest.metric,
                        "routine": series.routine,
                        "pattern": one.rule,
                        "verdict": one.newest.status,
                    },
                    since=one.broken_since,
                    advice=_("Look at the trend for the day it began, and at what was changed before."),
                    href=_trend(series),
                )
                behind = partial(behind_signal, scene.reads, series, one.newest, one.n_broken)
                yield scene.with_cause(finding, behind)

    def _drift(self, rule: r.Rule, condition: r.DriftToLimit, scene: Scene) -> Iterator[Finding]:
        for series, one in self._in_trouble(scene):
            point, drift = one.newest, one.drift
            limits = [limit for limit in (point.lower_limit, point.upper_limit) if limit is not None]
            times = [drift.crosses(limit) for limit in limits] if drift else []
            soonest = min((time for time in times if time is not None), default=None)
            if soonest is None:
                continue
            left, ahead = soonest - (scene.now - point.captured_at), timedelta(days=condition.days)
            if -ahead <= left <= ahead:  # long after it, without a run, the line says nothing any more
                finding = Finding(
                    rule=rule.key,
                    instrument_id=scene.instrument_id,
                    subject=f"{series.series_key} {point.metric}",
                    what=_("%(figure)s of %(routine)s will cross its limit in about %(days)s days"),
                    values={
                        "figure": point.metric,
                        "routine": series.routine,
                        "days": f"{max(left, timedelta()) / timedelta(days=1):.0f}",
                    },
                    since=point.captured_at,
                    advice=_("Plan the service now, while the instrument still meets its limits."),
                    href=_trend(series),
                )
                yield scene.with_cause(finding, partial(behind_drift, scene.reads, series, point))

    def _in_trouble(self, scene: Scene) -> Iterator[tuple[QcSeriesRow, InTrouble]]:
        for series in scene.series:
            for one in self._charted.in_trouble(scene.reads, series):
                yield series, one


def _trend(series: QcSeriesRow) -> str:
    return f"/instruments/{series.instrument_id}/qc?series={series.series_key}#trends"


def _heartbeat(row: FleetRow) -> Heartbeat | None:
    try:
        record = decode_tolerant(row.heartbeat.raw) if row.heartbeat else None
    except RecordError:
        return None
    return record if isinstance(record, Heartbeat) else None


def _silent(rule: r.Rule, condition: r.Silent, scene: Scene) -> Iterator[Finding]:
    heard_at = scene.row.heard_at
    if heard_at is None:
        return
    quiet = scene.now - heard_at
    minutes, hours = quiet / timedelta(minutes=1), quiet / timedelta(hours=1)
    finding = Finding(
        rule.key,
        scene.instrument_id,
        "",
        _("No sign of life for %(hours)s h") if hours >= 2 else _("No sign of life for %(minutes)s min"),
        heard_at,
        {"minutes": f"{minutes:.0f}", "hours": f"{hours:.0f}"},
        _(
            "Is the microscope PC switched on and on the network? `scopestamp doctor` on it says what is wrong."
        ),
    )
    if scene.away is not None and not scene.is_firing(finding.key):
        quiet = scene.away.quiet(heard_at, scene.now)
    if quiet > timedelta(minutes=condition.minutes):
        yield finding


_FIGURES: dict[str, Callable[[Heartbeat], float | None]] = {
    "spool_waiting": lambda beat: beat.spool.n_waiting,
    "spool_oldest_h": lambda beat: (
        (beat.captured.wall_at - beat.spool.oldest_waiting_at) / timedelta(hours=1)
        if beat.spool.oldest_waiting_at
        else 0.0
    ),
    "spool_mb": lambda beat: beat.spool.bytes_on_disk / 1e6,
    "disk_free_gb": lambda beat: None if beat.disk_free_bytes is None else beat.disk_free_bytes / 1e9,
    "clock_offset_s": lambda beat: None if beat.clock_offset_s is None else abs(beat.clock_offset_s),
    "memory_mb": lambda beat: None if beat.memory_bytes is None else beat.memory_bytes / 1e6,
    "restarts": lambda beat: beat.n_restarts,
    "events_lost": lambda beat: beat.n_overflow,
    "records_set_aside": lambda beat: beat.spool.n_poisoned,
}


def _heartbeat_figure(rule: r.Rule, condition: r.HeartbeatFigure, scene: Scene) -> Iterator[Finding]:
    value = _FIGURES[condition.figure](scene.beat) if scene.beat else None
    if value is None or scene.beat is None:
        return
    finding = Finding(
        rule.key,
        scene.instrument_id,
        "",
        _("%(figure)s is %(value)s"),
        scene.beat.captured.wall_at,
        {"figure": condition.figure, "value": f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"},
        _("The instrument's page shows its heartbeat and what the agent said of itself."),
        f"/instruments/{scene.instrument_id}#heartbeat",
    )
    if _is_beyond(value, condition, scene.is_firing(finding.key)):
        yield finding


def _is_beyond(value: float, condition: r.HeartbeatFigure, is_firing: bool) -> bool:
    if condition.above is not None:
        clears_at = condition.above if condition.clears_at is None else condition.clears_at
        return value > (clears_at if is_firing else condition.above)
    assert condition.below is not None
    clears_at = condition.below if condition.clears_at is None else condition.clears_at
    return value < (clears_at if is_firing else condition.below)


def _agent_version(rule: r.Rule, condition: r.AgentVersion, scene: Scene) -> Iterator[Finding]:
    version = scene.beat.versions.get("scopestamp") if scene.beat else None
    if version and scene.beat and _is_older(version, condition.older_than):
        yield Finding(
            rule.key,
            scene.instrument_id,
            "",
            _("The agent is version %(version)s, older than %(wanted)s"),
            scene.beat.captured.wall_at,
            {"version": version, "wanted": condition.older_than},
            _("Upgrade it when nobody is at the microscope; its spool and settings stay."),
        )


def _is_older(version: str, wanted: str) -> bool:
    """Return whether a version is older; one that is no version of ours is not judged."""
    try:
        return Version(version) < Version(wanted)
    except InvalidVersion:
        return False


def _agent_error(rule: r.Rule, condition: r.AgentError, scene: Scene) -> Iterator[Finding]:
    since, told = scene.now - timedelta(hours=condition.hours), set()
    if not scene.fleet.has(scene.instrument_id, "agent_event", since):
        return
    for row, event in _events_since(scene, since):
        if event.severity.value == "error" and event.event not in told:
            told.add(event.event)  # of several of a name the newest
            yield Finding(
                rule.key,
                scene.instrument_id,
                event.event,
                _("The agent reports: %(message)s"),
                row.received_at,
                {"message": _shortened(event.message)},
                href=f"/records/{row.record_id}",
            )


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID].rstrip()} …"


def _events_since(scene: Scene, since: datetime) -> Iterator[tuple[RecordRow, AgentEvent]]:
    """Yield what an agent told of itself since then, the last to arrive first, however much it says."""
    before: int | None = None
    for _page in range(_MOST_EVENTS // _EVENTS_AT_ONCE):
        rows = scene.reads.recent(scene.instrument_id, "agent_event", _EVENTS_AT_ONCE, before)
        new = [row for row in rows if row.received_at >= since]
        told = zip(new, records_of(scene.reads, new), strict=True)
        yield from ((row, event) for row, event in told if isinstance(event, AgentEvent))
        if len(new) < _EVENTS_AT_ONCE:
            return
        before = new[-1].position


def _part_stopped(rule: r.Rule, scene: Scene) -> Iterator[Finding]:
    for part in scene.beat.parts if scene.beat else ():
        if part.state != "running":
            assert scene.beat is not None
            yield Finding(
                rule.key,
                scene.instrument_id,
                part.name,
                _("The agent's part %(part)s has stopped"),
                scene.beat.captured.wall_at,
                {"part": part.name},
                _(
                    "It is started again by itself where that is possible; else restart the agent. Its log says more."
                ),
                f"/instruments/{scene.instrument_id}#heartbeat",
            )


def _acquisition_trouble(rule: r.Rule, scene: Scene) -> Iterator[Finding]:
    last = scene.row.last_acquisition
    if last is None or not (last.reason in ("errored", "interrupted") or last.n_dropped):
        return
    yield Finding(
        rule.key,
        scene.instrument_id,
        "",
        _("The last acquisition ended as %(reason)s; frames missing: %(missing)s"),
        last.finished_at or last.began_at,
        {"reason": last.reason or "?", "missing": str(last.n_dropped or 0)},
        _("Its page says which frames, and what changed while it ran."),
        f"/acquisitions/{last.acquisition_id}",
    )


def _qc_overdue(rule: r.Rule, condition: r.QcOverdue, scene: Scene) -> Iterator[Finding]:
    for series in scene.series:
        age = scene.now - series.captured_at
        if condition.routine in ("", series.routine) and age > timedelta(days=condition.days):
            advice, href = _how_to_run(series, scene)
            yield Finding(
                rule.key,
                scene.instrument_id,
                series.series_key,
                _("%(routine)s was last measured %(days)s days ago"),
                series.captured_at + timedelta(days=condition.days),
                {"routine": series.routine, "days": f"{age / timedelta(days=1):.0f}"},
                advice,
                href,
            )


def _how_to_run(series: QcSeriesRow, scene: Scene) -> tuple[str, str]:
    """Return what to do about a routine that is not run, and where: its schedule may run and stop at something."""
    ends = [one for one in scene.fleet.planned(scene.instrument_id) if one.routine == series.routine]
    if ends and ends[0].planned_at > series.captured_at and ends[0].state is not ScheduleState.DONE:
        where = f"/schedules?{urlencode({'q': scene.instrument_id})}#past"
        return _("It is planned, but did not run the last time; the list of its runs says why."), where
    return _("Run it, or schedule it so that it runs by itself."), _trend(series)


def _qc_verdict(rule: r.Rule, condition: r.QcVerdict, scene: Scene) -> Iterator[Finding]:
    bad = ("fail",) if condition.worst == "fail" else ("fail", "warn")
    told = [series for series in scene.series if series.status in bad]
    invalid = invalid_runs(scene.reads, scene.instrument_id) if told else {}
    for series in told:
        if series.record_id not in invalid:
            finding = Finding(
                rule.key,
                scene.instrument_id,
                series.series_key,
                _("%(routine)s ended as %(verdict)s"),
                series.captured_at,
                {"routine": series.routine, "verdict": series.status},
                _("The run's page lists the likely causes and what to check."),
                f"/qc/{series.record_id}",
            )
            yield scene.with_cause(finding, partial(behind_verdict, scene.reads, series))
