"""Alerts for programs: what fires, what is over, who looks after it, what nobody is told of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from agent.records.wire import Refusal
from server.alerts import book, desk
from server.alerts.book import Alert
from server.alerts.routes import Silence, silences_of
from server.alerts.rules import RANK, Severity
from server.api import models
from server.dependencies import TheAddress, TheCollector, TheOperator, ThePerson, TheStaff
from server.places import from_cursor, to_cursor
from server.store.base import Reads
from server.store.rows import Place

router = APIRouter(
    prefix="/v1/alerts",
    tags=["alerts"],
    responses={status: {"model": Refusal} for status in (400, 401, 403, 404)},
)

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Instrument = Annotated[str | None, Query(max_length=120, description="Only this instrument.")]
RuleKey = Annotated[str | None, Query(max_length=60, description="Only of this rule, by its key.")]


class Acknowledgement(BaseModel):
    """Somebody looks after an alert."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=400, description="The alert's.")
    comment: str = Field(default="", max_length=400, description="Stands beside the alert.")


@router.get("")
def alerts(
    collector: TheCollector,
    person: ThePerson,
    instrument: Instrument = None,
    rule: RuleKey = None,
    severity: Annotated[Severity | None, Query(description="From this severity on.")] = None,
    before: Annotated[str | None, Query(description="The cursor that the page before gave out.")] = None,
    limit: Limit = 100,
) -> models.AlertsAnswer:
    """What fires now, the last found first."""
    with collector.store.reading() as reads:
        answer = _answering(reads, collector)
        wanted = [
            one
            for one in book.book_of(reads).values()
            if one.state == "firing"
            and instrument in (None, one.instrument_id)
            and rule in (None, one.rule)
            and (severity is None or RANK[one.severity] >= RANK[severity])
        ]
    wanted.sort(key=_rank, reverse=True)
    start = from_cursor(before)
    rest = [one for one in wanted if start is None or _rank(one) < (start.at, start.position)]
    page = rest[:limit]
    following = to_cursor(Place(*_rank(page[-1]))) if len(rest) > limit else None
    return models.AlertsAnswer(alerts=[answer(one) for one in page], before=following)


@router.get("/past")
def past_alerts(
    collector: TheCollector,
    person: ThePerson,
    instrument: Instrument = None,
    rule: RuleKey = None,
    before: Annotated[
        int | None, Query(ge=1, le=2**62, description="The position that the page before gave out.")
    ] = None,
    limit: Limit = 100,
) -> models.PastAlertsAnswer:
    """What fired and is over, the last to end first."""
    with collector.store.reading() as reads:
        entries = reads.entries((book.HISTORY,), instrument, rule, before, limit)
    return models.PastAlertsAnswer(
        alerts=[models.AlertAnswer.of(book.of_entry(entry)) for entry in entries],
        before=entries[-1].position if len(entries) == limit else None,
    )


@router.post("/acknowledge")
def acknowledge(
    said: Acknowledgement, collector: TheCollector, person: TheOperator, address: TheAddress
) -> models.AlertAnswer:
    """Look after an alert: it escalates no further."""
    person.must_be_a_program("/alerts")
    alert = desk.look_after(collector, person, address, said.key, said.comment)
    with collector.store.reading() as reads:
        return _answering(reads, collector)(alert)


@router.get("/silences")
def silences(collector: TheCollector, person: ThePerson) -> list[Silence]:
    """What nobody is told of, and until when."""
    with collector.store.reading() as reads:
        return [one for one in silences_of(reads) if one.until > collector.now()]


@router.post("/silences")
def silence(
    asked: desk.SilenceAsked, collector: TheCollector, person: TheStaff, address: TheAddress
) -> Silence:
    """Have nobody told of some alerts for a while; they are still listed."""
    person.must_be_a_program("/alerts")
    return desk.silence(collector, person, address, asked)


@router.delete("/silences/{key}", status_code=204)
def end_silence(
    key: Annotated[str, Path(max_length=60, description="The silence's.")],
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
) -> Response:
    """Tell people again of what was silenced."""
    person.must_be_a_program("/alerts")
    desk.end_silence(collector, person, address, key)
    return Response(status_code=204)


def _answering(reads: Reads, collector: TheCollector) -> Callable[[Alert], models.AlertAnswer]:
    """Return what makes an answer of an alert, with the silence that covers it."""
    now, told = collector.now(), silences_of(reads)
    sites = {one.instrument_id: one.site for one in reads.instruments()}

    def answer(alert: Alert) -> models.AlertAnswer:
        covering = desk.silence_of(alert, told, sites, now)
        return models.AlertAnswer.of(alert, covering.key if covering else None)

    return answer


def _rank(alert: Alert) -> tuple[datetime, int]:
    """Return where an alert stands among those that fire: those found at one time are told apart by their keys."""
    return alert.found_at, int.from_bytes(hashlib.sha256(alert.key.encode()).digest()[:7])
