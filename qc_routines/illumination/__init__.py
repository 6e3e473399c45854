"""Field illumination: how evenly a field is lit and where its centre is."""

from qc_routines.illumination import change
from qc_routines.illumination.change import measure_illumination_change
from qc_routines.illumination.measure import measure_illumination
from qc_routines.illumination.routine import ROUTINE

CHANGE_ROUTINE = change.ROUTINE
"""For the catalogue."""

__all__ = ["CHANGE_ROUTINE", "ROUTINE", "measure_illumination", "measure_illumination_change"]
