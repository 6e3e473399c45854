"""Detectors of point scanners from files: one for each setting, with dark frames or an offset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from agent.quality.analyse import analyse_files
from agent.quality.assess import routine_named
from agent.quality.facts import MissingFactError
from agent.quality.options import facts_of
from agent.quality.stacks import StackError
from agent.records import QcStatus

GAINS_ADU = {500: 20, 600: 72, 700: 211}
"""About the seventh power of the setting; photons are counted without excess noise."""
PHOTONS, OFFSET_ADU = 6.0, 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a file of each setting and one of dark frames."""
    folder, rng = tmp_path_factory.mktemp("detector"), np.random.default_rng(0)
    frames = {
        str(setting): OFFSET_ADU + gain * rng.poisson(PHOTONS, (12, 48, 64))
        for setting, gain in GAINS_ADU.items()
    }
    frames["dark"] = np.full((12, 48, 64), OFFSET_ADU)
    for name, counts in frames.items():
        noisy = counts + np.round(rng.normal(0, 2, counts.shape))
        tifffile.imwrite(
            folder / f"{name}.ome.tiff", noisy.astype(np.uint16), ome=True, metadata={"axes": "TYX"}
        )
    return {name: folder / f"{name}.ome.tiff" for name in frames}


def test_files_of_settings_tell_gain_and_photons(files: dict[str, Path]) -> None:
    routine, each = routine_named("point_detector"), [files[str(setting)] for setting in GAINS_ADU]
    options = facts_of(routine, further=["settings=500,600,700"])
    result = analyse_files(routine, each, options, dark=files["dark"])
    metrics = {metric.metric: metric.measured.value for metric in result.metrics if metric.measured}
    for setting, gain in GAINS_ADU.items():
        assert metrics[f"gain[{setting}]"] == pytest.approx(gain, rel=0.03)
        assert metrics[f"photons[{setting}]"] == pytest.approx(PHOTONS, rel=0.03)
    assert metrics["gain_slope"] == pytest.approx(7.0, abs=0.2)
    assert result.status is QcStatus.PASS


def test_detectors_have_names(files: dict[str, Path]) -> None:
    routine = routine_named("point_detector")
    options = facts_of(routine, further=["settings=PMT 1, HyD 2", f"offset_adu={OFFSET_ADU}"])
    result = analyse_files(routine, [files["500"], files["600"]], options)
    assert {"photons[PMT 1]", "photons[HyD 2]"} <= {metric.metric for metric in result.metrics}


def test_settings_are_asked_for_one_for_each_file(files: dict[str, Path]) -> None:
    routine = routine_named("point_detector")
    with pytest.raises(MissingFactError, match="--set settings=500,600,700"):
        analyse_files(routine, [files["500"]], {})
    with pytest.raises(StackError, match="holds 3 entries for 1 files"):
        analyse_files(routine, [files["500"]], {"settings": [500, 600, 700]})
