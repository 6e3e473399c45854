"""Who sees which instruments: every route, every role, an instrument out of scope (ASVS 5.0 8.2.1, 8.2.2, 8.3.1)."""

from __future__ import annotations

import importlib.util
import re
from datetime import timedelta
from pathlib import Path

import pytest

from server.access.people import link_job
from server.access.roles import ROLES
from server.access.scope import EVERYTHING, Scope
from server.access.secrets import hash_of, new_secret
from server.alerts.round import AlertRound
from server.alerts.telling import Teller
from server.store.rows import Grant, Instrument, User
from server.store.tables import TABLES

MARK = "zebrafish"
"""Stands in everything the hidden instrument's agent and staff wrote, and nowhere else."""
HIDDEN, SHOWN = f"scope-{MARK}", "scope-open"


def _walker():
    spec = importlib.util.spec_from_file_location("access_walk", Path(__file__).with_name("test_access.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


walk = _walker()


def let_in(running, role: str, scope: Scope, name: str = "ada", ends_at=None) -> dict[str, str]:
    """Return the headers of an API token."""
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", name, role, running.clock(), ends_at, scope.text)
    running.collector.writer.do(lambda writes: writes.add_grant(grant))
    return {"Authorization": f"Bearer {secret}"}


def signed_in(running, client, role: str, scope: Scope, name: str = "ada", ends_at=None) -> None:
    """Sign the client in as somebody new."""
    user = User(name, role, None, running.clock(), scope.text, ends_at)
    running.collector.writer.do(lambda writes: writes.put_user(user))
    secret = new_secret()
    running.collector.writer.do(link_job(secret, name, role, running.clock()))
    client.cookies.clear()
    client.get(f"/sign-in/{secret}")


def token_on(page: str) -> str:
    return re.search(r'name="form_token" value="(\w+)"', page)[1]


@pytest.fixture
def two_sites(running, tools):
    """Give the ids of what the hidden instrument has: it sent one of everything, and staff wrote about it."""
    hidden = {}
    for name, site, instrument_id in ((MARK, f"site {MARK}", HIDDEN), ("Open", "Basel", SHOWN)):
        agent = tools.Sender(running.client, instrument_id)
        assert agent.enrol(running.join_code()).status_code == 200
        row = Instrument(instrument_id, name, site, running.clock())
        running.collector.writer.do(lambda writes, row=row: writes.put_instrument(row))
        scope = tools.Scope(agent)
        started, *rest = scope.acquisition()
        qc = scope.qc()
        odd = b'{"kind":"unheard of %s"}' % instrument_id.encode()
        sent = [
            scope.description(),
            scope.heartbeat(),
            scope.event(f"cannot read {name}"),
            scope.snapshot(),
            started,
        ]
        assert agent.send([*sent, *rest, qc, odd]).status_code == 200
        if instrument_id == HIDDEN:
            hidden |= {
                "instrument_id": HIDDEN,
                "agent_id": agent.agent_id,
                "acquisition_id": str(started.acquisition_id),
                "record_id": str(qc.record_id),
                "run_or_record_id": str(qc.record_id),
                "schedule_id": "weekly",
                "format_name": "ome-xml",
                "name": "grace",
            }
    with running.browser("root", "admin") as browser:
        form = {"form_token": token_on(browser.get("/admin").text)}
        said = {**form, "work": "repair", "day": "2026-05-04", "title": f"new lamp {MARK}"}
        files = {"files": (f"{MARK}.txt", f"the bill of {MARK}".encode(), "text/plain")}
        assert browser.post(f"/instruments/{HIDDEN}/logbook", data=said, files=files).status_code == 200
        page = browser.get(f"/instruments/{HIDDEN}/logbook").text
        hidden["sha256"] = re.search(r"/attachments/(\w{64})", page)[1]
        group = {**form, "name": f"group {MARK}", "instruments": HIDDEN}
        assert browser.post("/schedule-groups", data=group).status_code == 200
        weekly = {
            **form,
            "schedule_id": "weekly",
            "routine": "illumination",
            "cron": "0 3 * * 1",
            "instruments": HIDDEN,
        }
        assert browser.post("/schedules", data=weekly).status_code == 200
        said = {**form, "name": "grace", "role": "viewer", "sites": f"site {MARK}"}
        assert browser.post("/admin/people", data=said).status_code == 200
    with running.collector.store.reading() as reads:
        hidden["position"] = str(
            next(one.position for one in reads.quarantine() if one.agent_id == hidden["agent_id"])
        )
    return hidden


NOWHERE = {
    "instrument_id": "scope-nowhere",
    "agent_id": "agt-nowhere",
    "acquisition_id": "01990000-0000-7000-8000-000000000000",
    "record_id": "01990000-0000-7000-8000-000000000000",
    "run_or_record_id": "01990000-0000-7000-8000-000000000000",
    "run_id": "01990000-0000-7000-8000-000000000000",
    "schedule_id": "never",
    "format_name": "ome-xml",
    "sha256": "0" * 64,
    "position": "999999",
    "name": "nobody",
    "key": "none",
    "secret_sha256": "0" * 64,
}
BODY = {"work": "repair", "day": "2026-05-04", "title": "x", "reason": "x", "comment": "x"}
"""Enough for every form about one instrument to be accepted from somebody who may."""


def routes(running) -> list[tuple[str, str]]:
    """Return method and path pattern of every route that is for people."""
    known = (tuple(name.split(" ", 1)) for name in walk.asked(running) if name not in walk.PUBLIC)
    return [(method, path) for method, path in known if path != "/logout"]


def filled(pattern: str, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: ids.get(found[1], NOWHERE.get(found[1], "x")), pattern)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "upstream"])
def test_no_route_tells_of_an_instrument_out_of_scope(running, two_sites, role):
    """ASVS 5.0 8.2.2, 8.3.1: by id it is not there, and in lists, searches, exports, feeds and metrics it does not stand."""
    headers = let_in(running, role, Scope.of(["Basel"]))
    secrets = (MARK, two_sites["agent_id"], two_sites["acquisition_id"], two_sites["record_id"])
    n_answered = 0
    for method, pattern in routes(running):
        if method != "GET" or pattern == "/v1/live":
            continue
        reply = running.client.get(filled(pattern, two_sites), headers=headers)
        assert reply.status_code < 500 or reply.status_code == 501, pattern
        assert reply.status_code != 429, "beyond its allowance nothing is told, and nothing tested"
        nothing = running.client.get(filled(pattern, NOWHERE), headers=headers)
        assert reply.status_code == nothing.status_code, pattern
        if reply.status_code < 400:
            n_answered += 1
            told = reply.text.replace(reply.request.url.path, "")
            assert not [secret for secret in secrets if secret in told], pattern
    assert n_answered >= (3 if role == "vendor" else 15)


