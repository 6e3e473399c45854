"""Bright beads of a real lens: their rings stand out of the noise by the hundred, and none of them is a bead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated import JumpingClock, SimulatedMicroscope, Truth
from drivers.simulated.slides import SLIDES, objects_in
from drivers.simulated.truth import Sensor
from qc_routines.conditions import Mode, Optics, VoxelSize
from qc_routines.psf import measure_psf
from qc_routines.psf import routine as psf
from qc_routines.results import Measurement

SHAPE = (400, 560)
OPTICS = Optics(Mode.WIDEFIELD, 1.4, 1.515, 520.0)
EXPOSURE_MS = 165.0
"""At which beads reach half of full scale, as an exposure that is found by itself has it."""
MARGIN_PX = 6.0


@pytest.fixture(scope="module")
def bright() -> tuple[Measurement, np.ndarray]:
    """Return what is measured, and where the beads are in the image, px."""
    scope = SimulatedMicroscope(Truth(seed=5, sensor=Sensor(*SHAPE)), JumpingClock())
    scope.shutter_open, scope.camera = True, replace(scope.camera, exposure_ms=EXPOSURE_MS)
    parameters = psf.protocol(OPTICS).parameters
    step_um, range_um = parameters["step_um"], parameters["range_um"]
    planes = []
    for height_um in np.arange(-range_um / 2, range_um / 2, step_um):
        scope.z.move(float(height_um), scope.truth.stage.z)
        scope.clock.sleep(0.5)
        planes.append(scope.expose())
    view = scope.view()
    beads = objects_in(SLIDES[scope.slide], scope.truth.seed, *view.seen_yx_um(0.0))
    voxel = VoxelSize(step_um, view.pixel_size_um, view.pixel_size_um)
    return measure_psf(np.stack(planes), voxel, OPTICS, bead_diameter_um=0.2), view.to_pixels(beads.yx_um)


def test_every_bead_of_the_field_is_measured_and_nothing_else(bright) -> None:
    measured, places_px = bright
    is_whole = np.all((places_px > MARGIN_PX) & (places_px < np.array(SHAPE) - 1 - MARGIN_PX), axis=1)
    pixel_um = measured.parameters["voxel_x_um"]
    is_bead = measured.table["reason"] == ""
    found_px = np.column_stack([measured.table[f"centroid_{axis}_um"] for axis in "yx"])[is_bead] / pixel_um
    distance = np.linalg.norm(found_px[:, None] - places_px[None], axis=2)
    assert is_whole.sum() >= 10
    assert set(np.flatnonzero(is_whole)) <= set(distance.argmin(axis=1))
    assert distance.min(axis=1).max() < 0.5
    assert len(set(distance.argmin(axis=1))) == measured.n_used


def test_rings_are_no_beads_that_were_left_out(bright) -> None:
    measured, _ = bright
    reasons = measured.table["reason"]
    n_rings = int(np.isin(reasons, ("side lobe", "speck")).sum())
    assert n_rings > 5 * measured.n_used  # or the beads are not bright
    assert set(measured.n_rejected) <= {"lateral edge"}
    assert sum(measured.n_rejected.values()) < measured.n_used
    assert any(remark.startswith(f"{n_rings} fainter maxima are rings") for remark in measured.remarks)
