"""Camera routines on a camera that we did not write: the noise of Micro-Manager's own DemoCamera, through the real core.

Its conversion factor, read noise and photon flux are properties; counts are cut off, not rounded, after an offset of 100.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

from drivers.mmcore.loading import fenced_import
from qc_routines.camera import (
    measure_dark_noise,
    measure_defects,
    measure_linearity,
    measure_photon_transfer,
    photon_transfer_point,
    pixel_moments,
)
from qc_routines.camera.moments import PixelMoments

CONVERSION, READ_NOISE_E, FLUX_E_PER_MS, OFFSET_ADU = 2.2, 4.5, 900.0, 100.0


class DemoCamera:
    """The camera alone on a core."""

    def __init__(self, core: Any) -> None:
        self.core = core
        for label, name in (("Hub", "DHub"), ("Camera", "DCam")):
            core.loadDevice(label, "DemoCamera", name)
            if label == "Camera":
                core.setParentLabel(label, "Hub")
            core.initializeDevice(label)
        core.setCameraDevice("Camera")
        self.set("PixelType", "16bit")
        self.set("Mode", "Noise")
        self.set("Photon Conversion Factor", CONVERSION)
        self.set("ReadNoise (electrons)", READ_NOISE_E)

    def set(self, name: str, value: object) -> None:
        self.core.setProperty("Camera", name, value)

    def moments(self, exposure_ms: float, n: int) -> PixelMoments:
        self.set("Photon Flux", FLUX_E_PER_MS)
        self.core.setExposure(exposure_ms)
        return pixel_moments(self._frames(n))

    def _frames(self, n: int) -> Iterator[np.ndarray]:
        for _ in range(n):
            self.core.snapImage()
            yield self.core.getImage()


@pytest.fixture(scope="module")
def camera() -> Iterator[DemoCamera]:
    with fenced_import():
        from pymmcore_plus import CMMCorePlus
    from drivers.mmcore.release import release_callback

    core = CMMCorePlus()
    yield DemoCamera(core)
    core.unloadAllDevices()
    release_callback(core)


@pytest.fixture(scope="module")
def dark(camera: DemoCamera) -> PixelMoments:
    return camera.moments(0.0, 40)


def test_dark_noise_is_the_read_noise_that_was_set(dark: PixelMoments) -> None:
    measured = measure_dark_noise(dark, CONVERSION)
    assert measured.value("dark_noise_e") == pytest.approx(READ_NOISE_E, rel=0.005)
    assert measured.value("offset") == pytest.approx(OFFSET_ADU - 0.5, abs=0.02)
    assert measure_defects(dark).value("n_defective") == 0


def test_photon_transfer_and_linearity_find_the_conversion_and_the_flux(
    camera: DemoCamera, dark: PixelMoments
) -> None:
    exposures_ms = np.linspace(2.0, 40.0, 12)
    levels = [camera.moments(float(exposure), 4) for exposure in exposures_ms]
    transfer = measure_photon_transfer(dark, levels).figure("conversion")
    assert transfer.value == pytest.approx(CONVERSION, abs=6 * transfer.uncertainty)
    assert transfer.uncertainty < 0.002 * CONVERSION
    signal = [photon_transfer_point(level, dark).signal_adu for level in levels]
    line = measure_linearity(exposures_ms, signal, saturation_adu=1.05 * max(signal))
    assert line.value("responsivity") == pytest.approx(FLUX_E_PER_MS / CONVERSION, rel=0.001)
    assert line.value("linearity_error") < 0.1
