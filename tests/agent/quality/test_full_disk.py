"""Nights on which the disk or a file fails: results are told and sent, readings are not lost, and the next run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.local import Local
from agent.outbox.inspect import lines
from agent.quality.acquire import Acquisition
from agent.quality.analyse import analyse_files
from agent.quality.assess import routine_named
from agent.quality.history import History, HistoryError
from agent.quality.keeping import keep_and_send
from agent.quality.options import read_columns
from agent.quality.restore import RESTORE_FILE, put_back_earlier
from agent.quality.steps import Readings
from agent.quality.watcher import Watcher
from agent.records import QcResult
from agent.settings import AgentSettings

TABLE = "setting_percent,power_mw\n" + "".join(f"{s},{0.02 * s}\n" for s in range(0, 101, 10))
READINGS = Readings({"power_mw": (("Meter", "Power-mW"), 1.0)}, {}, 12, 1.0, has_time=True)


def result_of(folder: Path) -> QcResult:
    (folder / "power.csv").write_text(TABLE)
    return analyse_files(routine_named("power_linearity"), [folder / "power.csv"], {})


def no_room(data: Path) -> None:
    """What a folder cannot be made in fails as a full disk does, for administrators too."""
    data.mkdir(exist_ok=True)
    (data / "qc").write_text("a file in the folder's place")


def test_result_that_cannot_be_kept_is_sent_all_the_same(tmp_path: Path) -> None:
    result, data, said = result_of(tmp_path), tmp_path / "data", list[str]()
    no_room(data)
    local = Local.open(AgentSettings.model_validate({"data_dir": str(data)}))
    assert not keep_and_send(History(data), local.outbox, result, said.append)
    local.outbox.close()
    assert "cannot be written" in said[0] and "Free space" in said[0]
    spooled = [
        one["record"] for path in (data / "spool").rglob("*.seg") for one in lines(path) if "record" in one
    ]
    assert str(result.run_id) in [record.get("run_id") for record in spooled]


def test_analysis_that_cannot_be_kept_is_shown(tmp_path: Path) -> None:
    (tmp_path / "power.csv").write_text(TABLE)
    no_room(tmp_path / "data")
    command = [
        "qc",
        "analyse",
        "power_linearity",
        str(tmp_path / "power.csv"),
        "--data",
        str(tmp_path / "data"),
    ]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["routine"] == "power_linearity"
    assert "Not kept" in done.stderr


def test_time_zero_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    no_room(tmp_path / "data")
    with pytest.raises(HistoryError, match="cannot be written"):
        History(tmp_path / "data").set_baseline(result_of(tmp_path))


class Meter:
    """A hardware process with a power meter, which is unplugged after some readings."""

    def __init__(self, unplugged: Callable[[], BaseException], after: int) -> None:
        self.unplugged, self.left = unplugged, after

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        if not self.left:
            raise self.unplugged()
        self.left -= 1
        return {"status": "ok", "value": "1.25", "monotonic_s": 100.0 - self.left}


def test_readings_of_a_run_that_is_cut_off_can_be_measured(tmp_path: Path) -> None:
    acquisition = Acquisition(
        Meter(KeyboardInterrupt, 11), tmp_path / "images", "power_stability", Watcher(), lambda s: None
    )
    with pytest.raises(KeyboardInterrupt):
        acquisition.take([READINGS])
    (table,) = (tmp_path / "images").glob("*-readings.csv")
    assert len(read_columns(table)["power_mw"]) == 11
    result = analyse_files(routine_named("power_stability"), [table], {})
    assert result.n_used == 11


def test_run_goes_on_where_readings_cannot_be_written_down(tmp_path: Path) -> None:
    said: list[str] = []
    acquisition = Acquisition(
        Meter(AssertionError, 12),
        tmp_path / "images",
        "power_stability",
        Watcher(say=said.append),
        lambda s: None,
    )
    acquisition._notes = tmp_path  # a folder: it cannot be opened as a file
    assert len(acquisition.take([READINGS]).columns["power_mw"]) == 12
    assert len(said) == 1 and "the run goes on without it" in said[0]


def test_plan_to_put_back_that_cannot_be_read_stops_no_run(tmp_path: Path) -> None:
    said, plan = list[str](), tmp_path / "qc" / RESTORE_FILE
    plan.parent.mkdir()
    plan.write_text("\0\0\0")
    put_back_earlier(Meter(AssertionError, 0), tmp_path, said.append)
    assert "cannot be read" in said[1] and "Look at the microscope yourself" in said[1]
    assert not plan.exists() and plan.with_name(plan.name + ".bad").exists()
