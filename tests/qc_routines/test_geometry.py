"""Pixel size, grids and line pairs: unequal along y and x, turned, mirrored, bent."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.affine import fit_affine, parts
from qc_routines.conditions import Mode, Optics
from qc_routines.grid import measure_grid
from qc_routines.lattice import lattice_indices, lattice_of
from qc_routines.line_pairs import RAYLEIGH_CONTRAST, measure_line_pairs, pair_contrast
from qc_routines.line_pairs import theory as line_theory
from qc_routines.pixel_size import measure_pixel_size, shifts_of
from qc_routines.pixel_size import theory as size_theory
from qc_routines.spots import _component_sums, _labelled, find_spots

naive = runpy.run_path(str(Path(__file__).with_name("naive_shift.py")))
DTYPES = ["uint8", "uint16", "float32", "float64"]

# ---- pixel size


def um_per_px(size_yx: tuple[float, float] = (0.11, 0.10), turn_deg: float = 3.0, shear_deg: float = 0.5):
    """Return the matrix of columns (y, x) whose x axis is turned from x towards y."""
    turn, down = np.radians(turn_deg), np.radians(turn_deg + shear_deg)
    size_y, size_x = size_yx
    return np.array(
        [[size_y * np.cos(down), size_x * np.sin(turn)], [-size_y * np.sin(down), size_x * np.cos(turn)]]
    )


def moves(seed: int = 0, n: int = 12, noise_um: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shift_px = rng.uniform(-100, 100, (n, 2))
    return shift_px @ um_per_px().T + rng.normal(0, noise_um, (n, 2)) + (50, -20), shift_px


def test_pixel_size_rotation_and_shear() -> None:
    measured = measure_pixel_size(*moves())
    assert measured.value("pixel_size_x") == pytest.approx(0.10, rel=0.003)
    assert measured.value("pixel_size_y") == pytest.approx(0.11, rel=0.003)
    assert measured.value("rotation") == pytest.approx(3.0, abs=0.2)
    assert measured.value("shear") == pytest.approx(0.5, abs=0.2)
    np.testing.assert_allclose(measured.maps["affine_um_per_px"], um_per_px(), atol=3e-4)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, -135.0, 179.5])
def test_any_rotation_and_mirroring(turn_deg: float) -> None:
    _, shift = moves()
    plain = measure_pixel_size(shift @ um_per_px(turn_deg=turn_deg, shear_deg=0).T, shift)
    assert plain.value("rotation") == pytest.approx(turn_deg, abs=1e-6)
    assert plain.value("shear") == pytest.approx(0, abs=1e-6)
    mirrored = measure_pixel_size(shift @ um_per_px(turn_deg=turn_deg, shear_deg=0).T * [1, -1], shift)
    assert (plain.value("is_mirrored"), mirrored.value("is_mirrored")) == (0, 1)
    assert "mirrored" in mirrored.remarks[0]


def test_bad_shifts_are_left_out_by_reason() -> None:
    stage, shift = moves()
    shift[3], shift[4] = np.nan, shift[4] + (60, -20)
    measured = measure_pixel_size(stage, shift, {"share content": 1})
    assert measured.n_rejected == {"share content": 1, "off the map": 1}
    assert measured.value("pixel_size_x") == pytest.approx(0.10, rel=0.003)


def test_pixel_size_uncertainties_cover_the_truth() -> None:
    hits: dict[str, list[bool]] = {"pixel_size_x": [], "pixel_size_y": [], "rotation": [], "shear": []}
    for seed in range(200):
        measured = measure_pixel_size(*moves(seed, n=20))
        for (name, hit), true in zip(hits.items(), (0.10, 0.11, 3.0, 0.5), strict=True):
            figure = measured.figure(name)
            hit.append(abs(figure.value - true) <= 1.96 * figure.uncertainty)
    assert all(0.90 <= np.mean(hit) <= 0.99 for hit in hits.values()), {
        k: np.mean(v) for k, v in hits.items()
    }


def test_pixel_size_from_images_of_a_moving_stage() -> None:
    field = np.random.default_rng(0).normal(100, 20, (300, 400))
    stage_um = np.array([(0, 0), (0, 2), (0, -2), (2, 0), (-2, 0), (2, 2), (-2, 1)], float)
    steps = (stage_um / (0.1, 0.2)).astype(int)
    images = [field[80 - dy : 200 - dy, 100 - dx : 260 - dx] for dy, dx in steps]
    images[4] = np.zeros((120, 160))
    shifts, reasons = shifts_of(images)
    measured = measure_pixel_size(stage_um, shifts, reasons)
    assert measured.value("pixel_size_y") == pytest.approx(0.1, rel=1e-3)
    assert measured.value("pixel_size_x") == pytest.approx(0.2, rel=1e-3)
    assert measured.n_used == 6


@pytest.mark.parametrize(
    ("stage", "shift", "message"),
    [
        (np.zeros((9, 2)), np.random.default_rng(0).normal(0, 9, (9, 2)), "without size"),
        (np.eye(9, 2), np.outer(np.arange(9), [1, 2.0]), "one line"),
        (np.eye(3, 2), np.eye(3, 2), "at least 4"),
        (np.eye(9, 2), np.full((9, 2), np.nan), "at least 4"),
        (np.eye(9, 2), np.eye(8, 2), r"\(n, 2\)"),
    ],
    ids=["stage stood", "one line", "few", "NaN", "lengths"],
)
def test_pixel_size_refuses(stage: np.ndarray, shift: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_pixel_size(stage, shift)


def test_expected_pixel_size() -> None:
    assert size_theory(6.5, 60)[0].value == pytest.approx(6.5 / 60)
    with pytest.raises(InputError):
        size_theory(0, 60)


def test_affine_bears_a_third_of_bad_points() -> None:
    rng = np.random.default_rng(4)
    source = rng.uniform(-50, 50, (15, 2))
    target = source @ um_per_px().T + rng.normal(0, 0.001, (15, 2))
    target[:5] += rng.uniform(3, 20, (5, 2))
    found = fit_affine(source, target)
    assert found.is_used.tolist() == [False] * 5 + [True] * 10
    assert parts(found).scale_y[0] == pytest.approx(0.11, rel=1e-3)


# ---- grid


def grid_image(
    pitch_yx: tuple[float, float] = (22.1, 20.3),
    turn_deg: float = 4.0,
    k: float = 0.0,
    dtype: str = "uint16",
    seed: int = 0,
    shape: tuple[int, int] = (300, 420),
) -> np.ndarray:
    rng, middle = np.random.default_rng(seed), (np.array(shape) - 1) / 2
    turn, radius = np.radians(turn_deg), np.hypot(*middle)
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    image = np.full(shape, 20.0)
    for i in range(-25, 26):
        for j in range(-25, 26):
            down, right = i * pitch_yx[0], j * pitch_yx[1]
            place = np.array(
                [down * np.cos(turn) + right * np.sin(turn), right * np.cos(turn) - down * np.sin(turn)]
            )
            place += np.array([3.2, -4.7])
            at_y, at_x = middle + place * (1 + k * np.sum(place**2) / radius**2)
            if -9 < at_y < shape[0] + 9 and -9 < at_x < shape[1] + 9 and rng.random() > 0.04:
                image += 180 * np.exp(-((y - at_y) ** 2) / 9) * np.exp(-((x - at_x) ** 2) / 9)
    return np.clip(rng.normal(image, 2).round(), 0, 255).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_grid_pitch_rotation_and_no_distortion(dtype: str) -> None:
    image = grid_image(dtype=dtype)
    image[100:125, 200:222] = 230  # dirt
    image.flat[np.random.default_rng(1).integers(0, image.size, 8)] = 255  # hot pixels
    measured = measure_grid(image, pitch_um=5.0)
    assert measured.value("pitch_x") == pytest.approx(20.3, rel=1e-3)
    assert measured.value("pitch_y") == pytest.approx(22.1, rel=1e-3)
    assert measured.value("pixel_size_y") == pytest.approx(5 / 22.1, rel=1e-3)
    assert measured.value("rotation") == pytest.approx(4.0, abs=0.05)
    assert measured.value("distortion_mean") < 0.03
    assert measured.n_rejected["at the border"] > 10


@pytest.mark.parametrize(("k", "turn_deg"), [(0.02, 4.0), (-0.03, -30.0)])
def test_grid_distortion_has_sign_and_size(k: float, turn_deg: float) -> None:
    measured = measure_grid(grid_image(k=k, turn_deg=turn_deg), 5.0)
    assert measured.value("radial_distortion") == pytest.approx(100 * k, rel=0.03)
    assert measured.value("rotation") == pytest.approx(turn_deg, abs=0.2)
    assert measured.value("distortion_largest_px") > 1


PITCH_PX = 21.4


def hexagonal_image(
    turn_deg: float = 7.0, k: float = 0.0, stretch_y: float = 1.0, missing: float = 0.05, seed: int = 0
) -> np.ndarray:
    """Return dots on a turned hexagonal grid, every 20th missing, bent by r' = r (1 + k (r/R)²)."""
    shape, rng = (330, 400), np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, 30.0)
    angle, middle = np.radians(turn_deg), (np.array(shape) - 1) / 2
    radius = np.hypot(*middle)
    for row in range(-24, 25):
        for column in range(-24, 25):
            off_y, off_x = PITCH_PX * 3**0.5 / 2 * row * stretch_y, PITCH_PX * (column + 0.5 * (row % 2))
            place = np.array(
                [np.cos(angle) * off_y + np.sin(angle) * off_x, np.cos(angle) * off_x - np.sin(angle) * off_y]
            )
            at_y, at_x = middle + (3.3, -4.8) + place * (1 + k * np.sum(place**2) / radius**2)
            if -9 < at_y < shape[0] + 9 and -9 < at_x < shape[1] + 9 and rng.random() > missing:
                near = np.s_[max(0, int(at_y) - 12) : int(at_y) + 14, max(0, int(at_x) - 12) : int(at_x) + 14]
                image[near] += 180 * np.exp(-((y[near] - at_y) ** 2 + (x[near] - at_x) ** 2) / 9)
    return np.clip(rng.normal(image, 2).round(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("turn_deg", [0.0, 7.0, -19.0, 28.0])
def test_hexagonal_grid_gives_pixel_size_and_rotation(turn_deg: float) -> None:
    measured = measure_grid(hexagonal_image(turn_deg), pitch_um=5.0)
    assert measured.parameters["lattice"] == "hexagonal"
    for axis in "yx":
        assert measured.value(f"pixel_size_{axis}") == pytest.approx(5 / PITCH_PX, rel=1e-3)
    assert measured.value("rotation") == pytest.approx(turn_deg, abs=0.05)
    assert measured.value("shear") == pytest.approx(0, abs=0.05)
    assert measured.value("distortion_mean") < 0.03
    assert measured.n_used > 200


def test_hexagonal_grid_tells_what_pixels_that_are_not_square_do_to_it() -> None:
    measured = measure_grid(hexagonal_image(0.0, stretch_y=1.04), pitch_um=5.0)
    assert measured.value("pixel_size_y") == pytest.approx(5 / PITCH_PX / 1.04, rel=1e-3)
    assert measured.value("pixel_size_x") == pytest.approx(5 / PITCH_PX, rel=1e-3)


@pytest.mark.parametrize("k", [0.02, -0.03])
def test_distortion_of_a_hexagonal_grid_has_sign_and_size(k: float) -> None:
    measured = measure_grid(hexagonal_image(k=k), 5.0)
    assert measured.value("radial_distortion") == pytest.approx(100 * k, rel=0.04)
    assert measured.value("distortion_largest_px") > 1


def test_dark_dots_are_measured_as_bright_ones_are() -> None:
    image = hexagonal_image()
    dark = measure_grid(255 - image, 5.0, dots="dark")
    assert dark.value("pixel_size") == pytest.approx(measure_grid(image, 5.0).value("pixel_size"), rel=1e-6)
    with pytest.raises(InputError, match="bright or dark"):
        measure_grid(image, 5.0, dots="grey")


def test_lattice_that_is_stated_otherwise_is_refused() -> None:
    with pytest.raises(InputError, match="expected a square grid; got dots that lie on a hexagonal one"):
        measure_grid(hexagonal_image(), 5.0, lattice="square")
    with pytest.raises(InputError, match="expected a hexagonal grid; got dots that lie on a square one"):
        measure_grid(grid_image(), 5.0, lattice="hexagonal")
    with pytest.raises(InputError, match="out of square, hexagonal"):
        measure_grid(grid_image(), 5.0, lattice="cubic")


def test_dots_that_lie_anyhow_are_no_grid() -> None:
    anyhow = np.random.default_rng(4).uniform(0, 300, (60, 2))
    with pytest.raises(InputError, match="grid"):
        measure_grid_of(anyhow)


def measure_grid_of(points: np.ndarray) -> None:
    lattice_indices(points, lattice_of(points))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((90, 80), np.uint16), "image of dots"),
        (np.random.default_rng(0).normal(100, 2, (90, 80)), "bright dots|dots of a grid"),
        (np.full((90, 80), np.nan), "image of dots"),
        (np.ones((1, 1)), "32 pixels"),
        (np.ones((90, 80, 3)), "colours"),
        (np.full((90, 80), 65_535, np.uint16), "image of dots"),
    ],
    ids=["black", "noise", "NaN", "one pixel", "RGB", "saturated"],
)
def test_grid_refuses(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_grid(image, 5.0)


def test_dots_that_are_no_grid_are_refused() -> None:
    with pytest.raises(InputError, match="grid"):
        lattice_indices(np.outer(np.arange(12.0), [0, 20]))
    with pytest.raises(InputError, match="at least 9"):
        lattice_indices(np.zeros((3, 2)))
    with pytest.raises(InputError, match="pitch_um"):
        measure_grid(grid_image(), 0.0)


def test_components_agree_with_the_oracle_and_without_the_compiler() -> None:
    is_bright = np.random.default_rng(2).random((11, 14)) < 0.3
    expected = {frozenset(c) for c in naive["components"](is_bright.tolist())}
    above = np.random.default_rng(3).random((11, 14))
    for label in (_labelled, _labelled.py_func):
        labels, n = label(is_bright)
        assert {frozenset(map(tuple, np.argwhere(labels == i + 1).tolist())) for i in range(n)} == expected
    sums = _component_sums.py_func(above, 0.1, labels, n)
    np.testing.assert_allclose(sums, _component_sums(above, 0.1, labels, n))
    first = labels == 1
    assert sums[0, :2] == pytest.approx([first.sum(), (above[first] - 0.1).sum()])


def test_components_agree_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    is_bright = np.random.default_rng(2).random((60, 70)) < 0.4
    theirs, n = ndimage.label(is_bright, np.ones((3, 3)))
    ours, n_ours = _labelled(is_bright)
    assert n == n_ours
    np.testing.assert_array_equal(ours, theirs)


def test_spots_are_found_to_a_twentieth_of_a_pixel() -> None:
    y, x = np.mgrid[:90, :120]
    places = np.array([(20.3, 30.7), (55.5, 80.1), (70.0, 20.45)])
    light = sum(200 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 12) for a, b in places)
    found = find_spots(light + np.random.default_rng(0).normal(50, 1, y.shape))
    np.testing.assert_allclose(
        found.centroid_yx_px[np.argsort(found.centroid_yx_px[:, 0])], places, atol=0.05
    )


