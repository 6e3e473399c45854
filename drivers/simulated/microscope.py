"""The simulated microscope: a truth, a state, and frames that follow from both.

Nothing here knows Micro-Manager. Devices move the state, `expose` renders what the camera would see, and every number
behind the image can be read from `truth`, `view()` and `power_mw()`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.camera import PixelMaps, Region, pixel_maps, read_out
from drivers.simulated.clock import Clock, SystemClock
from drivers.simulated.faults import with_faults
from drivers.simulated.field import View
from drivers.simulated.light import flicker, meter_reading_mw, steady_power_mw, temperature_degc
from drivers.simulated.scene import expected_image
from drivers.simulated.slides import SLIDES
from drivers.simulated.stage import AxisMotor, skewed_x_um
from drivers.simulated.truth import ZYX, ReadoutMode, Sensor, Truth

Frame = NDArray[Any]
SMALLEST_STEP_UM = 0.0005
"""Places are rounded to this, so that a slide that hardly drifts need not be drawn anew."""


@dataclass(frozen=True)
class CameraSettings:
    """How the camera is set."""

    exposure_ms: float = 20.0
    binning: int = 1
    mode: str = "16-bit"
    roi: tuple[int, int, int, int] | None = None
    """x, y, width, height in binned pixels; None: everything."""
    multiplication: float = 1.0
    """How many electrons each becomes before it is read; 1: as in an sCMOS camera."""


class SimulatedMicroscope:
    """A widefield fluorescence microscope of known truth.

    Parameters
    ----------
    truth : Truth
        What is true of it while nothing is at fault.
    clock : Clock, optional
        What its time is; the computer's own when omitted.

    Examples
    --------
    >>> from drivers.simulated.clock import JumpingClock
    >>> microscope = SimulatedMicroscope(Truth(sensor=Sensor(height_px=64, width_px=96)), JumpingClock())
    >>> microscope.slide, microscope.shutter_open = "uniform", True
    >>> microscope.expose().shape
    (64, 96)
    """

    def __init__(self, truth: Truth | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._lock = threading.Lock()
        self.set_up_anew(truth or Truth())

    def set_up_anew(self, truth: Truth) -> None:
        """Forget everything but the clock and start again with another truth."""
        self.healthy_truth = truth
        self.faults: frozenset[str] = frozenset()
        self.slide = "beads 0.2 um"
        self.objective = "60x/1.40 oil"
        self.channel = "FITC"
        self.set_points = {channel.label: 0.5 for channel in truth.channels}
        self.shutter_open = False
        self.lamp_is_on = True
        self.camera = CameraSettings()
        self.n_frames = 0
        self._n_readings = 0
        self._started_at_s = self.lamp_on_at_s = self.clock.now_s() - truth.on_for_s
        seed = truth.seed
        self.y, self.x, self.z = (AxisMotor(self.clock, (seed, n)) for n in (11, 12, 13))
        # more than the present truth's drift explains; nothing has drifted since the slide was put on, which is now
        self._drifted_zyx_um = -np.array(truth.drift.displacement_zyx_um(truth.on_for_s))
        self._focus_lock_error_um: float | None = None
        self.focus_score = 0.0
        self._focus_random = np.random.default_rng((seed, 14))
        self._drawn: tuple[object, NDArray[np.float32]] | None = None

    # ---- what is true

    @property
    def truth(self) -> Truth:
        """What is true now, with all faults."""
        return _faulty(self.healthy_truth, self.faults)

    def set_fault(self, name: str, is_on: bool) -> None:
        """Make something go wrong, or repair it; the slide drifts on from where it is."""
        faults = self.faults | {name} if is_on else self.faults - {name}
        with_faults(self.healthy_truth, faults)  # refuses unknown names before anything changes
        before = np.array(self.drift_zyx_um())
        self.faults = faults
        self._drifted_zyx_um += before - np.array(self.drift_zyx_um())

    def elapsed_s(self) -> float:
        """Return the time since the microscope was switched on."""
        return self.clock.now_s() - self._started_at_s

    def drift_zyx_um(self) -> ZYX:
        """Return how far the slide has drifted from under the objective."""
        z, y, x = self._drifted_zyx_um + self.truth.drift.displacement_zyx_um(self.elapsed_s())
        return float(z), float(y), float(x)

    def stage_zyx_um(self) -> ZYX:
        """Return where on the slide the objective really looks, drift included."""
        stage, drift = self.truth.stage, self.drift_zyx_um()
        y = self.y.actual_um(stage.y)
        x = skewed_x_um(self.x.actual_um(stage.x), y, stage.orthogonality_deg)
        y, x = y + drift[1], x + drift[2]
        if self._focus_lock_error_um is not None:
            return self._focus_um(y, x) + self._focus_lock_error_um, y, x
        return self.z.actual_um(stage.z) + drift[0], y, x

    def view(self) -> View:
        """Return the geometry of a frame taken now."""
        z, y, x = (round(um / SMALLEST_STEP_UM) * SMALLEST_STEP_UM for um in self.stage_zyx_um())
        return View(self.truth, self.objective, self.channel, (z, y, x))

    def power_mw(self) -> float:
        """Return the power that leaves the light path now, without flicker; 0 behind a closed shutter."""
        if not (self.shutter_open and self.lamp_is_on):
            return 0.0
        truth, on_for_s = self.truth, self.clock.now_s() - self.lamp_on_at_s
        return steady_power_mw(
            truth.light, truth.channel(self.channel), self.set_points[self.channel], on_for_s
        )

    @property
    def mode(self) -> ReadoutMode:
        """How the camera digitises."""
        return self.truth.mode(self.camera.mode)

    @property
    def pixels(self) -> PixelMaps:
        """What each pixel of the camera is like."""
        return _maps(self.truth.sensor, self.truth.seed)

    # ---- what the hardware does

    def expose(self, out: Frame | None = None, broken_off: threading.Event | None = None) -> Frame:
        """Take a frame: light and place are those at its start, and the exposure passes on the clock.

        Parameters
        ----------
        out : ndarray, optional
            Receives the frame; a new one when omitted.
        broken_off : Event, optional
            The exposure ends when it is set; the frame is of no use then.
        """
        with self._lock:
            frame = self.n_frames
            self.n_frames += 1
            truth, camera = self.truth, self.camera
            dose = camera.exposure_ms * self.power_mw() * flicker(truth.light, truth.seed, frame)
            region = self.region()
            shape = (region.height, region.width)
            # nothing is drawn in the dark
            light = self._draw(region) if dose else np.zeros(shape, np.float32)
            image: Frame = np.empty(self.shape(), self.dtype()) if out is None else out
            read_out(
                light,
                dose,
                camera.exposure_ms,
                self.pixels,
                self.mode,
                truth.sensor,
                region,
                camera.binning,
                truth.seed,
                frame,
                image,
                camera.multiplication,
            )
        self.clock.sleep(camera.exposure_ms / 1000, unless=broken_off)
        return image

    def expected_e(self) -> NDArray[np.float64]:
        """Return the photo-electrons that a frame taken now would hold on average, unbinned."""
        region = self.region()
        dose = self.camera.exposure_ms * self.power_mw()
        return expected_image(self.view(), SLIDES[self.slide], region).astype(np.float64) * dose

    def read_power_mw(self) -> float:
        """Return the next reading of the power meter: its zero unless it lies on the stage and light falls on it."""
        self._n_readings += 1
        truth = self.truth
        power_mw = self.power_mw() if self.slide == "power meter" else 0.0
        power_mw *= flicker(truth.light, truth.seed, -self._n_readings % 2**32)
        optics = truth.objective(self.objective)
        return meter_reading_mw(truth.light, optics, power_mw, truth.seed, self._n_readings)

    def read_temperature_degc(self) -> float:
        """Return the next reading of the thermometer."""
        self._n_readings += 1
        return temperature_degc(self.truth.room, self.clock.now_s(), self.truth.seed, self._n_readings)

    def switch_lamp(self, is_on: bool) -> None:
        """Switch the light source; it warms up anew each time."""
        if is_on and not self.lamp_is_on:
            self.lamp_on_at_s = self.clock.now_s()
        self.lamp_is_on = is_on

    def find_focus(self) -> None:
        """Let the focus lock find the slide once and let go: its drive, which it watches, ends where it finds it.

        Raises
        ------
        RuntimeError
            The slide is out of its reach; the drive stays.
        """
        stage, (z_um, y_um, x_um) = self.truth.stage, self.stage_zyx_um()
        target_um = self._focus_um(y_um, x_um) + stage.focus_lock_um * self._focus_random.standard_normal()
        self.focus_score = 0.0
        if abs(target_um - z_um) > stage.focus_lock_reach_um:
            raise RuntimeError(
                f"no reflection within {stage.focus_lock_reach_um:g} um of where the drive stands; focus by hand first"
            )
        self._focus_lock_error_um = None
        self.z.nudge(target_um - self.stage_zyx_um()[0], stage.z)
        self.focus_score = 1.0

    def lock_focus(self, is_on: bool) -> None:
        """Let the focus lock find the slide and follow it, or let go where it stands."""
        if is_on:
            self._focus_lock_error_um = self.truth.stage.focus_lock_um * self._focus_random.standard_normal()
        elif self._focus_lock_error_um is not None:
            here_um = self.stage_zyx_um()[0]
            self._focus_lock_error_um = None
            self.z.commanded_um += here_um - self.stage_zyx_um()[0]  # what it followed, its drive has gone

    @property
    def focus_is_locked(self) -> bool:
        """Whether the focus lock follows the slide."""
        return self._focus_lock_error_um is not None

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """Read a part of the sensor; binned pixels."""
        full = replace(self.camera, roi=None)
        rows, columns = self._shape_of(full)
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
            raise ValueError(
                f"The region x={x} y={y} width={width} height={height} is not within the sensor's "
                f"{columns} x {rows} pixels."
            )
        self.camera = replace(self.camera, roi=(x, y, width, height))

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of a frame."""
        return self._shape_of(self.camera)

    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Return the type of a frame's pixels."""
        return np.uint8 if self.mode.bit_depth <= 8 else np.uint16

    def region(self) -> Region:
        """Return which unbinned pixels a frame holds."""
        binning = self.camera.binning
        x, y = self.camera.roi[:2] if self.camera.roi else (0, 0)
        rows, columns = self.shape()
        return Region(y * binning, x * binning, rows * binning, columns * binning)

    def _shape_of(self, camera: CameraSettings) -> tuple[int, int]:
        if camera.roi:
            return camera.roi[3], camera.roi[2]
        sensor = self.truth.sensor
        return sensor.height_px // camera.binning, sensor.width_px // camera.binning

    def _focus_um(self, y_um: float, x_um: float) -> float:
        view = View(self.truth, self.objective, self.channel, (0.0, y_um, x_um))
        centre = np.array([[y_um, x_um]]) + np.array(self.truth.objective(self.objective).parcentric_yx_um)
        return float(view.focus_um(centre)[0])

    def _draw(self, region: Region) -> NDArray[np.float32]:
        """Return the expected image, the last one again when nothing has changed."""
        key = (self.view(), self.slide, region)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, expected_image(key[0], SLIDES[self.slide], region)
        return self._drawn[1]


@lru_cache(maxsize=64)
def _faulty(truth: Truth, faults: frozenset[str]) -> Truth:
    return with_faults(truth, faults)


@lru_cache(maxsize=2)  # 84 MB each for 2048 x 2048 pixels
def _maps(sensor: Sensor, seed: int) -> PixelMaps:
    return pixel_maps(sensor, seed)
