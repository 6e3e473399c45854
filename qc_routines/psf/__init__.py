"""Point spread function from beads."""

from qc_routines.psf.measure import measure_psf
from qc_routines.psf.routine import ROUTINE
from qc_routines.psf.selection import Reason, Rules

__all__ = ["ROUTINE", "Reason", "Rules", "measure_psf"]
