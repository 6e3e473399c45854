"""Stage statistics recovered from many moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated.clock import JumpingClock
from drivers.simulated.stage import AxisMotor, skewed_x_um
from drivers.simulated.truth import Axis, Drift, Truth

AXIS = Axis(
    scale_error=4e-4,
    backlash_um=0.8,
    repeatability_um=0.25,
    settling_um=0.6,
    settling_time_s=0.3,
    speed_um_per_s=1000.0,
    encoder_step_um=0.1,
    reach_um=5000.0,
)


def visits(motor, clock, approach_um, n):
    """Return where the axis ends at 1000 um, coming `approach_um` from the side."""
    ends = []
    for _ in range(n):
        motor.move(1000.0 + approach_um, AXIS)
        assert motor.has_arrived()
        motor.move(1000.0, AXIS)
        assert motor.has_arrived()
        clock.sleep(10)
        ends.append(motor.actual_um(AXIS))
    return np.array(ends)


def test_repeatability_backlash_and_scale() -> None:
    clock = JumpingClock()
    motor = AxisMotor(clock, (1, 2))
    from_below, from_above = visits(motor, clock, -300.0, 1500), visits(motor, clock, 300.0, 1500)
    for ends in (from_below, from_above):
        assert ends.std(ddof=1) == pytest.approx(0.25, rel=0.06)
    assert from_above.mean() - from_below.mean() == pytest.approx(0.8, abs=0.03)
    assert (from_above.mean() + from_below.mean()) / 2 == pytest.approx(1000 * (1 + 4e-4), abs=0.02)


def test_axis_takes_its_time_and_then_settles() -> None:
    clock = JumpingClock(now_s=100.0)
    motor = AxisMotor(clock, (1, 2))
    motor.move(-500.0, AXIS)
    assert motor.arrives_at_s == pytest.approx(100.0 + 0.02 + 0.5)
    motor.has_arrived()
    end_um = motor.commanded_um + motor.last_error_um
    assert motor.actual_um(AXIS) - end_um == pytest.approx(0.6)
    clock.sleep(0.3)
    assert motor.actual_um(AXIS) - end_um == pytest.approx(0.6 / np.e)


def test_not_moving_changes_nothing() -> None:
    motor = AxisMotor(JumpingClock(), (1, 2))
    motor.move(50.0, AXIS)
    error_um = motor.last_error_um
    motor.move(50.0, AXIS)
    assert motor.last_error_um == error_um


def test_encoder_reports_the_command_in_its_steps() -> None:
    motor = AxisMotor(JumpingClock(), (1, 2))
    motor.move(12.34, AXIS)
    assert motor.reported_um(AXIS) == pytest.approx(12.3)


def test_leaning_axis_moves_x_with_y() -> None:
    assert skewed_x_um(5.0, 1000.0, 0.1) == pytest.approx(5.0 - 1000 * np.sin(np.radians(0.1)))


def test_drift_starts_fast_and_becomes_steady() -> None:
    drift = Drift((120.0, 0.0, -60.0), (6.0, 2.0, 0.0), 600.0)
    seconds = np.array([0.0, 1.0, 36_000.0, 36_060.0])
    z, y, x = np.array([drift.displacement_zyx_um(s) for s in seconds]).T
    assert (z[1] - z[0]) * 60_000 == pytest.approx(120, rel=0.01)
    assert (z[3] - z[2]) * 1000 == pytest.approx(6, rel=0.01)
    assert x[1] * 60_000 == pytest.approx(-60, rel=0.01) and x[3] == pytest.approx(x[2], abs=1e-9)
    assert y[1] < 1e-6 and (y[3] - y[2]) * 1000 == pytest.approx(2, rel=0.01)


def test_microscope_looks_where_stage_and_drift_say(make_microscope) -> None:
    drift = Drift((10.0, -20.0, 30.0), (10.0, -20.0, 30.0))
    microscope = make_microscope(drift=drift)
    stage = replace(Truth().stage, orthogonality_deg=0.5)
    microscope.healthy_truth = replace(microscope.healthy_truth, stage=stage)
    microscope.x.move(200.0, stage.x)
    microscope.y.move(-300.0, stage.y)
    microscope.clock.sleep(600.0)
    z, y, x = microscope.stage_zyx_um()
    assert z == pytest.approx(0.1, abs=0.001)
    assert y == pytest.approx(-300 + microscope.y.last_error_um - 0.2, abs=0.01)
    assert x == pytest.approx(
        200 + microscope.x.last_error_um + 300 * np.sin(np.radians(0.5)) + 0.3, abs=0.02
    )
