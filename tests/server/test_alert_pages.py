"""Alerts on their pages: what fires, who looks after it, what is silenced, who is told."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from xml.etree import ElementTree

import pytest
from markupsafe import escape

from server.alerts.book import DOCUMENT, book_of
from server.alerts.round import AlertRound
from server.alerts.routes import routes_of
from server.alerts.rules import Severity, rules_of
from server.alerts.telling import Teller
from server.settings import OutgoingSettings, SmtpSettings
from server.web.alerts import in_words


@pytest.fixture
def firing(running, tools):
    """A collector on which one instrument is silent."""
    sender = running.sender()
    sender.send([tools.Scope(sender, start_at=running.clock()).heartbeat()])
    rounds = AlertRound(running.collector, Teller(SmtpSettings(), OutgoingSettings()))
    running.clock.later(minutes=11)
    rounds.go()
    return running


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def token_on(page: str) -> str:
    return re.search(r'name="form_token" value="([^"]+)"', page)[1]


def post(browser, path: str, page: str = "/alerts", **said):
    return browser.post(path, data={"form_token": token_on(browser.get(page).text), **said})


def asked(running, question):
    with running.collector.store.reading() as reads:
        return question(reads)


def test_quiet_collector_says_so(running):
    with running.browser() as browser:
        assert "All quiet" in text_of(browser.get("/alerts").text)


def test_likely_cause_is_told_as_it_was_written_and_is_no_markup(firing):
    cause = "<script>alert(1)</script> 100% of %(minutes)s %s & {{ 7 * 7 }} (2026-05-02)"
    (one,) = asked(firing, book_of).values()
    body = one.model_copy(update={"cause": cause}).model_dump_json()
    firing.collector.writer.do(
        lambda writes: writes.put_document(DOCUMENT, one.key, body, firing.clock(), "a test")
    )
    token = firing.token()["Authorization"].removeprefix("Bearer ")
    with firing.browser(role="viewer") as browser:
        for path in ("/alerts", "/instruments/scope-1"):
            page = browser.get(path).text
            assert str(escape(f"Likely cause: {cause}")) in page and "<script>alert" not in page
    (told,) = firing.get("/v1/alerts").json()["alerts"]
    assert told["cause"] == cause
    feed = ElementTree.fromstring(firing.client.get(f"/alerts.rss?token={token}").content)
    assert feed.findtext("channel/item/description").startswith(f"Likely cause: {cause}.")


def test_instrument_tells_the_most_severe_alert_first(firing):
    with firing.collector.store.reading() as reads:
        (one,) = book_of(reads).values()
    told = {"1 mild": (Severity.WARNING, -60), "2 grave": (Severity.CRITICAL, 0)}
    for key, (severity, minutes) in told.items():
        since = one.since + timedelta(minutes=minutes)
        alert = one.model_copy(
            update={"key": key, "severity": severity, "since": since, "what": f"It is {key}"}
        )
        firing.collector.writer.do(
            lambda writes, a=alert: writes.put_document(
                DOCUMENT, a.key, a.model_dump_json(), firing.clock(), "a test"
            )
        )
    with firing.browser(role="viewer") as browser:
        text = text_of(browser.get("/instruments/scope-1").text)
    assert text.index("It is 2 grave") < text.index("It is 1 mild")


def test_alerts_of_one_site_can_be_had_and_looking_after_one_leads_back_to_them(firing):
    with firing.browser("eve", "operator") as browser:
        page = browser.get("/alerts?site=Basel").text
        assert "No sign of life for 11 min" in page
        action = unescape(re.search(r'action="(/alerts/acknowledge[^"]*)"', page)[1])
        key = unescape(re.search(r'name="key" value="([^"]+)"', page)[1])
        done = browser.post(action, data={"form_token": token_on(page), "key": key})
        assert (done.url.path, done.url.params["site"]) == ("/alerts", "Basel")
        assert "looked after" in done.text
        elsewhere = text_of(browser.get("/alerts?site=Bern").text)
    assert "No sign of life for" not in elsewhere
    assert "No rule finds anything on these instruments." in elsewhere


def test_alert_says_what_since_when_and_what_to_do(firing):
    with firing.browser("eve", "viewer") as browser:
        page = browser.get("/alerts").text
    told = text_of(page)
    assert (
        "■ critical No sign of life for 11 min Spinning disk 2 Basel · since 2026-05-04 12:00:00 UTC" in told
    )
    assert "Is the microscope PC switched on" in told
    assert "I look after it" not in told


def test_alert_is_told_in_the_viewers_language(firing):
    """On its page, on the instrument's and in the feed; what the rules know of is in words."""
    german = {"Accept-Language": "de"}
    with firing.browser("eve", "viewer") as browser:
        for path in ("/alerts", "/instruments/scope-1"):
            told = text_of(browser.get(path, headers=german).text)
            assert "Kein Lebenszeichen seit 11 min" in told and "No sign of life" not in told, path
        assert "<code>scopestamp doctor</code>" in browser.get("/alerts").text
    token = firing.token()["Authorization"].removeprefix("Bearer ")
    assert "Kein Lebenszeichen" in firing.client.get(f"/alerts.rss?token={token}", headers=german).text
    assert firing.get("/v1/alerts").json()["alerts"][0]["text"] == "No sign of life for 11 min"


