"""The PSF routine on stacks whose truth is known: unequal axes, off the grid, non-square, with everything wrong."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.errors import InputError
from qc_routines.psf import ROUTINE, Rules, measure_psf
from qc_routines.results import Measurement

VOXEL = VoxelSize(0.2, 0.065, 0.07)
TRUTH_UM = (0.80, 0.24, 0.28)
OPTICS = Optics("widefield", 1.1, 1.518, emission_nm=560)
CAMERA = Camera(offset_adu=100, conversion_e_per_adu=1.0, read_noise_e=1.6)
SHAPE = (41, 150, 230)
FWHM_VOXELS = tuple(width / step for width, step in zip(TRUTH_UM, VOXEL.zyx_um, strict=True))


class Scene:
    """A stack and where its beads are."""

    def __init__(self, scenes: ModuleType, peak_e: float = 2000.0, seed: int = 1, **more: Any) -> None:
        shape, n = more.get("shape", SHAPE), more.get("n", 20)
        margin = more.get("margin", (8, 12, 12))
        self.centres = scenes.places(shape, n, more.get("apart", 24), seed, margin)
        matrix = scenes.covariance(
            more.get("fwhm", FWHM_VOXELS), more.get("angle_deg", 0.0), more.get("lean", 0.0)
        )
        self.light = scenes.light_e(shape, self.centres, matrix, peak_e)
        self.stack = scenes.photographed(self.light, seed, more.get("e_per_adu", 1.0))


@pytest.fixture(scope="module")
def scene(scenes: ModuleType) -> Scene:
    return Scene(scenes)


@pytest.fixture(scope="module")
def measured(scene: Scene) -> Measurement:
    return measure_psf(scene.stack, VOXEL, OPTICS, CAMERA, bead_diameter_um=0.1)


def widths(measurement: Measurement, kind: str = "") -> list[float | None]:
    return [measurement.value(f"fwhm_{axis}{kind}") for axis in "zyx"]


def kept(measurement: Measurement, column: str) -> np.ndarray:
    return measurement.table[column][measurement.table["reason"] == ""]


# ---- truth


def test_every_bead_is_measured_once(scene: Scene, measured: Measurement) -> None:
    assert (measured.n_used, dict(measured.n_rejected)) == (len(scene.centres), {})
    found = np.column_stack([measured.table[f"centroid_{axis}_um"] for axis in "zyx"]) / VOXEL.zyx_um
    distance = np.linalg.norm(found[:, None] - scene.centres[None], axis=2)
    assert sorted(distance.argmin(axis=1)) == list(range(len(scene.centres)))
    assert distance.min(axis=1).max() < 0.05


def test_widths_are_the_truth_along_each_axis(measured: Measurement) -> None:
    assert widths(measured) == pytest.approx(TRUTH_UM, rel=0.003)
    assert widths(measured, "_line") == pytest.approx(TRUTH_UM, rel=0.012)
    assert widths(measured, "_average") == pytest.approx(TRUTH_UM, rel=0.01)
    assert [measured.value(f"principal_{k}") for k in (1, 2, 3)] == pytest.approx(
        (0.80, 0.28, 0.24), rel=0.004
    )


def test_light_is_the_truth(measured: Measurement) -> None:
    assert measured.value("amplitude_electrons") == pytest.approx(2000, rel=0.01)
    assert measured.value("background_electrons") == pytest.approx(50, rel=0.01)
    assert measured.value("background") == pytest.approx(150, rel=0.01)
    assert measured.value("reduced_chi2") == pytest.approx(1, abs=0.03)
    assert measured.value("snr") == pytest.approx(2000 / np.sqrt(2050 + 1.6**2), rel=0.01)
    assert measured.value("axial_asymmetry") == pytest.approx(1, abs=0.02)


def test_bead_and_pixel_are_taken_off(measured: Measurement) -> None:
    own = (2 * np.sqrt(2 * np.log(2)) * 0.1) ** 2 / 20
    expected = [np.sqrt(width**2 - own) for width in TRUTH_UM]
    assert widths(measured, "_corrected") == pytest.approx(expected, rel=0.004)
    assert measured.value("fwhm_x_pixel_corrected") < measured.value("fwhm_x_corrected")


@pytest.mark.parametrize("angle_deg", [30.0, -70.0])
def test_turned_beads_have_their_own_axes(scenes: ModuleType, angle_deg: float) -> None:
    fwhm = (4.0, 0.24 / 0.065, 0.40 / 0.065)  # the long axis is x before it is turned
    square = VoxelSize(0.2, 0.065, 0.065)
    found = measure_psf(Scene(scenes, fwhm=fwhm, angle_deg=angle_deg).stack, square, OPTICS, CAMERA)
    assert found.value("lateral_major") == pytest.approx(0.40, rel=0.002)
    assert found.value("lateral_minor") == pytest.approx(0.24, rel=0.002)
    assert found.value("plane_major") == pytest.approx(0.40, rel=0.01)
    assert found.value("lateral_angle") == pytest.approx(angle_deg, abs=0.5)
    assert np.median(kept(found, "plane_angle_deg")) == pytest.approx(angle_deg, abs=1.5)
    assert found.value("lateral_asymmetry_ratio") > found.value("lateral_axes_ratio") + 0.03


def test_leaning_beads_are_tilted_towards_where_they_lean(scenes: ModuleType) -> None:
    found = measure_psf(Scene(scenes, lean=0.6).stack, VOXEL, OPTICS, CAMERA)  # 0.6 px of 0.07 um each 0.2 um
    lean = (0.6 * 0.07 / 0.2) * 0.80**2 / (0.80**2 - 0.28**2)
    assert found.value("tilt") == pytest.approx(np.degrees(np.arctan(lean)), abs=1.0)
    assert np.median(kept(found, "tilt_azimuth_deg")) == pytest.approx(0, abs=3)


def test_tilt_of_the_field_is_found(scenes: ModuleType) -> None:
    shape = (41, 200, 300)
    centres = scenes.places(shape, 30, 30, 5, (8, 14, 14))
    centres[:, 0] = 20 + 6 * (centres[:, 1] / 199 - 0.5) - 4 * (centres[:, 2] / 299 - 0.5)
    light = scenes.light_e(shape, centres, scenes.covariance(FWHM_VOXELS), 2000.0)
    found = measure_psf(scenes.photographed(light, 5), VOXEL, OPTICS, CAMERA)
    down, right = 6 * 0.2 / (199 * 0.065), -4 * 0.2 / (299 * 0.07)
    assert found.value("field_tilt") == pytest.approx(np.degrees(np.arctan(np.hypot(down, right))), abs=0.05)
    assert found.value("field_tilt_azimuth") == pytest.approx(np.degrees(np.arctan2(down, right)), abs=1)
    assert found.value("field_planarity") == pytest.approx((6 + 4) * 0.2, rel=0.02)
    assert abs(found.value("field_curvature")) < 0.02


def test_intervals_hold_the_truth_as_often_as_they_say(scenes: ModuleType) -> None:
    """95 % intervals of 240 dim beads, from four seeds; 90 to 99 % is what is promised."""
    inside = []
    for seed in range(4):
        found = measure_psf(Scene(scenes, peak_e=150.0, seed=seed, n=20).stack, VOXEL, OPTICS, CAMERA)
        for axis, truth in zip("zyx", TRUTH_UM, strict=True):
            away = np.abs(kept(found, f"fwhm_{axis}_um") - truth)
            inside += list(away < 1.96 * kept(found, f"fwhm_{axis}_error_um"))
    assert len(inside) > 230
    assert 0.90 < np.mean(inside) < 0.99


# ---- conditions that are not known


def test_unknown_camera_and_optics_change_little(scene: Scene, measured: Measurement) -> None:
    found = measure_psf(scene.stack, VOXEL)
    assert found.n_used == measured.n_used
    assert widths(found) == pytest.approx(widths(measured), rel=0.002)
    assert found.value("amplitude_electrons") is found.value("sbr") is None
    assert found.value("reduced_chi2") == pytest.approx(1, abs=0.1)
    assert [remark.split(":")[0] for remark in found.remarks] == ["Optics unknown", "Camera unknown"]


def test_noise_is_learnt_from_the_beads(scenes: ModuleType) -> None:
    found = measure_psf(Scene(scenes, e_per_adu=0.25).stack, VOXEL, OPTICS)
    assert found.parameters["noise_e_per_adu"] == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("aperture", [0.65, 1.4])
def test_search_follows_the_beads_when_the_optics_are_wrong(scene: Scene, aperture: float) -> None:
    found = measure_psf(scene.stack, VOXEL, Optics("widefield", aperture, 1.518, 560), CAMERA)
    assert found.n_used == len(scene.centres)
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.003)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("uint8", 1 / 16), ("float32", 1.0), ("float64", 1 / 65535)],
    ids=["uint8", "f4", "f8"],
)
def test_every_dtype_gives_the_same_widths(scene: Scene, dtype: str, scale: float) -> None:
    found = measure_psf((scene.stack * scale).astype(dtype), VOXEL, OPTICS)
    assert found.n_used == len(scene.centres)
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.005)


def test_stack_is_neither_changed_nor_needs_a_layout(scene: Scene, measured: Measurement) -> None:
    stack = np.asfortranarray(scene.stack.astype(">u2"))
    stack.flags.writeable = False
    assert widths(measure_psf(stack, VOXEL, OPTICS, CAMERA)) == widths(measured)


# ---- one bad bead never fails the run


def spoilt(scene: Scene, how: str) -> np.ndarray:
    stack, (z, y, x) = scene.stack.copy(), np.rint(scene.centres[3]).astype(int)
    if how == "saturated":
        stack[z - 3 : z + 4, y - 2 : y + 3, x - 2 : x + 3] = 65535
    if how == "saturated at 12 bits":
        np.minimum(stack, 4095, out=stack)
        stack[z - 3 : z + 4, y - 2 : y + 3, x - 2 : x + 3] = 4095
    if how == "crowded":
        neighbour = np.zeros_like(scene.light)
        box = np.s_[z - 8 : z + 9, y - 9 : y + 10, x - 9 : x + 10]
        neighbour[box] = scene.light[box] - 50
        stack += np.roll(neighbour, 7, axis=2).astype(np.uint16)
    return stack


@pytest.mark.parametrize(
    ("how", "reasons"),
    [
        ("saturated", {"saturated": 1}),
        ("saturated at 12 bits", {"saturated": 1}),
        ("crowded", {"crowded": 2}),
    ],
)
def test_only_the_bad_bead_is_left_out(scene: Scene, how: str, reasons: dict[str, int]) -> None:
    found = measure_psf(spoilt(scene, how), VOXEL, OPTICS, CAMERA)
    assert (found.n_used, dict(found.n_rejected)) == (len(scene.centres) - 1, reasons)
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.003)


def test_hot_pixels_spikes_and_dead_pixels_change_nothing(scene: Scene) -> None:
    rng, stack = np.random.default_rng(0), scene.stack.copy()
    stack[:, rng.integers(2, SHAPE[1] - 2, 30), rng.integers(2, SHAPE[2] - 2, 30)] = 30_000
    y, x = np.rint(scene.centres[:5, 1:]).astype(int).T
    stack[:, y + 2, x - 1] = 20_000
    stack[:, y - 1, x + 2] = 0
    stack[np.arange(20), rng.integers(0, SHAPE[1], 20), rng.integers(0, SHAPE[2], 20)] = 60_000
    found = measure_psf(stack, VOXEL, OPTICS, CAMERA)
    assert found.n_used >= len(scene.centres) - 1  # a spike may hit a bead
    assert set(found.n_rejected) <= {"hot pixel", "saturated", "crowded"}
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.003)


def test_deep_beads_are_measured_and_cut_ones_are_not(scenes: ModuleType) -> None:
    deep = Scene(scenes, margin=(4.4, 12, 12), n=16, seed=4)
    deep.centres[:4, 0] = [1.0, 39.5, 5.0, 35.5]
    light = scenes.light_e(SHAPE, deep.centres, scenes.covariance(FWHM_VOXELS), 2000.0)
    found = measure_psf(scenes.photographed(light, 0), VOXEL, OPTICS, CAMERA)
    assert (found.n_used, dict(found.n_rejected)) == (14, {"axial edge": 2})


def test_crowded_field_gives_no_false_value(scenes: ModuleType) -> None:
    peaks = np.random.default_rng(2).uniform(500, 4000, 40)
    crowd = Scene(scenes, peak_e=peaks, n=40, apart=14, seed=2, margin=(14, 8, 8))
    found = measure_psf(crowd.stack, VOXEL, OPTICS, CAMERA)
    assert found.n_used == 40
    for axis, truth in zip("zyx", TRUTH_UM, strict=True):
        assert kept(found, f"fwhm_{axis}_um") == pytest.approx(np.full(40, truth), rel=0.05)


@pytest.mark.parametrize("spherical_waves", [0.0, 0.6, -1.0])
@pytest.mark.parametrize("peak_e", [1000.0, 50_000.0])
def test_real_psfs_with_rings_and_aberrations_are_one_bead_each(
    scenes: ModuleType, peak_e: float, spherical_waves: float
) -> None:
    """Rings, cones and axial lobes are neither beads nor neighbours, and a bad PSF is still measured."""
    voxel = VoxelSize(0.2, 0.065, 0.065)
    light = np.full((61, 180, 270), 50.0)
    for y, x in [(0, 0), (0, 90), (0, 180), (90, 0), (90, 90), (90, 180)]:
        middle = (30.0 + 0.01 * y - 0.004 * x, 44.3, 44.8)
        point = scenes.diffracted((61, 90, 90), voxel.zyx_um, 1.3, 0.56, spherical_waves, middle)
        light[:, y : y + 90, x : x + 90] += peak_e * point
    optics = Optics("widefield", 1.3, 1.518, 560)
    found = measure_psf(scenes.photographed(light, 0), voxel, optics, CAMERA)
    assert found.n_used == 6
    assert kept(found, "fwhm_x_um") == pytest.approx(np.full(6, found.value("fwhm_x")), rel=0.03)
    asymmetry = found.value("axial_asymmetry")
    if spherical_waves:
        assert abs(np.log(asymmetry)) > 0.05
    else:
        assert asymmetry == pytest.approx(1, abs=0.03)


def test_light_of_a_neighbour_is_kept_out(scenes: ModuleType) -> None:
    """Two and a half FWHM apart and eight times as bright: fitted with it, the dim bead would read several % wide."""
    pair = np.array([[20.3, 50.4, 60.2], [20.1, 50.9, 60.2 + 2.5 * 4]])
    light = scenes.light_e((41, 100, 130), pair, scenes.covariance(FWHM_VOXELS), np.array([1000.0, 8000.0]))
    found = measure_psf(
        scenes.photographed(light, 0), VOXEL, OPTICS, CAMERA, rules=Rules(side_lobe_share=0.05)
    )
    assert found.n_used == 2
    for axis, truth in zip("zyx", TRUTH_UM, strict=True):
        away = np.abs(kept(found, f"fwhm_{axis}_um") - truth)
        assert (away < 0.02 * truth).all()


def test_scale_is_found_when_nothing_is_known(scenes: ModuleType) -> None:
    """Beads thrice as wide as the first search takes them to be."""
    large = Scene(scenes, fwhm=(11.0, 12.0, 13.0), peak_e=100.0, n=6, apart=55, margin=(16, 24, 24), seed=3)
    found = measure_psf(large.stack, VOXEL)
    assert (found.n_used, dict(found.n_rejected)) == (6, {})
    assert widths(found) == pytest.approx((11 * 0.2, 12 * 0.065, 13 * 0.07), rel=0.02)


def test_steep_background_hides_no_bead(scene: Scene) -> None:
    stack = scene.stack + np.linspace(0, 3000, SHAPE[2]).astype(np.uint16)
    assert measure_psf(stack, VOXEL, OPTICS).n_used == len(scene.centres)


def test_nan_is_left_out(scene: Scene) -> None:
    stack = scene.stack.astype(np.float32)
    stack[3], stack[:, :6, :9] = np.nan, np.inf
    found = measure_psf(stack, VOXEL, OPTICS, CAMERA)
    assert found.n_used == len(scene.centres)
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.003)


def test_clusters_are_of_odd_size(scenes: ModuleType) -> None:
    shape = (41, 150, 230)
    single = scenes.places(shape, 12, 40, 8, (15, 20, 20))
    light = scenes.light_e(shape, single[1:], scenes.covariance(FWHM_VOXELS), 2000.0)
    light += scenes.light_e(shape, single[:1], scenes.covariance((9.0, 9.0, 10.0)), 2000.0) - 50
    found = measure_psf(scenes.photographed(light, 0), VOXEL, OPTICS, CAMERA)
    assert (found.n_used, dict(found.n_rejected)) == (11, {"odd size": 1})


# ---- nothing to measure


NOTHING = {
    "noise": (lambda: np.random.default_rng(0).poisson(150, SHAPE).astype(np.uint16), "nothing stands out"),
    "black": (lambda: np.zeros(SHAPE, np.uint16), "constant at 0 ADU"),
    "white": (lambda: np.full(SHAPE, 255, np.uint8), "constant at 255 ADU"),
    "NaN": (lambda: np.full(SHAPE, np.nan, np.float32), "no pixel of the stack has a finite value"),
}


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_no_beads_is_a_result_that_says_why(what: str, is_known: bool) -> None:
    make, why = NOTHING[what]
    found = measure_psf(make(), VOXEL, *((OPTICS, CAMERA) if is_known else ()))
    assert found.n_used == 0
    assert why in found.remarks[0]
    assert {figure.name for figure in found.figures} == set(ROUTINE.figures)
    assert all(figure.value is None for figure in found.figures)


def test_one_bead_is_enough(scenes: ModuleType) -> None:
    found = measure_psf(
        Scene(scenes, n=1, shape=(41, 60, 70), margin=(15, 20, 20)).stack, VOXEL, OPTICS, CAMERA
    )
    assert found.n_used == 1
    assert widths(found) == pytest.approx(TRUTH_UM, rel=0.012)
    assert found.value("field_tilt") is None


STACK = np.full((41, 60, 70), 100, np.uint16)
REFUSED = [
    (STACK[0], VOXEL, "3 axes"),
    (STACK[None], VOXEL, "got 4 axes"),
    (np.zeros((41, 60, 70, 3), np.uint8), VOXEL, "colours"),
    (np.zeros((60, 70, 3), np.uint8), VOXEL, "colours"),
    (np.moveaxis(STACK, 0, -1)[:, :, :20], VOXEL, "looks like z"),
    (STACK[:1, :1, :1], VOXEL, "at least 5 planes"),
    (STACK[:7], VOXEL, "Acquire a longer stack"),
    (STACK[:0], VOXEL, "at least one pixel"),
    (STACK.astype(np.int32), VOXEL, "got int32"),
    (STACK.astype(bool), VOXEL, "got bool"),
    (STACK.tolist(), VOXEL, "got list"),
    (STACK, None, "expected a VoxelSize"),
    (STACK, 0.2, "expected a VoxelSize"),
]


@pytest.mark.parametrize(("stack", "voxel", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_what_is_no_bead_stack_is_refused(stack: Any, voxel: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        measure_psf(stack, voxel, OPTICS)


# ---- what belongs to a result


def test_figures_are_those_of_the_catalogue(measured: Measurement) -> None:
    assert {f.name: f.unit for f in measured.figures} == {n: f.unit for n, f in ROUTINE.figures.items()}


def test_provenance_is_complete(scene: Scene, measured: Measurement) -> None:
    assert measured.inputs[0].shape == SHAPE
    assert len(measured.inputs[0].sha256) == 64
    assert measured.parameters["rules_crowded_fwhm"] == Rules().crowded_fwhm
    assert measured.parameters["voxel_x_um"] == 0.07
    assert {"numpy", "numba", "python"} <= set(measured.software)
    assert measured.maps["tiles_fwhm_z_um"].shape == (3, 3)
    assert measured.maps["average_psf"].shape == measured.maps["average_psf_sd"].shape


def test_average_psf_lies_in_the_middle(measured: Measurement) -> None:
    average = measured.maps["average_psf"].astype(float)
    brightest = np.unravel_index(np.nanargmax(average), average.shape)
    assert np.abs(np.array(brightest) - np.array(average.shape) // 2).max() <= 1
    assert np.nanmax(average) == pytest.approx(1, abs=0.03)


def test_threads_do_not_change_the_numbers(scene: Scene, measured: Measurement, monkeypatch: Any) -> None:
    monkeypatch.setattr("qc_routines._threads.available_cores", lambda: 1)
    again = measure_psf(scene.stack, VOXEL, OPTICS, CAMERA, bead_diameter_um=0.1)
    assert again.figures == measured.figures


def test_line_fit_agrees_with_scipy(scene: Scene, measured: Measurement) -> None:
    """Unweighted, so equal within the noise of one line."""
    optimize = pytest.importorskip("scipy.optimize")
    table = measured.table
    z, y, x = (
        round(float(table[f"centroid_{a}_um"][0] / s)) for a, s in zip("zyx", VOXEL.zyx_um, strict=True)
    )
    line = scene.stack[max(0, z - 8) : z + 9, y, x].astype(float)
    at = np.arange(line.size)

    def bell(i, b, a, c, s):
        return b + a * np.exp(-0.5 * ((i - c) / s) ** 2)

    fit, _ = optimize.curve_fit(bell, at, line, (line.min(), np.ptp(line), line.argmax(), 1.7))
    assert table["fwhm_z_line_um"][0] == pytest.approx(2.35482 * abs(fit[3]) * 0.2, rel=0.05)
