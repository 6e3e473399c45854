"""Ingest over real HTTP: what is taken, what is refused, and that nothing counts twice."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from dataclasses import replace

import pytest
import zstandard

from agent.records import encode
from agent.records.wire import (
    CHAIN_START,
    COUNT_HEADER,
    FIRST_SEQ_HEADER,
    MAX_EXPANDED_BYTES,
    PREV_HEADER,
    SKIPPED_FROM_HEADER,
    SPOOL_HEADER,
    chain_skip,
)
from server.errors import RefusedError
from server.ingest import Admitted, file_lines
from server.settings import LimitSettings, Settings
from server.store.rows import Agent, Instrument


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def beats(tools, sender):
    """Ten heartbeats, each a little later."""
    scope = tools.Scope(sender)
    return [scope.heartbeat(uptime_s=scope.later(60).monotonic_ns / 1e9) for _ in range(10)]


def n_stored(running) -> int:
    return len(running.get("/v1/records?limit=500").json()["records"])


def stored_ids(running) -> list[str]:
    return [entry["record_id"] for entry in running.get("/v1/records?limit=500").json()["records"]]


@pytest.mark.parametrize("encoding", ["zstd", "gzip", None])
def test_ingest_acknowledges_what_it_stored(running, tools, sender, encoding):
    scope = tools.Scope(sender)
    records = [scope.snapshot(), *scope.acquisition()]

    reply = sender.send(records, encoding=encoding)

    assert reply.status_code == 200, reply.text
    assert (reply.json()["acked"], reply.json()["n_added"]) == (len(records), len(records))
    assert reply.json()["flagged"] == []
    cursor = sender.cursor("spool-a").json()
    assert (cursor["acked"], cursor["chain"]) == (len(records), tools.chain_over(records))


def test_records_come_back_byte_for_byte(running, tools, sender):
    odd = encode(tools.Scope(sender).heartbeat()).replace(b'"kind":', b'"from_the_future" : [1,\t2],"kind":')
    assert sender.send([odd]).json()["n_added"] == 1

    record_id = json.loads(odd)["record_id"]
    assert running.get(f"/v1/records/{record_id}/raw").content == odd
    answer = running.get(f"/v1/records/{record_id}").json()
    assert answer["is_signature_good"] is True
    assert answer["record"] == json.loads(odd)
    assert (answer["agent_id"], answer["spool_id"], answer["seq"]) == (sender.agent_id, "spool-a", 1)


def test_cursor_of_a_spool_never_seen_is_zero(sender):
    assert (sender.cursor("new").json()["acked"], sender.cursor("new").json()["chain"]) == (0, CHAIN_START)


def test_store_is_asked_for_a_fleet_that_returns_together_once(running, tools, monkeypatch):
    fleet = [running.sender(f"scope-{number}") for number in range(4)]
    asked = []
    store = type(running.collector.whole_store)
    ask = store.reading_newest
    monkeypatch.setattr(store, "reading_newest", lambda self: asked.append(1) or ask(self))

    replies = [one.send([tools.Scope(one).heartbeat()]) for one in fleet]

    assert [reply.status_code for reply in replies] == [200] * 4
    assert len(asked) == 1


def test_all_agents_are_asked_for_once_a_minute_whatever_the_clock_does(clock):
    agent = Agent("agt-1", b"key", "scope-1", "pc", "Linux", "0.1", clock())
    admitted, asked = Admitted(), []

    def ask():
        asked.append(clock())
        return [agent]

    for seconds in (0, 59, 1, -3600, 30):
        clock.later(seconds=seconds)
        admitted.add_all(ask, clock())

    assert len(asked) == 3
    assert admitted.get("agt-1") == agent


def test_millions_of_empty_lines_are_counted_not_made(clock):
    """ASVS 5.0 15.2.2: a few kilobytes of zstd may stand for eight million of them."""
    agent = Agent("agt-1", b"key", "scope-1", "pc", "Linux", "0.1", clock())
    body = b"\n" * MAX_EXPANDED_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match=f"10 records, the body has {MAX_EXPANDED_BYTES} lines"):
            file_lines(body, 1, 10, CHAIN_START, agent)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * MAX_EXPANDED_BYTES  # as lines they would take forty times as much


@pytest.mark.parametrize(
    ("body", "n_records", "n_lines"), [(b"", 1, 0), (b"{}", 2, 1), (b"{}\n{}\n", 1, 2), (b"{}\n\n", 1, 2)]
)
def test_body_of_another_number_of_lines_is_refused(clock, body, n_records, n_lines):
    agent = Agent("agt-1", b"key", "scope-1", "pc", "Linux", "0.1", clock())
    with pytest.raises(RefusedError, match=f"{n_records} records, the body has {n_lines} lines"):
        file_lines(body, 1, n_records, CHAIN_START, agent)


# Replays, overlaps, gaps, skips, forks


def test_replay_adds_nothing(running, sender, beats):
    sender.send(beats)

    again = sender.send(beats).json()

    assert (again["acked"], again["n_added"]) == (10, 0)
    assert n_stored(running) == 10


def test_overlap_adds_only_what_is_new(running, tools, sender, beats):
    sender.send(beats[:6])

    reply = sender.send(beats[3:], first_seq=4, prev=tools.chain_over(beats[:3])).json()

    assert (reply["acked"], reply["n_added"]) == (10, 4)
    assert stored_ids(running) == [str(beat.record_id) for beat in beats]
    assert sender.cursor("spool-a").json()["chain"] == tools.chain_over(beats)


def test_gap_is_refused_with_what_is_expected(running, tools, sender, beats):
    sender.send(beats[:3])

    reply = sender.send(beats[5:], first_seq=6, prev=tools.chain_over(beats[:5]))

    assert reply.status_code == 409
    assert (reply.json()["error"], reply.json()["expected"]) == ("gap", 4)
    assert n_stored(running) == 3


def test_skip_moves_the_mark_across(running, tools, sender, beats):
    sender.send(beats[:3])
    prev = chain_skip(tools.chain_over(beats[:3]), 4, 6)
    more = {SKIPPED_FROM_HEADER: "4"}

    reply = sender.send(beats[6:], first_seq=7, prev=prev, **more)

    assert (reply.status_code, reply.json()["acked"]) == (200, 10)
    assert sender.cursor("spool-a").json()["chain"] == tools.chain_over(beats[6:], prev)
    assert running.get("/v1/spools").json()[0]["n_skipped"] == 3
    assert sender.send(beats[6:], first_seq=7, prev=prev, **more).json()["n_added"] == 0


def test_skip_of_records_that_had_arrived_counts_only_the_missing(running, tools, sender, beats):
    sender.send(beats[:5])
    prev = chain_skip(tools.chain_over(beats[:3]), 4, 6)

    reply = sender.send(beats[6:], first_seq=7, prev=prev, **{SKIPPED_FROM_HEADER: "4"})

    assert (reply.status_code, reply.json()["acked"]) == (200, 10)
    assert running.get("/v1/spools").json()[0]["n_skipped"] == 1
    assert n_stored(running) == 9


def test_skip_that_starts_beyond_the_mark_is_a_gap(tools, sender, beats):
    sender.send(beats[:3])
    prev = chain_skip(tools.chain_over(beats[:4]), 5, 6)

    reply = sender.send(beats[6:], first_seq=7, prev=prev, **{SKIPPED_FROM_HEADER: "5"})

    assert (reply.status_code, reply.json()["expected"]) == (409, 4)


@pytest.mark.parametrize(
    ("first", "prev_of"), [(1, 0), (4, 3), (7, 6)], ids=["whole replay", "overlap", "next batch"]
)
def test_another_history_is_a_fork(running, tools, sender, beats, first, prev_of):
    sender.send(beats[:6])
    other = tools.Scope(sender, boot_id="a clone")
    forged = [other.heartbeat() for _ in range(6)]
    prev = tools.chain_over(forged[:prev_of]) if first == 7 else tools.chain_over(beats[:prev_of])

    reply = sender.send(forged, first_seq=first, prev=prev)

    assert (reply.status_code, reply.json()["error"]) == (409, "fork")
    assert stored_ids(running) == [str(beat.record_id) for beat in beats[:6]]
    assert sender.cursor("spool-a").json()["acked"] == 6


def test_same_record_through_two_spools_is_filed_once(running, sender, beats):
    sender.send(beats, spool_id="spool-a")

    reply = sender.send(beats, spool_id="spool-b").json()

    assert (reply["acked"], reply["n_added"]) == (10, 10)
    assert n_stored(running) == 10


def test_spools_of_two_agents_may_have_the_same_name(running, tools, sender, beats):
    sender.send(beats)
    other = running.sender("scope-2")

    assert other.send([tools.Scope(other).heartbeat()]).json()["acked"] == 1
    assert sender.cursor("spool-a").json()["acked"] == 10


# Who may send


def test_stranger_is_refused(running, tools, beats):
    stranger = tools.Sender(running.client)

    reply = stranger.send(beats)

    assert (reply.status_code, reply.json()["error"]) == (401, "unknown_agent")
    assert stranger.cursor("spool-a").status_code == 401


def test_request_without_headers_is_refused(running):
    assert running.client.post("/v1/ingest", content=b"{}").json()["error"] == "unknown_agent"


@pytest.mark.parametrize("what", ["body", "header", "signature"])
def test_altered_request_is_refused(running, tools, sender, beats, what):
    body = tools.compress(encode(beats[0]) + b"\n", "zstd")
    headers = {SPOOL_HEADER: "s", FIRST_SEQ_HEADER: "1", COUNT_HEADER: "1", PREV_HEADER: CHAIN_START}
    signed = sender.signed("POST", "/v1/ingest", headers, body)
    match what:
        case "body":
            body += b" "
        case "header":
            signed[SPOOL_HEADER] = "other"
        case "signature":
            signed["Scopestamp-Signature"] = "not base64!"

    reply = running.client.post("/v1/ingest", content=body, headers=signed)

    assert (reply.status_code, reply.json()["error"]) == (401, "bad_signature")


def test_revoked_agent_is_refused(running, sender, beats):
    running.collector.writer.do(lambda writes: writes.revoke_agent(sender.agent_id, running.clock()))

    reply = sender.send(beats)

    assert (reply.status_code, reply.json()["error"]) == (403, "agent_revoked")
    assert n_stored(running) == 0


def test_agent_revoked_after_it_was_let_in_is_refused_at_once(running, sender, beats, tools):
    assert sender.send(beats[:5]).status_code == 200
    running.collector.writer.do(lambda writes: writes.revoke_agent(sender.agent_id, running.clock()))

    reply = sender.send(beats[5:], first_seq=6, prev=tools.chain_over(beats[:5]))

    assert (reply.status_code, reply.json()["error"]) == (403, "agent_revoked")
    assert n_stored(running) == 5


def test_replaced_key_ends_with_its_overlap_though_it_was_good_before(running, sender, beats, tools):
    sent = 0

    def send():
        return sender.send(beats[sent : sent + 1], first_seq=sent + 1, prev=tools.chain_over(beats[:sent]))

    old = sender.key
    for _ in ("first", "after it was replaced"):
        assert send().status_code == 200
        sent += 1
        if sent == 1:
            assert sender.rotate().status_code == 200
            new, sender.key = sender.key, old
    running.clock.later(days=400)
    assert send().json()["error"] == "bad_signature"
    sender.key = new
    assert send().json()["acked"] == sent + 1


def test_agent_moved_after_it_was_let_in_speaks_of_its_new_instrument(running, sender, beats, tools):
    assert sender.send(beats[:5]).json()["flagged"] == []
    now = running.clock()

    def move(writes):
        writes.put_instrument(Instrument("scope-2", "Another", "Basel", now))
        writes.put_agent(replace(writes.agent(sender.agent_id), instrument_id="scope-2"))

    running.collector.writer.do(move)
    reply = sender.send(beats[5:6], first_seq=6, prev=tools.chain_over(beats[:5]))

    assert [flag["reason"] for flag in reply.json()["flagged"]] == ["foreign_agent"]


def test_refusals_are_audited(running, tools, beats):
    tools.Sender(running.client).send(beats)

    with running.collector.store.reading() as reads:
        entry = reads.audit(1)[0]
    assert (entry.action, entry.outcome, entry.detail) == ("ingest", "refused", "unknown_agent")


# Malformed and oversized


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (FIRST_SEQ_HEADER, "0", 400),
        (FIRST_SEQ_HEADER, "one", 400),
        (COUNT_HEADER, "2", 400),
        (COUNT_HEADER, "501", 413),
        (PREV_HEADER, "zz", 400),
        (SPOOL_HEADER, "../etc/passwd", 400),
        (SKIPPED_FROM_HEADER, "1", 400),
    ],
)
def test_wrong_header_is_named(sender, beats, name, value, status):
    reply = sender.send(beats[:1], **{name: value})

    assert reply.status_code == status
    assert reply.json()["error"] in ("malformed_batch", "too_large")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (zstandard.compress(b"{}\n" * 500)[:-3], "zstd"),
        (gzip.compress(b"{}\n" * 500)[:-9], "gzip"),
        (gzip.compress(b"{}\n") + b"more", "gzip"),
        (b"no zstd at all", "zstd"),
        (b"no gzip at all", "gzip"),
        (b"", "zstd"),
    ],
    ids=["zstd truncated", "gzip truncated", "gzip with a tail", "not zstd", "not gzip", "empty"],
)
def test_damaged_body_is_malformed(sender, body, encoding):
    headers = {SPOOL_HEADER: "s", FIRST_SEQ_HEADER: "1", COUNT_HEADER: "1", PREV_HEADER: CHAIN_START}

    reply = sender.post(body, headers, encoding)

    assert (reply.status_code, reply.json()["error"]) == (400, "malformed_batch")


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_bomb_is_refused(sender, tools, encoding):
    bomb = tools.compress(bytes(40 * MAX_EXPANDED_BYTES), encoding)
    headers = {SPOOL_HEADER: "s", FIRST_SEQ_HEADER: "1", COUNT_HEADER: "1", PREV_HEADER: CHAIN_START}

    reply = sender.post(bomb, headers, encoding)

    assert len(bomb) < 1 << 20
    assert (reply.status_code, reply.json()["error"]) == (413, "too_large")


def test_body_beyond_the_limit_is_refused_and_the_client_hears_it(make_running):
    running = make_running(Settings(limits=LimitSettings(max_body_bytes=4096)))
    headers = {SPOOL_HEADER: "s", FIRST_SEQ_HEADER: "1", COUNT_HEADER: "1", PREV_HEADER: CHAIN_START}

    reply = running.sender().post(bytes(20_000), headers)

    assert (reply.status_code, reply.json()["error"]) == (413, "too_large")


def test_unknown_encoding_is_refused(sender):
    headers = {SPOOL_HEADER: "s", FIRST_SEQ_HEADER: "1", COUNT_HEADER: "1", PREV_HEADER: CHAIN_START}
    assert sender.post(b"x", headers, "br").status_code == 415


# Quarantine


def test_what_is_not_understood_is_kept_acknowledged_and_flagged(running, tools, sender):
    scope, stranger = tools.Scope(sender), tools.Sender(running.client)
    beat = scope.heartbeat()
    lines = [
        beat,
        b"\xff\x00 not json",
        b'{"record_id":"w-1","kind":"weather","schema_version":"1.0","wind":3}',
        encode(scope.heartbeat()).replace(b'"schema_version":"1.0"', b'"schema_version":"2.0"'),
        tools.Scope(stranger).heartbeat(),
        tools.Scope(tools.Sender(running.client, "elsewhere")).heartbeat(),
        encode(scope.heartbeat()).replace(b'"hardware":"idle"', b'"hardware":7'),
        b"[" * 5000,
        scope.heartbeat(),
    ]

    reply = sender.send(lines).json()

    assert (reply["acked"], reply["n_added"]) == (9, 9)
    assert [(flag["seq"], flag["reason"]) for flag in reply["flagged"]] == [
        (2, "malformed"),
        (3, "unknown_kind"),
        (4, "newer_version"),
        (5, "foreign_agent"),
        (6, "foreign_agent"),
        (7, "malformed"),
        (8, "malformed"),
    ]
    assert n_stored(running) == 2
    kept = running.get("/v1/quarantine").json()["quarantine"]
    assert [entry["seq"] for entry in kept] == [8, 7, 6, 5, 4, 3, 2]
    assert running.get(f"/v1/quarantine/{kept[-1]['position']}/raw").content == lines[1]


def test_agent_cannot_speak_of_another_instrument(running, tools, sender):
    running.sender("scope-2")
    scope = tools.Scope(sender)
    scope.common["instrument_id"] = "scope-2"

    reply = sender.send([scope.heartbeat()]).json()

    assert reply["flagged"][0]["reason"] == "foreign_agent"
    assert running.get("/v1/instruments/scope-2").json()["latest"] == []


@pytest.mark.parametrize(
    "extra", [b'"x":NaN', b'"x":-Infinity', b'"x":1e999', b'"x":"\\ud800"', b'"x":' + b"[" * 150 + b"]" * 150]
)
def test_odd_json_is_kept_and_can_be_shown_whatever_it_is(running, tools, sender, extra):
    line = encode(tools.Scope(sender).heartbeat()).replace(b'"kind":', extra + b',"kind":')

    reply = sender.send([line]).json()

    assert reply["acked"] == 1
    if reply["flagged"]:
        position = running.get("/v1/quarantine").json()["quarantine"][0]["position"]
        assert running.get(f"/v1/quarantine/{position}/raw").content == line
        return
    record_id = stored_ids(running)[0]
    assert running.get(f"/v1/records/{record_id}/raw").content == line
    assert running.get(f"/v1/records/{record_id}").status_code == 200
    with running.browser() as browser:
        assert browser.get(f"/records/{record_id}").status_code == 200
        assert browser.get("/instruments/scope-1").status_code == 200


def test_full_disk_is_answered_with_retry_after_and_nothing_of_the_batch_is_kept(
    running, tools, sender, beats
):
    sender.send(beats[:2])
    limit = running.collector.store._writer.execute
    (n_pages,) = limit("PRAGMA page_count").fetchone()
    limit(f"PRAGMA max_page_count={n_pages + 2}")
    big = tools.Scope(sender).event("x" * 100_000)
    batch = [*beats[2:], big]
    prev = tools.chain_over(beats[:2])

    reply = sender.send(batch, first_seq=3, prev=prev, encoding=None)

    assert (reply.status_code, reply.json()["error"]) == (503, "store_unavailable")
    assert int(reply.headers["Retry-After"]) > 0
    assert (sender.cursor("spool-a").json()["acked"], n_stored(running)) == (2, 2)
    limit("PRAGMA max_page_count=1000000")
    assert sender.send(batch, first_seq=3, prev=prev, encoding=None).json()["acked"] == 11
