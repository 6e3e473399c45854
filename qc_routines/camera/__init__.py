"""Camera characterisation from frames that pass by once."""

from qc_routines.camera import dark_current, dark_noise, defects, linearity, photon_transfer, uniformity
from qc_routines.camera.dark_current import measure_dark_current
from qc_routines.camera.dark_noise import measure_dark_noise
from qc_routines.camera.defects import Defect, measure_defects
from qc_routines.camera.linearity import measure_linearity
from qc_routines.camera.moments import PixelMoments, pixel_moments
from qc_routines.camera.photon_transfer import measure_photon_transfer
from qc_routines.camera.transfer_points import PhotonTransferPoint, photon_transfer_point
from qc_routines.camera.uniformity import measure_uniformity

ROUTINES = (
    dark_noise.ROUTINE,
    photon_transfer.ROUTINE,
    linearity.ROUTINE,
    dark_current.ROUTINE,
    uniformity.ROUTINE,
    defects.ROUTINE,
)
"""For the catalogue."""

__all__ = [
    "ROUTINES",
    "Defect",
    "PhotonTransferPoint",
    "PixelMoments",
    "measure_dark_current",
    "measure_dark_noise",
    "measure_defects",
    "measure_linearity",
    "measure_photon_transfer",
    "measure_uniformity",
    "photon_transfer_point",
    "pixel_moments",
]
