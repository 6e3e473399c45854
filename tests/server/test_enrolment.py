"""Join codes: one use, one instrument, a while."""

from __future__ import annotations

import pytest

from agent.records.wire import agent_id_of


@pytest.fixture
def agent(running, tools):
    return tools.Sender(running.client)


def test_enrolment_binds_key_and_instrument(running, agent):
    reply = agent.enrol(running.join_code("Confocal")).json()

    assert (reply["agent_id"], reply["instrument_id"]) == (agent_id_of(agent.public_key), "scope-1")
    known = running.get("/v1/instruments/scope-1").json()
    assert (known["name"], known["site"], known["presence"]) == ("Confocal", "Basel", "never")


def test_code_may_be_typed_as_people_type(running, agent):
    assert agent.enrol(running.join_code().lower().replace("-", " ")).status_code == 200


def test_lost_reply_does_no_harm(running, agent):
    code = running.join_code(hours=1)
    first = agent.enrol(code).json()
    running.clock.later(hours=2)

    second = agent.enrol(code).json()

    assert {**first, "time": None} == {**second, "time": None}


def test_used_code_is_refused_to_another_key(running, tools, agent):
    code = running.join_code()
    agent.enrol(code)

    reply = tools.Sender(running.client).enrol(code)

    assert (reply.status_code, reply.json()["error"]) == (403, "bad_join_code")
    assert "used" in reply.json()["message"]


def test_expired_code_is_refused(running, agent):
    code = running.join_code(hours=1)
    running.clock.later(hours=1)

    assert "expired" in agent.enrol(code).json()["message"]


def test_wrong_code_is_refused(agent):
    assert agent.enrol("AAAA-BBBB-CCCC-DDDD-EEEE").json()["error"] == "bad_join_code"


def test_guessing_is_slowed_down_and_forgiven(running, agent):
    code = running.join_code()
    answers = [agent.enrol("AAAA-BBBB-CCCC-DDDD-EEEE") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    wait_s = int(answers[-1].headers["Retry-After"])
    assert agent.enrol(code).status_code == 429

    running.clock.later(seconds=wait_s)

    assert agent.enrol(code).status_code == 200


def test_request_not_signed_with_the_key_it_brings_is_refused(running, tools, agent):
    thief = tools.Sender(running.client)
    thief.public_key = agent.public_key

    assert thief.enrol(running.join_code()).json()["error"] == "bad_signature"


def test_instrument_of_another_agent_is_taken(running, tools, agent):
    agent.enrol(running.join_code())

    reply = tools.Sender(running.client).enrol(running.join_code())

    assert (reply.status_code, reply.json()["error"]) == (409, "instrument_taken")


def test_code_made_for_the_instrument_lets_a_new_computer_take_over(running, tools, agent):
    agent.enrol(running.join_code())
    newer = tools.Sender(running.client)

    assert newer.enrol(running.join_code(instrument_id="scope-1")).status_code == 200
    assert set(running.get("/v1/instruments/scope-1").json()["agent_ids"]) == {agent.agent_id, newer.agent_id}


def test_code_made_for_an_instrument_fits_no_other(running, agent):
    assert agent.enrol(running.join_code(instrument_id="scope-9")).json()["error"] == "bad_join_code"


def test_revoked_key_cannot_enrol_again(running, agent):
    agent.enrol(running.join_code())
    running.collector.writer.do(lambda writes: writes.revoke_agent(agent.agent_id, running.clock()))

    assert agent.enrol(running.join_code(instrument_id="scope-1")).json()["error"] == "agent_revoked"


@pytest.mark.parametrize("instrument_id", ["../up", "a b", "x" * 200, "", "a/b", "..", "."])
def test_instrument_id_must_be_a_plain_name(running, agent, instrument_id):
    reply = agent.enrol(running.join_code(), instrument_id=instrument_id)

    assert (reply.status_code, reply.json()["error"]) == (400, "malformed_request")


def test_body_that_is_no_request_is_refused(running):
    reply = running.client.post("/v1/enrol", content=b"[1")
    assert (reply.status_code, reply.json()["error"]) == (400, "malformed_request")


def test_enrolments_are_audited(running, agent):
    agent.enrol("AAAA-BBBB-CCCC-DDDD-EEEE")
    agent.enrol(running.join_code())

    with running.collector.store.reading() as reads:
        entries = [(entry.who, entry.action, entry.outcome) for entry in reads.audit()]
    assert entries == [(agent.agent_id, "enrol", "done"), ("scope-pc", "enrol", "refused")]
