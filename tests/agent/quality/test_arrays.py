"""What figures are drawn from is kept small and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.clock import Clock
from agent.mint import Mint
from agent.quality.arrays import MOST_VALUES, keep_arrays
from agent.quality.assess import routine_named
from agent.quality.history import History
from agent.quality.results import qc_result
from agent.records import QcResult
from qc_routines.results import Figure, Measurement
from qc_routines.verdict import judge


def measurement(**maps: np.ndarray) -> Measurement:
    return Measurement(
        routine="uniformity",
        version="1",
        figures=(Figure("prnu", 0.5, "%", 0.01, 100), Figure("signal", None, "ADU")),
        n_used=100,
        parameters={"tile_px": 3},
        table={"x_px": np.arange(5.0), "why": np.array(["a", "b", "", "a", "c"], object)},
        maps=maps,
    )


def result_of(found: Measurement) -> QcResult:
    return qc_result(Mint("scope", "agent", Clock()), routine_named("uniformity"), judge(found))


def test_table_maps_and_figures_come_back(tmp_path: Path):
    small = np.random.default_rng(1).normal(size=(30, 41))
    found = measurement(response=small)
    result, history = result_of(found), History(tmp_path)
    history.keep(result, found)
    back = history.measurement(result)
    assert back is not None
    assert np.array_equal(back.maps["response"], small)
    assert back.table["why"].tolist() == ["a", "b", "", "a", "c"]
    assert (back.value("prnu"), back.figure("prnu").uncertainty, back.value("signal")) == (0.5, 0.01, None)
    assert back.parameters["tile_px"] == 3


def test_large_map_is_kept_thinned_and_comes_back_at_its_size(tmp_path: Path):
    rows, columns = 1400, 2052
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    found = measurement(response=y * 1000 + x)
    result, history = result_of(found), History(tmp_path)
    path = history.keep(result, found).with_suffix(".npz")
    assert path.stat().st_size < 8 * MOST_VALUES
    back = history.measurement(result)
    assert back is not None and back.maps["response"].shape == (rows, columns)
    off = np.abs(back.maps["response"] - found.maps["response"])
    assert (off // 1000).max() <= 4 and (off % 1000).max() < 1000  # of the row and column next to it


def test_map_of_a_few_defects_is_kept_whole(tmp_path: Path):
    defects = np.zeros((2000, 1500), np.uint8)
    defects[[7, 900, 1999], [3, 700, 1499]] = [1, 4, 16]
    found = measurement(defects=defects)
    keep_arrays(found, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").stat().st_size < 30_000
    with np.load(tmp_path / "a.npz") as held:
        assert np.array_equal(held["map/defects"], defects)


@pytest.mark.parametrize("damage", ["nothing", "torn", "empty"])
def test_run_without_whole_arrays_has_no_measurement(tmp_path: Path, damage: str):
    found = measurement(response=np.ones((20, 30)))
    result, history = result_of(found), History(tmp_path)
    path = history.keep(result, None if damage == "nothing" else found).with_suffix(".npz")
    if damage != "nothing":
        path.write_bytes(path.read_bytes()[:200] if damage == "torn" else b"")
    assert history.measurement(result) is None
    assert history.runs("uniformity") == [result]
