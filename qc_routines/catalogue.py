"""All routines by name."""

from __future__ import annotations

from qc_routines import psf, registration
from qc_routines.routine import Routine

ROUTINES: dict[str, Routine] = {
    routine.name: routine
    for routine in (
        psf.ROUTINE,
        registration.ROUTINE,
    )
}
"""Every routine there is; a routine is added by putting its module's `ROUTINE` in this row."""
