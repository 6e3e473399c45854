"""The QC that held, from the runs that are kept to an acquisition's record and its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import ome_types
import pytest
import tifffile
from useq import MDASequence

from agent.quality.history import History
from agent.records import AcquisitionFinished, QcResult, QcStamp, decode

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "qc_result.v1.0.json"
PLAN = MDASequence(channels=["DAPI", "FITC"])
LIGHT_PATH = {"objective": "Nikon 10X S Fluor", "camera": "Camera", "channel": "FITC"}


def result(days: float = 1.0, **update: Any) -> QcResult:
    """Return a run of some days ago, on the light path that the demo configuration begins with."""
    golden = decode(GOLDEN.read_bytes())
    assert isinstance(golden, QcResult)
    now = datetime.now(UTC)
    captured = golden.captured.model_copy(update={"wall_at": now - timedelta(days=days)})
    update = {"light_path": LIGHT_PATH, "valid_until": now + timedelta(days=30 - days), **update}
    return golden.model_copy(update={"record_id": uuid4(), "run_id": uuid4(), "captured": captured, **update})


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "data")


@pytest.fixture
def acquire(core: Any, make_capture: Callable[..., Any], shelf: Any) -> Callable[..., AcquisitionFinished]:
    def acquire(output: Path | None = None) -> AcquisitionFinished:
        capture = make_capture(core)
        core.setROI(0, 0, 64, 64)
        core.mda.run(PLAN, output=output)
        assert capture.settle(30)
        return shelf.one(AcquisitionFinished)

    return acquire


def statements(qc: QcStamp | None) -> list[str]:
    assert qc is not None
    return [item.statement for item in qc.light_paths]


NOTHING = "no valid QC: nothing was measured on this light path"


def test_record_carries_the_latest_valid_result_of_its_light_path(acquire: Any, history: History) -> None:
    latest = result(1)
    for run in (
        result(5),
        latest,
        result(0.5, light_path={**LIGHT_PATH, "objective": "Nikon 40X Plan Fluor ELWD"}),
    ):
        history.keep(run)
    record = acquire()
    assert statements(record.qc) == [NOTHING, "valid QC: 1 figure of psf; the worst verdict is pass"]
    (figure,) = record.qc.figures
    assert figure.run_id == latest.run_id and figure.figure == latest.metrics[0]
    assert figure.age_s == pytest.approx(86400, abs=600)


def test_invalid_run_counts_no_more_and_is_kept(acquire: Any, history: History) -> None:
    before, wrong = result(5), result(1)
    history.keep(before)
    history.keep(wrong)
    history.invalidate(wrong, "wrong slide", datetime.now(UTC))
    (figure,) = acquire().qc.figures
    assert figure.run_id == before.run_id
    assert history.run(str(wrong.run_id)) == wrong
    assert history.invalid()[str(wrong.run_id)].endswith("wrong slide")


def test_run_that_was_due_again_is_no_valid_qc(acquire: Any, history: History) -> None:
    history.keep(result(31))
    assert statements(acquire().qc)[1].startswith("no valid QC: the latest, psf of")


def test_time_zero_chosen_after_the_run_is_told(acquire: Any, history: History) -> None:
    bare = tuple(metric.model_copy(update={"baseline": None}) for metric in result().metrics)
    zero, run = result(9), result(1, metrics=bare)
    for one in (zero, run):
        history.keep(one)
    history.set_baseline(zero)
    (figure,) = acquire().qc.figures
    assert figure.figure.baseline == zero.metrics[0].measured


def test_file_that_cannot_be_read_costs_its_run_alone(acquire: Any, history: History) -> None:
    torn, kept = history.keep(result(2)), history.keep(result(3))
    torn.write_bytes(torn.read_bytes()[:100])
    record = acquire()
    assert record.qc.figures[0].run_id == decode(kept.read_bytes()).run_id
    assert any(torn.name in problem for problem in record.problems)


def test_list_of_invalid_runs_that_cannot_be_read_is_told(acquire: Any, history: History) -> None:
    path = history.keep(result(1))
    (path.parents[2] / "invalid.json").write_text("{", encoding="utf-8")
    record = acquire()
    assert record.qc is None
    assert any("Quality control could not be looked up" in problem for problem in record.problems)


def test_runs_are_read_again_only_when_there_are_others(
    core: Any, make_capture: Any, shelf: Any, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read: list[int] = []
    read = History.read
    monkeypatch.setattr(
        History, "read", lambda self, paths: (n_read.append(len(paths)), read(self, paths))[1]
    )
    first, second = result(5), result(1)
    history.keep(first)
    capture = make_capture(core)
    for run, n_paths in ((first, [1]), (first, [1]), (second, [1, 2]), (first, [1, 2, 1])):
        if run is second:
            history.keep(second)
        elif second in history.runs("psf"):
            history.invalidate(second, "wrong slide", datetime.now(UTC))
        shelf.clear()
        core.mda.run(PLAN)
        assert capture.settle(30)
        (figure,) = shelf.one(AcquisitionFinished).qc.figures
        assert (figure.run_id, n_read) == (run.run_id, n_paths)


def test_capture_does_not_load_what_only_measuring_needs(run_python: Callable[..., Any]) -> None:
    done = run_python(
        "import sys, agent.capture; print({'numba', 'scipy', 'h5py', 'ome_types'} & set(sys.modules))"
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("suffix", ["zarr", "tiff"])
def test_data_carries_it_too(acquire: Any, history: History, tmp_path: Path, suffix: str) -> None:
    history.keep(result(1))
    output = tmp_path / f"a.ome.{suffix}"
    acquire(output)
    if suffix == "zarr":
        told = json.loads((output / "zarr.json").read_bytes())["attributes"]["scopestamp"]["qc"]
    else:
        (note,) = ome_types.from_xml(tifffile.tiffcomment(output)).structured_annotations.map_annotations[-1:]
        told = {item.k: item.value for item in note.value.ms}
    assert told["QC DAPI"] == NOTHING
    (figure,) = [text for name, text in told.items() if name.startswith("QC psf fwhm_x_um")]
    assert figure == "0.231 um; theory 0.188 um; time zero 0.224 um; pass; 1.0 days before; valid"
