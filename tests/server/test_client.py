"""The client against a real collector."""

from __future__ import annotations

import pytest

from agent.records import QcStatus
from server.client import CollectorClient, RefusedAnswerError
from server.errors import CollectorError


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def client(running):
    token = running.token()["Authorization"].removeprefix("Bearer ")
    with CollectorClient(running.url, token) as client:
        yield client


def test_client_reads_what_was_sent(client, sender, scope):
    run = scope.qc(0.31, QcStatus.FAIL)
    acquisition = list(scope.acquisition(n_frames=6))
    sent = [scope.heartbeat(), run, *acquisition]
    sender.send(sent)

    (instrument,) = client.instruments()
    assert (instrument.instrument_id, instrument.presence) == ("scope-1", "reporting")
    assert client.instrument("scope-1").agent_ids == [sender.agent_id]
    assert [one.record_id for one in client.records()] == [str(one.record_id) for one in sent]
    assert [one.record_id for one in client.quality("scope-1")] == [str(run.record_id)]
    (row,) = client.acquisitions("scope-1")
    assert client.acquisition(row.acquisition_id).n_seen == 6
    assert len(list(client.changes("scope-1"))) == 1
    assert client.record(str(run.record_id)).is_signature_good
    assert b"<OME" in client.export(row.acquisition_id, "ome-xml")
    assert "fwhm_x_um" in client.figures_csv("scope-1")


def test_client_asks_for_page_after_page(client, sender, scope, monkeypatch):
    ask = client._get
    monkeypatch.setattr(client, "_get", lambda path, **params: ask(path, **{**params, "limit": 2}))
    sent = [scope.heartbeat() for _ in range(5)]
    sender.send(sent)
    assert [one.record_id for one in client.records()] == [str(one.record_id) for one in sent]
    runs = [scope.qc() for _ in range(5)]
    sender.send(runs, spool_id="another")
    assert [one.record_id for one in client.quality("scope-1")] == [
        str(one.record_id) for one in reversed(runs)
    ]


def test_client_follows_live(client, sender, scope, monkeypatch):
    monkeypatch.setattr("server.api.live.LOOK_S", 0.01)
    beat = scope.heartbeat()
    sender.send([beat])
    live = client.live(after=0)
    assert next(live).record_id == str(beat.record_id)
    live.close()


@pytest.mark.parametrize("strange", ["no such", "../admin", "a/b", "ü?x=1#y"])
def test_refusal_comes_with_the_collectors_words(client, strange):
    """An id never becomes another path, whatever is in it. (ASVS 5.0 1.2.2)"""
    with pytest.raises(RefusedAnswerError) as refused:
        client.instrument(strange)
    assert (refused.value.status, refused.value.error) == (404, "not_found")
    assert "here is no" in str(refused.value) or str(refused.value) == "Not Found."


def test_collector_that_is_away_is_said():
    with (
        CollectorClient("http://127.0.0.1:1", "t") as client,
        pytest.raises(CollectorError, match="not be reached"),
    ):
        client.instruments()
