"""How much anybody may ask for (ASVS 5.0 2.4.1, 4.2.1, 5.2.1, 5.2.4, 15.2.2)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from urllib.parse import urlsplit

import httpx
import pytest

from agent.records import wire
from server.access.limits import MAX_KEYS, Buckets
from server.access.secrets import hash_password
from server.settings import LimitSettings, Settings
from server.store.rows import User


def limited(make_running, **limits):
    return make_running(Settings(limits=LimitSettings(**limits)))


def test_bucket_gives_what_the_rate_allows(clock):
    """ASVS 5.0 2.4.1: against a count by hand: 3 at once, then one every half second."""
    buckets = Buckets(2.0, 3.0, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.later(seconds=0.5)
    assert [buckets.take("a") for _ in range(2)] == [0, 1]
    assert buckets.take("b") == 0
    clock.later(hours=1)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_memory_of_buckets_is_bounded(clock):
    """ASVS 5.0 15.2.2."""
    buckets = Buckets(1.0, 1.0, clock)
    for key in range(MAX_KEYS + 50):
        buckets.take(str(key))
    assert len(buckets._left) == MAX_KEYS


def test_agent_that_sends_too_often_waits_and_others_do_not(make_running, tools):
    """ASVS 5.0 2.4.1: 429 with Retry-After; nothing of what was refused is stored."""
    running = limited(make_running, agent_requests_per_s=0.2)  # two at once
    busy, calm = running.sender("scope-1"), running.sender("scope-2")
    scope = tools.Scope(busy)
    lines = [scope.heartbeat() for _ in range(3)]
    chain = [tools.chain_over(lines[:n]) for n in range(3)]
    replies = [busy.send([line], first_seq=n + 1, prev=chain[n]) for n, line in enumerate(lines)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 1 <= int(replies[2].headers["Retry-After"]) <= 6
    assert calm.send([tools.Scope(calm).heartbeat()]).status_code == 200
    running.clock.later(seconds=int(replies[2].headers["Retry-After"]))
    assert busy.send([lines[2]], first_seq=3, prev=chain[2]).status_code == 200


def test_agent_fills_no_more_than_its_share_of_the_disk(make_running, tools):
    """ASVS 5.0 5.2.4: a quota a day; refused until midnight UTC, and the agent's records stay with the agent."""
    running = limited(make_running, agent_mb_per_day=1)
    agent = running.sender()
    scope = tools.Scope(agent)
    noise = [bytes(f'{{"kind":"noise","n":"{n:0900000x}"}}', "ascii") for n in range(2)]
    assert agent.send(noise[:1], encoding=None).status_code == 200
    refused = agent.send(noise[1:], first_seq=2, prev=tools.chain_over(noise[:1]), encoding=None)
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) == 12 * 3600 + 1
    running.clock.later(seconds=12 * 3600 + 1)
    assert (
        agent.send(noise[1:], first_seq=2, prev=tools.chain_over(noise[:1]), encoding=None).status_code == 200
    )
    assert scope is not None


def test_stranger_uses_up_nobodys_quota(make_running, tools):
    """ASVS 5.0 2.4.1: what is not signed by the agent does not count as the agent's."""
    running = limited(make_running, agent_requests_per_s=0.1)  # one at once
    agent, stranger = running.sender(), tools.Sender(running.client)
    stranger.agent_id = agent.agent_id
    for _ in range(3):
        assert stranger.send([tools.Scope(stranger).heartbeat()]).status_code == 401
    assert agent.send([tools.Scope(agent).heartbeat()]).status_code == 200


def test_address_that_asks_too_often_waits(make_running):
    """ASVS 5.0 2.4.1."""
    running = limited(make_running, address_requests_per_s=0.5)
    statuses = [running.client.get("/healthz").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = running.client.get("/login")
    assert refused.status_code == 429 and "content-security-policy" in refused.headers
    running.clock.later(seconds=int(refused.headers["Retry-After"]))
    assert running.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers", [{f"X-{n}": "1" for n in range(101)}, {"X-Long": "x" * 40_000}], ids=["many", "long"]
)
def test_too_many_or_too_long_headers_are_refused(running, headers):
    """ASVS 5.0 4.2.1; batches do not take the way of other requests."""
    assert running.client.get("/healthz", headers=headers).status_code == 431
    refused = running.client.post(wire.INGEST_PATH, headers=headers)
    assert refused.status_code == 431 and "content-security-policy" in refused.headers


def test_upload_beyond_the_limit_is_refused_whatever_it_says_of_its_length(make_running):
    """ASVS 5.0 5.2.1: announced, and in chunks without a length."""
    running = limited(make_running, max_upload_bytes=1 << 20)
    assert running.client.post("/login", content=bytes((1 << 20) + 1)).status_code == 413
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    chunked = running.client.post("/login", content=(b"x=" + bytes(1 << 18) for _ in range(6)), headers=form)
    assert chunked.status_code in (400, 413)


