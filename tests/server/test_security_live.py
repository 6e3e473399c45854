"""Live events end with the right to see them (ASVS 5.0 7.4.1, 8.3.2): a stream that was opened in time does not outlive it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from threading import Semaphore

import pytest

from server.access.people import link_job
from server.access.scope import EVERYTHING, Scope
from server.access.secrets import hash_of, new_secret
from server.api import live
from server.settings import LimitSettings, Settings
from server.store.rows import Grant, Instrument, User


@pytest.fixture(autouse=True)
def looking_often(monkeypatch):
    monkeypatch.setattr("server.api.live.LOOK_S", 0.01)


@pytest.fixture
def beat(running, tools):
    """Give a way to have a heartbeat arrive from an instrument of a site."""
    agents = {}

    def send(site: str) -> None:
        if site not in agents:
            agents[site] = running.sender(f"scope-{site}"), []
            row = Instrument(f"scope-{site}", site, site, running.clock())
            running.collector.writer.do(lambda writes: writes.put_instrument(row))
        agent, sent = agents[site]
        told = [tools.Scope(agent).heartbeat()]
        assert agent.send(told, first_seq=len(sent) + 1, prev=tools.chain_over(sent)).status_code == 200
        sent += told

    return send


def told(lines: Iterator[str]) -> dict[str, str]:
    """Return the next event."""
    return json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))


def sign_in(running, scope: Scope, ends_at=None, role: str = "viewer") -> None:
    """Sign the client in as Grace, or give her another scope and role."""
    with running.collector.store.reading() as reads:
        is_new = reads.user("grace") is None
    user = User("grace", role, None, running.clock(), scope.text, ends_at)
    running.collector.writer.do(lambda writes: writes.put_user(user))
    if is_new:
        secret = new_secret()
        running.collector.writer.do(link_job(secret, "grace", role, running.clock()))
        running.client.get(f"/sign-in/{secret}")


FROM_THE_FIRST = {"Last-Event-ID": "0"}


def test_stream_of_a_token_ends_when_it_is_removed(running, beat):
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", "acme", "viewer", running.clock(), None)
    running.collector.writer.do(lambda writes: writes.add_grant(grant))
    beat("Basel")
    headers = {"Authorization": f"Bearer {secret}", **FROM_THE_FIRST}
    with running.client.stream("GET", "/v1/live", headers=headers) as reply:
        lines = reply.iter_lines()
        assert told(lines)["instrument_id"] == "scope-Basel"
        running.collector.writer.do(lambda writes: writes.remove_tokens("acme"))
        assert not any(line.startswith("data: ") for line in lines)


@pytest.mark.parametrize("why", ["last day is over", "another role", "removed", "session is over"])
def test_stream_of_a_person_ends_with_what_let_them_in(running, beat, why):
    sign_in(running, EVERYTHING, running.clock() + timedelta(hours=1))
    beat("Basel")
    with running.client.stream("GET", "/v1/live", headers=FROM_THE_FIRST) as reply:
        lines = reply.iter_lines()
        assert told(lines)["instrument_id"] == "scope-Basel"
        match why:
            case "last day is over":
                running.clock.later(hours=2)
            case "another role":
                sign_in(running, EVERYTHING, role="vendor")
            case "removed":
                running.collector.writer.do(lambda writes: writes.remove_user("grace"))
            case "session is over":
                sign_in(running, EVERYTHING)
                running.clock.later(hours=running.collector.settings.sessions.hours, seconds=1)
        assert not any(line.startswith("data: ") for line in lines)


def test_stream_follows_the_scope(running, beat):
    sign_in(running, EVERYTHING)
    beat("Bern")
    with running.client.stream("GET", "/v1/live", headers=FROM_THE_FIRST) as reply:
        lines = reply.iter_lines()
        assert told(lines)["instrument_id"] == "scope-Bern"
        sign_in(running, Scope.of(["Basel"]))
        beat("Bern")
        beat("Basel")
        assert told(lines)["instrument_id"] == "scope-Basel"


def test_streams_of_one_person_are_so_many_and_those_of_others_are_others(make_running):
    """ASVS 5.0 15.2.2: against a real server; whoever closes one may open another."""
    running = make_running(Settings(limits=LimitSettings(live_streams_of_one=3, address_requests_per_s=0)))
    mine = running.token()

    def is_let_in(client, headers) -> bool:
        with client.stream("GET", "/v1/live", headers=headers) as reply:
            return reply.status_code == 200

    with running.browser("eve", "viewer") as eve, ExitStack() as held:
        streams = [
            held.enter_context(running.client.stream("GET", "/v1/live", headers=mine)) for _ in range(3)
        ]
        refused = running.client.get("/v1/live", headers=mine)
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_streams")
        assert "3 streams" in refused.json()["message"]
        assert refused.headers["retry-after"] == "60"
        assert is_let_in(eve, {})
        streams[-1].close()
        assert any(is_let_in(running.client, mine) for _ in range(20_000))  # once the server has noticed


def test_ten_streams_are_enough_for_anybody(running):
    headers = running.token()
    with ExitStack() as held:
        told = [
            held.enter_context(running.client.stream("GET", "/v1/live", headers=headers)).status_code
            for _ in range(11)
        ]
    assert told == [200] * 10 + [429]


def test_what_is_out_of_scope_is_looked_through_once(running, beat, monkeypatch):
    looks, arrived, has_looked = [], live._arrived, Semaphore(0)

    def look(request, instrument, after):
        looks.append(after)
        has_looked.release()
        return arrived(request, instrument, after)

    monkeypatch.setattr(live, "_arrived", look)
    beat("Bern")
    sign_in(running, Scope.of(["Basel"]))
    with running.client.stream("GET", "/v1/live", headers=FROM_THE_FIRST) as reply:
        for _ in range(2):
            assert has_looked.acquire(timeout=60)
        beat("Basel")
        assert told(reply.iter_lines())["instrument_id"] == "scope-Basel"
    assert looks[:2] == [0, 1]
