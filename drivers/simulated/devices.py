"""The simulated microscope's parts as Micro-Manager devices; thin, because the microscope knows everything.

A device may not call the core; it emits what its own adapter would notify.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivers.mmcore.loading import fenced_import
from drivers.simulated.bench import set_up, standing
from drivers.simulated.faults import FAULTS
from drivers.simulated.microscope import SimulatedMicroscope
from drivers.simulated.slides import SLIDES
from drivers.simulated.stage import AxisMotor
from drivers.simulated.truth import Axis

with fenced_import():
    from pymmcore_plus.core import FocusDirection
    from pymmcore_plus.experimental.unicore import (
        CameraDevice,
        GenericDevice,
        ShutterDevice,
        StageDevice,
        StateDevice,
        XYStageDevice,
        pymm_property,
    )

ON_OFF = ("Off", "On")
SENSORS = ("2048x2048", "1200x1600", "512x640")
"""Rows x columns."""


class Stand(GenericDevice):
    """Simulated stand: load it before the other simulated devices"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = set_up()

    @pymm_property(is_pre_init=True, limits=(0, 2**31 - 1), name="Seed")
    def seed(self) -> int:
        return self.microscope.healthy_truth.seed

    @seed.setter
    def set_seed(self, value: int) -> None:
        self.microscope.set_up_anew(replace(self.microscope.healthy_truth, seed=int(value)))

    @pymm_property(is_pre_init=True, name="Sensor")
    def sensor(self) -> str:
        sensor = self.microscope.healthy_truth.sensor
        return f"{sensor.height_px}x{sensor.width_px}"

    @sensor.setter
    def set_sensor(self, value: str) -> None:
        rows, columns = (int(n) for n in value.split("x"))
        truth = self.microscope.healthy_truth
        sensor = replace(truth.sensor, height_px=rows, width_px=columns)
        self.microscope.set_up_anew(replace(truth, sensor=sensor))


class Camera(CameraDevice):
    """Simulated sCMOS camera"""

    def __init__(self) -> None:
        self.microscope = standing()
        super().__init__()
        self.set_property_allowed_values("Binning", (1, 2, 4))
        self.set_property_limits("Exposure", (0.01, 60_000.0))
        modes = tuple(mode.label for mode in self.microscope.truth.sensor.modes)
        self.set_property_allowed_values("ReadoutMode", modes)

    def get_exposure(self) -> float:
        return self.microscope.camera.exposure_ms

    def set_exposure(self, exposure: float) -> None:
        self._set(exposure_ms=float(exposure))
        self.core.events.exposureChanged.emit(self.get_label(), float(exposure))

    def get_binning(self) -> int:
        return self.microscope.camera.binning

    def set_binning(self, value: int) -> None:
        self._set(binning=int(value), roi=None)

    def get_readout_mode(self) -> str:
        return self.microscope.camera.mode

    def set_readout_mode(self, value: str) -> None:
        self._set(mode=value)

    @pymm_property(name="BitDepth")
    def bit_depth(self) -> int:
        return self.microscope.mode.bit_depth

    @pymm_property(name="Gain-e/ADU")
    def gain_e_per_adu(self) -> float:
        return self.microscope.mode.gain_e_per_adu

    def shape(self) -> tuple[int, int]:
        return self.microscope.shape()

    def dtype(self) -> type:
        return self.microscope.dtype()

    def get_roi(self) -> tuple[int, int, int, int]:
        rows, columns = self.shape()
        return self.microscope.camera.roi or (0, 0, columns, rows)

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        self.microscope.set_roi(x, y, width, height)

    def clear_roi(self) -> None:
        self._set(roi=None)

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], Any], Any]
    ) -> Iterator[Mapping[str, str]]:
        shape, dtype, taken = self.shape(), self.dtype(), 0
        while n is None or taken < n:
            self.microscope.expose(get_buffer(shape, dtype))
            taken += 1
            yield {"FrameNumber": str(self.microscope.n_frames - 1)}

    def _set(self, **changes: Any) -> None:
        self.microscope.camera = replace(self.microscope.camera, **changes)


class XYStage(XYStageDevice):
    """Simulated motorised XY stage"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def set_position_um(self, x: float, y: float) -> None:
        stage = self.microscope.truth.stage
        _check_reach(self.get_label(), x, stage.x)
        _check_reach(self.get_label(), y, stage.y)
        self.microscope.x.move(float(x), stage.x)
        self.microscope.y.move(float(y), stage.y)
        self.core.events.XYStagePositionChanged.emit(self.get_label(), *self.get_position_um())

    def get_position_um(self) -> tuple[float, float]:
        stage = self.microscope.truth.stage
        return self.microscope.x.reported_um(stage.x), self.microscope.y.reported_um(stage.y)

    def busy(self) -> bool:
        return not (self.microscope.x.has_arrived() and self.microscope.y.has_arrived())

    def home(self) -> None:
        self.set_position_um(0.0, 0.0)

    def stop(self) -> None:
        """Moves are short; none is ever cut off."""

    def set_origin_x(self) -> None:
        raise NotImplementedError(
            "The simulated stage's coordinates are the slide's; they stay where they are."
        )

    set_origin_y = set_origin_x


class ZStage(StageDevice):
    """Simulated focus drive"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def set_position_um(self, val: float) -> None:
        axis = self.microscope.truth.stage.z
        _check_reach(self.get_label(), val, axis)
        if not self.microscope.focus_is_locked:
            self._motor.move(float(val), axis)
        self.core.events.stagePositionChanged.emit(self.get_label(), self.get_position_um())

    def get_position_um(self) -> float:
        return self._motor.reported_um(self.microscope.truth.stage.z)

    @property
    def _motor(self) -> AxisMotor:
        return self.microscope.z

    @pymm_property(name="Position")
    def position(self) -> float:
        return self.get_position_um()

    @position.setter
    def set_position(self, value: float) -> None:
        self.set_position_um(float(value))

    def busy(self) -> bool:
        return not self._motor.has_arrived()

    def get_focus_direction(self) -> FocusDirection:
        return FocusDirection.TowardSample

    def set_focus_direction(self, sign: int) -> None:
        """The direction is known and stays; a configuration file may repeat it."""

    def home(self) -> None:
        self.set_position_um(0.0)

    def stop(self) -> None:
        """Moves are short; none is ever cut off."""

    def set_origin(self) -> None:
        raise NotImplementedError("The simulated drive's zero is the focus of the 60x; it stays where it is.")