def test_body_that_never_comes_is_given_up(make_running):
    """ASVS 5.0 15.2.2: a slow client holds nothing for ever."""
    running = limited(make_running, request_timeout_s=0.05)
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as slow:
        slow.sendall(
            f"POST {wire.INGEST_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode()
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_sender_that_goes_in_the_middle_of_a_batch_is_no_error(running, caplog):
    parts = urlsplit(running.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as gone:
        gone.sendall(
            f"POST {wire.INGEST_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode()
        )
    assert running.client.get("/healthz").status_code == 200
    while running.n_answering():
        assert running.client.get("/healthz").status_code == 200
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []


@pytest.mark.parametrize("path", ["/v1/qc/schedules/deep", "/v1/enrol"])
def test_deeply_nested_json_is_refused_and_breaks_nothing(running, path):
    """ASVS 5.0 15.2.2, 1.5.2."""
    body = b"[" * 60_000 + b"]" * 60_000
    headers = {**running.token("staff"), "Content-Type": "application/json"}
    if path.startswith("/v1/qc"):
        reply = running.client.put(path, content=body[:16_000] if "enrol" in path else body, headers=headers)
    else:
        reply = running.client.post(path, content=b"[" * 8_000 + b"]" * 8_000, headers=headers)
    assert reply.status_code == 400
    assert running.client.get("/healthz").status_code == 200


def test_deeply_nested_record_is_kept_aside(running, tools):
    """ASVS 5.0 15.2.2, 1.5.2: it is acknowledged, flagged, and shown; nothing fails on it."""
    agent = running.sender()
    deep = b'{"kind":"heartbeat","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    reply = agent.send([deep])
    assert reply.status_code == 200 and len(reply.json()["flagged"]) == 1
    with running.browser() as browser:
        assert browser.get("/quarantine").status_code == 200


def asked_from(app, address: str, method: str, path: str, **more) -> int:
    """Return the status of a request that comes from an address."""

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.request(method, path, **more)).status_code

    return asyncio.run(ask())


def test_who_has_many_addresses_of_ipv6_is_counted_once(make_running):
    """A subscriber has 2**64 of them: each would be an allowance of its own. (ASVS 5.0 6.3.1)"""
    app = limited(make_running, address_requests_per_s=1).app
    burst = [asked_from(app, f"2001:db8:1:2::{n:x}", "GET", "/healthz") for n in range(11)]
    assert burst == [200] * 10 + [429]
    assert asked_from(app, "2001:db8:1:3::1", "GET", "/healthz") == 200


def test_passwords_guessed_from_many_addresses_of_ipv6_are_counted_together(running):
    app, wrong = running.app, {"name": "ada", "password": "wrong"}
    told = [asked_from(app, f"2001:db8:1:2::{n:x}", "POST", "/login", data=wrong) for n in range(11)]
    assert told == [401] * 10 + [429]


def test_many_guesses_at_once_are_no_way_round_the_limit(running):
    """Each is counted before it is tried; so nor can they all take the 32 MiB of a password's hash at once."""
    wrong = {"name": "ada", "password": "wrong"}

    def guess(_) -> int:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            return client.post("/login", data=wrong).status_code

    with ThreadPoolExecutor(25) as many:
        told = Counter(many.map(guess, range(25)))

    assert told == {401: running.collector.settings.limits.attempts_per_minute, 429: 15}


def test_good_passwords_use_up_nothing(running):
    user = User("ada", "viewer", hash_password("correct horse battery"), running.clock())
    running.collector.writer.do(lambda writes: writes.put_user(user))
    right = {"name": "ada", "password": "correct horse battery"}
    assert [running.client.post("/login", data=right).status_code for _ in range(12)] == [303] * 12


def test_passwords_from_many_addresses_are_checked_few_at_once(running, monkeypatch):
    """ASVS 5.0 2.4.1: each takes 32 MiB, and a thread of those that answer everybody else."""
    n_now, most = 0, 0
    lock, is_full = Lock(), Event()

    def check(password, kept):
        nonlocal n_now, most
        with lock:
            n_now, most = n_now + 1, max(most, n_now + 1)
        assert is_full.wait(60)
        with lock:
            n_now -= 1
        return False

    monkeypatch.setattr("server.access.people.is_password", check)
    wrong = {"name": "ada", "password": "wrong"}
    with ThreadPoolExecutor(20) as many:
        asking = [
            many.submit(asked_from, running.app, f"192.0.2.{n}", "POST", "/login", data=wrong)
            for n in range(20)
        ]
        told = []
        for one in as_completed(asking, timeout=60):
            told.append(one.result())
            if len(told) == 8:  # those beyond the four that are checked and the eight that wait
                is_full.set()
    assert told == [503] * 8 + [401] * 12
    assert most == 4
    assert asked_from(running.app, "192.0.2.99", "POST", "/login", data=wrong) == 401
