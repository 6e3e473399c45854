"""The loop without a microscope: what it decides, tells and leaves for others to read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock
from agent.idle import Idle
from agent.local import Local
from agent.mint import Mint
from agent.outbox.inspect import lines
from agent.quality.schedule import scheduler_of
from agent.settings import AgentSettings

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
THREE = datetime(2026, 5, 5, 3, tzinfo=UTC)


class HandClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOON

    def wall_at(self) -> datetime:
        return self.at


class Pc:
    """A PC whose hardware belongs to somebody else."""

    def __init__(self, folder: Path, **section: str) -> None:
        self.folder, self.file = folder, folder / "schedules.toml"
        self.write()
        settings = AgentSettings.model_validate(
            {"data_dir": str(folder / "data"), "schedule": {"file": str(self.file)} | section}
        )
        opened, self.clock = Local.open(settings), HandClock()
        mint = Mint(opened.identity.instrument_id, opened.identity.agent_id, self.clock)
        self.local = replace(opened, clock=self.clock, mint=mint)
        self.answer: tuple[bytes, str] | None = None
        self.idle = Idle(0.0)
        self.scheduler = scheduler_of(
            settings,
            self.local,
            lambda *said, **details: None,
            threading.Event(),
            hardware=None,
            status=lambda: None,
            ask=lambda etag: self.answer,
            idle=lambda: self.idle,
            monotonic_s=lambda: (self.clock.at - NOON).total_seconds(),
        )

    def write(self, **more: str) -> None:
        keys = {"schedule_id": "noise", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "UTC"} | more
        self.file.write_text("[[schedule]]\n" + "".join(f'{key} = "{text}"\n' for key, text in keys.items()))

    def close(self) -> None:
        self.scheduler.close()
        self.local.outbox.close()

    def look(self, at: datetime) -> None:
        self.clock.at = at
        self.scheduler.look()

    def told(self, kind: str = "schedule_run") -> list[dict[str, Any]]:
        found = [
            line["record"]
            for path in sorted((self.folder / "data" / "spool").rglob("*.seg"))
            for line in lines(path)
            if "record" in line
        ]
        return [record for record in found if record["kind"] == kind]


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    one = Pc(tmp_path)
    yield one
    one.close()


ICS = b"""BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Marie's thesis\r
DTSTART:%s\r\nDURATION:PT2H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"""


@pytest.fixture
def pc_booked(tmp_path: Path) -> Iterator[tuple[Pc, Path]]:
    """A PC with a booking calendar, and the file of that."""
    calendar = tmp_path / "bookings.ics"
    calendar.write_bytes(ICS % b"20260505T080000Z")
    one = Pc(tmp_path, calendar=str(calendar), zone="Europe/Zurich")
    yield one, calendar
    one.close()


def test_without_hardware_of_its_own_it_waits_says_why_and_skips(pc):
    pc.write(missed="skip")
    pc.look(NOON)
    pc.look(THREE)
    pc.look(THREE + timedelta(hours=3))
    waiting, end = pc.told()
    assert (waiting["state"], set(waiting["guards"])) == ("waiting", {"hardware", "person"})
    assert end["state"] == "skipped" and "owns no hardware" in end["reason"]


def test_with_somebody_there_it_is_skipped_at_once_where_the_schedule_says_so(pc):
    pc.write(on_person="skip")
    pc.look(NOON)
    pc.look(THREE)
    (end,) = pc.told()
    assert end["state"] == "skipped" and "mouse or keyboard" in end["reason"]


def test_plan_is_told_when_it_changes_and_once_a_day(pc):
    pc.look(NOON)
    pc.look(NOON + timedelta(hours=1))
    assert len(pc.told("schedule_plan")) == 1
    pc.write(cron="0 4 * * *")
    pc.look(NOON + timedelta(hours=2))
    assert len(pc.told("schedule_plan")) == 2
    pc.look(NOON + timedelta(hours=27))
    plans = pc.told("schedule_plan")
    assert len(plans) == 3
    assert plans[-1]["schedules"][0]["next_at"][0] == "2026-05-06T04:00:00Z"


def test_schedule_of_the_collector_is_fetched_and_told_of(pc):
    schedule = {"schedule_id": "far", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "UTC"}
    pc.answer = (json.dumps({"schedules": [{"schedule": schedule, "version": 7}]}).encode(), '"a"')
    pc.look(NOON)
    (plan,) = pc.told("schedule_plan")
    told = [(one["schedule_id"], one["source"], one["version"]) for one in plan["schedules"]]
    assert told == [("noise", "file", 0), ("far", "collector", 7)]


def test_confirmation_of_the_collector_lets_a_run_go_on_to_wait_for_the_rest(pc):
    schedule = {"schedule_id": "far", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "UTC",
                "slide": "beads", "asks_person": True}  # fmt: skip
    reply = {"schedules": [{"schedule": schedule, "version": 1}]}
    pc.answer = (json.dumps(reply).encode(), '"a"')
    pc.look(NOON)
    pc.look(THREE - timedelta(hours=2))
    (asked,) = [record for record in pc.told() if record["schedule_id"] == "far"]
    assert asked["state"] == "waiting_for_person"
    confirmed = {"run_id": asked["run_id"], "by": "ada", "at": "2026-05-05T00:00:00Z"}
    pc.answer = (json.dumps({**reply, "confirmations": [confirmed]}).encode(), '"b"')
    pc.look(THREE - timedelta(hours=1))
    last = [record for record in pc.told() if record["schedule_id"] == "far"][-1]
    assert (last["state"], last["confirmed_by"]) == ("waiting", "ada")


def test_others_at_the_pc_can_read_what_stands_in_the_way(pc):
    pc.look(NOON)
    pc.look(THREE)
    shown = json.loads((pc.folder / "data" / "schedule" / "now.json").read_text())
    assert shown["running"] is None
    assert set(shown["guards"]["noise"]) == {"hardware", "person"}


def test_bookings_are_told_with_the_plan_and_again_when_they_change_but_not_as_time_passes(pc_booked):
    pc, calendar = pc_booked
    pc.look(NOON)
    (first,) = pc.told("schedule_plan")
    assert first["booked"] == [{"start": "2026-05-05T08:00:00Z", "end": "2026-05-05T10:00:00Z"}]
    assert first["booked_until"] == "2026-05-19T12:00:00Z"
    for hours in range(1, 23):  # the booking begins and ends meanwhile
        pc.look(NOON + timedelta(hours=hours))
    assert len(pc.told("schedule_plan")) == 1
    calendar.write_bytes(ICS % b"20260507T080000Z")
    pc.look(NOON + timedelta(hours=23))
    assert [plan["booked"][0]["start"] for plan in pc.told("schedule_plan")] == [
        "2026-05-05T08:00:00Z",
        "2026-05-07T08:00:00Z",
    ]


def test_calendar_that_is_away_takes_back_nothing_that_was_told(pc_booked):
    pc, calendar = pc_booked
    pc.look(NOON)
    calendar.unlink()
    pc.look(NOON + timedelta(hours=1))
    assert len(pc.told("schedule_plan")) == 1
    pc.look(NOON + timedelta(hours=25))
    assert [len(plan["booked"]) for plan in pc.told("schedule_plan")] == [1, 0]  # over by then
