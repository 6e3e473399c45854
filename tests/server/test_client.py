"""The client against a real collector."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from contextlib import suppress
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from agent.records import QcStatus
from agent.records.schedules import Schedule
from server.alerts.desk import SilenceAsked
from server.client import CollectorClient, RefusedAnswerError
from server.errors import CollectorError
from server.quality.schedules import PlacedSchedule


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


def test_client_reads_what_was_sent(client, running, sender, scope):
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
    assert b"fwhm_x_um" in client.figures("scope-1", since=running.clock() - timedelta(days=1))
    assert client.figures("scope-1", since=running.clock() + timedelta(days=1)).count(b"\n") == 1
    assert json.loads(client.raw(str(run.record_id)))["record_id"] == str(run.record_id)
    assert client.acquisitions_table("scope-1", "jsonl").count(b"\n") == 1
    assert b"CCDTemperature" in client.changes_table("scope-1")
    assert client.agents()[0].agent_id == client.spools()[0].agent_id == sender.agent_id


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


def test_client_tells_what_was_not_understood(client, sender):
    sender.send([b"not json", b"{}"])
    first, second = client.quarantine()
    assert [client.quarantined_raw(one.position) for one in (first, second)] == [b"{}", b"not json"]


def test_client_writes_and_removes_schedules(running):
    nightly = Schedule(schedule_id="nightly", routine="camera", cron="0 3 * * *", zone="UTC")
    running.sender()
    token = running.token("staff")["Authorization"].removeprefix("Bearer ")
    with CollectorClient(running.url, token) as client:
        kept = client.put_schedule(PlacedSchedule(schedule=nightly, instruments=("scope-1",)), replaces=0)
        assert client.schedules() == [kept]
        with pytest.raises(RefusedAnswerError) as refused:
            client.put_schedule(kept, replaces=0)
        assert refused.value.error == "changed_meanwhile"
        assert client.put_schedule(kept, replaces=kept.version).version == kept.version + 1
        assert client.schedule_runs("scope-1") == []
        client.remove_schedule("nightly")
        assert client.schedules() == []


def test_client_fetches_reports(running, sender, scope):
    sender.send([scope.description(), scope.session(3600)])
    token = running.token("staff")["Authorization"].removeprefix("Bearer ")
    with CollectorClient(running.url, token) as client:
        days = {"since": date(2026, 5, 1), "until": date(2026, 5, 31)}
        assert b"2026-05" in client.utilisation(**days, instrument="scope-1")
        assert b"2026-05" not in client.utilisation(**days, instrument="another")
        assert client.recognition("pdf", **days).startswith(b"%PDF")
        assert client.logbook("jsonl", instrument="scope-1") == b""
        assert client.acknowledgement("scope-1", "de").language == "de"
        with zipfile.ZipFile(io.BytesIO(client.crate("scope-1", 2026))) as crate:
            assert "ro-crate-metadata.json" in [name.rpartition("/")[2] for name in crate.namelist()]


ARGUMENTS: dict[str, Any] = {
    "form": "csv", "format_name": "x", "language": "en", "year": 2026, "replaces": 0, "position": 7, "after": 5,
    "since": date(2026, 5, 1), "until": date(2026, 5, 2),
    "asked": SilenceAsked(reason="x", hours=1),
    "placed": PlacedSchedule(schedule=Schedule(schedule_id="x", routine="psf", cron="0 3 * * *", zone="UTC")),
}  # fmt: skip
"""What a method is called with, where a word will not do."""
NOT_FOR_PROGRAMS = {"agents", "collectors"}
OF_AGENTS = {("get", "/v1/schedules")}
PAGING = {"before", "limit"}


def asked_by_the_client(running) -> dict[tuple[str, str], set[str]]:
    """Call every method with all it takes, and return the requests: method and path to the parameters."""
    asked: dict[tuple[str, str], set[str]] = {}

    def note(request: httpx.Request) -> None:
        asked.setdefault((request.method.lower(), request.url.path), set()).update(request.url.params)

    with CollectorClient(running.url, "no token") as client:
        client._http.event_hooks = {"request": [note]}
        for name in (one for one in dir(client) if not one.startswith("_") and one != "close"):
            method = getattr(client, name)
            with suppress(RefusedAnswerError):
                given = {one: ARGUMENTS.get(one, "x") for one in parameters_of(method)}
                list(method(**given) or ())
    return asked


def parameters_of(method) -> list[str]:
    """Return the names of all parameters, those of `Unpack` too."""
    import inspect

    from server.client import Which

    names = list(inspect.signature(method).parameters)
    return [*(one for one in names if one != "which"), *(Which.__annotations__ if "which" in names else ())]


def test_client_covers_everything_that_the_api_describes(running):
    """Against the collector's own OpenAPI document, so that neither a path nor a parameter is forgotten."""
    described = running.app.openapi()["paths"]
    asked = asked_by_the_client(running)
    forgotten = []
    for path, operations in described.items():
        for method, told in operations.items():
            if NOT_FOR_PROGRAMS & set(told["tags"]) or (method, path) in OF_AGENTS:
                continue
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            there = [
                params for (how, where), params in asked.items() if how == method and pattern.fullmatch(where)
            ]
            wanted = {one["name"] for one in told.get("parameters", ()) if one["in"] == "query"} - PAGING
            if not any(wanted <= params for params in there):
                forgotten.append((method, path, wanted))
    assert forgotten == []


@pytest.mark.parametrize("strange", ["no such", "../admin", "a/b", "ü?x=1#y"])
def test_refusal_comes_with_the_collectors_words(client, strange):
    """An id never becomes another path, whatever is in it. (ASVS 5.0 1.2.2)"""
    with pytest.raises(RefusedAnswerError) as refused:
        client.instrument(strange)
    assert (refused.value.status, refused.value.error) == (404, "not_found")
    assert "here is no" in str(refused.value)


def test_collector_that_is_away_is_said():
    with (
        CollectorClient("http://127.0.0.1:1", "t") as client,
        pytest.raises(CollectorError, match="not be reached"),
    ):
        client.instruments()


def test_stream_of_a_collector_that_is_away_is_said():
    with (
        CollectorClient("http://127.0.0.1:1", "t") as client,
        pytest.raises(CollectorError, match="could not be reached"),
    ):
        next(client.live())


def test_answer_of_a_proxy_in_another_alphabet_is_no_collectors(foreign_page):
    with CollectorClient(foreign_page, "t") as client, pytest.raises(RefusedAnswerError) as refused:
        client.instruments()
    assert (refused.value.status, refused.value.error) == (502, "no_collector")


@pytest.fixture
def foreign_page():
    """A proxy that answers with a page in Latin-1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = "<p>Passerelle erronée, réessayez</p>".encode("latin-1")
            self.send_response(502)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
