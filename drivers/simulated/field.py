"""From the slide to the sensor: where things appear, how far out of focus, and how brightly lit.

A point at slide coordinate s appears at pixel

    centre + R(rotation) u (1 + distortion |u|^2 / field_radius^2) (1 + magnification_error) / pixel + shift / pixel

with u = s - stage - parcentric. Rotation turns the image clockwise as seen on a screen (y down).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.truth import YX, ZYX, Truth

Array = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One objective and channel over one place of the slide; all that geometry depends on."""

    truth: Truth
    objective: str
    channel: str
    stage_zyx_um: ZYX
    """Where the stage really stands, drift included."""

    @property
    def pixel_size_um(self) -> float:
        return self.truth.pixel_size_um(self.objective)

    @property
    def centre_px(self) -> Array:
        """The optical axis on the unbinned sensor, (y, x); pixel centres at whole numbers."""
        sensor = self.truth.sensor
        return np.array([(sensor.height_px - 1) / 2, (sensor.width_px - 1) / 2])

    def to_pixels(self, slide_yx_um: Array) -> Array:
        """Return where points of the slide appear on the unbinned sensor; both shape (n, 2), axes (y, x)."""
        objective, channel = self.truth.objective(self.objective), self.truth.channel(self.channel)
        field_um = self.to_field(slide_yx_um)
        relative2 = np.sum(field_um**2, axis=1, keepdims=True) / objective.field_radius_um**2
        image_um = field_um * (1 + objective.distortion * relative2)
        image_um = image_um * (1 + channel.magnification_error * objective.chromatic_factor)
        image_um = image_um + np.array(channel.lateral_shift_yx_um) * objective.chromatic_factor
        return self.centre_px + image_um / self.pixel_size_um

    def to_field(self, slide_yx_um: Array) -> Array:
        """Return slide points relative to the optical axis, along the camera's rows and columns, in um."""
        objective = self.truth.objective(self.objective)
        offset = slide_yx_um - np.array(self.stage_zyx_um[1:]) - np.array(objective.parcentric_yx_um)
        angle = np.radians(self.truth.geometry.camera_rotation_deg)
        y, x = offset[:, 0], offset[:, 1]
        return np.stack(
            [np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y], axis=1
        )

    def focus_um(self, slide_yx_um: Array) -> Array:
        """Return the stage height at which each point of the slide is in focus, shape (n,)."""
        objective, channel = self.truth.objective(self.objective), self.truth.channel(self.channel)
        tilt = slide_yx_um @ np.array(self.truth.geometry.slide_tilt_yx)
        relative2 = np.sum(self.to_field(slide_yx_um) ** 2, axis=1) / objective.field_radius_um**2
        chromatic = channel.axial_shift_um * objective.chromatic_factor
        return objective.parfocal_um + chromatic + tilt + objective.field_curvature_um * relative2

    def defocus_um(self, slide_yx_um: Array) -> Array:
        """Return how much higher the stage stands than each point's focus."""
        return self.stage_zyx_um[0] - self.focus_um(slide_yx_um)

    def seen_yx_um(self, margin_px: float) -> tuple[YX, YX]:
        """Return the corners (low, high) of a slide rectangle that holds all the sensor sees."""
        half_um = (self.centre_px + margin_px + 1) * self.pixel_size_um
        reach_um = 1.03 * np.array([half_um[0] + 0.05 * half_um[1], half_um[1] + 0.05 * half_um[0]])
        objective = self.truth.objective(self.objective)
        middle = np.array(self.stage_zyx_um[1:]) + np.array(objective.parcentric_yx_um)
        low, high = middle - reach_um, middle + reach_um
        return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))

    def illumination(self, rows: Array, columns: Array) -> Array:
        """Return the irradiance at pixels, relative to the brightest place; broadcasts."""
        profile, half = self.truth.illumination, self.centre_px + 0.5
        peak = self.centre_px + np.array(profile.centre_yx) * half
        width_px = profile.width * np.hypot(*half)
        return np.exp(-((rows - peak[0]) ** 2 + (columns - peak[1]) ** 2) / (2 * width_px**2))

    def transmission(self, rows: Array, columns: Array) -> Array:
        """Return the share of the emission that vignetting leaves at pixels; broadcasts."""
        half, centre = self.centre_px + 0.5, self.centre_px
        relative2 = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / np.sum(half**2)
        return 1 - self.truth.illumination.vignetting * relative2

    def flat_field(self, rows: Array, columns: Array) -> Array:
        """Return what a uniform slide shows at pixels, relative; broadcasts."""
        return self.illumination(rows, columns) * self.transmission(rows, columns)