def _check_reach(label: str, target_um: float, axis: Axis) -> None:
    if abs(float(target_um)) > axis.reach_um:
        raise ValueError(
            f"{label} reaches {axis.reach_um:g} um either way; {float(target_um):g} um is too far."
        )


class _Selector(StateDevice):
    """A device whose labels are the choices of one attribute of the microscope."""

    attribute = ""

    def __init__(self) -> None:
        self.microscope = standing()
        self.choices = self.choices_of(self.microscope)
        super().__init__(dict(enumerate(self.choices)))

    @staticmethod
    def choices_of(microscope: SimulatedMicroscope) -> tuple[str, ...]:
        raise NotImplementedError

    def get_state(self) -> int:
        return self.choices.index(getattr(self.microscope, self.attribute))

    def set_state(self, position: int) -> None:
        setattr(self.microscope, self.attribute, self.choices[int(position)])


class ObjectiveTurret(_Selector):
    """Simulated objective turret"""

    attribute = "objective"

    @staticmethod
    def choices_of(microscope: SimulatedMicroscope) -> tuple[str, ...]:
        return tuple(objective.label for objective in microscope.truth.objectives)


class FilterCube(_Selector):
    """Simulated filter turret: excitation filter, dichroic and emission filter in one"""

    attribute = "channel"

    @staticmethod
    def choices_of(microscope: SimulatedMicroscope) -> tuple[str, ...]:
        return tuple(channel.label for channel in microscope.truth.channels)


class SlideHolder(_Selector):
    """What lies on the simulated stage; its labels are the slides"""

    attribute = "slide"

    @staticmethod
    def choices_of(microscope: SimulatedMicroscope) -> tuple[str, ...]:
        return tuple(SLIDES)


class Shutter(ShutterDevice):
    """Simulated shutter"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def get_open(self) -> bool:
        return self.microscope.shutter_open

    def set_open(self, open: bool) -> None:
        self.microscope.shutter_open = bool(open)

    @pymm_property(name="State", allowed_values=(0, 1))
    def state(self) -> int:
        return int(self.get_open())

    @state.setter
    def set_state(self, value: int) -> None:
        self.set_open(bool(int(value)))


class LightSource(GenericDevice):
    """Simulated light source with one line per channel"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()
        for channel in self.microscope.truth.channels:
            self._register_line(channel.label)

    def _register_line(self, label: str) -> None:
        def get(device: LightSource) -> float:
            return 100 * device.microscope.set_points[label]

        def put(device: LightSource, percent: float) -> None:
            device.microscope.set_points[label] = float(percent) / 100

        self.register_property(
            f"{label}-Power-percent", getter=get, setter=put, limits=(0.0, 100.0), property_type=float
        )

    @pymm_property(name="Lamp", allowed_values=ON_OFF)
    def lamp(self) -> str:
        return ON_OFF[self.microscope.lamp_is_on]

    @lamp.setter
    def set_lamp(self, value: str) -> None:
        self.microscope.switch_lamp(value == "On")

    @pymm_property(name="Hours")
    def hours(self) -> float:
        return self.microscope.truth.light.hours


class PowerMeter(GenericDevice):
    """Simulated power meter; shows light while the slide is "power meter\""""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    @pymm_property(name="Power-mW")
    def power_mw(self) -> float:
        return self.microscope.read_power_mw()


class Thermometer(GenericDevice):
    """Simulated thermometer beside the stand"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    @pymm_property(name="Temperature-degC")
    def temperature_degc(self) -> float:
        return self.microscope.read_temperature_degc()


class FocusLock(GenericDevice):
    """Simulated hardware autofocus: finds the slide when switched on, and follows it"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    @pymm_property(name="Lock", allowed_values=ON_OFF)
    def lock_state(self) -> str:
        return ON_OFF[self.microscope.focus_is_locked]

    @lock_state.setter
    def set_lock_state(self, value: str) -> None:
        self.microscope.lock_focus(value == "On")


class Faults(GenericDevice):
    """What is wrong with the simulated microscope; one switch each"""

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()
        for name in FAULTS:
            self._register_fault(name)

    def _register_fault(self, name: str) -> None:
        def get(device: Faults) -> str:
            return ON_OFF[name in device.microscope.faults]

        def put(device: Faults, value: str) -> None:
            device.microscope.set_fault(name, value == "On")

        self.register_property(name, getter=get, setter=put, allowed_values=ON_OFF, property_type=str)