# ---- line pairs

SIGMA_UM, PIXEL_UM = 0.25 / 2.3548, 0.05
SPACINGS_UM = np.arange(0.22, 0.7, 0.04)


def pair(spacing_um: float, seed: int = 0, peak: float = 800.0, dtype: str = "uint16") -> np.ndarray:
    x_um = (np.arange(70) - 33.3) * PIXEL_UM
    lines = [np.exp(-((x_um - side * spacing_um / 2) ** 2) / 2 / SIGMA_UM**2) for side in (-1, 1)]
    adu = np.random.default_rng([seed, int(spacing_um * 1000)]).poisson(
        np.tile(20 + peak * sum(lines), (40, 1))
    )
    return np.clip(adu, 0, 255 if dtype == "uint8" else 65_535).astype(dtype)


def true_contrast(spacing_um: float) -> float:
    x = np.linspace(-1, 1, 20_001)
    light = sum(np.exp(-((x - side * spacing_um / 2) ** 2) / 2 / SIGMA_UM**2) for side in (-1, 1))
    return float((light.max() - light[10_000]) / (light.max() + light[10_000]))


@pytest.mark.parametrize("spacing_um", [0.3, 0.4, 0.6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_contrast_of_a_pair(spacing_um: float, dtype: str) -> None:
    region = pair(spacing_um, peak=100, dtype=dtype)
    contrast, uncertainty = pair_contrast(region, spacing_um / PIXEL_UM)
    assert contrast == pytest.approx(true_contrast(spacing_um), abs=max(3 * uncertainty, 0.01))
    assert pair_contrast(region.T, spacing_um / PIXEL_UM, "x")[0] == pytest.approx(contrast)


def test_smallest_resolved_spacing_and_its_coverage() -> None:
    true = np.interp(RAYLEIGH_CONTRAST, [true_contrast(s) for s in SPACINGS_UM], SPACINGS_UM)
    hits, values = [], []
    for seed in range(40):
        regions = [pair(s, seed) for s in SPACINGS_UM]
        figure = measure_line_pairs(regions, SPACINGS_UM, PIXEL_UM).figure("smallest_resolved")
        values.append(figure.value)
        hits.append(abs(figure.value - true) <= 1.96 * figure.uncertainty)
    assert np.mean(values) == pytest.approx(true, rel=0.01)
    assert 0.87 <= np.mean(hits) <= 1.0


def test_regions_that_show_nothing_are_left_out() -> None:
    regions = [pair(s) for s in SPACINGS_UM]
    regions[-1], regions[-2] = np.full((40, 70), 100, np.uint16), regions[-2].astype(float)
    regions[-2][3, 3] = np.nan
    measured = measure_line_pairs(regions, SPACINGS_UM, PIXEL_UM)
    assert measured.n_rejected == {
        "no region with finite counts": 1,
        "no pair of lines above the noise": 1,
    }
    assert measured.value("smallest_resolved") is not None
    wide = measure_line_pairs([pair(0.6), pair(0.66)], [0.6, 0.66], PIXEL_UM)
    assert wide.value("smallest_resolved") is None and wide.value("n_resolved") == 2


def test_line_pairs_refuse_and_expect() -> None:
    with pytest.raises(InputError, match="one spacing for each"):
        measure_line_pairs([pair(0.3)], [0.3, 0.4], PIXEL_UM)
    with pytest.raises(InputError, match="pixel size"):
        measure_line_pairs([pair(0.3)], [0.3], 0.0)
    (expected,) = line_theory(Optics(Mode.WIDEFIELD, 1.4, 1.518, emission_nm=520))
    assert expected.value == pytest.approx(0.61 * 0.52 / 1.4)
