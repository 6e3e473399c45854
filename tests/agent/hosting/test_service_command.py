"""``scopestamp service`` on this computer, and the agent as a service manager sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.hosting import manager_here
from agent.hosting.errors import ServiceError

WAIT_S = 120.0


def test_dry_run_shows_every_step_and_takes_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "agent.toml"
    config.write_text("[log]\nlevel = 'info'\n")
    ran = CliRunner().invoke(app, ["service", "install", "--config", str(config), "--dry-run", "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    assert told["is_dry_run"]
    assert any(str(config) in step for step in told["steps"])
    assert [path.name for path in tmp_path.iterdir()] == ["agent.toml"]


def test_install_reads_the_settings_before_it_touches_anything(tmp_path):
    from agent.errors import SettingsError

    config = tmp_path / "agent.toml"
    config.write_text("[log]\nlevl = 'info'\n")
    ran = CliRunner().invoke(app, ["service", "install", "--config", str(config), "--dry-run"])
    assert isinstance(ran.exception, SettingsError)
    assert "level" in str(ran.exception)


def test_every_platform_has_its_manager():
    assert {type(manager_here(platform=one)).__name__ for one in ("win32", "darwin", "linux")} == {
        "WindowsServices", "Launchd", "Systemd",
    }  # fmt: skip
    with pytest.raises(ServiceError, match="scopestamp run"):
        manager_here(platform="aix")
    with pytest.raises(ServiceError, match="leave out --user"):
        manager_here(platform="win32", is_user=True)


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")
def test_agent_tells_systemd_that_it_is_ready_lives_and_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(WAIT_S)
        line.bind(f"\0scopestamp-test-{os.getpid()}")
        address = f"@scopestamp-test-{os.getpid()}"
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.service", "--data", str(tmp_path / "data")],
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"},
        )
        try:
            assert line.recv(4096).startswith(b"READY=1\nSTATUS=Agent ")
            assert line.recv(4096) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            while (said := line.recv(4096)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()
            process.wait()


def test_agent_that_cannot_start_leaves_the_reason_in_a_file(tmp_path):
    from agent.service import Daemon
    from agent.settings import AgentSettings

    first = Daemon(AgentSettings(), tmp_path)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "agent.service", "--data", str(tmp_path)], capture_output=True, text=True
        )
    finally:
        first.stop()
    assert ran.returncode == 1
    assert "Another agent is running" in ran.stderr
    assert "Another agent is running" in Path(tmp_path, "logs", "start.log").read_text()
