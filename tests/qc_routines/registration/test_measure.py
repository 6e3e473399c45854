"""Registration on simulated 100x stacks: large unequal shifts, magnification, rotation, missing and bad beads."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.errors import InputError
from qc_routines.registration import ROUTINE, measure_registration
from qc_routines.registration.field_map import field_map
from qc_routines.registration.matching import common_shift_um, matched, mutual_nearest
from qc_routines.results import Measurement

VOXEL = VoxelSize(0.2, 0.065, 0.07)
SHAPE = (41, 220, 300)
CAMERA = Camera(100, 1.0, 1.6)
OPTICS = {"FITC": Optics("widefield", 1.4, 1.518, 520), "Cy5": Optics("widefield", 1.4, 1.518, 670)}
SHIFT_PX = np.array([1.35, -7.4, 12.2])
SHIFT_NM = 1000 * SHIFT_PX * VOXEL.zyx_um
SCALE, ROTATION_DEG = 1.002, 0.06


def moved(centres: np.ndarray) -> np.ndarray:
    """Return where the second channel sees the beads: scaled and turned about the field's centre, then shifted."""
    place_um = centres * VOXEL.zyx_um
    middle = (np.array(SHAPE) - 1) / 2 * VOXEL.zyx_um
    _, y, x = (place_um - middle).T
    turn = np.radians(ROTATION_DEG)
    place_um[:, 1] = middle[1] + SCALE * (np.cos(turn) * y + np.sin(turn) * x)
    place_um[:, 2] = middle[2] + SCALE * (np.cos(turn) * x - np.sin(turn) * y)
    return place_um / VOXEL.zyx_um + SHIFT_PX


@pytest.fixture(scope="module")
def stacks(scenes: ModuleType) -> dict[str, np.ndarray]:
    first = scenes.places(SHAPE, 30, 28, 3, (14, 24, 24))
    one = scenes.light_e(SHAPE, first, scenes.covariance((3.5, 3.0, 2.8)), 3000.0)
    two = scenes.light_e(SHAPE, moved(first)[4:], scenes.covariance((4.3, 3.7, 3.5)), 1500.0)
    return {"FITC": scenes.photographed(one, 1), "Cy5": scenes.photographed(two, 2)}


@pytest.fixture(scope="module")
def measured(stacks: dict[str, np.ndarray]) -> Measurement:
    return measure_registration(stacks, VOXEL, OPTICS, CAMERA)


def shifts_nm(measurement: Measurement, pair: str = "FITC-Cy5") -> list[float | None]:
    return [measurement.value(f"shift_{axis}[{pair}]") for axis in "zyx"]


def test_shift_is_within_two_nanometres(measured: Measurement) -> None:
    assert shifts_nm(measured) == pytest.approx(SHIFT_NM, abs=2.0)
    for axis, truth in zip("zyx", SHIFT_NM, strict=True):
        figure = measured.figure(f"shift_{axis}[FITC-Cy5]")
        assert abs(figure.value - truth) < 4 * figure.uncertainty


def test_beads_without_a_partner_are_counted(measured: Measurement) -> None:
    assert (measured.n_used, dict(measured.n_rejected)) == (26, {"FITC-Cy5: no partner": 4})


def test_field_is_the_truth(measured: Measurement) -> None:
    percent = measured.figure("magnification_difference[FITC-Cy5]")
    assert percent.value == pytest.approx(0.2, abs=4 * percent.uncertainty)
    assert percent.uncertainty < 0.02
    assert measured.value("rotation[FITC-Cy5]") == pytest.approx(ROTATION_DEG, abs=0.01)
    assert measured.value("field_residual[FITC-Cy5]") < 3


def test_ratio_is_against_the_longer_wavelength(measured: Measurement) -> None:
    rz, rxy = 1.77 * 1.518 * 0.67 / 1.4**2, 0.51 * 0.67 / 1.4
    ratio = np.sqrt((SHIFT_NM[0] / rz) ** 2 + (SHIFT_NM[1] / rxy) ** 2 + (SHIFT_NM[2] / rxy) ** 2) / 1000
    assert measured.value("distance_ratio[FITC-Cy5]") == pytest.approx(ratio, rel=0.02)


