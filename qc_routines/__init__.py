"""Numbers from images: routines that measure, with a unit in the name of every result."""

from qc_routines.errors import InputError, RoutineError
from qc_routines.images import ImageChecks, image_checks

__all__ = ["ImageChecks", "InputError", "RoutineError", "image_checks"]
