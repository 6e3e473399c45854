"""What people do about alerts: look after one, have nobody told of some for a while. Pages and programs come through here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from server.access.people import Person
from server.access.seeing import ReadsInScope, check_whole
from server.alerts import book
from server.alerts.book import Alert
from server.alerts.routes import SILENCE, Silence
from server.alerts.rules import rules_of
from server.collector import Collector
from server.dependencies import found
from server.errors import RefusedError
from server.store.base import Reads, Writes
from server.store.rows import AuditEntry

MOST_HOURS = 24 * 90
_Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]


class SilenceAsked(BaseModel):
    """Which alerts nobody is to be told of, for how long and why. An empty list is all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)] = Field(
        description="Stands beside the alerts."
    )
    hours: float = Field(gt=0, le=MOST_HOURS, description="From now on.")
    rules: tuple[_Name, ...] = Field(default=(), max_length=50, description="Keys of rules.")
    sites: tuple[_Name, ...] = Field(default=(), max_length=50, description="Names of sites.")
    instruments: tuple[_Name, ...] = Field(default=(), max_length=200, description="Ids of instruments.")


def look_after(collector: Collector, person: Person, address: str, key: str, comment: str) -> Alert:
    """Note that somebody looks after an alert: it escalates no further."""
    now = collector.now()

    def job(writes: Writes) -> Alert | None:
        check_whole(writes, person.scope, book.DOCUMENT, key)
        alert = book.acknowledge(writes, key, person.name, now, comment.strip())
        if alert is not None:
            writes.add_audit(AuditEntry(now, person.name, "alert acknowledged", "done", key, address))
        return alert

    return found(collector.writer.do(job), "alert that fires")


def silence(collector: Collector, person: Person, address: str, asked: SilenceAsked) -> Silence:
    """Have nobody told of some alerts for a while; they stay on the page."""
    now = collector.now()
    with collector.store.reading() as reads:
        _check_asked(reads, person, asked)
    told = Silence(
        key=uuid4().hex[:12],
        until=now + timedelta(hours=asked.hours),
        by=person.name,
        reason=asked.reason,
        rules=asked.rules,
        sites=asked.sites,
        instruments=asked.instruments,
    )

    def job(writes: Writes) -> None:
        writes.put_document(SILENCE, told.key, told.model_dump_json(), now, person.name)
        detail = told.model_dump_json(exclude={"key", "by"})
        writes.add_audit(AuditEntry(now, person.name, "alerts silenced", "done", detail, address))

    collector.writer.do(job)
    return told


def end_silence(collector: Collector, person: Person, address: str, key: str) -> None:
    """Tell people again."""
    now = collector.now()

    def job(writes: Writes) -> None:
        _check_may_end(writes, person, key)
        writes.add_audit(AuditEntry(now, person.name, "silence ended", "done", key, address))
        writes.remove_document(SILENCE, key)

    collector.writer.do(job)


def silence_of(
    alert: Alert, silences: Iterable[Silence], sites: dict[str, str], now: datetime
) -> Silence | None:
    """Return the silence that covers an alert; `sites` has the site of each instrument."""
    site = sites.get(alert.instrument_id, "")
    return next((one for one in silences if one.covers(alert, site, now)), None)


def _check_asked(reads: Reads, person: Person, asked: SilenceAsked) -> None:
    """Refuse a silence over more than the person answers for, or over what is not there."""
    known = {rule.key for rule in rules_of(reads)}
    if strange := sorted(set(asked.rules) - known):
        raise RefusedError(400, "malformed_request", f"rules: there is no rule {strange[0][:60]!r}.")
    for instrument_id in asked.instruments:
        found(reads.instrument(instrument_id), "instrument")
    is_theirs = asked.instruments or (asked.sites and all(map(person.scope.has_site, asked.sites)))
    if not is_theirs:
        person.must_see_everything()


def _check_may_end(writes: Writes, person: Person, key: str) -> None:
    told = Silence.model_validate_json(found(writes.document(SILENCE, key), "silence").body)
    seen = ReadsInScope(writes, person.scope)
    is_theirs = (told.instruments or told.sites) and all(
        [*map(person.scope.has_site, told.sites), *map(seen.instrument, told.instruments)]
    )
    if not is_theirs:
        person.must_see_everything()
