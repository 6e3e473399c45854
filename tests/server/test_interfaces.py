"""Ways for programs: tables read back by others' readers, conditional answers, live events, the schema under attack."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime

import duckdb
import pytest

from agent.records import QcStatus

FORMULA = "=HYPERLINK(1)"


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def filled(running, sender, scope):
    """Three runs, an acquisition and its changes."""
    sent = []
    for fwhm_um in (0.221, 0.27, 0.31):
        sent.append(scope.qc(fwhm_um, QcStatus.PASS, objective=FORMULA))
        scope.later(3600)
    reply = sender.send([*sent, *scope.acquisition(n_frames=6)])
    assert reply.json()["flagged"] == []
    return running


def test_csv_holds_every_figure_and_no_formula(filled):
    reply = filled.get("/v1/instruments/scope-1/qc/figures")
    assert reply.headers["content-disposition"] == 'attachment; filename="scope-1-qc.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    lateral = [row for row in rows if row["metric"] == "fwhm_x_um"]
    assert [float(row["value"]) for row in lateral] == [0.221, 0.27, 0.31]
    assert json.loads(lateral[0]["light_path"])["objective"] == FORMULA
    assert datetime.fromisoformat(lateral[0]["captured_at"]).tzinfo is not None
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "@"))]


def test_csv_tells_negative_numbers_as_numbers(running, tools):
    """A stage at -12.5 is no formula: whoever reads the column with a program would have it as text."""
    sender = running.sender()
    scope = tools.Scope(sender)
    told = (-12.5, "-3.25e-3", "+7", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\0=1", "-")
    sender.send([scope.change("Stage", f"P{n}", scope.read(value)) for n, value in enumerate(told)])
    table = running.get("/v1/instruments/scope-1/changes/table?format=csv").text
    read = {row["property"]: row["after"] for row in csv.DictReader(io.StringIO(table))}
    assert [float(read[f"P{n}"]) for n in range(3)] == [-12.5, -0.00325, 7]
    assert all(read[f"P{n}"].startswith("'") for n in range(3, len(told)))


def test_parquet_is_read_by_duckdb(filled, tmp_path):
    reply = filled.get("/v1/instruments/scope-1/qc/figures?format=parquet")
    file = tmp_path / "qc.parquet"
    file.write_bytes(reply.content)
    with duckdb.connect() as database:
        told = database.execute(
            f"SELECT count(*), max(value), any_value(typeof(captured_at)) FROM '{file}' WHERE metric = 'fwhm_x_um'"
        ).fetchall()
    ((n, largest, kind),) = told
    assert (n, largest) == (3, 0.31)
    assert kind == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize(("table", "n"), [("acquisitions", 1), ("changes", 1)])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_table_in_every_form_holds_the_same_rows(filled, tmp_path, table, n, form):
    reply = filled.get(f"/v1/instruments/scope-1/{table}/table?format={form}")
    file = tmp_path / f"table.{form}"
    file.write_bytes(reply.content)
    reader = {"csv": "read_csv", "jsonl": "read_json", "parquet": "read_parquet"}[form]
    with duckdb.connect() as database:
        assert database.execute(f"SELECT count(*) FROM {reader}('{file}')").fetchall() == [(n,)]


def test_table_of_an_empty_instrument_has_its_header(running, sender):
    reply = running.get("/v1/instruments/scope-1/acquisitions/table")
    assert reply.text.startswith("acquisition_id,instrument_id,began_at")
    assert len(reply.text.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "status"),
    [("format=xlsx", 400), ("since=2026-05-04T00:00:00", 400), ("since=2026-05-04T13:30:00Z", 200)],
)
def test_table_asked_for_wrongly_is_refused(filled, query, status):
    reply = filled.get(f"/v1/instruments/scope-1/qc/figures?{query}")
    assert reply.status_code == status
    if status == 200:
        assert reply.text.count("fwhm_x_um") == 1


def test_answer_that_has_not_changed_is_not_sent_again(filled, scope, sender):
    token = filled.token()
    first = filled.client.get("/v1/records", headers=token)
    etag = {"If-None-Match": f'W/"other", {first.headers["etag"]}'}
    again = filled.client.get("/v1/records", headers={**token, **etag})
    assert (again.status_code, again.content) == (304, b"")
    sender.send([scope.heartbeat()], spool_id="another")
    changed = filled.client.get("/v1/records", headers={**token, **etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


def test_refusal_has_no_etag(running):
    assert "etag" not in running.client.get("/v1/records").headers


def events_of(reply, n: int) -> list[dict[str, str]]:
    """Read the first events of a stream."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in reply.iter_lines():
        if not line and event:
            found.append(event)
            event = {}
            if len(found) == n:
                break
        elif line and not line.startswith(":"):
            key, _, value = line.partition(": ")
            event[key] = value
    return found


def test_live_goes_on_after_the_last_event_seen(filled, monkeypatch):
    monkeypatch.setattr("server.api.live.LOOK_S", 0.01)
    token = filled.token()
    with filled.client.stream("GET", "/v1/live", headers={**token, "Last-Event-ID": "0"}) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = events_of(reply, 3)
    positions = [int(event["id"]) for event in events]
    assert positions == sorted(positions)
    told = [json.loads(event["data"]) for event in events]
    assert {one["instrument_id"] for one in told} == {"scope-1"}
    assert {event["event"] for event in events} == {"record"}


def test_live_tells_what_arrives_from_now_on(filled, scope, sender, monkeypatch):
    monkeypatch.setattr("server.api.live.LOOK_S", 0.01)
    beat = scope.heartbeat()
    with filled.client.stream("GET", "/v1/live?instrument=scope-1", headers=filled.token()) as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": listening"
        sender.send([beat], spool_id="another")
        data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: "))["record_id"] == str(beat.record_id)


def test_too_many_listeners_are_refused(filled, monkeypatch):
    monkeypatch.setattr("server.api.live.MOST_LISTENERS", 0)
    reply = filled.get("/v1/live")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")


def test_schema_holds_under_attack(filled):
    """Whatever schemathesis makes of our own OpenAPI description, nothing answers with an error of the server."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from schemathesis.checks import not_a_server_error

    headers = filled.token("admin")
    described = filled.client.get("/openapi.json", headers=headers).json()
    schema = schemathesis.openapi.from_dict(described)
    n_asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        is_for_people = operation.method.upper() == "GET" or operation.path.startswith("/v1/alerts")
        if not is_for_people or operation.path == "/v1/live":
            continue

        @seed(1)
        @settings(
            max_examples=8, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def attack(case):
            case.call_and_validate(base_url=filled.url, headers=headers, checks=[not_a_server_error])

        attack()
        n_asked += 1
    assert n_asked >= 20
