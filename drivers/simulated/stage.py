"""Motorised axes that do not quite go where they are told, and a slide that drifts.

An axis commanded to c ends at c (1 + scale) -+ backlash / 2 + noise, the sign by the direction it came from, and the
last of the way decays exponentially. What it reports is its encoder: the command, rounded to the encoder's step.
"""

from __future__ import annotations

from math import exp, radians, sin

import numpy as np

from drivers.simulated.clock import Clock
from drivers.simulated.truth import Axis

START_S = 0.02
"""Time a controller takes to accept a move."""


class AxisMotor:
    """One axis in motion; its `Axis` is passed in with each question, because a fault may have changed it."""

    def __init__(self, clock: Clock, seed: tuple[int, int]) -> None:
        self._clock = clock
        self._random = np.random.default_rng(seed)
        self.commanded_um = 0.0
        self.last_error_um = 0.0
        """Truth: where the last move ended, less where a perfect axis would have."""
        self._direction = 0.0
        self.arrives_at_s = clock.now_s()

    def move(self, target_um: float, axis: Axis) -> None:
        """Start to move; moving to where it stands does nothing."""
        distance_um = target_um - self.commanded_um
        if abs(distance_um) < axis.encoder_step_um / 2:
            return
        self._direction = 1.0 if distance_um > 0 else -1.0
        noise_um = axis.repeatability_um * self._random.standard_normal()
        self.last_error_um = axis.scale_error * target_um - self._direction * axis.backlash_um / 2 + noise_um
        self.commanded_um = target_um
        self.arrives_at_s = self._clock.now_s() + START_S + abs(distance_um) / axis.speed_um_per_s

    def nudge(self, distance_um: float, axis: Axis) -> None:
        """Move by a distance that something else watches, so that the axis's own errors stay as they are."""
        self.commanded_um += distance_um
        self.arrives_at_s = self._clock.now_s() + START_S + abs(distance_um) / axis.speed_um_per_s

    def has_arrived(self) -> bool:
        """Return whether the motor stands; it may still settle."""
        return self._clock.has_reached(self.arrives_at_s)

    def actual_um(self, axis: Axis) -> float:
        """Return where the axis really is now."""
        elapsed_s = max(self._clock.now_s() - self.arrives_at_s, 0.0)
        to_settle_um = self._direction * axis.settling_um * exp(-elapsed_s / axis.settling_time_s)
        return self.commanded_um + self.last_error_um - to_settle_um

    def reported_um(self, axis: Axis) -> float:
        """Return what the encoder says."""
        return round(self.commanded_um / axis.encoder_step_um) * axis.encoder_step_um

    def set_origin(self) -> None:
        """Call the present place zero."""
        self.commanded_um = 0.0
        self.last_error_um = 0.0


def skewed_x_um(x_um: float, y_um: float, orthogonality_deg: float) -> float:
    """Return x of a stage whose y axis leans by `orthogonality_deg`."""
    return x_um - sin(radians(orthogonality_deg)) * y_um
