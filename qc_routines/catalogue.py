"""All routines by name."""

from __future__ import annotations

from qc_routines import (
    autofocus,
    axial,
    camera,
    detector,
    drift,
    grid,
    illumination,
    line_pairs,
    pixel_size,
    power_routines,
    psf,
    registration,
    stage,
    thin_layer,
)
from qc_routines.routine import Routine

ROUTINES: dict[str, Routine] = {
    routine.name: routine
    for routine in (
        psf.ROUTINE,
        registration.ROUTINE,
        illumination.ROUTINE,
        illumination.CHANGE_ROUTINE,
        *camera.ROUTINES,
        detector.ROUTINE,
        *power_routines.ROUTINES,
        stage.ROUTINE,
        drift.ROUTINE,
        autofocus.ROUTINE,
        pixel_size.ROUTINE,
        grid.ROUTINE,
        line_pairs.ROUTINE,
        thin_layer.ROUTINE,
        axial.ROUTINE,
    )
}
"""Every routine there is; a routine is added by putting its module's `ROUTINE` in this row."""
