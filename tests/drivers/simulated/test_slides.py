"""What lies on the slides, and that it lies still."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.simulated.slides import GRID_PITCH_UM, SLIDES, lines_in, objects_in

BEADS = SLIDES["beads 0.2 um"]


def test_beads_stay_where_they_are_whichever_part_is_asked_for() -> None:
    whole = objects_in(BEADS, 3, (-100.0, -250.0), (150.0, 80.0))
    part = objects_in(BEADS, 3, (-20.0, -111.0), (44.0, 13.0))
    inside = np.all((whole.yx_um >= (-20, -111)) & (whole.yx_um <= (44, 13)), axis=1)
    assert 20 < len(part.yx_um) < len(whole.yx_um)
    assert np.array_equal(whole.yx_um[inside], part.yx_um)
    assert np.array_equal(whole.brightness[inside], part.brightness)


def test_beads_keep_their_distance_and_their_density() -> None:
    yx_um = objects_in(BEADS, 1, (-300.0, 0.0), (300.0, 500.0)).yx_um
    distances = np.hypot(*(yx_um[:, None] - yx_um[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    assert distances.min() >= 0.3 * BEADS.pitch_um
    expected = BEADS.occupancy * 600 * 500 / BEADS.pitch_um**2
    assert len(yx_um) == pytest.approx(expected, rel=0.05)
    phases = (yx_um / BEADS.pitch_um) % 1
    assert phases.std(axis=0) == pytest.approx(0.7 / np.sqrt(12), rel=0.05)


def test_another_seed_is_another_slide() -> None:
    first, second = (objects_in(BEADS, seed, (0.0, 0.0), (60.0, 60.0)).yx_um for seed in (1, 2))
    assert first.shape != second.shape or not np.allclose(first, second)


def test_brightness_spreads_as_stated() -> None:
    brightness = objects_in(BEADS, 1, (0.0, 0.0), (900.0, 900.0)).brightness
    assert brightness.mean() == pytest.approx(1, abs=0.003)
    assert brightness.std() == pytest.approx(BEADS.brightness_spread, rel=0.05)


def test_grid_is_a_grid() -> None:
    yx_um = objects_in(SLIDES["dot grid"], 9, (-31.0, -40.0), (31.0, 50.0)).yx_um
    rows, columns = np.unique(yx_um[:, 0]), np.unique(yx_um[:, 1])
    assert np.allclose(np.diff(rows), GRID_PITCH_UM) and np.allclose(np.diff(columns), GRID_PITCH_UM)
    assert len(yx_um) == len(rows) * len(columns)


def test_hexagonal_grid_has_six_neighbours_at_one_pitch() -> None:
    yx_um = objects_in(SLIDES["hexagonal dot grid"], 9, (-41.0, -50.0), (43.0, 61.0)).yx_um
    distance = np.hypot(*(yx_um[:, None] - yx_um[None]).transpose(2, 0, 1))
    inner = np.all((yx_um > (-25, -34)) & (yx_um < (27, 45)), axis=1)
    assert inner.sum() > 8
    assert np.all(np.isclose(distance[inner], GRID_PITCH_UM).sum(axis=1) == 6)
    assert np.sort(distance[inner], axis=1)[:, 1] == pytest.approx(GRID_PITCH_UM)


def test_line_pairs_grow_in_steps() -> None:
    x_um, distance_um = lines_in(-8.0, 8.0 * 23)
    first, second = x_um[::2], x_um[1::2]
    assert second - first == pytest.approx(distance_um[::2])
    assert distance_um[2::2][:23] == pytest.approx(np.arange(0.10, 1.201, 0.05))


@pytest.mark.parametrize("label", ["uniform", "dark", "power meter"])
def test_empty_slides_hold_nothing(label: str) -> None:
    assert objects_in(SLIDES[label], 0, (-50.0, -50.0), (50.0, 50.0)).yx_um.shape == (0, 2)
