"""The command line as its users meet it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from agent.settings import load_settings


def scopestamp(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from agent.cli import main; main()", *words],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=120,
        env={**os.environ, **environment},
    )


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "command", [(), ("demo",), ("run",), ("enrol",), ("status",), ("snapshot",), ("print-config",)]
)
def test_help_tells_what_a_command_does(command):
    done = scopestamp(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert scopestamp("--version").stdout.strip() == f"scopestamp {version('scopestamp')}"


def test_wrong_use_is_exit_code_2():
    done = scopestamp("run", "--speed", "9")
    assert done.returncode == 2
    assert "--speed" in done.stderr


def test_print_config_prints_a_settings_file(tmp_path):
    printed = tmp_path / "agent.toml"
    printed.write_text(scopestamp("print-config").stdout)
    assert load_settings(printed) == load_settings()


def test_unknown_key_names_the_nearest_one(tmp_path):
    config = tmp_path / "agent.toml"
    config.write_text("[capture]\npoll_intervall_s = 3\n")
    done = scopestamp("run", "--config", str(config))
    assert done.returncode == 1
    assert "poll_interval_s" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_of_no_agent_says_what_to_do(tmp_path):
    done = scopestamp("status", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "There is no agent in" in one_line(done.stderr)


def test_enrol_with_the_collector_away_says_so(tmp_path):
    done = scopestamp(
        "enrol", "--url", "http://127.0.0.1:9", "--data", str(tmp_path), stdin="K7QM-2XRT-9WPA-HC4D-V3JN\n"
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "K7QM" not in done.stderr + done.stdout


def test_snapshot_reads_the_demo_hardware(tmp_path):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    config = tmp_path / "agent.toml"
    config.write_text('[hardware]\nconfig_file = "demo"\n')
    done = scopestamp("snapshot", "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    readings = {(r["device"], r["property"]): r for r in json.loads(done.stdout)}
    assert readings["Camera", "Binning"]["value"] == 1


def test_snapshot_names_a_missing_adapter(tmp_path):
    (tmp_path / "scope.cfg").write_text("Device,Stand,NikonTi9,Ti9\n")
    config = tmp_path / "agent.toml"
    config.write_text('[hardware]\nconfig_file = "scope.cfg"\n')
    done = scopestamp("snapshot", "--config", str(config))
    assert done.returncode == 1
    assert "NikonTi9 (line 1)" in one_line(done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM cannot be sent on Windows")
def test_run_ends_with_exit_code_0_when_it_is_told_to(tmp_path):
    run = [sys.executable, "-c", "from agent.cli import main; main()", "run", "--data", str(tmp_path)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    facts = json.loads(scopestamp("status", "--data", str(tmp_path), "--json").stdout)
    assert facts["records_waiting"] >= 2
    assert facts["enrolled_at"] is None


def test_errors_show_section_names_as_they_are():
    done = scopestamp("snapshot")
    assert done.returncode == 1
    assert "Set [hardware] config_file" in one_line(done.stderr)
