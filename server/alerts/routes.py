"""Who is told of alerts, when, and what waits to be told.

A route gathers what begins and ends for a while before it tells (``gathers_s``), and then tells all of it in one message: ten
thousand agents lost at once are one message, not ten thousand. What waits is stored with the book itself, so that a collector
that dies between finding and telling tells after its restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from server.alerts.book import Alert, Turned
from server.alerts.rules import MOST_DAYS, RANK, Severity
from server.sites import is_within
from server.store.base import Reads

ROUTE = "alert_route"
SILENCE = "alert_silence"
WAITING = "alert_waiting"

M = TypeVar("M", bound=BaseModel)

RETRY_FIRST = timedelta(minutes=1)
RETRY_LONGEST = timedelta(hours=1)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Email(_Model):
    """Sent through the collector's SMTP server (``[smtp]`` in its settings)."""

    by: Literal["email"] = "email"
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")], ...] = Field(min_length=1)


class Webhook(_Model):
    """A POST of JSON, signed with HMAC-SHA-256 of its body under the secret."""

    by: Literal["webhook"] = "webhook"
    url: str = Field(pattern=r"^https?://")
    secret: str = Field(min_length=16)


class Chat(_Model):
    """An incoming webhook of a chat, in the form that it takes."""

    by: Literal["slack", "teams", "matrix"]
    url: str = Field(pattern=r"^https?://")


Channel = Annotated[Email | Webhook | Chat, Field(discriminator="by")]


class Route(_Model):
    """Who is told, of what, and how soon."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")
    name: str = Field(min_length=1, max_length=120)
    channel: Channel
    is_on: bool = True
    least: Severity = Field(default=Severity.WARNING, description="Told from this severity on.")
    sites: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    after_min: float = Field(
        default=0,
        ge=0,
        le=MOST_DAYS * 1440,
        description="Told only when nobody has acknowledged for that long: an escalation.",
    )
    gathers_s: float = Field(
        default=60, ge=0, le=3600, description="What comes meanwhile goes into one message."
    )
    repeats_h: float = Field(
        default=24, gt=0, le=MOST_DAYS * 24, description="Told again when it still fires."
    )
    tells_end: bool = True


class Silence(_Model):
    """Alerts that nobody is told of for a while; they stay on the page."""

    key: str
    until: datetime
    by: str
    reason: str = Field(min_length=1, max_length=400)
    rules: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()

    def covers(self, alert: Alert, site: str, now: datetime) -> bool:
        """Whether nobody is told of this alert now."""
        matches = (
            (not self.rules or alert.rule in self.rules)
            and (not self.sites or is_within(site, self.sites))
            and (not self.instruments or alert.instrument_id in self.instruments)
        )
        return now < self.until and matches


class Waiting(_Model):
    """What a route has not told yet, and what it told last of each alert that still fires."""

    route: str
    began: tuple[str, ...] = ()
    """Keys of alerts to tell of."""
    ended: tuple[Alert, ...] = ()
    since: datetime | None = None
    """When the first of it came."""
    told_at: dict[str, datetime] = Field(default_factory=dict)
    n_failed: int = 0
    retry_at: datetime | None = None
    error: str = ""


def gather(
    route: Route,
    waiting: Waiting,
    turned: Turned,
    silences: Sequence[Silence],
    sites: Mapping[str, str],
    now: datetime,
) -> Waiting:
    """Return what waits on a route after a round.

    An alert is told of once it is due (at once, or unacknowledged for ``after_min``), when it has become more severe, and again
    every ``repeats_h``; its end is told to whoever was told of its beginning.
    """
    if not route.is_on:
        return Waiting(route=route.key)
    due = [
        alert.key
        for alert in turned.book.values()
        if _is_due(route, waiting, alert, now)
        and not any(silence.covers(alert, sites.get(alert.instrument_id, ""), now) for silence in silences)
        and _concerns(route, alert, sites)
    ]
    over = [alert for alert in turned.ended if route.tells_end and alert.key in waiting.told_at]
    still_due = set(due)  # what waited may be silenced, looked after, or over by now
    began = tuple(dict.fromkeys(key for key in (*waiting.began, *due) if key in still_due))
    ended = (*waiting.ended, *over)
    return waiting.model_copy(
        update={
            "began": began,
            "ended": ended,
            "since": (waiting.since or now) if began or ended else None,
            "told_at": {key: at for key, at in waiting.told_at.items() if key in turned.book},
        }
    )


def is_ready(route: Route, waiting: Waiting, now: datetime) -> bool:
    """Whether the route should be told now."""
    if waiting.since is None or (waiting.retry_at is not None and now < waiting.retry_at):
        return False
    return now - waiting.since >= timedelta(seconds=route.gathers_s)


def told(waiting: Waiting, now: datetime, error: str = "") -> Waiting:
    """Return what is left after everything that waited was told, though perhaps not to everybody."""
    told_at = {**waiting.told_at, **dict.fromkeys(waiting.began, now)}
    return Waiting(route=waiting.route, told_at=told_at, error=error[:400])


def failed(waiting: Waiting, error: str, now: datetime) -> Waiting:
    """Return what waits after telling failed: all of it, to be tried again later and later."""
    pause = min(RETRY_FIRST * 2 ** min(waiting.n_failed, 10), RETRY_LONGEST)
    return waiting.model_copy(
        update={"n_failed": waiting.n_failed + 1, "retry_at": now + pause, "error": error[:400]}
    )


def _is_due(route: Route, waiting: Waiting, alert: Alert, now: datetime) -> bool:
    if alert.state != "firing" or RANK[alert.severity] < RANK[route.least] or alert.fired_at is None:
        return False
    last = waiting.told_at.get(alert.key)
    if alert.acknowledged_at is not None:
        return False
    if last is not None and last >= alert.fired_at:
        return now - last >= timedelta(hours=route.repeats_h)
    return now - alert.fired_at >= timedelta(minutes=route.after_min)


def _concerns(route: Route, alert: Alert, sites: Mapping[str, str]) -> bool:
    if route.sites and not is_within(sites.get(alert.instrument_id, ""), route.sites):
        return False
    return not route.instruments or alert.instrument_id in route.instruments


def routes_of(reads: Reads) -> list[Route]:
    """Return all routes."""
    return _all(reads, ROUTE, TypeAdapter(Route))


def silences_of(reads: Reads) -> list[Silence]:
    """Return all silences, also those that have ended."""
    return _all(reads, SILENCE, TypeAdapter(Silence))


def waiting_on(reads: Reads, routes: Iterable[Route]) -> dict[str, Waiting]:
    """Return what waits, by route."""
    stored = {one.route: one for one in _all(reads, WAITING, TypeAdapter(Waiting))}
    return {route.key: stored.get(route.key, Waiting(route=route.key)) for route in routes}


def _all(reads: Reads, kind: str, adapter: TypeAdapter[M]) -> list[M]:
    found = []
    for document in reads.documents(kind):
        try:
            found.append(adapter.validate_json(document.body))
        except ValidationError:  # written by a newer collector; it stays for when that one is back
            continue
    return found
