"""Stage repeatability and drift: unequal axes, known backlash, known velocities."""

from __future__ import annotations

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.drift import measure_drift
from qc_routines.drift import protocol as drift_protocol
from qc_routines.few import widened
from qc_routines.stage import DIRECTIONS, measure_stage
from qc_routines.stage import protocol as stage_protocol
from qc_routines.straight_line import fit_line, widening

N = 160
CAME_FROM = np.tile(DIRECTIONS, N // 4)
AWAY_UM = np.where(np.arange(N) % 8 < 4, 300.0, 3000.0)


def returns(seed: int = 0, backlash_um: float = 0.4, sd_yx: tuple[float, float] = (0.2, 0.3)) -> np.ndarray:
    yx = np.random.default_rng(seed).normal(0, sd_yx, (N, 2))
    yx[CAME_FROM == "left", 1] += backlash_um
    return yx


# ---- stage


def test_backlash_has_the_right_sign_and_axis() -> None:
    measured = measure_stage(returns(), CAME_FROM, AWAY_UM)
    assert measured.value("backlash_x") == pytest.approx(0.4, abs=0.2)
    assert measured.value("backlash_y") == pytest.approx(0.0, abs=0.15)
    assert measured.value("sd_y") == pytest.approx(0.2, rel=0.15)
    assert measured.value("sd_x_one_direction") == pytest.approx(0.3, rel=0.15)
    assert measured.value("sd_x") > measured.value("sd_x_one_direction")


def test_values_of_the_tool_kit_are_standard_deviations_by_distance_and_direction() -> None:
    yx = returns(3)
    measured = measure_stage(yx, CAME_FROM, AWAY_UM)
    for column, axis in ((1, "x"), (0, "y")):
        for span, is_span in (("small", AWAY_UM == 300), ("large", AWAY_UM == 3000)):
            assert measured.value(f"sd_{axis}_{span}_all") == pytest.approx(yx[is_span, column].std(ddof=1))
            for direction in DIRECTIONS:
                chosen = yx[is_span & (direction == CAME_FROM), column]
                assert measured.value(f"sd_{axis}_{span}_{direction}") == pytest.approx(chosen.std(ddof=1))
                assert measured.value(f"mean_{axis}_{span}_{direction}") == pytest.approx(chosen.mean())


def test_drift_is_taken_off_and_reported() -> None:
    time_s = np.arange(N) * 32.0
    drifting = returns(backlash_um=0) + time_s[:, None] / 60 * [0.02, -0.05]
    measured = measure_stage(drifting, CAME_FROM, AWAY_UM, time_s)
    assert measured.value("drift_y") == pytest.approx(20, abs=3)
    assert measured.value("drift_x") == pytest.approx(-50, abs=3)
    assert measured.value("sd_x") == pytest.approx(0.3, rel=0.15)
    assert measure_stage(drifting, CAME_FROM, AWAY_UM).value("sd_x") > 1


def test_ellipse_holds_95_percent() -> None:
    yx = np.random.default_rng(0).normal(0, [0.5, 2.0], (4000, 2))
    measured = measure_stage(yx, ["left"] * 4000, np.ones(4000))
    major, minor = measured.value("ellipse_major"), measured.value("ellipse_minor")
    inside = (yx[:, 1] / major) ** 2 + (yx[:, 0] / minor) ** 2 <= 1
    assert inside.mean() == pytest.approx(0.95, abs=0.015)
    assert measured.value("ellipse_area") == pytest.approx(np.pi * major * minor)


def test_lost_images_are_counted_and_stragglers_are_kept() -> None:
    yx = returns()
    yx[5], yx[9] = np.nan, (30, 40)
    measured = measure_stage(yx, CAME_FROM, AWAY_UM)
    assert measured.n_rejected == {"no position": 1}
    assert measured.value("largest_distance") == pytest.approx(50, rel=0.02)


def test_stage_uncertainties_cover_the_truth() -> None:
    hits = {"sd_y": [], "backlash_x": []}
    for seed in range(200):
        measured = measure_stage(returns(seed)[:40], CAME_FROM[:40], AWAY_UM[:40])
        for name, true in (("sd_y", 0.2), ("backlash_x", 0.4)):
            figure = measured.figure(name)
            hits[name].append(abs(figure.value - true) <= 1.96 * figure.uncertainty)
    assert all(0.90 <= np.mean(hit) <= 0.99 for hit in hits.values()), hits


@pytest.mark.parametrize(
    ("yx", "came_from", "message"),
    [
        (np.zeros((3, 2)), ["left"] * 3, "at least 4"),
        (np.full((9, 2), np.nan), ["left"] * 9, "at least 4"),
        (np.zeros((9, 2)), ["up"] * 9, "got up"),
        (np.zeros((9, 3)), ["left"] * 9, r"\(n, 2\)"),
        (np.zeros((9, 2)), ["left"] * 8, "8"),
    ],
    ids=["few", "NaN", "direction", "axes", "lengths"],
)
def test_stage_refuses(yx: np.ndarray, came_from: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_stage(yx, came_from, np.ones(len(yx)))


def test_stage_protocol_goes_out_and_back_in_four_directions() -> None:
    positions = stage_protocol().sequence["stage_positions"]
    assert len(positions) == 16
    assert positions[1::2] == [{"x": 0.0, "y": 0.0}] * 8
    assert {abs(p["x"]) + abs(p["y"]) for p in positions[::2]} == {300.0, 3000.0}


# ---- drift

TIME_S = np.arange(121) * 60.0


def steady(seed: int = 0, nm_per_min: tuple[float, float] = (3.0, -8.0)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.01, (121, 2))
    return TIME_S[:, None] / 60 * np.array(nm_per_min) / 1000 + noise


def test_velocities_have_sign_and_axis() -> None:
    measured = measure_drift(TIME_S, steady(), settled_um=10)
    assert measured.value("velocity_y") == pytest.approx(3, abs=0.2)
    assert measured.value("velocity_x") == pytest.approx(-8, abs=0.2)
    assert measured.value("speed") == pytest.approx(np.hypot(3, 8), abs=0.2)
    assert measured.value("displacement_end") == pytest.approx(np.hypot(3, 8) * 0.12, abs=0.05)


def test_settling_time_and_velocities_before_and_after() -> None:
    minutes = TIME_S / 60
    z_um = 3 * np.exp(-minutes / 15) + np.random.default_rng(0).normal(0, 0.01, 121)
    measured = measure_drift(TIME_S, z_um, axes="z", settled_um=0.2)
    # settled when the rest of the exponential spans less than 0.2 um about its mean
    assert 30 < measured.value("settling_time") < 42
    assert measured.value("velocity_z_before") < -40
    assert abs(measured.value("velocity_z_after")) < 3
    never = measure_drift(TIME_S, minutes, axes="z")
    assert never.value("settling_time") is None and "settle" in never.remarks[0]


def test_lag_displacement_of_a_random_walk_grows_in_proportion() -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(0, 0.1, (4000, 1)), axis=0)
    maps = measure_drift(np.arange(4000.0), walk, axes="z").maps
    assert maps["lag_displacement_um2"][0] == pytest.approx(0.01, rel=0.1)
    assert maps["lag_displacement_um2"][9] == pytest.approx(0.10, rel=0.2)


def test_one_straggler_and_missing_positions_do_not_unsettle() -> None:
    positions = steady(nm_per_min=(0, 0))
    positions[60], positions[7] = (5, 5), (np.nan, 0)
    measured = measure_drift(TIME_S, positions)
    assert measured.value("settling_time") == 0.0
    assert measured.n_rejected == {"no position": 1}


def test_temperature_slope() -> None:
    temperature = 20 + np.sin(TIME_S / 900)
    positions = 0.5 * temperature[:, None] * [0, 1] + steady(nm_per_min=(0, 0))
    measured = measure_drift(TIME_S, positions, temperature_c=temperature, settled_um=9)
    assert measured.value("temperature_slope_x") == pytest.approx(500, rel=0.02)
    assert measured.value("temperature_correlation_x") > 0.99
    assert abs(measured.value("temperature_slope_y")) < 10


def test_drift_uncertainty_covers_the_truth_also_when_neighbours_are_alike() -> None:
    hits = []
    for seed in range(150):
        white = np.random.default_rng(seed).normal(0, 0.02, 122)
        noise = white[1:] + 0.6 * white[:-1]
        figure = measure_drift(TIME_S, 0.005 * TIME_S / 60 + noise, axes="z", settled_um=9).figure(
            "velocity_z"
        )
        hits.append(abs(figure.value - 5) <= 1.96 * figure.uncertainty)
    assert 0.90 <= np.mean(hits) <= 0.99


@pytest.mark.parametrize(
    ("time_s", "positions", "message"),
    [
        ([0, 1, 2], np.zeros((3, 2)), "at least 5"),
        ([0, 2, 1, 3, 4, 5], np.zeros((6, 2)), "times that rise"),
        (np.arange(6), np.zeros((5, 2)), r"\(6, 2\)"),
        (np.arange(6), np.full((6, 2), np.nan), "at least 5"),
    ],
    ids=["few", "clock", "lengths", "NaN"],
)
def test_drift_refuses(time_s, positions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_drift(time_s, positions)


def test_drift_protocol_lasts_as_long_as_it_says() -> None:
    assert drift_protocol(duration_h=2, interval_s=60).duration_s == pytest.approx(7200, rel=0.01)


# ---- straight line


def test_line_agrees_with_numpy_and_its_uncertainty_covers() -> None:
    rng, x, hits = np.random.default_rng(0), np.linspace(-3, 9, 15), []
    for _ in range(300):
        line = fit_line(x, 2 - 0.5 * x + rng.normal(0, 0.3, 15))
        hits.append(abs(line.slope + 0.5) <= 1.96 * line.slope_uncertainty)
    y = 2 - 0.5 * x + rng.normal(0, 0.3, 15)
    weights = rng.uniform(0.5, 2, 15)
    slope, intercept = np.polyfit(x, y, 1, w=np.sqrt(weights))
    line = fit_line(x, y, weights)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    assert 0.90 <= np.mean(hits) <= 0.99


def test_line_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = np.arange(9.0), np.random.default_rng(0).normal(0, 1, 9)
    theirs, ours = stats.linregress(x, y), fit_line(x, y)
    of_few = widened(1.0, 7)
    assert (ours.slope_uncertainty, ours.intercept_uncertainty, ours.r2) == pytest.approx(
        (of_few * theirs.stderr, of_few * theirs.intercept_stderr, theirs.rvalue**2)
    )


@pytest.mark.parametrize("x", [[1, 1, 1], [1, np.nan, 2], [1, 2]], ids=["one x", "NaN", "lengths"])
def test_line_refuses(x: list[float]) -> None:
    with pytest.raises(InputError):
        fit_line(x, [1, 2, 3])


def test_widening_is_one_for_white_residuals_and_large_for_a_wave() -> None:
    assert widening(np.random.default_rng(0).normal(0, 1, 10_000)) < 1.05
    assert widening(np.sin(np.arange(1000) / 50)) > 5
