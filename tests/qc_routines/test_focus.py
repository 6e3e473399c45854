"""Best focus, autofocus repeatability, axial steps and thin layers."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.autofocus import measure_autofocus, settling_time_s, theory
from qc_routines.axial import measure_axial_steps
from qc_routines.bell_curve import fit_bell
from qc_routines.conditions import Mode, Optics
from qc_routines.focus import _squared_differences, best_focus
from qc_routines.thin_layer import measure_thin_layer

naive = runpy.run_path(str(Path(__file__).with_name("naive_shift.py")))
DTYPES = ["uint8", "uint16", "float32", "float64"]
Z_UM = np.arange(-3, 3.01, 0.25)


def bead_stack(z0_um: float, seed: int = 0, shape: tuple[int, int] = (60, 84)) -> np.ndarray:
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[: shape[0], : shape[1]]
    blur = 1 + ((Z_UM - z0_um) / 0.9) ** 2
    light = [np.exp(-((y - 23) ** 2 + (x - 50) ** 2) / 8 / b) / b for b in blur]
    return np.clip(rng.normal(30 + 200 * np.array(light), 2), 0, 255)


# ---- best focus


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("z0_um", [0.0, 0.33, -1.41])
def test_focus_is_found_between_slices(dtype: str, z0_um: float) -> None:
    stack = bead_stack(z0_um)
    stack = stack.round().astype(dtype) if dtype.startswith("uint") else stack.astype(dtype)
    assert best_focus(stack, Z_UM).z_um == pytest.approx(z0_um, abs=0.03)


def test_focus_does_not_depend_on_the_order_of_slices_and_bears_a_bad_one() -> None:
    stack = bead_stack(0.5)
    expected = best_focus(stack, Z_UM).z_um
    assert best_focus(stack[::-1], Z_UM[::-1]).z_um == pytest.approx(expected)
    stack[3] = np.nan
    assert best_focus(stack, Z_UM).z_um == pytest.approx(expected)


def test_sharpness_agrees_with_the_oracle_and_without_the_compiler() -> None:
    image = np.random.default_rng(0).integers(0, 255, (9, 12)).astype(np.uint8)
    expected = naive["squared_differences"](image.tolist())
    assert _squared_differences(image) == pytest.approx(expected)
    assert _squared_differences.py_func(image) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (bead_stack(3.5), "inside the stack"),
        (np.random.default_rng(0).normal(100, 3, (25, 30, 40)), "focus on|sharp"),
        (np.full((25, 30, 40), 7.0), "focus on"),
        (bead_stack(0)[:4], "5 slices"),
        (bead_stack(0)[0], "3 axes"),
        (np.ones((25, 1, 1)), "5 x 5"),
        (np.full((25, 30, 40), np.nan), "focus on"),
    ],
    ids=["at an end", "noise", "constant", "few", "one slice", "one pixel", "NaN"],
)
def test_focus_refuses(stack: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        best_focus(stack, Z_UM[: len(stack)])


# ---- autofocus

SIDE = 20 * (-1.0) ** np.arange(40)


def test_autofocus_repeatability_offset_and_hysteresis() -> None:
    error = np.random.default_rng(0).normal(0.3, 0.05, 40) + 0.1 * (SIDE > 0)
    measured = measure_autofocus(error, SIDE)
    assert measured.value("hysteresis") == pytest.approx(100, abs=40)
    assert measured.value("offset") == pytest.approx(350, abs=30)
    assert measured.value("repeatability") == pytest.approx(70, abs=20)


def test_trials_that_lost_focus_are_counted_by_reason() -> None:
    error = np.random.default_rng(0).normal(0, 0.05, 40)
    error[3], error[4], error[5] = 40, np.nan, -25
    measured = measure_autofocus(error)
    assert measured.n_rejected == {"gave up": 1, "lost focus": 2}
    assert measured.value("success") == pytest.approx(92.5)
    assert measured.value("hysteresis") is None


def test_autofocus_uncertainty_covers_the_truth() -> None:
    hits = []
    for seed in range(300):
        figure = measure_autofocus(np.random.default_rng(seed).normal(0, 0.1, 20)).figure("repeatability")
        hits.append(abs(figure.value - 100) <= 1.96 * figure.uncertainty)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_autofocus_is_measured_against_the_depth_of_field() -> None:
    (expected,) = theory(Optics(Mode.WIDEFIELD, 1.4, 1.518, emission_nm=520), pixel_um=0.065)
    assert expected.value == pytest.approx(1000 * (0.52 * 1.518 / 1.96 + 1.518 * 0.065 / 1.4))


@pytest.mark.parametrize("error", [[0.1, 0.2], [np.nan] * 9], ids=["few", "NaN"])
def test_autofocus_refuses(error: list[float]) -> None:
    with pytest.raises(InputError, match="at least 4 trials"):
        measure_autofocus(error)


def test_settling_time() -> None:
    time = np.arange(0, 3, 0.05)
    position = 5 * np.exp(-time / 0.2)
    assert settling_time_s(time, position, 0.05) == pytest.approx(0.2 * np.log(100), abs=0.06)
    assert settling_time_s(time, np.arange(60.0), 0.01) is None
    with pytest.raises(InputError):
        settling_time_s([0, 1], [1, 0], 0.1)


# ---- axial steps

UP_AND_DOWN = np.concatenate([np.arange(21.0), np.arange(20.0, -1, -1)])
WAY = np.repeat([1.0, -1.0], 21)


def heights(seed: int = 0) -> np.ndarray:
    return 1.03 * UP_AND_DOWN + 0.15 * WAY + np.random.default_rng(seed).normal(0, 0.05, 42)


def test_axial_steps_and_backlash() -> None:
    found = heights()
    found[5], found[30] = 40, np.nan
    measured = measure_axial_steps(UP_AND_DOWN, found)
    assert measured.value("step_ratio") == pytest.approx(1.03, abs=0.005)
    assert measured.value("scale_error") == pytest.approx(3, abs=0.5)
    assert measured.value("backlash") == pytest.approx(0.3, abs=0.06)
    assert measured.value("residual_sd") == pytest.approx(0.05, rel=0.3)
    assert measured.n_rejected == {"no height": 1, "off the line": 1}


def test_axial_uncertainties_cover_the_truth() -> None:
    hits = {"step_ratio": [], "backlash": []}
    for seed in range(200):
        measured = measure_axial_steps(UP_AND_DOWN, heights(seed), WAY)
        for name, true in (("step_ratio", 1.03), ("backlash", 0.3)):
            figure = measured.figure(name)
            hits[name].append(abs(figure.value - true) <= 1.96 * figure.uncertainty)
    assert all(0.90 <= np.mean(hit) <= 0.99 for hit in hits.values()), {
        k: np.mean(v) for k, v in hits.items()
    }


def test_one_direction_has_no_backlash_and_too_few_heights_are_refused() -> None:
    assert measure_axial_steps(np.arange(9.0), 2 * np.arange(9.0)).value("backlash") is None
    with pytest.raises(InputError, match="at least 5"):
        measure_axial_steps([0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="different commands"):
        measure_axial_steps(np.ones(9), np.arange(9.0))


# ---- thin layer


def layer(dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    rng, z, x = np.random.default_rng(seed), np.arange(-5, 5.01, 0.25), np.arange(144)
    profile = np.exp(-((z[:, None] - 0.3 - 0.005 * 0.5 * x[None]) ** 2) / 2 / (1.1 / 2.3548) ** 2)
    adu = rng.poisson(20 + 200 * np.repeat(profile[:, None, :], 96, axis=1))
    return np.clip(adu, 0, 255).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_thin_layer_width_and_tilt(dtype: str) -> None:
    stack = layer(dtype)
    stack[:, 10, 20] = 255
    measured = measure_thin_layer(stack, np.arange(-5, 5.01, 0.25), pixel_size_um=0.5)
    assert measured.value("fwhm_z") == pytest.approx(1.1, rel=0.01)
    assert measured.value("tilt_x") == pytest.approx(np.degrees(np.arctan(0.005)), rel=0.05)
    assert measured.value("tilt_y") == pytest.approx(0, abs=0.03)
    assert measured.maps["fwhm_um"].shape == (8, 12)


def test_tiles_without_a_layer_are_left_out() -> None:
    stack = layer()
    stack[:, :, :60] = 20
    measured = measure_thin_layer(stack, np.arange(-5, 5.01, 0.25))
    assert measured.n_rejected == {"no peak": 40}
    assert measured.value("fwhm_z") == pytest.approx(1.1, rel=0.01)
    assert measured.value("tilt_x") is None


def test_thin_layer_knows_what_all_tiles_share() -> None:
    """The drive stops beside where it should, at each slice for all tiles alike."""
    rng, z, y, x = np.random.default_rng(7), np.arange(-2, 2.01, 0.2), *np.mgrid[:64.0, :96.0]
    height_um, found = 0.002 * 0.5 * x - 0.001 * 0.5 * y, []
    for _ in range(60):
        away_um = z[:, None, None] + rng.normal(0, 0.03, z.size)[:, None, None] - height_um
        stack = 100 + 20_000 * np.exp(-(away_um**2) / 2 / 0.4**2) + rng.normal(0, 50, away_um.shape)
        found.append(measure_thin_layer(stack.astype(np.float32), z, pixel_size_um=0.5, n_tiles=4))
    for name in ("fwhm_z", "fwhm_z_sd", "tilt_y", "tilt_x", "flatness"):
        figures = [one.figure(name) for one in found]
        scatter = np.std([figure.value for figure in figures], ddof=1)
        told = np.sqrt(np.mean([figure.uncertainty**2 for figure in figures]))
        assert (0.4 if name in ("fwhm_z_sd", "flatness") else 0.65) < scatter / told < 1.4, (
            name
        )  # those two cannot fall


def test_thin_layer_in_coarse_steps_is_remarked() -> None:
    z = np.arange(-5, 5.01, 0.25)
    assert measure_thin_layer(layer(), z).remarks == ()
    (remark,) = measure_thin_layer(layer()[::2], z[::2]).remarks
    assert "2.2 slices" in remark and "0.37 um or less" in remark


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.full((41, 30, 40), 9, np.uint16), "none in any tile"),
        (np.random.default_rng(0).integers(0, 9, (41, 30, 40)).astype(np.uint16), "none in any tile"),
        (np.full((41, 30, 40), np.nan), "none in any tile"),
        (layer()[:4], "7 slices"),
        (layer()[0], "3 axes"),
    ],
    ids=["constant", "noise", "NaN", "few", "one slice"],
)
def test_thin_layer_refuses(stack: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_thin_layer(stack, np.arange(-5, 5.01, 0.25)[: len(stack)])


def test_bell_curve_agrees_with_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    x = np.linspace(0, 10, 25)
    y = 3 + 8 * np.exp(-((x - 4.2) ** 2) / 2 / 1.3**2) + np.random.default_rng(0).normal(0, 0.2, 25)
    found, spread = optimize.curve_fit(
        lambda x, c, s, h, g: g + h * np.exp(-((x - c) ** 2) / 2 / s**2), x, y, [4, 1, 8, 3]
    )
    ours = fit_bell(x, y)
    assert (ours.centre, ours.sigma, ours.height, ours.ground) == pytest.approx(found, rel=1e-4)
    # HC2, by scipy's own slopes: an orthonormal basis gives the share of each point in its own value
    slopes = optimize._numdiff.approx_derivative(
        lambda p: p[3] + p[2] * np.exp(-((x - p[0]) ** 2) / 2 / p[1] ** 2), found, method="cs"
    )
    basis, _ = np.linalg.qr(slopes)
    error = y - (found[3] + found[2] * np.exp(-((x - found[0]) ** 2) / 2 / found[1] ** 2))
    weighted = np.linalg.lstsq(slopes, np.diag(error / np.sqrt(1 - np.sum(basis**2, axis=1))), rcond=None)[0]
    expected = np.sqrt(np.sum(weighted**2, axis=1))[:2]
    assert (ours.centre_uncertainty, ours.sigma_uncertainty) == pytest.approx(expected, rel=1e-2)
    assert expected == pytest.approx(
        np.sqrt(np.diag(spread))[:2], rel=0.3
    )  # which takes all to scatter alike


@pytest.mark.parametrize(("of_x", "of_y"), [(0.1, 0.0), (0.0, 0.2)], ids=["of x", "of y"])
def test_bell_curve_knows_how_far_it_scatters(of_x: float, of_y: float) -> None:
    random = np.random.default_rng(3)
    x = np.linspace(0, 10, 41)
    fits = [
        fit_bell(x, 3 + 8 * np.exp(-((x + random.normal(0, of_x, x.size) - 4.2) ** 2) / 2 / 1.3**2) + noise)
        for noise in random.normal(0, of_y, (300, x.size))
    ]
    told = np.sqrt(np.mean([fit.sigma_uncertainty**2 for fit in fits]))
    assert told == pytest.approx(np.std([fit.sigma for fit in fits]), rel=0.15)


def test_bell_curve_is_exact_without_noise_and_none_through_a_constant() -> None:
    x = np.linspace(-2, 9, 30)
    ours = fit_bell(x, 3 + 8 * np.exp(-((x - 4.2) ** 2) / 2 / 1.3**2))
    assert (ours.centre, ours.sigma, ours.r2) == pytest.approx((4.2, 1.3, 1.0))
    assert fit_bell(x, np.ones(30)) is None
