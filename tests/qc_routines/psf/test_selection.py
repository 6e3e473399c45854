"""Reasons for leaving a candidate out, one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from qc_routines.psf.selection import AT_ONCE, Rules, before_fit, distinct, specks

FWHM = np.array([4.0, 3.0, 2.0])
SHAPE = (60, 90, 120)
FIRST = (30.0, 40.0, 60.0)


def reasons(*others: tuple[tuple[float, float, float], float], **first: float) -> list[str]:
    """Return the reasons for a bead of amplitude 1000 and for others, given by place in FWHM from it and amplitude."""
    centres = [FIRST] + [tuple(np.array(FIRST) + np.array(away) * FWHM) for away, _ in others]
    n = len(centres)
    looks = {axis: np.array([c[i] for c in centres]) for i, axis in enumerate("zyx")}
    looks |= {"amplitude_adu": np.array([1000.0, *(amplitude for _, amplitude in others)])}
    looks |= {name: np.zeros(n) for name in ("n_saturated", "sharpness")}
    for name, value in first.items():
        looks[name][0] = value
    return before_fit(looks, SHAPE, FWHM, Rules()).tolist()


@pytest.mark.parametrize(
    ("away", "amplitude", "expected"),
    [
        ((0, 0, 2.1), 1000, ["crowded", "crowded"]),
        ((0, 2.1, 0), 400, ["crowded", "crowded"]),
        ((0, 2.3, 0), 1000, ["", ""]),
        ((0, 2.1, 0), 200, ["", "side lobe"]),
        ((0, 0, 3.9), 200, ["", "side lobe"]),
        ((0, 0, 4.1), 200, ["", ""]),
        ((0, 8.0, 8.0), 19, ["", "side lobe"]),
        ((0, 8.0, 8.0), 21, ["", ""]),
        ((0, 9.0, 9.0), 19, ["", ""]),
        ((2.1, 0.3, 0.3), 550, ["", "side lobe"]),
        ((-2.1, 0.3, 0.3), 650, ["crowded", "crowded"]),
        ((-3.5, 0.0, 0.9), 550, ["", "side lobe"]),
        ((3.5, 0.8, 0.8), 550, ["", ""]),
    ],
    ids=str,
)
def test_neighbours(away: tuple[float, float, float], amplitude: float, expected: list[str]) -> None:
    assert reasons((away, amplitude)) == expected


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({"n_saturated": 1}, "saturated"),
        ({"sharpness": 0.9}, "hot pixel"),
        ({"sharpness": 0.8}, ""),
        ({"z": 3.9}, "axial edge"),
        ({"z": 59 - 3.9}, "axial edge"),
        ({"z": 4.1}, ""),
        ({"y": 2.9}, "lateral edge"),
        ({"x": 119 - 1.9}, "lateral edge"),
        ({"x": 119 - 2.1}, ""),
        ({"x": np.nan}, "not fitted"),
        ({"n_saturated": 1, "z": 0.0}, "saturated"),
        ({"n_saturated": 1, "sharpness": 1.0}, "hot pixel"),
    ],
    ids=str,
)
def test_first_reason_that_holds(what: dict[str, float], expected: str) -> None:
    assert reasons(**what) == [expected]


def test_hot_pixel_crowds_nothing() -> None:
    assert reasons(((0, 0, 1.0), 1000), sharpness=0.95) == ["hot pixel", ""]


def test_second_maxima_of_one_bead_are_merged_into_the_first() -> None:
    centres = np.array([FIRST, FIRST + 0.7 * FWHM * [1, 0, 0], FIRST + 0.9 * FWHM * [0, 0, 1]])
    assert distinct(centres, FWHM, Rules()).tolist() == [0, 2]
    assert distinct(centres[:0], FWHM, Rules()).tolist() == []


def test_nobody_knows_how_bright_a_saturated_bead_is() -> None:
    assert reasons(((0.0, 8.0, 0.0), 19.0), n_saturated=1) == ["saturated", ""]
    assert reasons(((0.0, 3.0, 0.0), 19.0), n_saturated=1) == ["saturated", "side lobe"]


def test_neighbours_are_found_among_more_than_are_looked_at_together() -> None:
    far = [((0.0, 14.0, 0.0), 1000.0)] * (2 * AT_ONCE)  # at one place: none of them is a neighbour of itself
    assert reasons(*far, ((0.0, 0.0, 2.0), 1000.0)) == ["crowded", *[""] * len(far), "crowded"]


def test_what_is_far_dimmer_than_the_beads_is_a_speck_unless_it_was_measured() -> None:
    reason = np.array(["", "", "", "", "crowded", "not fitted", "hot pixel", "saturated", "crowded"], "U16")
    amplitude = np.array([1000.0, 900, 1100, 10, 10, 47, 10, 10, 200])
    assert specks(reason, amplitude, Rules()).tolist() == [False] * 4 + [True, True] + [False] * 3
    assert not specks(reason[2:], amplitude[2:], Rules()).any()  # two beads tell of no others