def test_the_walk_sees_what_there_is_to_see(running, two_sites):
    """The walk would find a leak: to a viewer of everything the same routes tell all of it."""
    headers = let_in(running, "viewer", EVERYTHING)
    told = ""
    for method, pattern in routes(running):
        if method == "GET" and pattern != "/v1/live":
            told += running.client.get(filled(pattern, two_sites), headers=headers).text
    assert all(secret in told for secret in (MARK, two_sites["agent_id"], two_sites["acquisition_id"]))
    assert f"the bill of {MARK}" in told


def test_live_events_are_those_of_the_scope(running, two_sites):
    """ASVS 5.0 8.2.2."""
    headers = {**let_in(running, "viewer", Scope.of(["Basel"])), "Last-Event-ID": "0"}
    events = []
    with running.client.stream("GET", "/v1/live", headers=headers) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                events.append(line)
            if len(events) == 5:
                break
    assert SHOWN in "".join(events) and MARK not in "".join(events)


def test_feed_is_that_of_the_scope(running, two_sites):
    """ASVS 5.0 8.2.2: a feed reader's token has its scope too."""
    running.clock.later(days=2)  # both instruments are silent now
    settings = running.collector.settings
    AlertRound(running.collector, Teller(settings.smtp, settings.outgoing)).go()
    running.clock.later(hours=1)
    AlertRound(running.collector, Teller(settings.smtp, settings.outgoing)).go()
    everything = let_in(running, "viewer", EVERYTHING)["Authorization"][7:]
    some = let_in(running, "viewer", Scope.of(["Basel"]))["Authorization"][7:]
    assert MARK not in running.client.get(f"/alerts.rss?token={some}").text
    assert MARK in running.client.get(f"/alerts.rss?token={everything}").text


