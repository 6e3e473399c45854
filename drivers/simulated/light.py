"""A light source that warms up, ages, flickers and is not quite linear; and a power meter and a thermometer."""

from __future__ import annotations

from math import exp, pi, sin

import numpy as np

from drivers.simulated.truth import Channel, Light, Objective, Room

DAY_S = 86_400.0


def steady_power_mw(light: Light, channel: Channel, set_point: float, on_for_s: float) -> float:
    """Return the power that leaves the light path, without flicker.

    Parameters
    ----------
    light, channel : Light, Channel
        Source and line.
    set_point : float
        From 0 to 1.
    on_for_s : float
        Time since the source was switched on.
    """
    linear = set_point + light.nonlinearity * set_point * (1 - set_point)
    warm = 1 - light.warm_up_fraction * exp(-max(on_for_s, 0.0) / light.warm_up_s)
    aged = exp(-light.decay_per_1000_h * light.hours / 1000)
    return channel.full_power_mw * linear * warm * aged


def flicker(light: Light, seed: int, count: int) -> float:
    """Return the factor of the `count`-th frame or reading."""
    return 1 + light.flicker * float(np.random.default_rng((seed, 3, count)).standard_normal())


def meter_reading_mw(light: Light, objective: Objective, power_mw: float, seed: int, count: int) -> float:
    """Return what a power meter at the objective's exit shows for `power_mw` before the objective."""
    noise_mw = light.meter_noise_mw * float(np.random.default_rng((seed, 4, count)).standard_normal())
    return power_mw * objective.transmission + light.meter_zero_mw + noise_mw


def temperature_degc(room: Room, time_s: float, seed: int, count: int) -> float:
    """Return the `count`-th reading of the thermometer, at `time_s`."""
    noise = room.noise_degc * float(np.random.default_rng((seed, 5, count)).standard_normal())
    return room.mean_degc + room.daily_swing_degc / 2 * sin(2 * pi * time_s / DAY_S) + noise
