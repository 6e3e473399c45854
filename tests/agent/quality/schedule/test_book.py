"""Schedules from the PC's file and from the collector, and what people confirm; the commands over them."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.clock import Clock
from agent.errors import CollectorAwayError
from agent.mint import Mint
from agent.quality.schedule.book import FETCHED_FILE, read_book
from agent.quality.schedule.confirmed import confirm, take_confirmed
from agent.quality.schedule.fetch import Fetcher, unless_ending
from agent.quality.schedule.journal import Journal, Occurrence, run_id_of
from agent.quality.schedule.planner import Planner
from agent.quality.schedule.scheduler import FOLDER
from agent.quality.schedule_commands import EXAMPLE
from agent.settings import ScheduleSettings, load_settings

NOISE = {"schedule_id": "noise", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "UTC"}


def fetched(folder: Path, *schedules: Any, **more: Any) -> None:
    stored = [{"schedule": one, "version": 3} for one in schedules]
    (folder / FETCHED_FILE).write_text(json.dumps({"etag": '"x"', "reply": {"schedules": stored, **more}}))


def own(folder: Path, text: str) -> ScheduleSettings:
    (folder / "schedules.toml").write_text(text)
    return ScheduleSettings(file=str(folder / "schedules.toml"), zone="Europe/Zurich")


def test_example_is_a_file_that_runs(tmp_path):
    book = read_book(own(tmp_path, EXAMPLE), tmp_path)
    assert (book.problem, [one.refused for one in book.entries]) == ("", ["", ""])
    assert {one.zone.key for one in book.entries} == {"Europe/Zurich"}


def test_the_pcs_own_goes_before_the_collectors(tmp_path):
    fetched(tmp_path, NOISE, {**NOISE, "schedule_id": "other"})
    text = '[[schedule]]\nschedule_id = "noise"\nroutine = "dark_noise"\ncron = "0 1 * * *"\n'
    book = read_book(own(tmp_path, text), tmp_path)
    assert [(one.schedule_id, one.source, one.version) for one in book.entries] == [
        ("noise", "file", 0),
        ("other", "collector", 3),
    ]


@pytest.mark.parametrize(
    ("settings", "change", "said"),
    [
        ({}, {"routine": "make_coffee"}, "make_coffee"),
        ({"allowed_routines": ("psf",)}, {}, "not allowed on this PC"),
        ({}, {"properties": {"Laser-Power": 100}}, "would set Laser-Power"),
        ({}, {"zone": ""}, "No time zone is set"),
        ({}, {"cron": "0 0 30 2 *"}, "Bad day-of-month"),
        ({}, {"a_limit_we_do_not_know": 1}, "a_limit_we_do_not_know"),
        ({}, {"routine": "psf"}, "Needed is the emission wavelength"),
        ({}, {"routine": "dark_current"}, "Needed is the camera's electrons per count"),
        ({}, {"options": {"n_frmaes": 40}}, "dark_noise knows no n_frmaes; it knows"),
        ({}, {"routine": "photon_transfer", "options": {"n_levels": 5}}, "n_levels=5 are too few"),
    ],
    ids=str,
)
def test_collector_asks_for_no_more_than_the_pc_allows(tmp_path, settings, change, said):
    beads = {"schedule_id": "good", "routine": "psf", "options": {"emission_nm": 520}}
    fetched(tmp_path, {**NOISE, **change}, {**NOISE, **beads})
    book = read_book(ScheduleSettings(**settings), tmp_path)
    assert said in book.entries[0].refused
    assert list(book.accepted) == ["good"]


def test_staff_may_allow_a_property_or_nothing_at_all(tmp_path):
    fetched(tmp_path, {**NOISE, "properties": {"Laser-Power": 100}})
    assert list(read_book(ScheduleSettings(allowed_properties=("Laser-Power",)), tmp_path).accepted) == [
        "noise"
    ]
    assert read_book(ScheduleSettings(allow_collector=False), tmp_path).entries == ()


@pytest.mark.parametrize("text", ["[[schedule", "schedule = 1", "[other]\na = 1", "\x00"])
def test_file_that_makes_no_sense_is_told_and_stops_nothing_else(tmp_path, text):
    fetched(tmp_path, NOISE)
    book = read_book(own(tmp_path, text), tmp_path)
    assert "schedules.toml" in book.problem
    assert list(book.accepted) == ["noise"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"reply": 1}', '{"reply": {"schedules": [1]}}'])
def test_damaged_copy_of_the_collectors_is_none(tmp_path, text):
    (tmp_path / FETCHED_FILE).write_text(text)
    assert read_book(ScheduleSettings(), tmp_path).entries == ()


# ---- fetching


class Site:
    """A collector that answers as it is told, and a clock in our hands."""

    def __init__(self) -> None:
        self.s, self.asked, self.answer = 0.0, [], (json.dumps({"schedules": []}).encode(), '"one"')

    def __call__(self, etag: str | None):
        self.asked.append(etag)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_fetched_schedules_outlive_a_collector_that_is_away(tmp_path):
    site = Site()
    site.answer = (json.dumps({"schedules": [{"schedule": NOISE, "version": 1}]}).encode(), '"one"')
    fetcher = Fetcher(site, tmp_path, 60.0, lambda: site.s)
    fetcher.fetch_if_due()
    fetcher.fetch_if_due()
    assert site.asked == [None]
    site.s += 60
    site.answer = None
    fetcher.fetch_if_due()
    assert site.asked == [None, '"one"']
    site.answer = CollectorAwayError("gone")
    for _ in range(100):
        site.s += 60
        fetcher.fetch_if_due()
    assert 5 < len(site.asked) < 12  # less and less often
    assert list(read_book(ScheduleSettings(), tmp_path).accepted) == ["noise"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"schedules": 1}'])
def test_answer_that_is_none_leaves_what_is_there(tmp_path, body):
    fetched(tmp_path, NOISE)
    site = Site()
    site.answer = (body, None)
    fetcher = Fetcher(site, tmp_path, 60.0, lambda: site.s)
    fetcher.fetch_if_due()
    assert fetcher.last_error
    assert list(read_book(ScheduleSettings(), tmp_path).accepted) == ["noise"]


# ---- people at the PC


def test_request_that_hangs_is_left_to_itself_when_the_agent_is_to_end():
    asked, free, ends = Event(), Event(), Event()

    def hang(etag: str | None) -> None:
        asked.set()
        free.wait(60)

    def end() -> None:
        asked.wait(60)
        ends.set()

    ending = Thread(target=end)
    ending.start()
    with pytest.raises(CollectorAwayError, match="told to end"):
        unless_ending(hang, ends)("etag")
    free.set()
    ending.join()


def test_request_tells_what_came_of_it():
    def refuse(etag: str | None) -> None:
        raise CollectorAwayError("It does not answer.")

    assert unless_ending(lambda etag: (b"{}", etag), Event())("7") == (b"{}", "7")
    assert unless_ending(lambda etag: None, Event())("7") is None
    with pytest.raises(CollectorAwayError, match="does not answer"):
        unless_ending(refuse, Event())(None)


def test_confirmation_is_taken_up_once_and_rubbish_is_swept(tmp_path):
    run_id = uuid4()
    confirm(tmp_path, run_id, "ada")
    (tmp_path / "confirmed" / "rubbish.json").write_text("{}")
    assert take_confirmed(tmp_path) == {run_id: "ada"}
    assert take_confirmed(tmp_path) == {}
    assert list((tmp_path / "confirmed").iterdir()) == []


@pytest.fixture
def pc(tmp_path):
    """A PC with a schedule that asks for a slide, and a daemon that has asked."""
    (tmp_path / "schedules.toml").write_text(EXAMPLE)
    (tmp_path / "agent.toml").write_text(
        'data_dir = "data"\n[schedule]\nfile = "schedules.toml"\nzone = "Europe/Zurich"\n'
    )
    settings = load_settings(tmp_path / "agent.toml")
    folder = tmp_path / "data" / FOLDER
    journal, clock = Journal(folder), Clock()
    planner = Planner(journal, Mint("scope-1", "agt-x", clock))
    book = read_book(settings.schedule, folder)
    now = clock.wall_at()
    planner.look(now, book.accepted)
    at = now.replace(microsecond=0)
    journal.enter(
        "field-weekly", now, [Occurrence(run_id_of("scope-1", "field-weekly", at), "field-weekly", at)]
    )
    planner.look(now, book.accepted)
    journal.close()
    return tmp_path


def run(pc: Path, *words: str, **more: Any):
    result = CliRunner().invoke(app, [*words, "--config", str(pc / "agent.toml")], **more)
    assert result.exit_code == 0, result.output
    return result.output


def test_operator_sees_the_task_with_a_drawing_and_confirms_it(pc):
    said = run(pc, "operator", input="y\n")
    assert "place 2 of 4" in said and "put it here" in said and "Confirmed" in said
    assert len(take_confirmed(pc / "data" / FOLDER)) == 1


def test_operator_in_json_and_by_id(pc):
    (task,) = json.loads(run(pc, "operator", "--json"))
    assert (task["routine"], task["task"]["slide"]) == ("illumination", "uniform")
    run(pc, "operator", "--confirm", task["run_id"][:8])
    assert [str(name) for name in take_confirmed(pc / "data" / FOLDER)] == [task["run_id"]]


def test_list_next_and_check_tell_in_the_sites_zone(pc):
    listed = json.loads(run(pc, "schedule", "list", "--json"))
    assert [one["schedule_id"] for one in listed["schedules"]] == ["noise-nightly", "field-weekly"]
    rows = json.loads(run(pc, "schedule", "next", "--json", "--days", "2"))
    assert {"planned", "waiting_for_person"} == {row["state"] for row in rows}
    assert {row["zone"] for row in rows} == {"Europe/Zurich"}
    checked = json.loads(run(pc, "schedule", "check", "--json"))
    assert checked["daemon"] is None and checked["waiting"][0]["state"] == "waiting_for_person"
    for command in ("list", "next", "check"):
        assert "noise-nightly" in run(pc, "schedule", command) or command == "check"
    assert "No quality control is running" in run(pc, "schedule", "stop")


def test_stop_leaves_word_for_the_daemon(pc):
    folder = pc / "data" / FOLDER
    (folder / "now.json").write_text(json.dumps({"at": "2020-01-01T00:00:00+00:00", "running": str(uuid4())}))
    assert "within two seconds" in run(pc, "schedule", "stop")
    assert (folder / "stop").exists()
