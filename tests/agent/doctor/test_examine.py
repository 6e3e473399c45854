"""The doctor as a whole: it answers in time, whatever hangs or breaks."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.clock import Clock
from agent.doctor import Finding, Level, Place, examine
from agent.doctor.folders import folders
from agent.doctor.hardware import hardware
from agent.doctor.logs import recent, tail
from agent.doctor.service import service
from agent.doctor.spool import spool
from agent.local import Local
from agent.mint import Mint
from agent.records import Heartbeat, SpoolHealth
from agent.service.announce import announce, announced, take_back
from agent.settings import AgentSettings


def test_check_that_hangs_or_breaks_is_a_finding_and_the_others_are_told(tmp_path):
    release = threading.Event()

    def hangs(place):
        release.wait()
        yield Finding("disk", "a", Level.GOOD, "late")

    def breaks(place):
        raise ZeroDivisionError
        yield

    def works(place):
        yield Finding("good", "a", Level.GOOD, "fine")

    found = examine(
        Place(AgentSettings(), tmp_path), {"disk": hangs, "bad": breaks, "good": works}, deadline_s=1.0
    )
    release.set()
    assert [(one.topic, one.level) for one in found.findings] == [
        ("disk", Level.WARNING), ("bad", Level.WARNING), ("good", Level.GOOD),
    ]  # fmt: skip
    assert "no answer within 1 s" in found.findings[0].says
    assert found.worst is Level.WARNING


def test_doctor_tells_of_a_folder_without_agent(tmp_path):
    ran = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path / "none"), "--json"])
    told = json.loads(ran.output)
    assert (ran.exit_code, told["worst"]) == (1, "problem")
    problems = [one for one in told["findings"] if one["level"] == "problem"]
    assert [one["name"] for one in problems] == ["data folder"]
    assert all(one["advice"] for one in problems)
    assert not (tmp_path / "none").exists()


def test_screen_shows_every_finding_and_what_to_do(tmp_path):
    ran = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path)], env={"COLUMNS": "200"})
    assert ran.exit_code == 0
    assert "scopestamp service start" in ran.output
    assert "records wait" not in ran.output and "nothing was ever recorded here" in ran.output


def test_running_agent_is_known_by_its_note_and_a_left_note_misleads_nobody(tmp_path, by_name):
    place = Place(AgentSettings(), tmp_path)
    assert by_name(service(place))["agent"].level is Level.WARNING
    announce(tmp_path)
    agent = by_name(service(place))["agent"]
    assert (agent.level, agent.facts["is_running"]) == (Level.GOOD, True)
    note = json.loads((tmp_path / "daemon.json").read_text())
    (tmp_path / "daemon.json").write_text(
        json.dumps(note | {"process_began_at": "2001-01-01T00:00:00+00:00"})
    )
    assert announced(tmp_path) is None
    take_back(tmp_path)
    assert not (tmp_path / "daemon.json").exists()


class PastClock(Clock):
    """A clock of three days ago."""

    def wall_at(self):
        return datetime.now(UTC) - timedelta(days=3)


def _old_spool(data_dir, n_records):
    local = Local.open(AgentSettings(), data_dir)
    mint = Mint(local.identity.instrument_id, local.identity.agent_id, PastClock())
    health = SpoolHealth(n_waiting=0, bytes_on_disk=0)
    local.outbox.put(
        *(mint.make(Heartbeat, uptime_s=1, spool=health, hardware="idle") for _ in range(n_records))
    )
    local.outbox.close()


def test_old_backlog_is_warned_of_with_age_and_room(tmp_path, by_name):
    _old_spool(tmp_path, 5)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    found = by_name(spool(Place(AgentSettings(), tmp_path, now=lambda: in_an_hour)))
    assert found["backlog"].level is Level.WARNING
    assert "5 records wait, the oldest for 3.0 days" in found["backlog"].says
    rate_per_s = found["room"].facts["records_per_s"]
    assert rate_per_s == pytest.approx(5 / 3600, rel=0.1)


def test_what_was_set_aside_is_told(tmp_path, by_name):
    _old_spool(tmp_path, 1)
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "a.json").write_text("{}")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.seg").write_bytes(b"")
    found = by_name(spool(Place(AgentSettings(), tmp_path)))
    assert {"set aside", "damage"} <= set(found)


def test_folders_that_cannot_be_read_or_written_are_problems(tmp_path, by_name, public_folder, as_nobody):
    watched = tmp_path / "gone"
    settings = AgentSettings.model_validate({"watch": {"folders": [str(watched)]}})
    found = by_name(folders(Place(settings, public_folder)))
    assert (found["data folder"].level, found["watched folder"].level) == (Level.GOOD, Level.PROBLEM)
    assert list(public_folder.iterdir()) == []
    with as_nobody():
        found = by_name(folders(Place(AgentSettings(), public_folder)))
    assert found["data folder"].level is Level.PROBLEM


def test_little_room_on_the_disk_is_told(tmp_path, by_name):
    tight = AgentSettings.model_validate({"spool": {"min_free_bytes": 1 << 60, "floor_bytes": 0}})
    none = AgentSettings.model_validate({"spool": {"min_free_bytes": 1 << 60, "floor_bytes": 1 << 60}})
    assert by_name(folders(Place(tight, tmp_path)))["disk"].level is Level.WARNING
    assert by_name(folders(Place(none, tmp_path)))["disk"].level is Level.PROBLEM


def test_missing_adapters_are_named(tmp_path, by_name):
    (tmp_path / "scope.cfg").write_text("Device,Ti,NikonTi2,Ti2\nDevice,Cam,Andor,Zyla\nProperty,Core,A,B\n")
    (tmp_path / "libmmgr_dal_Andor.so.0").write_bytes(b"")
    section = {
        "config_file": str(tmp_path / "scope.cfg"),
        "adapter_paths": [str(tmp_path)],
        "look_for_owners": False,
    }
    place = Place(AgentSettings.model_validate({"hardware": section}), tmp_path)
    found = by_name(hardware(place))
    assert (found["adapters"].level, found["adapters"].says) == (Level.PROBLEM, "not installed: NikonTi2")
    assert found["owner"].level is Level.GOOD
    gone = {"config_file": str(tmp_path / "no.cfg"), "look_for_owners": False}
    place = Place(AgentSettings.model_validate({"hardware": gone}), tmp_path)
    assert by_name(hardware(place))["configuration"].level is Level.PROBLEM


def test_log_is_read_from_its_end_and_within_a_day(tmp_path):
    path = tmp_path / "daemon.log"
    lines = [f"2026-01-{day:02d}T00:00:00.000Z ERROR daemon x: of day {day}" for day in range(1, 29)]
    path.write_text("\n".join(lines))
    found = list(recent(path, datetime(2026, 1, 27, tzinfo=UTC)))
    assert [message for _, _, message in found] == ["daemon x: of day 27", "daemon x: of day 28"]
    assert tail(path, 100).splitlines() == lines[-1:]
