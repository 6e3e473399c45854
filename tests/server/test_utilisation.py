"""Utilisation and credit: pages, files and reports, read back by others' readers."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import zipfile
from datetime import UTC, date, datetime
from html import unescape
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.records import InstrumentProfile, Profile, QcStatus
from agent.records import Person as Staff
from server.access.roles import PERMISSIONS, ROLES, Permission
from server.languages import LANGUAGES, SOURCE_LANGUAGE, speak
from server.logbook import Invalidation, Maintenance, write
from server.reports.pdf import _heads, _row

PID = "https://doi.org/10.5442/NI000001"
FORMULA = "=HYPERLINK(1)"
MAY = "since=2026-05-01&until=2026-05-31"


def profile() -> Profile:
    people = (
        {"given_name": "Josiah", "family_name": "Carberry", "orcid": "https://orcid.org/0000-0002-1825-0097",
         "roles": ("resources",), "has_consented": True},
        {"given_name": "Nina", "family_name": "Nobody", "has_consented": False},
    )  # fmt: skip
    stated = {
        "instrument": {"name": "Spinning disk 2", "pid": PID, "model": "Ti2"},
        "facility": {"name": "Imaging Core", "rrid": "RRID:SCR_000001"},
        "organisation": {"name": "University of Example", "ror": "https://ror.org/05a28rw58"},
        "rights": {"licence": "CC-BY-4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/"},
    }
    return Profile(**stated, people=tuple(Staff(**one) for one in people))


@pytest.fixture
def filled(running, tools):
    """Half a day of an instrument: two people, three acquisitions of which one was quality control, maintenance."""
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    stated = profile()
    records = [
        InstrumentProfile(captured=scope.now(), **scope.common, profile=stated, profile_sha256=stated.sha256)
    ]
    records.append(scope.session(3600, user="ada", user_name="plain"))
    for seconds in (600, 1200):
        made = list(scope.acquisition(6))
        scope.later(seconds)
        ended = made[-2].model_copy(update={"finished": scope.now()})
        records += [*made[:-2], ended]
    measured = list(scope.acquisition(4))
    run = scope.qc(0.31, QcStatus.FAIL, objective=FORMULA, acquisition_id=measured[0].acquisition_id)
    records += [*measured, run, scope.qc(0.2)]
    records.append(scope.session(1800, user="9c" * 32, user_name="hashed"))
    assert sender.send(records).json()["flagged"] == []
    running.clock.later(hours=12)

    def job(writes):
        note = Maintenance(work="cleaning", day=date(2026, 5, 4), title=FORMULA, text="with ether", device="Objective",
                           done_by="ACME", minutes=90)  # fmt: skip
        write(writes, note, "scope-1", "grace", running.clock())
        write(
            writes,
            Invalidation(reason="wrong slide"),
            "scope-1",
            "grace",
            running.clock(),
            str(run.record_id),
        )

    running.collector.writer.do(job)
    running.run = run
    return running


def table(reply) -> list[dict[str, str]]:
    assert reply.status_code == 200, reply.text
    return list(csv.DictReader(io.StringIO(reply.text)))


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


# Hours


def test_hours_are_a_row_an_instrument_and_month(filled):
    rows = table(filled.get("/v1/utilisation?since=2026-04-01&until=2026-06-30"))
    assert [row["month"] for row in rows] == ["2026-04", "2026-05", "2026-06"]
    may = {name: float(value) for name, value in rows[1].items() if name.startswith("hours_")}
    assert may["hours_manual"] == 1.5 and may["hours_acquiring"] == pytest.approx(1800 / 3600, abs=0.01)
    assert may["hours_maintenance"] == 1.5
    modes = {name: value for name, value in may.items() if name != "hours_maintenance_told"}
    assert sum(modes.values()) == pytest.approx(12, abs=0.03)


def test_hours_as_parquet_are_read_by_duckdb(filled, tmp_path):
    file = tmp_path / "hours.parquet"
    file.write_bytes(filled.get(f"/v1/utilisation?{MAY}&format=parquet").content)
    with duckdb.connect() as database:
        told = database.execute(f"SELECT month, hours_manual, typeof(hours_qc) FROM '{file}'").fetchall()
    assert told == [("2026-05", 1.5, "DOUBLE")]


def test_people_are_as_published_and_for_staff_only(filled):
    rows = table(filled.client.get(f"/v1/utilisation/people?{MAY}", headers=filled.token("staff")))
    assert [(row["person"], row["published"], row["hours_sessions"]) for row in rows] == [
        ("ada", "plain", "1.0"),
        ("9c9c9c9c", "hashed", "0.5"),
    ]
    for role in ROLES:
        may = Permission.MAINTAIN in PERMISSIONS[role]
        reply = filled.client.get(f"/v1/utilisation/people?{MAY}", headers=filled.token(role))
        assert (reply.status_code == 200) is may, role


def test_page_names_people_to_staff_alone(filled):
    pages = {}
    for role in ("viewer", "staff"):
        with filled.browser(f"a {role}", role) as browser:
            pages[role] = text_of(browser.get(f"/utilisation?{MAY}").text)
    assert "By person" in pages["staff"] and "9c9c9c9c pseudonym" in pages["staff"]
    assert "By person" not in pages["viewer"] and "ada" not in pages["viewer"].split()
    assert "People served 2" in pages["viewer"]


def test_page_adds_up_and_filters(filled):
    filled.join_code()
    with filled.browser() as browser:
        page = text_of(browser.get(f"/utilisation?{MAY}").text)
        nothing = text_of(browser.get(f"/utilisation?{MAY}&site=Bern").text)
    assert "Hours in use 2.0" in page and "Maintenance, hours 1.5" in page and "Acquisitions 2" in page
    assert "No instrument is like that" in nothing


@pytest.mark.parametrize("query", ["since=2026-05-02&until=2026-05-01", "since=0001-01-01", "since=x"])
def test_impossible_days_are_refused(running, query):
    assert running.get(f"/v1/utilisation?{query}").status_code == 400
    with running.browser() as browser:
        assert browser.get(f"/utilisation?{query}").status_code == 400


def test_more_than_an_answer_can_go_through_is_refused(filled, monkeypatch):
    monkeypatch.setattr("server.use.utilisation.MOST_PARTS", 2)
    assert filled.get("/v1/utilisation?since=2026-04-01&until=2026-05-31").status_code == 200
    reply = filled.get("/v1/utilisation?since=2026-03-01&until=2026-05-31")
    assert (reply.status_code, reply.json()["error"]) == (400, "too_much")


# Credit


def test_acknowledgement_has_the_identifiers_and_who_consented(filled):
    told = filled.get("/v1/instruments/scope-1/acknowledgement").json()
    assert (told["pid"], told["facility_rrid"]) == (PID, "RRID:SCR_000001")
    for words in (
        PID,
        "RRID:SCR_000001",
        "https://ror.org/05a28rw58",
        "Josiah Carberry",
        "0000-0002-1825-0097",
    ):
        assert words in told["text"]
    assert "Nobody" not in told["text"]
    german = filled.get("/v1/instruments/scope-1/acknowledgement?language=de").json()["text"]
    assert german != told["text"] and PID in german
    assert filled.get("/v1/instruments/scope-1/acknowledgement?language=tlh").status_code == 400


def test_instrument_without_a_profile_says_what_is_missing(running):
    running.sender()
    text = running.get("/v1/instruments/scope-1/acknowledgement").json()["text"]
    assert "Spinning disk 2" in text and "[MISSING: instrument.pid]" in text


def test_credit_page_is_in_the_viewers_language(filled):
    with filled.browser() as browser:
        english = text_of(browser.get("/instruments/scope-1/credit").text)
        german = text_of(browser.get("/instruments/scope-1/credit", headers={"Accept-Language": "de"}).text)
    expected = filled.get("/v1/instruments/scope-1/acknowledgement").json()["text"]
    assert expected in english and expected not in german and PID in german


# The report


def test_report_counts_what_was_made_and_for_whom(filled):
    one, total = table(filled.get(f"/v1/reports/recognition?{MAY}"))
    assert (one["pid"], one["n_acquisitions"], one["n_datasets"], one["n_frames"]) == (PID, "2", "2", "12")
    assert (one["n_bytes"], one["n_people"], one["hours_maintenance"]) == (str(2 * 50_331_648), "2", "1.5")
    assert (one["n_qc_runs"], one["n_qc_passed"], one["n_qc_failed"]) == ("2", "1", "1")
    assert {name: total[name] for name in one if name.startswith("n_")} == {
        name: one[name] for name in one if name.startswith("n_")
    }


def test_report_of_another_month_counts_nothing(filled):
    one, _ = table(filled.get("/v1/reports/recognition?since=2026-04-01&until=2026-04-30"))
    assert (one["n_acquisitions"], one["n_people"], one["n_qc_runs"], one["hours_acquiring"]) == (
        "0",
        "0",
        "0",
        "0.0",
    )


def test_report_as_pdf_holds_the_figures(filled, tmp_path):
    file = tmp_path / "report.pdf"
    reply = filled.get(f"/v1/reports/recognition?{MAY}&format=pdf")
    file.write_bytes(reply.content)
    assert reply.headers["content-type"] == "application/pdf"
    assert reply.content.startswith(b"%PDF-")
    try:
        done = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("needs pdftotext, of poppler-utils")
    told = " ".join(done.stdout.split())
    for words in (
        "Recognition report",
        "2026-05-01 to 2026-05-31",
        "Spinning disk 2",
        "doi.org/10.5442/NI000001",
    ):
        assert words in told


def test_same_moment_gives_the_same_crate(filled):
    first, again = (filled.get("/v1/instruments/scope-1/crate?year=2026").content for _ in range(2))
    assert first == again


# The year


@pytest.fixture
def crate(filled, tmp_path) -> Path:
    reply = filled.get("/v1/instruments/scope-1/crate?year=2026")
    assert reply.headers["content-disposition"] == 'attachment; filename="scope-1-2026.crate.zip"'
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        archive.extractall(tmp_path / "crate")
    return tmp_path / "crate"


def in_file(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))


def entities(crate: Path) -> dict[str, dict]:
    told = json.loads((crate / "ro-crate-metadata.json").read_text("utf-8"))
    return {one["@id"]: one for one in told["@graph"]}


def test_crate_has_every_run_with_its_verdict(filled, crate):
    graph = entities(crate)
    run = graph[f"#qc-{filled.run.run_id}"]
    assert run["@type"] == "CreateAction" and {"@id": PID} in run["instrument"]
    verdict = graph[run["result"]["@id"]]
    assert verdict["value"] == "invalid" and "wrong slide" in verdict["description"]
    rows = in_file(crate / "qc-runs.csv")
    assert [(row["status"], row["is_invalid"]) for row in rows] == [("fail", "True"), ("pass", "False")]
    works = in_file(crate / "logbook.csv")
    assert [(row["work"], row["title"], row["n_minutes"]) for row in works] == [
        ("cleaning", f"'{FORMULA}", "90")
    ]


def test_crate_lists_its_files_as_they_are_and_refers_to_nothing_that_is_not_there(crate):
    graph = entities(crate)
    files = [one for one in graph.values() if one["@type"] == "File"]
    assert {one["@id"] for one in files} == {one.name for one in crate.iterdir()} - {"ro-crate-metadata.json"}
    for one in files:
        assert one["sha256"] == hashlib.sha256((crate / one["@id"]).read_bytes()).hexdigest()
    for item in graph.values():
        for key, value in item.items():
            for ref in value if isinstance(value, list) else [value]:
                if isinstance(ref, dict) and key != "conformsTo":
                    assert ref["@id"] in graph, (item["@id"], key)


def test_crate_names_nobody(crate):
    whole = "".join(file.read_text("utf-8") for file in crate.iterdir())
    for name in (r"ada\b", "grace", "ACME", "Carberry", "Nobody", "9c9c9c9c"):  # a UUID may hold "ada6"
        assert not re.search(rf"\b{name}", whole), name


@pytest.mark.timeout(300)
def test_crate_is_valid_for_roc_validator(crate, roc_validator):
    assert roc_validator(crate) == [[]]


# The logbooks


def test_logbook_of_all_instruments_is_looked_through(filled):
    with filled.browser() as browser:
        for query, is_there in (
            ("", True),
            ("q=ether", True),
            ("q=ether+alcohol", False),
            ("kind=cleaning&device=objective&who=acme", True),
            ("kind=repair", False),
            ("since=2026-05-05", False),
            ("since=2026-05-04&until=2026-05-04", True),
            ("instrument=scope-2", False),
        ):
            page = text_of(browser.get(f"/logbook?{query}").text)
            assert ("with ether" in page) is is_there, query
        assert browser.get("/logbook?since=yesterday").status_code == 400


def test_logbook_for_audits_says_who_when_what_and_why(filled):
    newest, oldest = table(filled.get("/v1/logbook"))
    assert (newest["kind"], newest["text"], newest["run_record_id"]) == (
        "invalidation", "wrong slide", str(filled.run.record_id),
    )  # fmt: skip
    assert (oldest["written_by"], oldest["work"], oldest["title"]) == ("grace", "cleaning", f"'{FORMULA}")
    assert datetime.fromisoformat(oldest["written_at"]) == datetime(2026, 5, 5, 0, 0, tzinfo=UTC)
    lines = filled.get("/v1/logbook?format=jsonl&kind=invalidation").text.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["wrong slide"]


def test_vendors_see_neither_hours_nor_logbooks(filled):
    for path in (
        "/v1/utilisation",
        "/v1/logbook",
        "/v1/reports/recognition",
        "/v1/instruments/scope-1/crate",
    ):
        assert filled.client.get(path, headers=filled.token("vendor")).status_code == 403


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"ja", "zh"}))
def test_columns_of_the_report_stand_apart_in_every_language(language):
    """The heads of Japanese and Chinese are a few letters, of fonts that are not everywhere."""
    figure = Figure(figsize=(8.27, 11.69))
    canvas = FigureCanvasAgg(figure)
    speak(language)
    try:
        full = [
            "W" * 12,
            "doi.org/10.5281/zenodo.1234567",
            "98.765,4",
            "1.234.567",
            "98.765.432",
            "999 TB",
            "12.345",
            "12.345",
        ]
        for y, cells, points in ((0.93, _heads(), 7.0), (0.9, full, 7.5)):
            before = len(figure.texts)
            _row(figure, y, cells, "black", points)
            extents = [text.get_window_extent(canvas.get_renderer()) for text in figure.texts[before:]]
            assert all(left.x1 < right.x0 for left, right in pairwise(extents)), cells
            assert extents[-1].x1 < figure.bbox.width and extents[0].x0 > 0
    finally:
        speak(SOURCE_LANGUAGE)