@pytest.mark.parametrize("role", ["operator", "staff", "admin"])
def test_nothing_out_of_scope_can_be_changed(running, two_sites, role):
    """ASVS 5.0 8.2.1, 8.3.1: whatever form is sent about it, by whoever may send it about other instruments."""
    with running.browser("root", "viewer") as browser:
        signed_in(running, browser, role, Scope.of(["Basel"]))
        form = {"form_token": token_on(browser.get("/").text), **BODY}
        before = everything_in(running)
        for method, pattern in routes(running):
            if method == "GET" or "{" not in pattern:
                continue
            reply = browser.request(method, filled(pattern, two_sites), data=form, follow_redirects=False)
            assert reply.status_code in (400, 403, 404), (method, pattern, reply.status_code)
        assert everything_in(running) == before


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/alerts/silences", {"reason": "x", "hours": "1", "instrument_id": HIDDEN}, 404),
        ("/alerts/silences", {"reason": "x", "hours": "1", "site": f"site {MARK}"}, 403),
        ("/alerts/silences", {"reason": "x", "hours": "1"}, 403),
        ("/alerts/silences", {"reason": "x", "hours": "1", "site": "Basel"}, 303),
        ("/schedule-groups", {"name": "mine", "instruments": HIDDEN}, 400),
        ("/schedule-groups", {"name": f"group {MARK}", "instruments": SHOWN}, 404),
        ("/schedule-groups", {"name": "mine", "instruments": SHOWN}, 303),
        (
            "/schedules",
            {"schedule_id": "weekly", "routine": "psf", "cron": "0 3 * * *", "instruments": SHOWN},
            404,
        ),
        (
            "/schedules",
            {"schedule_id": "new", "routine": "psf", "cron": "0 3 * * *", "group_names": f"group {MARK}"},
            400,
        ),
        (
            "/schedules",
            {"schedule_id": "new", "routine": "psf", "cron": "0 3 * * *", "instruments": SHOWN},
            303,
        ),
        ("/admin/join-codes", {"instrument": "New", "site": f"site {MARK}"}, 403),
        ("/admin/join-codes", {"instrument": "New", "site": "Basel", "instrument_id": HIDDEN}, 404),
        ("/admin/join-codes", {"instrument": "New", "site": "Basel"}, 200),
        ("/admin/people", {"name": "eve", "role": "viewer"}, 403),
        ("/admin/people", {"name": "eve", "role": "viewer", "sites": f"site {MARK}"}, 403),
        ("/admin/people", {"name": "eve", "role": "viewer", "sites": "Basel"}, 303),
        ("/admin/people", {"name": "grace", "role": "viewer", "sites": "Basel"}, 403),
        ("/admin/people", {"name": "root", "role": "viewer", "sites": "Basel"}, 403),
        ("/admin/people", {"name": "ada", "role": "admin", "sites": "Basel"}, 403),
        ("/admin/people", {"name": "eve", "role": "vendor", "sites": "Basel"}, 400),
        ("/admin/tokens", {"name": "eve", "role": "viewer"}, 403),
        ("/admin/tokens", {"name": "eve", "role": "upstream", "sites": "Basel"}, 403),
        ("/admin/tokens", {"name": "eve", "role": "viewer", "sites": "Basel"}, 200),
        ("/admin/alerts/routes", {"name": "x", "by": "email", "to": "x@example.org"}, 403),
    ],
)
def test_site_admin_stays_within_the_site(running, two_sites, path, form, status):
    """ASVS 5.0 8.2.1, 8.2.2."""
    with running.browser("root", "admin") as browser:
        signed_in(running, browser, "admin", Scope.of(["Basel"]))
        token = token_on(browser.get("/").text)
        reply = browser.post(path, data={"form_token": token, **form}, follow_redirects=False)
    assert reply.status_code == status, reply.text[-2000:]


def test_audit_log_is_for_those_who_see_everything(running):
    """ASVS 5.0 16.4.2."""
    statuses = {
        (role, scope.is_limited): running.client.get(
            "/audit", headers=let_in(running, role, scope)
        ).status_code
        for role in ROLES
        for scope in (EVERYTHING, Scope.of(["Basel"]))
    }
    assert {who for who, status in statuses.items() if status == 200} == {
        ("admin", False),
        ("auditor", False),
    }


def test_vendor_sees_health_and_log_of_named_instruments_until_the_last_day(running, two_sites):
    """ASVS 5.0 8.2.1, 8.3.1."""
    with running.browser("root", "admin") as browser:
        form = {"form_token": token_on(browser.get("/admin").text), "name": "nikon", "role": "vendor"}
        assert browser.post("/admin/people", data={**form, "instruments": SHOWN}).status_code == 400  # no end
        assert (
            browser.post("/admin/people", data={**form, "last_day": "2026-05-10"}).status_code == 400
        )  # no names
        told = {**form, "instruments": SHOWN, "last_day": "2026-05-10"}
        assert browser.post("/admin/people", data=told).status_code == 200
        page = browser.post("/admin/people/nikon/link", data={"form_token": form["form_token"]}).text
        link = re.search(r"http\S+/sign-in/[\w-]+", page)[0]
        browser.cookies.clear()
        landed = browser.get(link)
        assert landed.url.path == "/service" and "Open" in landed.text and MARK not in landed.text
        assert browser.get(f"/service/{SHOWN}").status_code == 200
        assert browser.get(f"/service/{HIDDEN}").status_code == 404
        told = browser.get(f"/service/{SHOWN}").text
        assert "mitosis" not in told and "cannot read" not in told  # files, and what a log may say of people
        assert browser.get("/metrics").status_code == 200
        running.clock.at += timedelta(hours=6)
        running.clock.at = running.clock.at.replace(day=11)
        assert browser.get("/service", follow_redirects=False).status_code == 303


def everything_in(running) -> dict[str, object]:
    """Return every row that people's forms could have changed; the audit log of refusals apart."""
    told = ("users", "grants", "join_codes", "documents", "entries", "attachments", "instruments")
    with running.collector.store.reading() as reads:
        rows = {table.name: reads.dump(table) for table in TABLES if table.name in told}
        rows["revoked"] = [one.revoked_at for one in reads.agents()]
    return rows
