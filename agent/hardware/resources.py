"""What of a configuration only one process can have: the libraries of real devices, and serial ports.

Two configuration files that share a device adapter drive the same hardware, whatever they are called; so the identity of
hardware is the set of its adapters, not a file name. Simulated devices are nobody's: any number of demos may run at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.settings import DEMO_CONFIG, SIMULATED_CONFIG, HardwareSettings
from drivers import Hardware

SIMULATED_LIBRARIES = frozenset(
    {"", "DemoCamera", "NotificationTester", "SequenceTester", "SimpleAutofocus", "Utilities"}
)
"""Micro-Manager's adapters without hardware behind them, and the core's own devices."""

PORTS = "SerialManager"
PYTHON_DEVICE = "#py"
SIMULATED_MODULES = ("drivers.simulated",)

Resources = frozenset[str]


def resources_of_settings(hardware: HardwareSettings) -> Resources:
    """Return what the configured hardware needs for itself; nothing for a simulated or a watched microscope."""
    if hardware.driver in ("simulated", "mmstudio") or hardware.config_file in (
        "",
        DEMO_CONFIG,
        SIMULATED_CONFIG,
    ):
        return frozenset()
    return resources_of_configuration(Path(hardware.config_file))


def resources_of_configuration(path: Path) -> Resources:
    """Return what a Micro-Manager configuration file needs; nothing when it cannot be read, and so not be loaded."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(_resources(_devices_in(lines)))


def resources_of(hardware: Hardware) -> Resources:
    """Return what loaded hardware has taken."""
    return frozenset(
        _resources((device.library, device.adapter_name) for device in hardware.devices.values())
    )


def libraries_of(resources: Iterable[str]) -> frozenset[str]:
    """Return the device adapters among resources.

    >>> sorted(libraries_of({"NikonTi2", "SerialManager/COM3"}))
    ['NikonTi2', 'SerialManager']
    """
    return frozenset(resource.partition("/")[0] for resource in resources)


def _devices_in(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        parts = [part.strip() for part in line.split(",")]
        is_python = parts[0].split() == [PYTHON_DEVICE, "pyDevice"]
        if len(parts) < 4 or not (parts[0] == "Device" or is_python):
            continue
        if not (is_python and parts[2].startswith(SIMULATED_MODULES)):
            yield parts[2], parts[3]


def _resources(devices: Iterable[tuple[str, str]]) -> Iterator[str]:
    for library, name in devices:
        if library == PORTS:
            yield f"{PORTS}/{name}"
        elif library not in SIMULATED_LIBRARIES:
            yield library
