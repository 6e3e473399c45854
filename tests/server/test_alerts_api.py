"""Alerts for programs: what fires and what is over, page by page; looked after and silenced by whoever may."""

from __future__ import annotations

import pytest

from server.access.scope import Scope
from server.access.secrets import hash_of, new_secret
from server.alerts.desk import SilenceAsked
from server.alerts.round import AlertRound
from server.alerts.telling import Teller
from server.client import CollectorClient, RefusedAnswerError
from server.settings import OutgoingSettings, SmtpSettings
from server.store.rows import Grant

NAMES = [f"scope-{number}" for number in range(1, 6)]


@pytest.fixture
def a_round(running):
    """Return what goes one round of alerts now."""
    alerts = AlertRound(running.collector, Teller(SmtpSettings(), OutgoingSettings()))
    return alerts.go


@pytest.fixture
def senders(running, tools):
    return {name: running.sender(name) for name in NAMES}


def beat(running, tools, sender) -> None:
    record = tools.Scope(sender, start_at=running.clock()).heartbeat()
    assert sender.send([record], spool_id=f"spool-{record.record_id}").status_code == 200


@pytest.fixture
def firing(running, tools, senders, a_round):
    """A collector on which five instruments are silent, the last ones found later."""
    for sender in senders.values():
        beat(running, tools, sender)
    running.clock.later(minutes=5)
    for name in NAMES[3:]:
        beat(running, tools, senders[name])
    running.clock.later(minutes=6)
    a_round()
    running.clock.later(minutes=5)
    a_round()
    return running


@pytest.fixture
def client(running):
    """Return what makes a client of a role, and of a scope."""
    made = []

    def make(role: str = "viewer", scope: Scope | None = None) -> CollectorClient:
        secret = new_secret()
        text = scope.text if scope else ""
        grant = Grant(hash_of(secret), "token", "ben", role, running.clock(), None, text)
        running.collector.writer.do(lambda writes: writes.add_grant(grant))
        made.append(CollectorClient(running.url, secret))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_what_fires_is_told_in_words_and_may_be_narrowed(firing, client):
    alerts = list(client().alerts())
    assert sorted(one.instrument_id for one in alerts) == NAMES
    assert {one.instrument_id for one in alerts[:2]} == set(NAMES[3:])  # the last found first
    one = next(one for one in alerts if one.instrument_id == "scope-1")
    assert (one.rule, one.severity.value, one.text) == ("silent", "critical", "No sign of life for 11 min")
    assert one.over_at is None and one.silence is None and "switched on" in one.advice
    assert [one.key for one in client().alerts("scope-1", "silent", "critical")] == [one.key]
    assert list(client().alerts(rule="disk")) == []


def test_pages_hold_everything_once_whatever_ends_meanwhile(firing, tools, senders, a_round):
    first = firing.get("/v1/alerts?limit=2").json()
    last = first["alerts"][1]["instrument_id"]
    for _ in range(2):  # the one that the page ended with is over before the next is asked for
        beat(firing, tools, senders[last])
        a_round()
        firing.clock.later(minutes=10)
    beat(firing, tools, senders[last])
    a_round()
    assert last not in str(firing.get("/v1/alerts").json())
    found, before = [one["instrument_id"] for one in first["alerts"]], first["before"]
    while before:
        page = firing.get(f"/v1/alerts?limit=2&before={before}").json()
        found += [one["instrument_id"] for one in page["alerts"]]
        before = page["before"]
    assert sorted(found) == NAMES


def test_what_is_over_is_told_page_by_page_the_last_to_end_first(firing, tools, senders, a_round):
    for name in NAMES[:3]:
        for _ in range(3):  # there again, and for long enough
            beat(firing, tools, senders[name])
            a_round()
            firing.clock.later(minutes=9)
    page = firing.get("/v1/alerts/past?limit=2&rule=silent").json()
    rest = firing.get(f"/v1/alerts/past?limit=2&rule=silent&before={page['before']}").json()
    told = [*page["alerts"], *rest["alerts"]]
    assert [one["instrument_id"] for one in told] == NAMES[2::-1]
    assert [one["over_at"] for one in told] == sorted((one["over_at"] for one in told), reverse=True)
    assert rest["before"] is None
    assert firing.get("/v1/alerts/past?rule=disk").json() == {"alerts": [], "before": None}


def test_answer_that_is_the_same_is_not_sent_again(firing):
    token = firing.token()
    etag = firing.client.get("/v1/alerts", headers=token).headers["etag"]
    assert firing.client.get("/v1/alerts", headers={**token, "If-None-Match": etag}).status_code == 304


