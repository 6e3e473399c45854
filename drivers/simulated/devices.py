"""The simulated stand and what is mounted on it as Micro-Manager devices.

They are thin, because the microscope knows everything, and share it through `bench`: a device may not call the core.
"""

from __future__ import annotations

import re
from dataclasses import replace

from drivers.mmcore.loading import fenced_import
from drivers.simulated.bench import set_up, standing
from drivers.simulated.faults import FAULTS
from drivers.simulated.microscope import SimulatedMicroscope
from drivers.simulated.slides import SLIDES

with fenced_import():
    from pymmcore_plus import DeviceType
    from pymmcore_plus.experimental.unicore import (
        GenericDevice,
        ShutterDevice,
        StateDevice,
        pymm_property,
    )

ON_OFF = ("Off", "On")


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
        """Rows x columns."""
        sensor = self.microscope.healthy_truth.sensor
        return f"{sensor.height_px}x{sensor.width_px}"

    @sensor.setter
    def set_sensor(self, value: str) -> None:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", value):
            raise ValueError(f"Sensor is rows x columns, such as 512x640; got {value!r}.")
        rows, columns = (int(n) for n in value.split("x"))
        truth = self.microscope.healthy_truth
        sensor = replace(truth.sensor, height_px=rows, width_px=columns)
        self.microscope.set_up_anew(replace(truth, sensor=sensor))

    @pymm_property(is_pre_init=True, limits=(0.0, 1000.0), name="OnFor-h")
    def on_for(self) -> float:
        """Hours since it was switched on: then drift and lamp have settled, and a slow computer sees no more of them."""
        return self.microscope.healthy_truth.on_for_s / 3600

    @on_for.setter
    def set_on_for(self, value: float) -> None:
        self.microscope.set_up_anew(replace(self.microscope.healthy_truth, on_for_s=3600 * float(value)))


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
    """Simulated hardware autofocus: finds the slide once, or follows it while it is locked"""

    _TYPE = DeviceType.AutoFocusDevice

    def __init__(self) -> None:
        super().__init__()
        self.microscope = standing()

    def full_focus(self) -> None:
        self.microscope.find_focus()

    def last_focus_score(self) -> float:
        return self.microscope.focus_score

    def follow(self, is_on: bool) -> None:
        self.microscope.lock_focus(is_on)

    def is_following(self) -> bool:
        return self.microscope.focus_is_locked

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