@pytest.mark.parametrize(
    ("what", "values", "said"),
    [
        ("%(figure)s is %(value)s", {"figure": "disk_free_gb", "value": "2.5"}, "free disk (GB) is 2.5"),
        (
            "%(figure)s of %(routine)s is out of control: %(pattern)s",
            {
                "figure": "displacement_largest_um",
                "routine": "stage_drift",
                "pattern": "8 in a row on one side",
            },
            "displacement largest µm of stage drift is out of control: 8 in a row on one side",
        ),
    ],
)
def test_names_of_ours_are_said_in_words(firing, what, values, said):
    with firing.collector.store.reading() as reads:
        (alert,) = book_of(reads).values()
    assert in_words(alert.model_copy(update={"what": what, "values": values})) == said


def test_who_looks_after_it_stands_beside_it(firing):
    with firing.browser("ben", "operator") as browser:
        key = unescape(re.search(r'name="key" value="([^"]+)"', browser.get("/alerts").text)[1])
        page = post(browser, "/alerts/acknowledge", key=key, comment="driving there").text
        assert post(browser, "/alerts/acknowledge", key="no such alert").status_code == 404
    assert "◆ looked after ben, 2026-05-04 12:11:00 UTC : driving there" in text_of(page)


def test_silence_is_seen_and_ended(firing):
    with firing.browser("ada", "staff") as browser:
        page = post(browser, "/alerts/silences", reason="we move", hours="2", site="Basel").text
        assert "○ silenced we move ( ada, until 2026-05-04 14:11:00 UTC )" in text_of(page).replace(
            "(ada", "( ada"
        )
        path = re.search(r'action="(/alerts/silences/\w+/end)"', page)[1]
        assert "Everybody is told of everything." in text_of(post(browser, path).text)
        assert post(browser, "/alerts/silences", reason=" ", hours="2").status_code == 400


@pytest.mark.parametrize(
    ("role", "path", "said"),
    [
        ("viewer", "/alerts/acknowledge", {"key": "k"}),
        ("operator", "/alerts/silences", {"reason": "r", "hours": "1"}),
        ("staff", "/admin/alerts/routes", {"name": "n", "by": "email", "to": "a@example.org"}),
        ("staff", "/admin/alerts/rules/disk", {}),
    ],
)
def test_who_may_not(running, role, path, said):
    with running.browser("eve", role) as browser:
        assert browser.post(path, data={"form_token": "x", **said}).status_code == 403


def test_feed_is_rss_for_a_token_and_nothing_without(firing):
    token = firing.token()["Authorization"].removeprefix("Bearer ")
    reply = firing.client.get(f"/alerts.rss?token={token}")
    assert reply.headers["content-type"].startswith("application/rss+xml")
    (item,) = ElementTree.fromstring(reply.content).findall("channel/item")
    assert item.findtext("title") == "Spinning disk 2: No sign of life for 11 min"
    assert item.findtext("link").endswith("/instruments/scope-1")
    assert firing.client.get("/alerts.rss", follow_redirects=False).status_code == 303
    vendor = firing.token("vendor")["Authorization"].removeprefix("Bearer ")
    assert firing.client.get(f"/alerts.rss?token={vendor}").status_code == 403


