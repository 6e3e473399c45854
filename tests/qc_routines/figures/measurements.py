"""One real measurement of every routine, on small made-up data with one seed. Loaded by path: tests are no package."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from qc_routines.autofocus import measure_autofocus
from qc_routines.axial import measure_axial_steps
from qc_routines.camera import (
    measure_dark_current,
    measure_dark_noise,
    measure_defects,
    measure_linearity,
    measure_photon_transfer,
    measure_uniformity,
    pixel_moments,
)
from qc_routines.conditions import Camera, Optics, VoxelSize
from qc_routines.detector import measure_point_detector
from qc_routines.drift import measure_drift
from qc_routines.grid import measure_grid
from qc_routines.illumination import measure_illumination, measure_illumination_change
from qc_routines.line_pairs import measure_line_pairs
from qc_routines.pixel_size import measure_pixel_size
from qc_routines.power import measure_power_linearity, measure_power_stability, measure_sample_power
from qc_routines.psf import measure_psf
from qc_routines.registration import measure_registration
from qc_routines.results import Measurement
from qc_routines.stage import DIRECTIONS, measure_stage
from qc_routines.thin_layer import measure_thin_layer

VOXEL = VoxelSize(0.2, 0.065, 0.065)
OPTICS = Optics("widefield", 1.4, 1.518, emission_nm=520)
CAMERA = Camera(100, 1.0, 1.6)
SHAPE = (31, 150, 200)


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _scenes() -> ModuleType:
    path = Path(__file__).parents[1] / "bead_scenes.py"
    spec = importlib.util.spec_from_file_location("bead_scenes_for_figures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def bead_stack(offset_px: float = 0.0, seed: int = 1) -> np.ndarray:
    """Return a stack (z, y, x) of about twenty beads, moved sideways."""
    scenes = _scenes()
    centres = scenes.places(SHAPE, 20, 24, 5, (9, 16, 16))
    light = scenes.light_e(
        SHAPE,
        centres + np.array([offset_px / 3, offset_px, -offset_px]),
        scenes.covariance((3.6, 3.1, 3.0)),
        2500.0,
    )
    return scenes.photographed(light, seed)


def psf() -> Measurement:
    return measure_psf(bead_stack(), VOXEL, OPTICS, CAMERA, bead_diameter_um=0.1)


def registration() -> Measurement:
    stacks = {"DAPI": bead_stack(), "FITC": bead_stack(1.4, 2), "Cy5": bead_stack(-0.8, 3)}
    return measure_registration(stacks, VOXEL, dict.fromkeys(stacks, OPTICS), CAMERA)


def _field(middle_x: float = 360.0, dust: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:512, :640]
    light = 3000 * np.exp(-(((y - 230) / 420) ** 2 + ((x - middle_x) / 480) ** 2))
    light *= 1 - dust * np.exp(-(((y - 330) / 25) ** 2 + ((x - 450) / 25) ** 2))
    return _rng().poisson(light + 100).astype(np.uint16)


def illumination() -> Measurement:
    return measure_illumination(_field(), dark=100.0, pixel_size_um=0.11)


def _frames(light_e: float, n: int, hot: bool = True) -> list[np.ndarray]:
    rng, shape = _rng(), (96, 128)
    offset = 100 + np.random.default_rng(1).normal(0, 1.5, shape)
    response = 1 + np.random.default_rng(2).normal(0, 0.01, shape)
    burning = np.zeros(shape)
    burning.flat[::997] = 900.0 if hot else 0.0
    return [
        np.clip(np.rint(offset + 0.5 * np.minimum(rng.poisson(light_e * response + burning), 60_000) + rng.normal(0, 1.6, shape)), 0, 65_535).astype(np.uint16)
        for _ in range(n)
    ]  # fmt: skip


def photon_transfer() -> Measurement:
    levels = [_frames(e, 4) for e in np.linspace(1500, 75_000, 14)]
    return measure_photon_transfer(_frames(0, 8), levels)


def linearity() -> Measurement:
    exposure = np.arange(1, 16.0)
    return measure_linearity(exposure, 200 * exposure * (1 + 0.002 * np.sin(exposure)), saturation_adu=3300.0)


def dark_current() -> Measurement:
    return measure_dark_current({t: pixel_moments(_frames(t / 50, 4)) for t in (10.0, 100.0, 1000.0)}, 2.0)


def grid() -> Measurement:
    y, x = np.mgrid[:300, :380]
    image, middle = np.full((300, 380), 100.0), np.array([149.5, 189.5])
    for i in range(15):
        for j in range(19):
            place = np.array([12.0 + 19.7 * i, 14.0 + 19.6 * j]) - middle
            place = middle + place * (1 + 0.006 * (place @ place) / (middle @ middle))
            image += 900 * np.exp(-(((y - place[0]) / 2.4) ** 2 + ((x - place[1]) / 2.4) ** 2))
    return measure_grid(_rng().poisson(image).astype(np.uint16), pitch_um=5.0)


def pixel_size() -> Measurement:
    moves = np.array([(a, b) for a in (-20, 0, 20) for b in (-20, 0, 20)], float)
    turned = moves @ np.array([[0.999, 0.02], [-0.02, 0.999]]) / 0.108
    return measure_pixel_size(moves, turned + _rng().normal(0, 0.08, moves.shape))


def line_pairs() -> Measurement:
    spacing, pixel = np.array([0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6]), 0.05
    x = (np.arange(81) - 40) * pixel
    regions = [
        np.tile(sum(800 * np.exp(-(((x - side * s / 2) / 0.14) ** 2)) for side in (-1, 1)) + 100, (40, 1))
        for s in spacing
    ]
    return measure_line_pairs([_rng().poisson(r).astype(np.uint16) for r in regions], spacing, pixel)


def thin_layer() -> Measurement:
    z = np.arange(25) * 0.2
    y, x = np.mgrid[:128, :160]
    height = 2.4 + 0.002 * (x - 80) + 0.001 * (y - 64)
    light = 2000 * np.exp(-4 * np.log(2) * ((z[:, None, None] - height) / 0.9) ** 2) + 100
    return measure_thin_layer(_rng().poisson(light).astype(np.uint16), z, 0.1)


def stage() -> Measurement:
    came_from = [d for _ in range(10) for d in DIRECTIONS]
    lean = {"left": (0, 0.15), "right": (0, -0.15), "back": (0.2, 0), "front": (-0.2, 0)}
    yx = np.array([lean[d] for d in came_from]) + _rng().normal(0, 0.08, (len(came_from), 2))
    return measure_stage(yx, came_from, np.tile([300.0, 3000.0], len(came_from) // 2))


def drift() -> Measurement:
    time_s = np.arange(0, 7200, 60.0)
    way = 0.6 * (1 - np.exp(-time_s / 1500))
    place = np.column_stack([1.4 * way, way, -0.5 * way]) + _rng().normal(0, 0.008, (time_s.size, 3))
    return measure_drift(time_s, place, axes="zyx")


def autofocus() -> Measurement:
    defocus = np.tile([-4.0, -2.0, 2.0, 4.0], 6)
    found = _rng().normal(0, 0.05, 24) + 0.01 * np.sign(defocus)
    found[5] = 9.0
    return measure_autofocus(found, defocus)


def axial_steps() -> Measurement:
    asked = np.concatenate([np.arange(0, 10, 0.5), np.arange(10, 0, -0.5)])
    way = np.r_[np.ones(20), -np.ones(20)]
    return measure_axial_steps(asked, 1.01 * asked + 0.05 * way + _rng().normal(0, 0.02, 40), way)


def point_detector() -> Measurement:
    rng, gains = _rng(), {500: 10, 600: 36, 700: 106}
    series = [(100 + gain * rng.poisson(8, (6, 40, 48))).astype(np.uint16) for gain in gains.values()]
    return measure_point_detector(series, list(gains), offset_adu=100)


def power_linearity() -> Measurement:
    setting = np.r_[np.arange(0, 101, 10), np.arange(90, -1, -10)].astype(float)
    return measure_power_linearity(
        setting, 0.12 * setting + 0.0001 * setting**2 + _rng().normal(0, 0.02, setting.size), "OBJECTIVE_EXIT"
    )


def power_stability() -> Measurement:
    time_s = np.arange(0, 3600, 10.0)
    power = 8 + 0.1 * (1 - np.exp(-time_s / 600)) + _rng().normal(0, 0.01, time_s.size)
    return measure_power_stability(time_s, power, "OBJECTIVE_EXIT")


MEASURED: dict[str, Callable[[], Measurement]] = {
    "psf": cache(psf),
    "registration": cache(registration),
    "illumination": cache(illumination),
    "illumination_change": cache(lambda: measure_illumination_change(_field(370.0, 0.15), _field(), 100.0)),
    "dark_noise": cache(lambda: measure_dark_noise(_frames(0, 20), 2.0)),
    "photon_transfer": cache(photon_transfer),
    "linearity": cache(linearity),
    "dark_current": cache(dark_current),
    "point_detector": cache(point_detector),
    "uniformity": cache(lambda: measure_uniformity(_frames(0, 10), _frames(20_000, 10))),
    "defects": cache(lambda: measure_defects(_frames(0, 20), _frames(20_000, 10))),
    "power_linearity": cache(power_linearity),
    "power_stability": cache(power_stability),
    "sample_power": cache(lambda: measure_sample_power([4.1, 4.2, 4.15, 4.12], field_diameter_um=220.0)),
    "stage": cache(stage),
    "drift": cache(drift),
    "autofocus": cache(autofocus),
    "axial_steps": cache(axial_steps),
    "pixel_size": cache(pixel_size),
    "grid": cache(grid),
    "line_pairs": cache(line_pairs),
    "thin_layer": cache(thin_layer),
}