def test_errors_of_single_beads_are_honest(measured: Measurement) -> None:
    """Without the field's own map the z shift is one number: its spread is what the fits say."""
    z = measured.table["shift_z_nm"]
    away = np.abs(z - SHIFT_NM[0]) / measured.table["shift_z_error_nm"]
    assert np.mean(away < 1.96) > 0.8
    assert np.median(measured.table["shift_z_error_nm"]) < 5


def test_order_of_channels_turns_the_sign(stacks: dict[str, np.ndarray]) -> None:
    turned = {name: stacks[name] for name in ("Cy5", "FITC")}
    found = measure_registration(turned, VOXEL, OPTICS, CAMERA)
    assert shifts_nm(found, "Cy5-FITC") == pytest.approx(-SHIFT_NM, abs=3.0)


def test_nothing_known_still_gives_shifts(stacks: dict[str, np.ndarray]) -> None:
    found = measure_registration(stacks, VOXEL)
    assert shifts_nm(found) == pytest.approx(SHIFT_NM, abs=2.0)
    assert found.value("distance_ratio[FITC-Cy5]") is None
    assert "no reference distance" in found.remarks[0]


def test_three_channels_are_three_pairs(stacks: dict[str, np.ndarray]) -> None:
    found = measure_registration({**stacks, "again": stacks["FITC"]}, VOXEL, camera=CAMERA)
    assert {figure.name.partition("[")[2] for figure in found.figures} == {
        "FITC-Cy5]",
        "FITC-again]",
        "Cy5-again]",
    }
    assert shifts_nm(found, "FITC-again") == pytest.approx([0, 0, 0], abs=1e-9)


