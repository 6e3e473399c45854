"""Who is told of alerts, and how often: the rules of routes with a clock in our hands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server.alerts.book import Turned, turn
from server.alerts.routes import Email, Route, Silence, Waiting, failed, gather, is_ready, told
from server.alerts.rules import Grade, QcVerdict, Rule, Severity, Silent
from server.alerts.scene import Finding

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RULE = Rule(
    key="silent", name="No sign of life", condition=Silent(), severity=Severity.CRITICAL, clears_for_min=0
)
ROUTE = Route(key="staff", name="Staff", channel=Email(to=("staff@example.org",)), gathers_s=60)


class Night:
    """Turns book and route together."""

    def __init__(self, route: Route = ROUTE, silences: tuple[Silence, ...] = ()) -> None:
        self.route, self.silences = route, silences
        self.book, self.waiting, self.now = {}, Waiting(route=route.key), START
        self.site = "Basel"
        self.messages: list[tuple[int, int]] = []

    def minute(self, *instruments: str, minutes: float = 1) -> Turned:
        self.now += timedelta(minutes=minutes)
        findings = [Finding("silent", one, "", "silent", START) for one in instruments]
        turned = turn(self.book, findings, [RULE], self.now)
        self.book = turned.book
        sites = dict.fromkeys(instruments, self.site)
        self.waiting = gather(self.route, self.waiting, turned, self.silences, sites, self.now)
        if is_ready(self.route, self.waiting, self.now):
            self.messages.append((len(self.waiting.began), len(self.waiting.ended)))
            self.waiting = told(self.waiting, self.now)
        return turned


def route(**more) -> Route:
    return ROUTE.model_copy(update=more)


def test_ten_thousand_agents_lost_at_once_are_one_message():
    night = Night()
    lost = [f"scope-{n}" for n in range(10_000)]
    night.minute(*lost[:6_000])
    night.minute(*lost)
    night.minute(*lost)
    assert night.messages == [(10_000, 0)]


def test_end_is_told_to_whoever_was_told_of_the_beginning():
    night = Night()
    for _ in range(3):
        night.minute("scope-1")
    night.minute()
    night.minute()
    assert night.messages == [(1, 0), (0, 1)]


def test_trouble_that_is_over_before_it_was_told_is_not_told():
    night = Night(route(gathers_s=300))
    night.minute("scope-1")
    for _ in range(10):
        night.minute()
    assert night.messages == []


def test_what_still_fires_is_told_again_every_day():
    night = Night(route(repeats_h=24))
    for _ in range(52):
        night.minute("scope-1", minutes=60)
    assert night.messages == [(1, 0)] * 3


def test_escalation_waits_for_an_acknowledgement():
    night = Night(route(after_min=30, gathers_s=0))
    for _ in range(29):
        night.minute("scope-1")
    assert night.messages == []
    for _ in range(3):
        night.minute("scope-1")
    assert night.messages == [(1, 0)]


def test_acknowledged_alert_escalates_no_further():
    night = Night(route(after_min=30, gathers_s=0))
    night.minute("scope-1")
    night.book = {
        key: alert.model_copy(update={"acknowledged_at": night.now}) for key, alert in night.book.items()
    }
    for _ in range(60):
        night.minute("scope-1")
    assert night.messages == []


def test_silence_keeps_quiet_until_it_ends():
    until = START + timedelta(minutes=30)
    night = Night(
        route(gathers_s=0), (Silence(key="a", until=until, by="ada", reason="move", sites=("Basel",)),)
    )
    for _ in range(29):
        night.minute("scope-1")
    assert night.messages == []
    night.minute("scope-1")
    assert night.messages == [(1, 0)]


def test_silence_of_another_site_or_rule_changes_nothing():
    until = START + timedelta(days=1)
    silences = (
        Silence(key="a", until=until, by="ada", reason="move", sites=("Zürich",)),
        Silence(key="b", until=until, by="ada", reason="move", rules=("disk",)),
    )
    night = Night(route(gathers_s=0), silences)
    night.minute("scope-1")
    assert night.messages == [(1, 0)]


def test_route_tells_only_what_it_is_for():
    for more in ({"sites": ("Zürich",)}, {"instruments": ("scope-2",)}, {"is_on": False}):
        night = Night(route(gathers_s=0, **more))
        night.minute("scope-1")
        assert night.messages == [], more


def test_route_for_a_site_tells_of_what_is_within_it():
    """A collector below calls its sites "Basel / Building 4"."""
    night = Night(route(gathers_s=0, sites=("Basel",)))
    night.site = "Basel / Building 4"
    night.minute("scope-1")
    assert night.messages == [(1, 0)]


def test_failed_message_is_kept_and_tried_later_and_later():
    night = Night(route(gathers_s=0))
    turned = turn({}, [Finding("silent", "scope-1", "", "silent", START)], [RULE], START)
    waiting = gather(night.route, night.waiting, turned, (), {}, START)
    pauses = []
    now = START
    for _ in range(9):
        waiting = failed(waiting, "connection refused", now)
        pauses.append((waiting.retry_at - now) / timedelta(minutes=1))
        assert not is_ready(night.route, waiting, waiting.retry_at - timedelta(seconds=1))
        now = waiting.retry_at
        assert is_ready(night.route, waiting, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(waiting.began) == 1
    assert told(waiting, now).n_failed == 0


def test_what_is_silenced_or_looked_after_while_it_waits_is_not_told():
    night = Night(route(gathers_s=180))
    night.minute("scope-1", "scope-2", "scope-3")
    one = night.book["silent|scope-2|"]
    night.book["silent|scope-2|"] = one.model_copy(update={"acknowledged_at": night.now})
    until = night.now + timedelta(hours=1)
    night.silences = (Silence(key="s", until=until, by="ada", reason="a test", instruments=("scope-3",)),)
    for _ in range(3):
        night.minute("scope-1", "scope-2", "scope-3")
    assert night.messages == [(1, 0)]


def test_message_that_fails_for_months_is_tried_every_hour():
    waiting = Waiting(route="staff", n_failed=10_000)
    assert failed(waiting, "connection refused", START).retry_at == START + timedelta(hours=1)


def test_alert_that_becomes_more_severe_is_told_though_somebody_looked_after_it():
    grades = (Grade(of="warn", severity=Severity.WARNING),)
    rule = Rule(
        key="qc", name="QC", condition=QcVerdict(worst="warn"), severity=Severity.CRITICAL, grades=grades
    )

    def turned(book, verdict, minutes):
        found = Finding("qc", "scope-1", "psf", "%(verdict)s", START, {"verdict": verdict})
        return turn(book, [found], [rule], START + timedelta(minutes=minutes))

    waiting, book, n_told, looking_after = Waiting(route="staff"), {}, [], []
    for minute, verdict in enumerate(["warn", "warn", "fail", "fail", "warn", "fail"]):
        now = START + timedelta(minutes=minute)
        after = turned(book, verdict, minute)
        waiting = gather(route(gathers_s=0), waiting, after, (), {}, now)
        n_told.append(len(waiting.began))
        waiting = told(waiting, now)
        (alert,) = after.book.values()
        looking_after.append(alert.acknowledged_by)
        book = {alert.key: alert.model_copy(update={"acknowledged_by": "ada", "acknowledged_at": now})}
    assert n_told == [1, 0, 1, 0, 0, 1]
    assert looking_after == [None, "ada", None, "ada", "ada", None]
