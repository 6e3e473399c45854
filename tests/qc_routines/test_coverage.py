"""Uncertainties are honest from run to run: the truth lies within them about as often as they say.

A few runs by fixed seeds; ``benchmarks/qc_coverage.py`` repeats them as often as it is told to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qc_routines.results import Measurement


def repeated(run: Callable[[int], Measurement], n: int) -> list[Measurement]:
    return [run(seed) for seed in range(n)]


def assert_honest(found: list[Measurement], name: str, truth: float | None = None) -> None:
    """Deviations from the truth, or else from the mean, are as large as claimed, and nearly all of them within 1.96."""
    figures = [measured.figure(name) for measured in found]
    values, claimed = np.array([(figure.value, figure.uncertainty) for figure in figures], float).T
    n = len(values)
    off = values - (values.mean() if truth is None else truth)
    ratio = np.sqrt(np.sum(off**2) / (n - 1 if truth is None else n) / np.mean(claimed**2))
    assert 0.4 < ratio < 1.6, (name, ratio)
    n_missed = np.count_nonzero(np.abs(off) > 1.96 * claimed)
    assert n_missed <= max(2, 0.15 * n), (name, n_missed)


@pytest.fixture(scope="module")
def psf_runs(runs) -> list[Measurement]:
    return repeated(runs.psf_run, 10)


@pytest.mark.parametrize(
    "name", ["fwhm_z", "fwhm_y", "fwhm_x", "lateral_major", "principal_3", "fwhm_z_line", "axial_asymmetry"]
)
def test_psf_of_one_run_is_as_uncertain_as_it_says(psf_runs, name: str) -> None:
    assert_honest(psf_runs, name)


def test_direction_of_round_beads_is_any(psf_runs) -> None:
    assert all(found.figure("lateral_angle").uncertainty > 50 for found in psf_runs)


def test_stage_knows_that_its_first_image_was_off_too(runs) -> None:
    found = repeated(lambda seed: runs.stage_run(seed, n_repeats=3), 8)
    for name in ("mean_x_large_left", "mean_x_small_all", "mean_y_large_front", "mean_y_small_all"):
        assert_honest(found, name)
    for name, true_um in (("backlash_x", 0.30), ("backlash_y", 0.24)):
        assert_honest(found, name, true_um)


def test_line_pairs_know_that_lines_fall_on_pixels_as_they_will(runs) -> None:
    assert_honest(repeated(runs.line_pairs_run, 10), "smallest_resolved")


def test_registration_knows_what_the_drive_does(runs) -> None:
    green, red = (runs.Truth().channel(name) for name in ("FITC", "TRITC"))
    found = repeated(runs.registration_run, 6)
    true_nm = 1000 * (red.axial_shift_um - green.axial_shift_um)
    assert_honest(found, "shift_z_median[FITC-TRITC]", true_nm)


def test_dark_current_knows_how_little_the_longest_exposure_shows(runs) -> None:
    found = repeated(runs.dark_current_run, 10)
    for name in ("dark_current", "dark_current_by_variance"):
        assert_honest(found, name)


def test_drift_is_as_fast_as_it_is_and_as_uncertain_as_it_says(runs) -> None:
    found = repeated(lambda seed: runs.drift_run(seed, n_minutes=9), 5)
    steady = runs.Truth().drift.steady_zyx_nm_per_min
    for axis, true_nm_per_min in zip("zyx", steady, strict=True):
        assert_honest(found, f"velocity_{axis}", -true_nm_per_min)