def test_one_saturated_bead_costs_one_pair(stacks: dict[str, np.ndarray], measured: Measurement) -> None:
    spoilt = stacks["Cy5"].copy()
    z, y, x = (
        round(float(measured.table[f"centroid_{a}_um"][5] / s + d))
        for a, s, d in zip("zyx", VOXEL.zyx_um, SHIFT_PX, strict=True)
    )
    spoilt[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 65535
    found = measure_registration({"FITC": stacks["FITC"], "Cy5": spoilt}, VOXEL, OPTICS, CAMERA)
    assert found.n_used == measured.n_used - 1
    assert found.n_rejected["Cy5: saturated"] == 1
    assert shifts_nm(found) == pytest.approx(SHIFT_NM, abs=2.0)


def test_large_beads_are_found(scenes: ModuleType) -> None:
    """A filled sphere of 1 um has a variance of d^2/20; here as a Gaussian of that width."""
    wide_um = [np.hypot(f, 0.527) for f in (0.72, 0.19, 0.19)]
    matrix = scenes.covariance(tuple(w / s for w, s in zip(wide_um, VOXEL.zyx_um, strict=True)))
    first = scenes.places(SHAPE, 12, 50, 6, (14, 30, 30))
    pair = {
        "FITC": scenes.photographed(scenes.light_e(SHAPE, first, matrix, 3000.0), 1),
        "Cy5": scenes.photographed(
            scenes.light_e(SHAPE, first + np.array([0.4, 0.9, -1.3]), matrix, 3000.0), 2
        ),
    }
    found = measure_registration(pair, VOXEL, OPTICS, CAMERA, bead_diameter_um=1.0)
    assert found.n_used == 12
    assert shifts_nm(found) == pytest.approx([80, 58.5, -91], abs=3)


def test_dark_channel_is_named(stacks: dict[str, np.ndarray]) -> None:
    dark = np.random.default_rng(0).poisson(150, SHAPE).astype(np.uint16)
    found = measure_registration({"FITC": stacks["FITC"], "Cy5": dark}, VOXEL, OPTICS, CAMERA)
    assert found.n_used == 0
    assert found.remarks[0].startswith("No beads in channel Cy5")
    assert all(figure.value is None for figure in found.figures)


def test_figures_are_those_of_the_catalogue(measured: Measurement) -> None:
    assert {f.stem: f.unit for f in measured.figures} == {n: f.unit for n, f in ROUTINE.figures.items()}


REFUSED = [
    (lambda s: {"FITC": s["FITC"]}, {}, "at least two channels by name; got ..FITC"),
    (lambda s: s["FITC"], {}, "at least two channels by name; got ndarray"),
    (lambda s: {**s, "Cy5": s["Cy5"][:, 5:]}, {}, "of one shape"),
    (lambda s: {**s, "Cy5": s["Cy5"][0]}, {}, "3 axes"),
    (lambda s: s, {"voxel": None}, "expected a VoxelSize"),
    (lambda s: s, {"optics": {"DAPI": OPTICS["FITC"]}}, "optics of the channels"),
]


@pytest.mark.parametrize(("change", "arguments", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_what_is_no_set_of_channels_is_refused(
    stacks: dict[str, np.ndarray], change: Any, arguments: dict, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        measure_registration(change(stacks), **{"voxel": VOXEL, **arguments})


# ---- matching and map


def test_common_shift_is_found_among_strangers() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0, [4, 40, 60], (40, 3))
    second = np.vstack([first[:25] + np.array([0.5, -3.0, 2.0]), rng.uniform(0, [4, 40, 60], (20, 3))])
    tolerance = np.array([0.6, 0.2, 0.2])
    assert common_shift_um(first, second, tolerance, 5.0) == pytest.approx([0.5, -3.0, 2.0], abs=0.02)
    pairs = matched(first, second, tolerance, 5.0)
    assert {(i, i) for i in range(25)} <= {tuple(pair) for pair in pairs}
    assert len(pairs) <= 26


def test_magnification_parts_no_beads_at_the_edge() -> None:
    rng = np.random.default_rng(3)
    first = rng.uniform([0, -30, -40], [4, 30, 40], (50, 3))
    second = first * [1, 1.008, 1.008] + np.array([0.3, 1.0, -2.0])  # 0.3 um at the edge
    pairs = matched(first, second, np.array([0.6, 0.2, 0.2]), 5.0)
    assert pairs.tolist() == [[i, i] for i in range(50)]


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(n: int, m: int) -> None:
    assert matched(np.zeros((n, 3)), np.zeros((m, 3)), np.ones(3), 5.0).shape == (0, 2)


def test_shift_beyond_the_largest_is_no_match() -> None:
    first = np.array([[0.0, 0, 0], [0, 30, 5]])
    assert len(matched(first, first + np.array([0, 6, 0]), np.full(3, 0.3), 5.0)) == 0


def test_mutual_nearest_agrees_with_scipy() -> None:
    spatial = pytest.importorskip("scipy.spatial")
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 5, (60, 3)), rng.uniform(0, 5, (50, 3))
    there = spatial.cKDTree(second).query(first)[1]
    back = spatial.cKDTree(first).query(second)[1]
    expected = [
        (i, j) for i, j in enumerate(there) if back[j] == i and np.linalg.norm(first[i] - second[j]) < 1
    ]
    assert mutual_nearest(first, second, np.ones(3)).tolist() == [list(map(int, pair)) for pair in expected]


def test_field_map_of_exact_points() -> None:
    rng = np.random.default_rng(2)
    place = rng.uniform(-20, 20, (9, 2))
    turn, scale = np.radians(3.0), 1.05
    y = scale * (np.cos(turn) * place[:, 0] + np.sin(turn) * place[:, 1]) + 0.4
    x = scale * (np.cos(turn) * place[:, 1] - np.sin(turn) * place[:, 0]) - 0.7
    z = 0.2 + 0.03 * place[:, 0] - 0.04 * place[:, 1]
    found = field_map(place, np.column_stack([z, y - place[:, 0], x - place[:, 1]]))
    assert found.shift_zyx_um == pytest.approx([0.2, 0.4, -0.7])
    assert (found.scale, found.rotation_deg) == pytest.approx((scale, 3.0))
    assert found.axial_tilt_deg == pytest.approx(np.degrees(np.arctan(0.05)))
    assert found.residual_um == pytest.approx(0, abs=1e-9)
    assert field_map(place[:3], np.zeros((3, 3))) is None
