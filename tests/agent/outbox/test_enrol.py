from __future__ import annotations

import logging

import pytest

from agent.errors import CollectorAwayError, CollectorError, CollectorRefusedError, IdentityError
from agent.outbox import Identity, enrol, enrolment

CODE = "K7QM-2XRT-9WPA-HC4D-V3JN"


def test_enrolling_binds_the_key_and_remembers_where(collector, identity, data_dir):
    collector.keys.clear()
    reply = enrol(identity, collector.url + "/", f" {CODE}\n", instrument_name="Confocal 2")
    assert reply.agent_id == identity.agent_id and set(collector.keys) == {identity.agent_id}
    kept = enrolment(data_dir)
    assert (kept.url, kept.collector, kept.instrument_id) == (collector.url, "reference", "ins-test")


def test_the_code_is_neither_kept_nor_logged(collector, identity, data_dir, caplog):
    with caplog.at_level(logging.DEBUG):
        enrol(identity, collector.url, CODE, instrument_name="Confocal 2")
        with pytest.raises(CollectorRefusedError) as caught:
            enrol(identity, collector.url, "WRONG-CODE", instrument_name="Confocal 2")
    files = [path.read_bytes() for path in data_dir.rglob("*") if path.is_file()]
    assert not any(b"K7QM" in data or b"WRONG-CODE" in data for data in files)
    assert "K7QM" not in caplog.text and "WRONG-CODE" not in caplog.text + str(caught.value)


def test_a_wrong_code_is_refused_and_nothing_is_remembered(collector, identity, data_dir):
    with pytest.raises(CollectorRefusedError) as caught:
        enrol(identity, collector.url, "AAAA", instrument_name="x")
    assert (caught.value.status, caught.value.error) == (403, "bad_join_code")
    assert enrolment(data_dir) is None


def test_after_a_lost_answer_one_enrols_again(collector, reference, identity):
    collector.misdeeds.append(reference.lose_reply)
    with pytest.raises(CollectorAwayError):
        enrol(identity, collector.url, CODE, instrument_name="x")
    assert enrol(identity, collector.url, CODE, instrument_name="x").agent_id == identity.agent_id


@pytest.mark.parametrize("field", ["agent_id", "instrument_id"])
def test_an_answer_for_another_is_not_accepted(field, collector, reference, identity, data_dir):
    collector.misdeeds.append(reference.change(**{field: "other"}))
    with pytest.raises(CollectorError, match="other"):
        enrol(identity, collector.url, CODE, instrument_name="x")
    assert enrolment(data_dir) is None


def test_an_enrolment_that_cannot_be_read_is_told(data_dir, identity):
    (data_dir / "enrolment.json").write_text("{")
    with pytest.raises(IdentityError, match="enrol again"):
        enrolment(data_dir)


def test_a_result_that_cannot_be_saved_is_told(collector, data_dir, identity: Identity):
    (data_dir / "enrolment.json").mkdir()
    with pytest.raises(IdentityError, match="same code"):
        enrol(identity, collector.url, CODE, instrument_name="x")
