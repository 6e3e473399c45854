"""Ask a core what is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.readings import Device, Hardware, Key, Preset, Property

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

# Units that Micro-Manager's device interface fixes by property name (MMDeviceConstants.h: Keyword_*).
UNIT_OF_PROPERTY = {
    "Exposure": "ms",
    "ActualExposure": "ms",
    "ActualInterval-ms": "ms",
    "Interval-ms": "ms",
    "ReadoutTime": "ns",
    "CCDTemperature": "Cel",
    "CCDTemperatureSetPoint": "Cel",
    "Delay": "ms",
}
VALUE_TYPES = {0: "undefined", 1: "string", 2: "float", 3: "integer"}


def describe_core(core: CMMCorePlus) -> Hardware:
    """Return what is loaded; reads limits and allowed values, moves nothing."""
    return Hardware(
        devices={label: _device(core, label) for label in core.getLoadedDevices()},
        presets=_presets(core),
        pixel_sizes_um={name: core.getPixelSizeUmByID(name) for name in core.getAvailablePixelSizeConfigs()},
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
        description=core.getDeviceDescription(label),
        parent=_parent(core, label),
        state_labels=tuple(core.getStateLabels(label)) if kind == "StateDevice" else (),
        properties={name: _property(core, label, name, kind) for name in core.getDevicePropertyNames(label)},
    )


def _parent(core: CMMCorePlus, label: str) -> str | None:
    if label == "Core":
        return None
    return core.getParentLabel(label) or None


def _property(core: CMMCorePlus, label: str, name: str, device_type: str) -> Property:
    has_limits = core.hasPropertyLimits(label, name)
    return Property(
        value_type=VALUE_TYPES.get(int(core.getPropertyType(label, name)), "undefined"),
        unit="um" if (device_type, name) == ("StageDevice", "Position") else UNIT_OF_PROPERTY.get(name),
        is_read_only=core.isPropertyReadOnly(label, name),
        is_pre_init=core.isPropertyPreInit(label, name),
        is_sequenceable=core.isPropertySequenceable(label, name),
        lower_limit=core.getPropertyLowerLimit(label, name) if has_limits else None,
        upper_limit=core.getPropertyUpperLimit(label, name) if has_limits else None,
        allowed_values=tuple(core.getAllowedPropertyValues(label, name)),
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
