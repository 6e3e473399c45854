"""Stairs of known height: unequal pitch and step, noise, a staircase that starts again."""

from __future__ import annotations

import numpy as np
import pytest

from qc_routines.errors import InputError
from qc_routines.stairs import stairs_in

PIXEL_UM, PITCH_UM, STEP_UM = 0.4, 7.0, 0.9
Z_UM = np.arange(-6.0, 6.01, 0.5)


def field(heights_um: list[float], first_um: float = 5.0, seed: int = 3) -> np.ndarray:
    """Return a stack of columns of dots, each sharpest at its height, wider and fainter away from it."""
    y, x = np.mgrid[:90, :200] * PIXEL_UM
    stack = np.full((len(Z_UM), 90, 200), 100.0)
    for k, height_um in enumerate(heights_um):
        for row_um in range(4, 34, 6):
            sigma = 0.5 * np.sqrt(1 + ((Z_UM - height_um) / 1.2) ** 2)[:, None, None]
            r2 = (y - row_um) ** 2 + (x - first_um - k * PITCH_UM) ** 2
            stack += 4000 * (0.5 / sigma) ** 2 * np.exp(-r2 / 2 / sigma**2)
    return np.random.default_rng(seed).poisson(stack).astype(np.uint16)


def test_heights_are_found_where_each_stair_is_sharp():
    heights = [STEP_UM * (k - 5) for k in range(11)]
    found = stairs_in([field(heights)], [Z_UM], PIXEL_UM, PITCH_UM, STEP_UM)
    assert found.z_um.shape == (1, len(found.height_um)) and len(found.height_um) >= 9
    first = round((found.z_um[0, 0] - heights[0]) / STEP_UM)
    assert found.z_um[0] == pytest.approx(heights[first : first + len(found.height_um)], abs=0.1)
    assert np.diff(found.height_um) == pytest.approx(STEP_UM)


def test_two_stacks_share_their_stairs():
    heights = [STEP_UM * (k - 5) for k in range(11)]
    stack = field(heights)
    found = stairs_in([stack, stack[::-1]], [Z_UM, Z_UM[::-1]], PIXEL_UM, PITCH_UM, STEP_UM)
    assert found.z_um[0] == pytest.approx(found.z_um[1], abs=1e-6)


def test_staircase_that_starts_again_is_measured_once():
    heights = [STEP_UM * (k % 6 - 2.5) for k in range(11)]
    found = stairs_in([field(heights)], [Z_UM], PIXEL_UM, PITCH_UM, STEP_UM)
    assert len(found.height_um) == 6
    assert np.diff(found.z_um[0]) == pytest.approx(STEP_UM, abs=0.12)


@pytest.mark.parametrize(
    ("pitch_um", "step_um", "says"),
    [(60.0, STEP_UM, "stairs or more in the field"), (PITCH_UM, -STEP_UM, "negative where they fall")],
)
def test_what_is_no_staircase_is_said(pitch_um, step_um, says):
    with pytest.raises(InputError, match=says):
        stairs_in([field([STEP_UM * (k - 5) for k in range(11)])], [Z_UM], PIXEL_UM, pitch_um, step_um)


def test_empty_field_is_said():
    flat = np.random.default_rng(1).poisson(100, (len(Z_UM), 90, 200)).astype(np.uint16)
    with pytest.raises(InputError, match="got none"):
        stairs_in([flat], [Z_UM], PIXEL_UM, PITCH_UM, STEP_UM)