def test_route_is_added_tested_and_removed(running):
    with running.browser() as browser:
        page = post(
            browser,
            "/admin/alerts/routes",
            "/admin/alerts",
            name="Staff, Basel!",
            by="email",
            to="ada@example.org; ben@example.org",
            sites="Basel, Zürich",
            after_min="30",
        ).text
        (route,) = asked(running, routes_of)
        assert (route.channel.to, route.sites) == (
            ("ada@example.org", "ben@example.org"),
            ("Basel", "Zürich"),
        )
        assert "unacknowledged for 30 min" in text_of(page)
        tested = text_of(post(browser, f"/admin/alerts/routes/{route.key}/test", "/admin/alerts").text)
        assert "The test did not go through Staff, Basel!: No mail server is set" in tested
        post(browser, f"/admin/alerts/routes/{route.key}/remove", "/admin/alerts")
    assert asked(running, routes_of) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "email", "to": "nobody"},
        {"by": "webhook", "to": "file:///etc/passwd"},
        {"by": "pigeon", "to": "roof"},
    ],
)
def test_route_that_leads_nowhere_is_refused(running, wrong):
    with running.browser() as browser:
        assert (
            post(browser, "/admin/alerts/routes", "/admin/alerts", name="Staff", **wrong).status_code == 400
        )
    assert asked(running, routes_of) == []


def test_thresholds_have_their_units(running):
    with running.browser(role="admin") as browser:
        page = text_of(browser.get("/admin/alerts").text)
    assert "below, GB" in page and "above, s" in page and "above, h" in page


def test_rule_is_changed_and_a_wrong_threshold_refused(running):
    with running.browser() as browser:
        said = {
            "condition.below": "20",
            "condition.clears_at": "30",
            "severity": "info",
            "holds_for_min": "1",
        }
        post(browser, "/admin/alerts/rules/disk", "/admin/alerts", **said)
        wrong = post(browser, "/admin/alerts/rules/disk", "/admin/alerts", **{"condition.below": "plenty"})
    assert wrong.status_code == 400
    rule = next(rule for rule in asked(running, rules_of) if rule.key == "disk")
    assert (rule.condition.below, rule.condition.clears_at, rule.severity, rule.is_on) == (
        20,
        30,
        "info",
        False,
    )
    assert rule.condition.figure == "disk_free_gb"


@pytest.mark.parametrize(
    ("rule", "field", "value"),
    [
        ("silent", "condition.minutes", "1e300"),
        ("qc_overdue", "condition.days", "1e12"),
        ("disk", "condition.below", "nan"),
        ("disk", "clears_for_min", "1e18"),
        ("disk", "holds_for_min", "inf"),
    ],
)
def test_threshold_beyond_all_dates_is_refused_and_alerts_go_on(firing, rule, field, value):
    before = asked(firing, rules_of)
    with firing.browser() as browser:
        said = {field: value, "is_on": "on"}
        assert post(browser, f"/admin/alerts/rules/{rule}", "/admin/alerts", **said).status_code == 400
    assert asked(firing, rules_of) == before
    AlertRound(firing.collector, Teller(SmtpSettings(), OutgoingSettings())).go()


def test_severity_of_a_figure_is_set_and_shown_and_a_wrong_one_refused(running):
    path = "/admin/alerts/rules/out_of_control"
    with running.browser() as browser:
        post(browser, path, "/admin/alerts", is_on="on", grades="fwhm_* = critical; warn=info\n")
        page = browser.get("/admin/alerts").text
        wrong = post(browser, path, "/admin/alerts", grades="fwhm_* = dreadful")
    assert 'value="fwhm_* = critical, warn = info"' in page
    assert wrong.status_code == 400
    rule = next(rule for rule in asked(running, rules_of) if rule.key == "out_of_control")
    assert [(one.of, one.severity.value) for one in rule.grades] == [("fwhm_*", "critical"), ("warn", "info")]
