"""Registration of channels (chromatic shift, co-registration) from multicolour beads."""

from qc_routines.registration.measure import measure_registration
from qc_routines.registration.routine import ROUTINE

__all__ = ["ROUTINE", "measure_registration"]
