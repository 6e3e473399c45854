"""One run of a routine on the simulated microscope, by seed: what is new in each is all that chance decides.

Shared by the tests of uncertainties, those of the closed loop, and ``benchmarks/qc_coverage.py``, which repeats them longer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from drivers.simulated import JumpingClock, SimulatedMicroscope, Truth
from drivers.simulated.truth import Sensor
from qc_routines.camera import measure_dark_current, measure_dark_noise, pixel_moments
from qc_routines.conditions import Camera, Mode, Optics, VoxelSize
from qc_routines.drift import measure_drift
from qc_routines.focus import best_focus
from qc_routines.illumination import measure_illumination
from qc_routines.image_positions import image_positions
from qc_routines.line_pairs import measure_line_pairs, pair_region
from qc_routines.psf import routine as psf
from qc_routines.registration.measure import measure_registration
from qc_routines.results import Measurement
from qc_routines.stage import DIRECTIONS, measure_stage

SHAPE = (280, 360)
OIL = "60x/1.40 oil"
OPTICS = {
    OIL: Optics(Mode.WIDEFIELD, 1.4, 1.515, 520.0),
    "20x/0.75": Optics(Mode.WIDEFIELD, 0.75, 1.0, 520.0),
}
CAMERA = Camera(offset_adu=100.0, conversion_e_per_adu=0.46, read_noise_e=1.6)


def microscope(
    slide: str, objective: str = "20x/0.75", seed: int = 0, shape: tuple[int, int] = SHAPE, **sensor: float
) -> SimulatedMicroscope:
    truth = Truth(seed=seed, sensor=Sensor(height_px=shape[0], width_px=shape[1], **sensor))
    scope = SimulatedMicroscope(truth, JumpingClock())
    scope.objective, scope.slide, scope.shutter_open = objective, slide, slide != "dark"
    scope.lock_focus(True)
    return scope


def frames(scope: SimulatedMicroscope, exposure_ms: float, n: int) -> list[np.ndarray]:
    scope.camera = replace(scope.camera, exposure_ms=exposure_ms)
    return [scope.expose() for _ in range(n)]


def go(scope: SimulatedMicroscope, y_um: float, x_um: float) -> None:
    scope.y.move(y_um, scope.truth.stage.y)
    scope.x.move(x_um, scope.truth.stage.x)
    scope.clock.sleep(5.0)


def z_stack(scope: SimulatedMicroscope, heights_um: np.ndarray, exposure_ms: float) -> np.ndarray:
    """Return planes from below, the drive coming from farther below."""
    scope.lock_focus(False)
    scope.z.move(float(heights_um[0]) - 5, scope.truth.stage.z)
    planes = []
    for height in heights_um:
        scope.z.move(float(height), scope.truth.stage.z)
        scope.clock.sleep(1.0)
        planes += frames(scope, exposure_ms, 1)
    return np.stack(planes)


def psf_run(
    seed: int, objective: str = OIL, stated: bool = True, camera: Camera | None = CAMERA, **drive: float
) -> Measurement:
    scope, protocol = microscope("beads 0.2 um", objective, seed), psf.protocol(OPTICS[objective])
    z = replace(scope.truth.stage.z, **drive)
    scope.healthy_truth = truth = replace(scope.truth, stage=replace(scope.truth.stage, z=z))
    step_um, range_um = protocol.parameters["step_um"], protocol.parameters["range_um"]
    heights = truth.objective(objective).parfocal_um + np.arange(-range_um / 2, range_um / 2, step_um)
    pixel_um = truth.pixel_size_um(objective)
    return psf.ROUTINE.measure(
        z_stack(scope, heights, 50.0),
        VoxelSize(step_um, pixel_um, pixel_um),
        OPTICS[objective],
        camera,
        z_repeatability_um=z.repeatability_um if stated else None,
    )


def stage_run(seed: int, n_repeats: int = 5) -> Measurement:
    scope, images, came_from, away_um = (
        microscope("multicolour beads 0.5 um", "20x/0.75", seed, (160, 200)),
        [],
        [],
        [],
    )
    away = {"left": (0, -1), "right": (0, 1), "back": (-1, 0), "front": (1, 0)}
    go(scope, -300, -300)
    go(scope, 0, 0)
    for _ in range(n_repeats):
        for distance_um in (300.0, 3000.0):
            for direction in DIRECTIONS:
                go(scope, *(distance_um * np.array(away[direction])))
                go(scope, 0, 0)
                images += frames(scope, 20.0, 1)
                came_from.append(direction)
                away_um.append(distance_um)
    return measure_stage(image_positions(images, 6.5 / 20).yx_um, came_from, away_um)


LINES_UM = (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40)


def line_pairs_run(seed: int, exposure_ms: float = 30.0, spacings=LINES_UM) -> Measurement:
    scope, regions = microscope("line pairs", OIL, seed), []
    for k in range(len(spacings)):
        scope.lock_focus(True)
        go(scope, 0.0, 4.0 + 8.0 * k)
        regions.append(pair_region(frames(scope, exposure_ms, 1)[0], 6.5 / 60, 8.0))
    return measure_line_pairs(regions, spacings, 6.5 / 60)


def illumination_run(seed: int) -> Measurement:
    scope = microscope("uniform", OIL, seed)
    scope.clock.sleep(7200)
    return measure_illumination(frames(scope, 60.0, 1)[0], 100.0)


def same_sensor(seed: int, slide: str = "dark") -> SimulatedMicroscope:
    """A new run on one and the same camera: frames are numbered on."""
    scope = microscope(slide, OIL, 0)
    scope.n_frames = 10_000 * seed
    return scope


def dark_noise_run(seed: int, scope_of=same_sensor) -> Measurement:
    return measure_dark_noise(pixel_moments(frames(scope_of(seed), 1.0, 40)), 0.46)


def dark_current_run(seed: int, scope_of=same_sensor) -> Measurement:
    scope = scope_of(seed)
    return measure_dark_current(
        {t_ms: pixel_moments(frames(scope, t_ms, 10)) for t_ms in (10.0, 100.0, 1000.0, 10_000.0)}, 0.46
    )


def drift_run(seed: int, n_minutes: int = 12) -> Measurement:
    scope = microscope("multicolour beads 0.5 um", OIL, seed)
    scope.clock.sleep(4 * 3600)
    scope.lock_focus(False)
    start_s, middle_um, steps_um = scope.clock.now_s(), -scope.drift_zyx_um()[0], 0.25 * np.arange(-6, 7)
    z_um, across = [], []
    for minute in range(n_minutes):
        scope.clock.has_reached(start_s + 60.0 * minute)
        stack = z_stack(scope, middle_um + steps_um, 30.0)
        z_um.append(best_focus(stack, steps_um).z_um)
        across.append(stack[int(np.argmin(np.abs(steps_um - z_um[-1])))])
    yx_um = image_positions(across, 6.5 / 60).yx_um
    return measure_drift(60.0 * np.arange(n_minutes), np.column_stack([z_um, yx_um]), axes="zyx")


def registration_run(seed: int, stated: bool = True) -> Measurement:
    scope = microscope("multicolour beads 0.5 um", OIL, seed)
    scope.lock_focus(False)
    heights = np.arange(-2.4, 2.41, 0.15)
    scope.z.move(float(heights[0]) - 5, scope.truth.stage.z)
    stacks: dict[str, list[np.ndarray]] = {"FITC": [], "TRITC": []}
    for height in heights:
        scope.z.move(float(height), scope.truth.stage.z)
        scope.clock.sleep(1.0)
        for channel, planes in stacks.items():
            scope.channel = channel
            planes += frames(scope, 30.0, 1)
    pixel_um = scope.truth.pixel_size_um(OIL)
    optics = {
        name: Optics(Mode.WIDEFIELD, 1.4, 1.515, nm) for name, nm in (("FITC", 520.0), ("TRITC", 590.0))
    }
    return measure_registration(
        {name: np.stack(planes) for name, planes in stacks.items()},
        VoxelSize(0.15, pixel_um, pixel_um), optics, CAMERA, 0.5,
        z_repeatability_um=scope.truth.stage.z.repeatability_um if stated else None,
    )  # fmt: skip


RUNS: dict[str, Callable[[int], Measurement]] = {
    "psf": psf_run,
    "stage": stage_run,
    "line_pairs": line_pairs_run,
    "illumination": illumination_run,
    "dark_noise": dark_noise_run,
    "dark_current": dark_current_run,
    "drift": drift_run,
    "registration": registration_run,
}
