"""The query API: what other programs read."""

from __future__ import annotations

import json

import pytest

from agent.records import encode


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def seeded(running, sender, scope):
    """An instrument with an acquisition of 130 frames behind it."""
    lines = [scope.description(), scope.snapshot(), *scope.acquisition(n_frames=130)]
    lines += [scope.change("Objective", "Label", scope.read(f"{i}x")) for i in range(5)]
    lines.append(scope.heartbeat())
    assert sender.send(lines).status_code == 200
    return lines


def test_instruments_say_how_they_fare(running, seeded):
    (one,) = running.get("/v1/instruments").json()

    assert (one["presence"], one["hardware"], one["n_waiting"]) == ("reporting", "idle", 3)
    assert one["last_acquisition_id"] == str(seeded[2].acquisition_id)
    assert one["problems"] == ["The last acquisition is missing 1 of its frames."]


@pytest.mark.parametrize(("seconds", "presence"), [(0, "reporting"), (180, "reporting"), (181, "silent")])
def test_instrument_is_silent_after_three_missed_heartbeats(running, seeded, seconds, presence):
    running.clock.later(seconds=seconds)
    assert running.get("/v1/instruments/scope-1").json()["presence"] == presence


def test_instrument_detail_names_its_newest_records(running, seeded):
    latest = {
        one["kind"]: one["record_id"] for one in running.get("/v1/instruments/scope-1").json()["latest"]
    }

    assert latest["heartbeat"] == str(seeded[-1].record_id)
    assert latest["state_change"] == str(seeded[-2].record_id)
    assert latest["instrument"] == str(seeded[0].record_id)


def test_changes_can_be_paged_to_the_end(running, seeded):
    seen, before = [], ""
    while before is not None:
        query = f"?limit=2&before={before}" if before else "?limit=2"
        page = running.get(f"/v1/instruments/scope-1/changes{query}").json()
        seen += [(row["change"]["property"], row["change"]["after"]["value"]) for row in page["changes"]]
        before = page["before"]

    assert seen == [*(("Label", f"{i}x") for i in (4, 3, 2, 1, 0)), ("CCDTemperature", -24.2)]
    only = running.get("/v1/instruments/scope-1/changes?device=Camera").json()["changes"]
    assert [row["change"]["cause"] for row in only] == ["drifted"]


def test_acquisition_names_the_records_that_hold_it(running, seeded):
    acquisition_id = str(seeded[2].acquisition_id)

    one = running.get(f"/v1/acquisitions/{acquisition_id}").json()

    assert (one["n_expected"], one["n_seen"], one["n_dropped"], one["n_in_ledger"]) == (131, 130, 1, 130)
    assert len(one["ledgers"]) == 33
    assert one["started_record_id"] == str(seeded[2].record_id)
    listed = running.get("/v1/instruments/scope-1/acquisitions").json()
    assert [row["acquisition_id"] for row in listed["acquisitions"]] == [acquisition_id]
    assert listed["before"] is None


def test_records_can_be_followed_without_missing_one(running, sender, seeded, scope, tools):
    seen, after = [], 0
    while page := running.get(f"/v1/records?after={after}&limit=7").json():
        if not page["records"]:
            break
        seen += [row["record_id"] for row in page["records"]]
        after = page["after"]
    assert seen == [str(line.record_id) for line in seeded]

    fresh = scope.event()
    sender.send([fresh], first_seq=len(seeded) + 1, prev=tools.chain_over(seeded))
    (row,) = running.get(f"/v1/records?after={after}").json()["records"]
    assert row["record_id"] == str(fresh.record_id)


def test_records_can_be_narrowed(running, seeded):
    rows = running.get("/v1/records?instrument=scope-1&kind=frame_ledger&limit=500").json()["records"]
    assert len(rows) == 33
    assert running.get("/v1/records?instrument=other").json() == {"records": [], "after": 0}


def test_record_and_its_bytes(running, seeded):
    wanted = seeded[1]

    answer = running.get(f"/v1/records/{str(wanted.record_id).upper()}").json()

    assert answer["record"] == json.loads(encode(wanted))
    assert answer["is_signature_good"] is True
    raw = running.get(f"/v1/records/{wanted.record_id}/raw")
    assert raw.content == encode(wanted)
    assert raw.headers["content-disposition"] == "attachment"


def test_signature_that_no_longer_fits_is_said(running, seeded):
    connection = running.collector.store._writer
    connection.execute("UPDATE batches SET headers = replace(headers, 'spool-a', 'spool-b')")

    assert running.get(f"/v1/records/{seeded[0].record_id}").json()["is_signature_good"] is False


def test_spools_and_agents(running, sender, seeded, tools):
    (spool,) = running.get("/v1/spools").json()
    assert (spool["mark"], spool["chain"]) == (len(seeded), tools.chain_over(seeded))
    (agent,) = running.get("/v1/agents").json()
    assert (agent["agent_id"], agent["instrument_id"]) == (sender.agent_id, "scope-1")
    assert "public_key" not in agent


@pytest.mark.parametrize(
    "path",
    [
        "/v1/instruments/none",
        "/v1/instruments/none/changes",
        "/v1/instruments/none/acquisitions",
        "/v1/acquisitions/none",
        "/v1/records/none",
        "/v1/records/none/raw",
        "/v1/quarantine/77/raw",
        "/v1/none",
    ],
)
def test_what_is_not_there_is_said(running, path):
    reply = running.get(path)
    assert (reply.status_code, reply.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        "records?limit=501",
        "records?after=-1",
        "quarantine?before=a",
        "instruments/scope-1/changes?before=x",
        "instruments/scope-1/changes?before=²-1",
        f"instruments/scope-1/changes?before={'9' * 18}-1",
    ],
)
def test_wrong_question_is_refused(running, sender, query):
    reply = running.get(f"/v1/{query}")
    assert reply.status_code == 400
    assert reply.json()["error"] in ("malformed_request", "bad_cursor")


def test_openapi_describes_every_answer(running):
    described = running.get("/openapi.json").json()
    assert described["info"]["title"] == "Scopestamp collector"
    for path in ("/v1/instruments", "/v1/records", "/v1/quarantine", "/v1/spools"):
        content = described["paths"][path]["get"]["responses"]["200"]["content"]
        assert content["application/json"]["schema"]
