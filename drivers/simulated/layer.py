"""A layer thinner than the resolution, seen through a spinning disk: only near focus is it bright.

A widefield microscope sees a uniform layer as bright at any defocus, so its axial resolution cannot be measured on one. A
disk's pinholes light and see the layer through the same optics; with small ones, the light from a plane at defocus z is
the integral of the squared intensity PSF over that plane (T. Wilson, Confocal Microscopy, 1990, section 3.5).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.field import View
from drivers.simulated.psf import Shape, psf_stack
from drivers.simulated.truth import Objective, Pupil

Array = NDArray[np.float64]

FINENESS = 16
"""Places between two planes of the PSF stack at which the light is tabulated; straight lines join them."""


def sectioning(view: View, rows: Array, columns: Array) -> Array:
    """Return the share of the light in focus that each pixel receives; `rows` (n, 1), `columns` (1, m)."""
    objective, channel = view.truth.objective(view.objective), view.truth.channel(view.channel)
    defocus_um, response = axial_response(
        objective, view.truth.pupil, channel.emission_nm, view.pixel_size_um
    )
    return np.interp(_defocus_um(view, rows, columns), defocus_um, response, left=0.0, right=0.0)


@lru_cache(maxsize=6)
def axial_response(
    objective: Objective, pupil: Pupil, emission_nm: float, pixel_size_um: float
) -> tuple[Array, Array]:
    """Return defocus, um, and the light of a plane there, relative to the brightest.

    Notes
    -----
    Between two planes of the stack the PSF is a spline of four of them with weights w, and its square's integral is
    w G w, G the integrals of their products: as fine as one likes, and without drawing a plane.
    """
    stack = psf_stack(objective, pupil, emission_nm, pixel_size_um, Shape())
    planes = [_samples(_samples(plane).T).ravel().astype(np.float64) for plane in stack.coefficients]
    t = np.arange(FINENESS) / FINENESS
    weights = (
        np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3]) / 6
    )
    light = []
    for first in range(len(planes) - 3):
        four = np.stack(planes[first : first + 4])
        light.append(np.einsum("at,ab,bt->t", weights, four @ four.T, weights))
    defocus_um = stack.first_defocus_um + stack.defocus_step_um * (
        1 + np.arange(len(light) * FINENESS) / FINENESS
    )
    relative = np.concatenate(light)
    return defocus_um, relative / relative.max()


def _samples(coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples of a cubic spline along the first axis, its ends left out."""
    return coefficients[:-2] / 6 + coefficients[1:-1] * (4 / 6) + coefficients[2:] / 6


def _defocus_um(view: View, rows: Array, columns: Array) -> Array:
    """Return how much higher the stage stands than the focus of each pixel; distortion is left out."""
    truth, objective = view.truth, view.truth.objective(view.objective)
    field_y, field_x = (
        (at - c) * view.pixel_size_um for at, c in zip((rows, columns), view.centre_px, strict=True)
    )
    angle = np.radians(truth.geometry.camera_rotation_deg)
    y_um = (
        np.cos(angle) * field_y
        - np.sin(angle) * field_x
        + view.stage_zyx_um[1]
        + objective.parcentric_yx_um[0]
    )
    x_um = (
        np.cos(angle) * field_x
        + np.sin(angle) * field_y
        + view.stage_zyx_um[2]
        + objective.parcentric_yx_um[1]
    )
    tilt_y, tilt_x = truth.geometry.slide_tilt_yx
    chromatic_um = truth.channel(view.channel).axial_shift_um * objective.chromatic_factor
    curved_um = objective.field_curvature_um * (field_y**2 + field_x**2) / objective.field_radius_um**2
    focus_um = objective.parfocal_um + chromatic_um + tilt_y * y_um + tilt_x * x_um + curved_um
    return view.stage_zyx_um[0] - focus_um
