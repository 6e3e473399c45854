"""Live events end with the right to see them (ASVS 5.0 7.4.1, 8.3.2): a stream that was opened in time does not outlive it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from server.access.people import link_job
from server.access.scope import EVERYTHING, Scope
from server.access.secrets import hash_of, new_secret
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
