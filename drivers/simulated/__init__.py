"""A simulated widefield fluorescence microscope of known truth, driven through Micro-Manager's own core."""

from drivers.simulated.clock import Clock, JumpingClock, SystemClock
from drivers.simulated.faults import FAULTS, Fault
from drivers.simulated.microscope import SimulatedMicroscope
from drivers.simulated.opening import (
    CONFIGURATION,
    SimulatedDriver,
    open_simulated,
    open_simulated_driver,
)
from drivers.simulated.slides import SLIDES, Slide
from drivers.simulated.truth import Truth

__all__ = [
    "CONFIGURATION",
    "FAULTS",
    "SLIDES",
    "Clock",
    "Fault",
    "JumpingClock",
    "SimulatedDriver",
    "SimulatedMicroscope",
    "Slide",
    "SystemClock",
    "Truth",
    "open_simulated",
    "open_simulated_driver",
]