def test_operator_looks_after_an_alert_and_the_page_says_who(firing, client):
    key = next(client().alerts("scope-2")).key
    told = client("operator").look_after(key, "on my way")
    assert (told.acknowledged_by, told.comment) == ("ben", "on my way")
    with firing.browser("eve", "viewer") as browser:
        assert "on my way" in browser.get("/alerts").text
    with pytest.raises(RefusedAnswerError, match="no such alert"):
        client("operator").look_after("no|such|alert")
    with firing.collector.store.reading() as reads:
        assert [one.action for one in reads.audit(10)].count("alert acknowledged") == 1


def test_staff_silence_and_tell_again(firing, client):
    staff = client("staff")
    silence = staff.silence(SilenceAsked(reason=" we move ", hours=2, instruments=("scope-1",)))
    assert (silence.by, silence.reason) == ("ben", "we move")
    assert [one.key for one in client().silences()] == [silence.key]
    silenced = {one.instrument_id: one.silence for one in client().alerts()}
    assert silenced == {name: silence.key if name == "scope-1" else None for name in NAMES}
    staff.end_silence(silence.key)
    assert client().silences() == []
    with pytest.raises(RefusedAnswerError, match="no such silence"):
        staff.end_silence(silence.key)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"reason": " ", "hours": 1}, "reason"),
        ({"reason": "r", "hours": 0}, "hours"),
        ({"reason": "r", "hours": 1, "rules": ["mood"]}, "no rule 'mood'"),
        ({"reason": "r", "hours": 1, "people": []}, "people"),
    ],
)
def test_silence_that_makes_no_sense_is_refused_in_words(running, asked, said):
    reply = running.client.post("/v1/alerts/silences", json=asked, headers=running.token("staff"))
    assert reply.status_code == 400 and said in reply.json()["message"]


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        ("vendor", "GET", "/v1/alerts", None),
        ("viewer", "POST", "/v1/alerts/acknowledge", {"key": "k"}),
        ("operator", "POST", "/v1/alerts/silences", {"reason": "r", "hours": 1}),
        ("operator", "DELETE", "/v1/alerts/silences/x", None),
    ],
)
def test_who_may_not(running, role, method, path, body):
    """ASVS 5.0 8.2.1."""
    assert running.client.request(method, path, json=body, headers=running.token(role)).status_code == 403


def test_browsers_session_cannot_write_here(running):
    """ASVS 5.0 3.5.1: forms of our pages, which carry a token, are how people write."""
    with running.browser(role="admin") as browser:
        reply = browser.post("/v1/alerts/silences", json={"reason": "r", "hours": 1})
    assert (reply.status_code, reply.json()["error"]) == (403, "tokens_only")


def test_whose_scope_is_limited_sees_and_silences_within_it(firing, client):
    """ASVS 5.0 8.2.2, 8.3.1."""
    key = next(client().alerts("scope-1")).key
    mine = client("staff", Scope.of(instruments=["scope-2"]))
    assert [one.instrument_id for one in mine.alerts()] == ["scope-2"]
    with pytest.raises(RefusedAnswerError) as refused:
        mine.look_after(key)
    assert refused.value.status == 404
    for asked, status in (
        ({"instruments": ("scope-1",)}, 404),
        ({"sites": ("Basel",)}, 403),
        ({}, 403),
    ):
        with pytest.raises(RefusedAnswerError) as refused:
            mine.silence(SilenceAsked(reason="r", hours=1, **asked))
        assert refused.value.status == status
    kept = mine.silence(SilenceAsked(reason="r", hours=1, instruments=("scope-2",)))
    everything = client("staff").silence(SilenceAsked(reason="r", hours=1))
    with pytest.raises(RefusedAnswerError) as refused:
        mine.end_silence(everything.key)
    assert refused.value.status == 403
    mine.end_silence(kept.key)


def test_silence_is_seen_as_far_as_it_concerns_ones_own(firing, client):
    """ASVS 5.0 8.2.3: neither others' instruments nor others' sites are named."""
    staff = client("staff")
    both = staff.silence(SilenceAsked(reason="both", hours=1, instruments=("scope-1", "scope-2")))
    site = staff.silence(SilenceAsked(reason="site", hours=1, sites=("Basel", "Zürich")))
    staff.silence(SilenceAsked(reason="others", hours=1, instruments=("scope-1",)))
    staff.silence(SilenceAsked(reason="elsewhere", hours=1, instruments=("scope-2",), sites=("Zürich",)))
    mine = client("staff", Scope.of(instruments=["scope-2"]))
    seen = {one.key: (one.instruments, one.sites) for one in mine.silences()}
    assert seen == {both.key: (("scope-2",), ()), site.key: ((), ("Basel",))}
