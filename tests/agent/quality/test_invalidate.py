"""A run that is declared invalid stays, and says why it counts no more."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from typer.testing import CliRunner

from agent.cli import app
from agent.quality.history import History
from agent.records import QcResult, decode

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "qc_result.v1.0.json"


def test_run_that_is_declared_invalid_counts_no_more(tmp_path: Path) -> None:
    golden = decode(GOLDEN.read_bytes())
    assert isinstance(golden, QcResult)
    other = golden.model_copy(update={"run_id": uuid4(), "record_id": uuid4()})
    history = History(tmp_path)
    for run in (golden, other):
        history.keep(run)
    name = str(golden.run_id)
    done = CliRunner().invoke(
        app, ["qc", "invalidate", name[:8], "--reason", "wrong slide", "--data", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert f"Run {name[:8]} of psf no longer counts: wrong slide" in done.output
    later = golden.captured.wall_at.replace(year=golden.captured.wall_at.year + 1)
    assert history.before(later) == ([other], [])
    assert history.runs("psf") in ([golden, other], [other, golden])
