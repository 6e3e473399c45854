"""What is true of the simulated microscope: every number a measurement could find, and nothing that moves.

All of it is frozen. A fault is a function from one `Truth` to another, so a test compares what a routine measured with
``microscope.truth`` and needs no second list of expectations.

Frames: slide coordinates (y, x) in um grow down and to the right of the image, and the image's centre looks at the slide
where the stage stands. Z grows with the stage; a thing is in focus when the stage stands at the thing's z. "Field"
coordinates are slide coordinates relative to the optical axis; the field's edge is the circle of the field number.

The values are those of a common stand with an sCMOS camera, rounded; a value stands for an instrument, not for a maker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, sqrt

YX = tuple[float, float]
ZYX = tuple[float, float, float]

FIELD_NUMBER_MM = 22.0
"""Diameter of the intermediate image, as engraved on eyepieces."""


@dataclass(frozen=True)
class Objective:
    """One objective as designed and mounted."""

    label: str
    magnification: float
    numerical_aperture: float
    immersion_index: float
    working_distance_um: float
    transmission: float = 0.85
    parfocal_um: float = 0.0
    parcentric_yx_um: YX = (0.0, 0.0)
    chromatic_factor: float = 1.0
    """How much of the channels' lateral and axial shifts this objective shows."""
    distortion: float = 0.0
    """Relative radial displacement at the field's edge; positive is pincushion."""
    field_curvature_um: float = 0.0
    """How much higher the stage must stand to focus the field's edge."""

    @property
    def field_radius_um(self) -> float:
        return FIELD_NUMBER_MM * 500 / self.magnification


@dataclass(frozen=True)
class Channel:
    """One filter set with its line of the light source."""

    label: str
    excitation_nm: float
    emission_nm: float
    full_power_mw: float
    """Power that leaves the light path at 100 %, before the objective."""
    filter_transmission: float = 0.8
    lateral_shift_yx_um: YX = (0.0, 0.0)
    axial_shift_um: float = 0.0
    magnification_error: float = 0.0
    """Relative difference of the lateral magnification against the reference channel."""


@dataclass(frozen=True)
class Pupil:
    """Aberrations of whichever objective is in the light path, beside diffraction.

    The `_nm` are root-mean-square wavefront errors of one Zernike mode each. Indices are against the design: the actual
    immersion index is the objective's plus `immersion_index_error`, the actual cover glass is 170 um plus
    `coverslip_error_um`.
    """

    astigmatism_nm: float = 0.0
    astigmatism_angle_deg: float = 0.0
    coma_nm: float = 0.0
    coma_angle_deg: float = 0.0
    spherical_nm: float = 0.0
    trefoil_nm: float = 0.0
    immersion_index_error: float = 0.0
    coverslip_error_um: float = 0.0


@dataclass(frozen=True)
class Illumination:
    """How evenly the field is lit and seen."""

    centre_yx: YX = (0.06, -0.10)
    """Brightest place, in half frame heights and widths from the middle of the sensor."""
    width: float = 1.6
    """Standard deviation of the Gaussian profile, in half diagonals of the sensor."""
    vignetting: float = 0.05
    """Fraction of the emission that is lost in the sensor's corners; grows with the radius squared."""


@dataclass(frozen=True)
class Geometry:
    """How the camera and the slide holder are mounted."""

    camera_rotation_deg: float = 0.35
    slide_tilt_yx: YX = (0.0004, -0.0007)
    """Height gained by the slide per um along y and x."""


@dataclass(frozen=True)
class ReadoutMode:
    """One way to digitise: conversion, depth and what fits in."""

    label: str
    bit_depth: int
    gain_e_per_adu: float
    full_well_e: float
    read_noise_e: float
    """Median over the pixels."""

    @property
    def max_adu(self) -> int:
        return 2**self.bit_depth - 1


READOUT_MODES = (
    ReadoutMode("16-bit", 16, 0.46, 30_000.0, 1.6),
    ReadoutMode("12-bit", 12, 0.24, 30_000.0, 1.4),
    ReadoutMode("8-bit", 8, 8.0, 30_000.0, 2.4),
)


@dataclass(frozen=True)
class Sensor:
    """An sCMOS camera."""

    height_px: int = 2048
    width_px: int = 2048
    pixel_pitch_um: float = 6.5
    quantum_efficiency: float = 0.8
    offset_adu: float = 100.0
    offset_spread_adu: float = 0.8
    """Standard deviation of the pixels' own offsets (DSNU)."""
    read_noise_spread: float = 0.25
    """Log-normal standard deviation of the pixels' own read noises."""
    dark_current_e_per_s: float = 0.5
    response_spread: float = 0.005
    """Relative standard deviation of the pixels' own responses (PRNU)."""
    n_hot: int = 0
    hot_current_e_per_s: float = 2000.0
    n_dead: int = 0
    n_blinking: int = 0
    blinking_e: float = 30.0
    """Height of the steps of a pixel with random telegraph signal."""
    stray_light_e_per_s: float = 0.0
    """What reaches every pixel past the closed shutter."""
    n_dust: int = 0
    """Specks on the sensor window."""
    modes: tuple[ReadoutMode, ...] = READOUT_MODES


@dataclass(frozen=True)
class Axis:
    """One motorised axis."""

    scale_error: float
    """Relative: commanded 1000 um arrive as 1000 (1 + scale_error)."""
    backlash_um: float
    """Distance between where the axis ends when it comes from below and from above."""
    repeatability_um: float
    """Standard deviation of where it ends, coming from one side."""
    settling_um: float
    settling_time_s: float
    """The rest of the way, `settling_um`, decays with this time constant."""
    speed_um_per_s: float
    encoder_step_um: float
    reach_um: float


