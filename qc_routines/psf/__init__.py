"""Point spread function from beads."""

from qc_routines.psf.measure import measure_psf
from qc_routines.psf.selection import Reason, Rules

__all__ = ["Reason", "Rules", "measure_psf"]
