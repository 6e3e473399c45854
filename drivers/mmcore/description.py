"""Ask a core what is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.errors import DEVICE_ERRORS
from drivers.readings import Device, Hardware, Key, Preset, Property

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

# Units that Micro-Manager's device interface fixes by property name (MMDeviceConstants.h: Keyword_*).
UNIT_OF_PROPERTY = {
    "Exposure": "ms",
    "ActualExposure": "ms",
    "ReadoutTime": "ns",
    "CCDTemperature": "Cel",
    "CCDTemperatureSetPoint": "Cel",
    "Delay": "ms",
}
# Adapters often end a name with the unit, such as Interval-ms or Power-mW; in UCUM where it is written otherwise.
UNIT_OF_SUFFIX = {
    unit: unit for unit in ("ms", "us", "s", "mW", "W", "um", "nm", "mm", "V", "mA", "Hz", "MHz")
}
UNIT_OF_SUFFIX |= {"degC": "Cel", "percent": "%", "e/ADU": "{electron}/{count}"}
Answer = TypeVar("Answer")
VALUE_TYPES = {0: "undefined", 1: "string", 2: "float", 3: "integer"}


def describe_core(core: CMMCorePlus) -> Hardware:
    """Return what is loaded; reads limits and allowed values, moves nothing.

    What a device fails to tell of itself is left at its default, so that one bad device hides no other.
    """
    return Hardware(
        devices={label: _device(core, label) for label in core.getLoadedDevices()},
        presets=_presets(core),
        pixel_sizes_um={
            name: _told(core.getPixelSizeUmByID, name, default=0.0)
            for name in core.getAvailablePixelSizeConfigs()
        },
        software=_software(core),
        configuration_file=core.systemConfigurationFile(),
    )


def _device(core: CMMCorePlus, label: str) -> Device:
    kind = core.getDeviceType(label).name
    return Device(
        label=label,
        device_type=kind,
        library=core.getDeviceLibrary(label),
        adapter_name=core.getDeviceName(label),
        description=_told(core.getDeviceDescription, label, default=""),
        parent=_parent(core, label),
        state_labels=tuple(_told(core.getStateLabels, label, default=())) if kind == "StateDevice" else (),
        properties={
            name: _property(core, label, name, kind)
            for name in _told(core.getDevicePropertyNames, label, default=())
        },
    )


def _told(ask: Callable[..., Answer], *what: str, default: Any) -> Answer:
    try:
        return ask(*what)
    except DEVICE_ERRORS:
        return default


def _parent(core: CMMCorePlus, label: str) -> str | None:
    if label == "Core":
        return None
    return _told(core.getParentLabel, label, default=None) or None


def _property(core: CMMCorePlus, label: str, name: str, device_type: str) -> Property:
    what = (label, name)
    has_limits = _told(core.hasPropertyLimits, *what, default=False)
    return Property(
        value_type=VALUE_TYPES.get(int(_told(core.getPropertyType, *what, default=0)), "undefined"),
        unit="um" if (device_type, name) == ("StageDevice", "Position") else unit_of_property(name),
        is_read_only=_told(core.isPropertyReadOnly, *what, default=False),
        is_pre_init=_told(core.isPropertyPreInit, *what, default=False),
        is_sequenceable=_told(core.isPropertySequenceable, *what, default=False),
        lower_limit=_told(core.getPropertyLowerLimit, *what, default=None) if has_limits else None,
        upper_limit=_told(core.getPropertyUpperLimit, *what, default=None) if has_limits else None,
        allowed_values=tuple(str(value) for value in _told(core.getAllowedPropertyValues, *what, default=())),
    )


def _presets(core: CMMCorePlus) -> tuple[Preset, ...]:
    return tuple(
        Preset(
            group, name, {Key(device, prop): value for device, prop, value in core.getConfigData(group, name)}
        )
        for group in core.getAvailableConfigGroups()
        for name in core.getAvailableConfigs(group)
    )


def _software(core: CMMCorePlus) -> dict[str, str]:
    import pymmcore
    import pymmcore_plus

    return {
        "pymmcore-plus": pymmcore_plus.__version__,
        "pymmcore": pymmcore.__version__,
        "MMCore": core.getVersionInfo().removeprefix("MMCore version "),
        "device interface": core.getAPIVersionInfo(),
    }


def unit_of_property(name: str) -> str | None:
    """Return the UCUM unit that a property's name tells, or None.

    Examples
    --------
    >>> unit_of_property("Exposure"), unit_of_property("Temperature-degC"), unit_of_property("Gain")
    ('ms', 'Cel', None)
    """
    return UNIT_OF_PROPERTY.get(name) or UNIT_OF_SUFFIX.get(name.rpartition("-")[2] if "-" in name else "")
