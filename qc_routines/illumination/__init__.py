"""Field illumination: how evenly a field is lit and where its centre is."""

from qc_routines.illumination.measure import measure_illumination
from qc_routines.illumination.routine import ROUTINE

__all__ = ["ROUTINE", "measure_illumination"]
