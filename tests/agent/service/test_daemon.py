"""The daemon on its real parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import ScopestampError, SettingsError
from agent.service import Daemon
from agent.settings import AgentSettings

pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

WAIT_S = 60.0


def _settings(**sections) -> AgentSettings:
    return AgentSettings.model_validate({"hardware": {"config_file": "demo"}, **sections})


def test_daemon_refuses_a_folder_that_has_its_daemon(tmp_path):
    first = Daemon(_settings(), tmp_path / "data")
    try:
        with pytest.raises(SettingsError, match="Another agent is running on"):
            Daemon(_settings(), tmp_path / "data")
    finally:
        first.stop()


def test_daemon_says_what_is_wrong_with_its_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ScopestampError, match=r"cannot be used|cannot be written"):
        Daemon(_settings(), tmp_path / "file" / "data")


def test_daemon_keeps_records_on_disk_while_the_collector_is_away(tmp_path, spooled):
    daemon = Daemon(_settings(collector={"url": "http://127.0.0.1:9"}), tmp_path / "data")
    daemon.start()
    assert daemon.supervisor.wait_until_up(WAIT_S)
    daemon.supervisor.call("settle", WAIT_S)
    assert daemon.stop()
    kinds = [record.kind for record in spooled()]
    assert {"instrument", "state_snapshot", "heartbeat", "agent_event"} <= set(kinds)
    events = [record.event for record in spooled() if record.kind == "agent_event"]
    assert events == ["agent_started", "hardware_loaded", "agent_stopped"]


def test_daemon_heartbeat_tells_how_it_is(tmp_path):
    daemon = Daemon(_settings(), tmp_path / "data")
    daemon.start()
    assert daemon.supervisor.wait_until_up(WAIT_S)
    daemon.supervisor.call("snapshot", WAIT_S)
    daemon.supervisor.refresh()
    beat = daemon.heartbeat()
    assert daemon.stop()
    assert beat.hardware == "idle"
    assert beat.last_capture_at is not None
    assert beat.memory_bytes > 50e6
    assert beat.disk_free_bytes > 0
    assert beat.versions["scopestamp"]


def test_daemon_without_hardware_only_sends(tmp_path):
    daemon = Daemon(AgentSettings(), tmp_path / "data")
    daemon.start()
    beat = daemon.heartbeat()
    assert daemon.stop()
    assert beat.hardware == "none"
    assert Path(tmp_path / "data" / "agent.key").is_file()


def test_daemon_reports_a_dataset_in_a_watched_folder_and_its_heartbeat_tells_of_it(tmp_path, spooled):
    import threading

    import numpy as np
    import tifffile

    from agent.records import DatasetStamp

    folder = tmp_path / "images"
    folder.mkdir()
    settings = AgentSettings.model_validate(
        {"watch": {"folders": [str(folder)], "settle_s": 0.2, "rescan_s": 0.5}}
    )
    daemon = Daemon(settings, tmp_path / "data")
    is_out, put = threading.Event(), daemon.local.outbox.put

    def listen(*records):
        put(*records)
        if any(isinstance(record, DatasetStamp) for record in records):
            is_out.set()

    daemon.local.outbox.put = listen
    daemon.start()
    tifffile.imwrite(folder / "a.tif", np.zeros((8, 8), np.uint16))
    assert is_out.wait(WAIT_S)
    health = daemon.heartbeat().watch
    assert daemon.stop()
    assert (health.is_alive, health.observer) == (True, "native")
    (found,) = [record for record in spooled() if record.kind == "dataset_found"]
    assert found.path == str(folder / "a.tif")
    assert (folder / "a.tif.scopestamp.json").is_file()


def test_daemon_runs_what_is_scheduled_and_goes_on_without_a_scheduler_that_cannot(tmp_path, spooled):
    (tmp_path / "schedules.toml").write_text(
        '[[schedule]]\nschedule_id = "noise"\nroutine = "dark_noise"\ncron = "0 3 * * *"\nzone = "UTC"\n'
    )
    daemon = Daemon(
        AgentSettings.model_validate({"schedule": {"file": str(tmp_path / "schedules.toml")}}),
        tmp_path / "data",
    )
    daemon.scheduler.look()
    daemon.start()
    assert daemon.stop()
    (plan,) = [record for record in spooled() if record.kind == "schedule_plan"]
    assert [one.schedule_id for one in plan.schedules] == ["noise"]
    wrong = {"calendar": "a.ics", "zone": "Europe/Atlantis"}
    daemon = Daemon(AgentSettings.model_validate({"schedule": wrong}), tmp_path / "data")
    assert daemon.scheduler is None
    assert daemon.stop()
    assert "schedules_not_run" in [record.event for record in spooled() if record.kind == "agent_event"]
