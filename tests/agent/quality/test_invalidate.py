"""A run that is declared invalid stays, and says why it counts no more."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

from typer.testing import CliRunner

from agent.cli import app
from agent.quality.history import History
from agent.records import QcResult, decode

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "qc_result.v1.0.json"


def two_runs_kept_in(folder: Path) -> tuple[History, QcResult, QcResult]:
    golden = decode(GOLDEN.read_bytes())
    assert isinstance(golden, QcResult)
    other = golden.model_copy(update={"run_id": uuid4(), "record_id": uuid4()})
    history = History(folder)
    for run in (golden, other):
        history.keep(run)
    return history, golden, other


def test_run_that_is_declared_invalid_counts_no_more(tmp_path: Path) -> None:
    history, golden, other = two_runs_kept_in(tmp_path)
    name = str(golden.run_id)
    done = CliRunner().invoke(
        app, ["qc", "invalidate", name[:8], "--reason", "wrong slide", "--data", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert f"Run {name[:8]} of psf no longer counts: wrong slide" in done.output
    later = golden.captured.wall_at.replace(year=golden.captured.wall_at.year + 1)
    assert history.before(later) == ([other], [])
    assert history.runs("psf") in ([golden, other], [other, golden])


def test_history_is_a_line_of_json_for_each_run_and_says_which_count_no_more(tmp_path: Path) -> None:
    history, golden, other = two_runs_kept_in(tmp_path)
    history.set_baseline(other)
    history.invalidate(golden, "wrong slide [µ]", golden.captured.wall_at)

    done = CliRunner().invoke(app, ["qc", "history", "psf", "--data", str(tmp_path), "--json"])
    told = {line["run_id"]: line for line in map(json.loads, done.stdout.splitlines())}
    kept = json.loads(GOLDEN.read_bytes())
    assert told.keys() == {str(golden.run_id), str(other.run_id)}
    one = told[kept["run_id"]]
    assert (one["routine"], one["status"], one["light_path"]) == (
        kept["routine"],
        kept["status"],
        kept["light_path"],
    )
    measured = {each["metric"]: each["measured"]["value"] for each in kept["metrics"] if each.get("measured")}
    assert {name: figure["value"] for name, figure in one["figures"].items()} == measured != {}
    assert one["invalid"].endswith(" wrong slide [µ]") and told[str(other.run_id)]["invalid"] is None
    assert [line["run_id"] for line in told.values() if line["is_time_zero"]] == [str(other.run_id)]

    shown = CliRunner().invoke(app, ["qc", "history", "--data", str(tmp_path)], env={"COLUMNS": "200"})
    assert "wrong slide [µ]" in shown.output and "time zero" in shown.output
