"""All plots by routine."""

from __future__ import annotations

from qc_routines.figures import camera, detector, geometry, illumination, motion, power, psf, registration
from qc_routines.figures.drawing import Drawing, Plot, Theory, drawn
from qc_routines.results import Measurement

PLOTS: dict[str, tuple[Plot, ...]] = {
    "psf": psf.PLOTS,
    "registration": registration.PLOTS,
    "illumination": illumination.PLOTS,
    "illumination_change": illumination.CHANGE,
    "dark_noise": camera.DARK_NOISE,
    "photon_transfer": camera.PHOTON_TRANSFER,
    "linearity": camera.LINEARITY,
    "dark_current": camera.DARK_CURRENT,
    "point_detector": detector.PLOTS,
    "uniformity": camera.UNIFORMITY,
    "defects": camera.DEFECTS,
    "power_linearity": power.LINEARITY,
    "power_stability": power.STABILITY,
    "sample_power": power.SAMPLE_POWER,
    "stage": motion.STAGE,
    "drift": motion.DRIFT,
    "autofocus": motion.AUTOFOCUS,
    "axial_steps": motion.AXIAL,
    "pixel_size": geometry.PIXEL_SIZE,
    "grid": geometry.GRID,
    "line_pairs": geometry.LINE_PAIRS,
    "thin_layer": geometry.THIN_LAYER,
}
"""What there is to see of each routine, in the order in which to look."""


def draw(measurement: Measurement, theory: Theory | None = None) -> tuple[Drawing, ...]:
    """Return all drawings of a measurement. None of them ever fails: a sentence says what could not be drawn.

    Parameters
    ----------
    measurement : Measurement
        With its table and maps.
    theory : mapping, optional
        Figure name to expected value, in the figure's unit.
    """
    return tuple(drawn(plot, measurement, theory or {}) for plot in PLOTS.get(measurement.routine, ()))