@dataclass(frozen=True)
class Stage:
    """XY stage, focus drive and focus lock."""

    x: Axis = Axis(1.2e-4, 0.30, 0.15, 0.2, 0.05, 5000.0, 0.05, 55_000.0)
    y: Axis = Axis(-0.8e-4, 0.24, 0.12, 0.2, 0.05, 5000.0, 0.05, 37_500.0)
    z: Axis = Axis(2.0e-3, 0.08, 0.02, 0.05, 0.02, 500.0, 0.005, 5000.0)
    orthogonality_deg: float = 0.02
    """How much the angle between the axes exceeds 90 degrees."""
    focus_lock_um: float = 0.03
    """Standard deviation of where the focus lock ends."""
    focus_lock_reach_um: float = 200.0
    """How far from the slide the focus lock still finds it."""


@dataclass(frozen=True)
class Drift:
    """Slow movement of the slide against the objective: fast after switching on, then steady."""

    initial_zyx_nm_per_min: ZYX = (60.0, 20.0, -30.0)
    steady_zyx_nm_per_min: ZYX = (4.0, 1.0, -2.0)
    stabilisation_s: float = 1800.0

    def displacement_zyx_um(self, elapsed_s: float) -> ZYX:
        """Return the integral of the velocity, which falls exponentially from the initial to the steady one."""
        from math import exp

        reached_s = self.stabilisation_s * (1 - exp(-max(elapsed_s, 0.0) / self.stabilisation_s))
        pairs = zip(self.initial_zyx_nm_per_min, self.steady_zyx_nm_per_min, strict=True)
        z, y, x = (((v0 - v1) * reached_s + v1 * elapsed_s) / 60e3 for v0, v1 in pairs)
        return z, y, x


@dataclass(frozen=True)
class Light:
    """The light source and the power meter."""

    nonlinearity: float = 0.03
    """Power at set point s (0 to 1) is s + nonlinearity s (1 - s)."""
    warm_up_fraction: float = 0.08
    warm_up_s: float = 600.0
    """The missing fraction decays with this time constant after switching on."""
    decay_per_1000_h: float = 0.05
    hours: float = 400.0
    flicker: float = 0.003
    """Relative standard deviation from one frame or reading to the next."""
    meter_noise_mw: float = 0.002
    meter_zero_mw: float = 0.001


@dataclass(frozen=True)
class Room:
    """Temperature beside the stand."""

    mean_degc: float = 22.5
    daily_swing_degc: float = 0.8
    noise_degc: float = 0.02


OBJECTIVES = (
    Objective("10x/0.30", 10, 0.30, 1.0, 15_000, 0.90, 12.0, (9.0, -14.0), 0.8, -0.004, 3.0),
    Objective("20x/0.75", 20, 0.75, 1.0, 1000, 0.88, 4.0, (5.0, 3.0), 0.6, 0.003, 1.2),
    Objective("60x/1.40 oil", 60, 1.40, 1.515, 130, 0.82, 0.0, (0.0, 0.0), 1.0, 0.002, 0.3),
    Objective("100x/1.45 oil", 100, 1.45, 1.515, 130, 0.80, -1.5, (-2.0, 1.0), 1.0, -0.002, 0.2),
)

CHANNELS = (
    Channel("DAPI", 390, 460, 8.0, 0.75, (0.045, -0.060), 0.25, 4e-4),
    Channel("FITC", 475, 520, 10.0, 0.80, (0.0, 0.0), 0.0, 0.0),
    Channel("TRITC", 555, 590, 9.0, 0.78, (-0.030, 0.050), -0.12, -2e-4),
    Channel("Cy5", 635, 670, 12.0, 0.80, (-0.055, 0.090), -0.20, -5e-4),
)


@dataclass(frozen=True)
class Truth:
    """Everything that is true of one simulated microscope."""

    seed: int = 0
    objectives: tuple[Objective, ...] = OBJECTIVES
    channels: tuple[Channel, ...] = CHANNELS
    pupil: Pupil = field(default_factory=Pupil)
    illumination: Illumination = field(default_factory=Illumination)
    geometry: Geometry = field(default_factory=Geometry)
    sensor: Sensor = field(default_factory=Sensor)
    stage: Stage = field(default_factory=Stage)
    drift: Drift = field(default_factory=Drift)
    light: Light = field(default_factory=Light)
    room: Room = field(default_factory=Room)
    on_for_s: float = 0.0
    """Switched on so long before the slide was put on: drift and lamp settle meanwhile."""

    def objective(self, label: str) -> Objective:
        """Return the objective with this label."""
        return next(objective for objective in self.objectives if objective.label == label)

    def channel(self, label: str) -> Channel:
        """Return the channel with this label."""
        return next(channel for channel in self.channels if channel.label == label)

    def mode(self, label: str) -> ReadoutMode:
        """Return the camera's readout mode with this label."""
        return next(mode for mode in self.sensor.modes if mode.label == label)

    def pixel_size_um(self, objective: str) -> float:
        """Return the size of an unbinned pixel in the slide."""
        return self.sensor.pixel_pitch_um / self.objective(objective).magnification

    def collected_fraction(self, objective: str) -> float:
        """Return the share of isotropic emission that the objective's cone holds, (1 - cos alpha) / 2."""
        optics = self.objective(objective)
        return (1 - sqrt(1 - (optics.numerical_aperture / optics.immersion_index) ** 2)) / 2

    def lit_area_mm2(self, objective: str) -> float:
        """Return the area over which the source's power is spread."""
        return pi * (self.objective(objective).field_radius_um / 1000) ** 2
