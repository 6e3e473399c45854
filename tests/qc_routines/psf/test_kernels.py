"""Each kernel of the PSF routine against its oracle, with and without the compiler."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from qc_routines.psf import _beads, _gaussian, _search, profiles

DTYPES = ["uint8", "uint16", "float32", "float64"]
BOTH = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])

TILTED = np.array([20.0, 60.0, 3.2, 4.6, 2.9, 0.5, 0.3, 0.4, 0.05, -0.04, 0.1])
"""An asymmetric Gaussian off the voxel grid; parameters as in `_gaussian`."""


def noise(dtype: str, shape: tuple[int, ...] = (7, 9, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def run(kernel, compiled: bool):
    return kernel if compiled else kernel.py_func


def voxels_of(array: np.ndarray) -> list[tuple]:
    return [(float(value), *index) for index, value in np.ndenumerate(array)]


def as_arrays(voxels: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([v[0] for v in voxels]), np.array([v[1:] for v in voxels], float)


# ---- the Gaussian


def test_model_agrees_with_the_oracle(naive: ModuleType) -> None:
    for place in [(0, 0, 0), (3, 5, 2), (6, 8, 7), (3.2, 4.6, 2.9)]:
        assert _gaussian.model_e(TILTED, *place) == pytest.approx(
            naive.gaussian_e(list(TILTED), *place), rel=1e-12
        )


@BOTH
@pytest.mark.parametrize("variance_e2", [0.0, 2.56])
def test_deviance_agrees_with_the_oracle(naive: ModuleType, compiled: bool, variance_e2: float) -> None:
    voxels = voxels_of(noise("uint8"))
    found = run(_gaussian.deviance, compiled)(TILTED, *as_arrays(voxels), variance_e2)
    assert found == pytest.approx(naive.poisson_deviance(list(TILTED), voxels, variance_e2), rel=1e-10)


@BOTH
def test_score_is_the_slope_of_the_deviance(naive: ModuleType, compiled: bool) -> None:
    """By differences: the score is half the fall of the deviance along each parameter."""
    voxels = voxels_of(noise("uint8", (5, 6, 7)))
    matrix, score = np.empty((11, 11)), np.empty(11)
    run(_gaussian.normal_equations, compiled)(TILTED, *as_arrays(voxels), 2.56, matrix, score)
    for k in range(11):
        step = 1e-6 * np.eye(11)[k]
        rise = naive.poisson_deviance(list(TILTED + step), voxels, 2.56)
        rise -= naive.poisson_deviance(list(TILTED - step), voxels, 2.56)
        assert score[k] == pytest.approx(-rise / 4e-6, rel=1e-4, abs=1e-4)


def test_information_is_the_curvature_of_the_deviance(naive: ModuleType) -> None:
    """Where the data are the model itself, the mean curvature is the Fisher information."""
    places = [index for index, _ in np.ndenumerate(np.empty((6, 8, 6)))]
    voxels = [(naive.gaussian_e(list(TILTED), *place), *place) for place in places]
    matrix, score = np.empty((11, 11)), np.empty(11)
    _gaussian.normal_equations(TILTED, *as_arrays(voxels), 2.56, matrix, score)
    assert np.abs(score).max() < 1e-9
    for direction in np.random.default_rng(0).normal(size=(6, 11)):
        step = 1e-5 * direction
        bend = sum(naive.poisson_deviance(list(TILTED + s * step), voxels, 2.56) for s in (-1, 1))
        assert bend / 2 == pytest.approx(step @ matrix @ step, rel=1e-3)


@BOTH
def test_climb_finds_the_truth_of_clean_data(naive: ModuleType, compiled: bool) -> None:
    places = [index for index, _ in np.ndenumerate(np.empty((7, 9, 6)))]
    voxels = [(naive.gaussian_e(list(TILTED), *place), *place) for place in places]
    start = np.array([10.0, 90.0, 3.0, 4.0, 3.0, 0.3, 0.5, 0.5, 0, 0, 0])
    found, _, has_converged = run(_gaussian.climb, compiled)(
        start, np.ones(11, bool), *as_arrays(voxels), 2.56
    )
    assert has_converged
    assert found == pytest.approx(TILTED, rel=1e-5, abs=1e-5)


def test_held_parameters_do_not_move() -> None:
    is_free = np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1], bool)
    start = TILTED * 1.05
    found, information, _ = _gaussian.climb(start, is_free, *as_arrays(voxels_of(noise("uint8"))), 2.56)
    assert (found[~is_free] == start[~is_free]).all()
    assert (information[~is_free] == np.eye(11)[~is_free]).all()


@BOTH
def test_cholesky_solves_and_refuses(compiled: bool) -> None:
    root = np.random.default_rng(1).normal(size=(5, 5))
    matrix, right = root @ root.T, np.arange(5.0)
    assert run(_gaussian.solve_positive, compiled)(matrix, right) == pytest.approx(
        np.linalg.solve(matrix, right)
    )
    assert np.isnan(run(_gaussian.solve_positive, compiled)(-matrix, right)).all()


@pytest.mark.parametrize("flaw", [(1, -1.0), (5, -0.1), (6, 0.0), (8, 9.0), (10, np.nan)], ids=str)
def test_what_is_no_bell_is_refused(flaw: tuple[int, float]) -> None:
    assert _gaussian.is_bell(TILTED)
    broken = TILTED.copy()
    broken[flaw[0]] = flaw[1]
    assert not _gaussian.is_bell(broken)


# ---- gathering


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_gathered_voxels_agree_with_the_oracle(naive: ModuleType, dtype: str, compiled: bool) -> None:
    stack, is_defect = noise(dtype), np.zeros((9, 8), bool)
    is_defect[4, 3] = True
    if dtype.startswith("float"):
        stack[3, 5, 3], stack[2, 4, 4] = np.nan, np.inf
    centre, half = np.array([2.7, 4.4, 3.1]), np.array([2.5, 3.5, 3.0])
    others = np.array([[2.0, 7.5, 3.0], [6.0, 0.0, 7.0]])
    electrons, places = run(_gaussian.gather, compiled)(stack, is_defect, centre, half, others, 0.7, 3.0, 0.5)
    expected = naive.ellipsoid(stack, is_defect, centre, half, others, 0.7)
    assert 40 < len(expected) < 110
    assert [tuple(place) for place in places] == [voxel[1:] for voxel in expected]
    assert electrons == pytest.approx([(voxel[0] - 3) * 0.5 for voxel in expected])


def test_ellipsoid_is_cut_at_the_edges(naive: ModuleType) -> None:
    stack, is_defect = noise("uint16"), np.zeros((9, 8), bool)
    centre, half = np.array([0.2, 8.0, 7.3]), np.array([3.0, 2.0, 4.0])
    _, places = _gaussian.gather(stack, is_defect, centre, half, np.empty((0, 3)), 0.0, 0.0, 1.0)
    expected = naive.ellipsoid(stack, is_defect, centre, half, [], 0.0)
    assert [tuple(place) for place in places] == [voxel[1:] for voxel in expected]


# ---- search


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_block_means_agree_with_the_oracle(naive: ModuleType, dtype: str, compiled: bool) -> None:
    stack, is_defect = noise(dtype, (7, 12, 11)), np.zeros((12, 11), bool)
    is_defect[:3, :4] = True
    if dtype.startswith("float"):
        stack[2, 5, 7] = np.nan
    found = run(_search.block_means, compiled)(stack, is_defect, (2, 3, 4), 0, 4)
    expected = naive.block_means(stack, is_defect, (2, 3, 4))
    assert found.shape == (3, 4, 2)
    assert np.isnan(found[0, 0, 0])
    for index, mean in expected.items():
        assert found[index] == pytest.approx(mean, rel=1e-6, nan_ok=True)


@BOTH
def test_smoothing_agrees_with_the_oracle(naive: ModuleType, compiled: bool) -> None:
    volume = noise("float32", (5, 7, 6))
    weights = [np.array(w, np.float32) for w in ([1, 0.5], [1, 0.7, 0.2], [1, 0.6, 0.3, 0.1])]
    expected = naive.smoothed(volume, weights)
    run(_search.smooth, compiled)(volume, *weights)
    for index, value in expected.items():
        assert volume[index] == pytest.approx(value, rel=1e-5)


def test_smoothing_passes_over_nan() -> None:
    volume = np.full((4, 5, 6), 7.0, np.float32)
    volume[1, 2, 3] = np.nan
    _search.smooth(volume, *[np.array([1.0, 0.5], np.float32)] * 3)
    assert volume == pytest.approx(7.0)


@BOTH
def test_maxima_agree_with_the_oracle(naive: ModuleType, compiled: bool) -> None:
    volume = noise("float32", (5, 9, 8)) // 12  # many equal values
    middles, noises = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    found, heights, scores = run(_search.maxima, compiled)(volume, (9, 9, 9), middles, noises, 10.0, 0, 9)
    expected = naive.local_maxima(volume, 10.0)
    assert len(expected) > 3
    assert list(found) == expected
    assert list(heights) == list(scores) == [volume[place] for place in expected]


def test_maxima_agree_with_scikit_image() -> None:
    feature = pytest.importorskip("skimage.feature")
    volume = np.random.default_rng(4).normal(100, 20, (9, 14, 12)).astype(np.float32)
    found, _, _ = _search.maxima(volume, (9, 14, 12), np.zeros((1, 1, 1)), np.ones((1, 1, 1)), 110.0, 0, 14)
    theirs = feature.peak_local_max(volume, min_distance=1, threshold_abs=110.0, exclude_border=False)
    assert sorted(found) == sorted(map(tuple, theirs.tolist()))


def test_smoothing_agrees_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    volume = np.zeros((15, 17, 19), np.float32)
    volume[5:9, 6:11, 7:13] = np.random.default_rng(5).uniform(1, 2, (4, 5, 6))
    sigmas = (0.8, 1.2, 1.0)  # far enough from the edges, where ours weights the outside out
    weights = [np.exp(-0.5 * (np.arange(4) / sigma) ** 2).astype(np.float32) for sigma in sigmas]
    theirs = ndimage.gaussian_filter(volume.astype(float), sigmas, radius=3, mode="constant")
    _search.smooth(volume, *weights)
    assert volume[3:-3, 3:-3, 3:-3] == pytest.approx(theirs[3:-3, 3:-3, 3:-3], rel=1e-5, abs=1e-6)


@BOTH
def test_tile_noise_agrees_with_the_oracle(naive: ModuleType, compiled: bool) -> None:
    volume = noise("float32", (5, 9, 8))
    volume[0, 0, 0] = np.nan
    middles, noises = run(_search.tile_noise, compiled)(volume, (4, 5, 8), 1e-6)
    assert middles.shape == (2, 2, 1)
    for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        tile = volume[4 * a : 4 * a + 4, 5 * b : 5 * b + 5].ravel()[0:]
        middle, sigma = naive.tile_noise(tile.tolist())
        assert (middles[a, b, 0], noises[a, b, 0]) == pytest.approx((middle, sigma))


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
def test_lowest_plane_is_the_minimum_over_z(dtype: str, compiled: bool) -> None:
    stack = noise(dtype)
    if dtype.startswith("float"):
        stack[:, 2, 2] = np.nan
        stack[0, 3, 3] = np.nan
    lowest = np.full((9, 8), -1, np.float32)
    run(_search.lowest_plane, compiled)(stack, 0, 9, lowest)
    with np.errstate(invalid="ignore"):
        expected = np.where(
            np.isnan(stack).all(axis=0), np.inf, np.nanmin(np.nan_to_num(stack, nan=np.inf), axis=0)
        )
    assert (lowest == expected).all()


@BOTH
def test_defects_are_what_no_lens_makes(compiled: bool) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50]
    bead = 900 * np.exp(-((y - 20.4) ** 2 + (x - 30.3) ** 2) / (2 * 0.85**2))  # FWHM of two pixels
    lowest = (100 + bead + rng.normal(0, 2, (40, 50))).astype(np.float32)
    lowest[5, 7], lowest[0, 49], lowest[30, 10], lowest[30, 11], lowest[12, 40] = 400, 300, 900, 800, 0
    lowest[22, 3] = np.nan
    is_defect = np.zeros((40, 50), bool)
    run(_search.mark_defects, compiled)(lowest, 16.0, is_defect)
    assert {tuple(p) for p in np.argwhere(is_defect)} == {(5, 7), (30, 10), (30, 11), (12, 40), (22, 3)}


# ---- beads


def test_first_look_sees_saturation_and_spikes(scenes: ModuleType) -> None:
    shape, centres = (25, 40, 44), np.array([[12.3, 14.6, 20.2]])
    stack = scenes.photographed(scenes.light_e(shape, centres, scenes.covariance((4, 3.7, 4)), 2000.0), 0)
    half, is_defect = np.array([8.0, 7.4, 8.0]), np.zeros(shape[1:], bool)
    seen = {}
    for name, compiled in (("bead", True), ("plain", False), ("saturated", True), ("spike", True)):
        counts = stack.copy()
        if name == "saturated":
            counts[counts > 1500] = 1500
        if name == "spike":
            counts[12, 15, 20] = 60_000
        looks = np.empty((1, len(_beads.LOOK_COLUMNS)))
        run(_beads.first_looks, compiled)(counts, is_defect, np.rint(centres), half, 1500.0, looks)
        seen[name] = dict(zip(_beads.LOOK_COLUMNS, looks[0], strict=True))
    assert seen["bead"] == pytest.approx(seen["plain"])
    assert seen["bead"]["background_adu"] == pytest.approx(150, abs=6)
    assert [seen["bead"][axis] for axis in "zyx"] == pytest.approx(centres[0], abs=0.25)
    assert seen["saturated"]["n_saturated"] == (stack[4:21, 7:23, 12:29] > 1499).sum()
    assert seen["spike"]["sharpness"] > 0.9 > 0.5 > seen["bead"]["sharpness"]


@BOTH
def test_signal_and_ring_agree_with_the_oracle(naive: ModuleType, compiled: bool) -> None:
    stack = noise("uint16", (3, 30, 26))
    found = np.empty((1, 2))
    centre = np.array([[1.2, 13.4, 11.7]])
    radii, pixel = (0.2, 0.5, 0.9), np.array([0.09, 0.07])
    run(profiles.signal_and_ring, compiled)(stack, np.zeros((30, 26), bool), centre, *radii, pixel, found)
    assert tuple(found[0]) == pytest.approx(
        naive.signal_and_ring(stack[1], (13.4, 11.7), radii, tuple(pixel))
    )


@BOTH
def test_average_moves_beads_to_the_middle_and_not_away(compiled: bool) -> None:
    """One bright voxel three planes above its centre lands three planes above the middle: the sign is right."""
    stack = np.zeros((15, 15, 15))
    stack[9, 5, 8] = 1.0
    fit = np.array([[0.0, 1.0, 6.0, 7.0, 7.5, 1, 1, 1, 0, 0, 0]])
    totals, squares, counts = np.zeros((3, 33, 33, 33))
    run(_beads.spread_out, compiled)(
        stack, np.zeros((15, 15), bool), fit, np.full(3, 6.0), np.empty((0, 3)), 0.9,
        np.array([0.0, 1.0, 0.0]), 2.0, totals, squares, counts,
    )  # fmt: skip
    assert np.argwhere(totals).tolist() == [[16 + 6, 16 - 4, 16 + 1]]
    assert counts.sum() == (counts > 0).sum()


@BOTH
def test_noise_bins_hold_every_voxel_once(compiled: bool) -> None:
    stack = noise("uint16")
    counts, models, squares = np.zeros((3, 4))
    half = np.array([2.0, 2.0, 2.0])
    run(_beads.noise_bins, compiled)(
        stack, np.zeros((9, 8), bool), TILTED[None], half, np.array([0.0, 1.0, 0.0]),
        np.array([30.0, 45.0, 60.0, 90.0]), counts, models, squares,
    )  # fmt: skip
    electrons, places = _gaussian.gather(
        stack, np.zeros((9, 8), bool), TILTED[2:5], half, np.empty((0, 3)), 0.0, 0.0, 1.0
    )
    mean = np.array([_gaussian.model_e(TILTED, *place) for place in places])
    level = np.searchsorted([30, 45, 60], mean)
    assert counts == pytest.approx(np.bincount(level, minlength=4))
    assert models == pytest.approx(np.bincount(level, mean, minlength=4))
    assert squares == pytest.approx(np.bincount(level, (electrons - mean) ** 2, minlength=4))


def test_fits_without_the_compiler_are_the_same(scenes: ModuleType) -> None:
    shape, centres = (9, 12, 11), np.array([[4.2, 5.7, 5.1]])
    stack = scenes.photographed(scenes.light_e(shape, centres, scenes.covariance((3, 3, 3.4)), 500.0), 3)
    start = np.array([[40.0, 450, 4, 6, 5, 0.6, 0.6, 0.6, 0, 0, 0]])
    found = []
    for kernel in (_beads.fit_beads, _beads.fit_beads.py_func):
        out = np.empty((1, 11)), np.empty((1, 11, 11)), np.empty((1, 7))
        kernel(
            stack, np.zeros(shape[1:], bool), start, np.ones(11, bool), np.array([4.0, 4, 4]),
            centres, 0.9, np.array([100.0, 1.0, 2.56, 0.02]), *out,
        )  # fmt: skip
        found.append(out)
    for one, two in zip(*found, strict=True):
        assert one == pytest.approx(two, rel=1e-6, abs=1e-6)
