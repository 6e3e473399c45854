"""From the hardware's vocabulary to the archive's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.records import (
    AcquisitionPlan,
    ChannelPlan,
    DeviceDescription,
    ImageDescription,
    Instant,
    PropertyDescription,
    Quantity,
    Reading,
    ReadingStatus,
    Source,
    SystemState,
)
from agent.records import How as RecordHow
from drivers import Hardware, Image, Key, PropertyReading, SequencePlan, Status

PRESET = "@preset "
PIXEL_SIZE = Key("Core", "@pixel_size")


def reading_of(reading: PropertyReading) -> Reading:
    """Return a driver's reading as a published one."""
    return Reading(
        status=ReadingStatus(reading.status),
        value=reading.value if reading.status is Status.OK else None,
        unit=reading.unit,
        how=RecordHow(reading.how),
        observed_at=datetime.fromtimestamp(reading.moment.wall_ns / 1e9, UTC),
        error=reading.error,
    )


def state_of(readings: Iterable[PropertyReading], taken: Instant, duration_ms: float) -> SystemState:
    """Return readings as one state: devices, presets and pixel size each in their place."""
    devices: dict[str, dict[str, Reading]] = {}
    presets: dict[str, Reading] = {}
    pixel_size = None
    for reading in readings:
        published = reading_of(reading)
        if reading.key == PIXEL_SIZE:
            pixel_size = published
        elif reading.key.property.startswith(PRESET):
            presets[reading.key.property.removeprefix(PRESET)] = _preset_of(published)
        else:
            devices.setdefault(reading.key.device, {})[reading.key.property] = published
    return SystemState(
        taken=taken, duration_ms=duration_ms, devices=devices, presets=presets, pixel_size=pixel_size
    )


def _preset_of(published: Reading) -> Reading:
    """Return the preset a group is in; the core says "" when its devices are in none."""
    if published.value != "":
        return published
    none = "its devices are in none of the group's presets"
    return published.model_copy(update={"status": ReadingStatus.ABSENT, "value": None, "error": none})


def devices_of(
    hardware: Hardware, stated: Mapping[str, Mapping[str, Quantity]]
) -> dict[str, DeviceDescription]:
    """Return the loaded devices, each joined by its label to what the profile states of it."""
    return {
        label: DeviceDescription(
            device_type=device.device_type,
            library=device.library,
            adapter_name=device.adapter_name,
            description=device.description,
            parent=device.parent,
            state_labels=device.state_labels,
            properties={
                name: PropertyDescription(
                    value_type=declared.value_type,
                    unit=declared.unit,
                    is_read_only=declared.is_read_only,
                    is_pre_init=declared.is_pre_init,
                    is_sequenceable=declared.is_sequenceable,
                    lower_limit=declared.lower_limit,
                    upper_limit=declared.upper_limit,
                    allowed_values=declared.allowed_values,
                )
                for name, declared in device.properties.items()
            },
            stated=dict(stated.get(label, {})),
        )
        for label, device in hardware.devices.items()
    }


def groups_of(hardware: Hardware) -> dict[str, dict[str, dict[str, str]]]:
    """Return the configuration groups: group to preset to 'device-property' to value."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for preset in hardware.presets:
        groups.setdefault(preset.group, {})[preset.name] = settings_of(preset.settings)
    return groups


def settings_of(settings: Mapping[Key, str]) -> dict[str, str]:
    """Return the settings of a preset under 'device-property' names."""
    return {f"{key.device}-{key.property}": value for key, value in settings.items()}


def plan_of(plan: SequencePlan, hardware: Hardware, now: datetime) -> AcquisitionPlan:
    """Return a plan with each channel joined to what its preset commands."""
    channels = []
    for channel in plan.channels:
        preset = hardware.preset(channel.group, channel.preset)
        channels.append(
            ChannelPlan(
                group=channel.group,
                preset=channel.preset,
                exposure=planned(channel.exposure_ms, "ms", now),
                settings=settings_of(preset.settings) if preset else {},
            )
        )
    return AcquisitionPlan(
        axes=dict(plan.axes),
        n_frames_expected=plan.n_frames,
        channels=tuple(channels),
        z_step=planned(plan.z_step_um, "um", now),
        time_interval=planned(plan.time_interval_s, "s", now),
        sequence=dict(plan.source) if plan.source is not None else None,
    )


def planned(value: Any, unit: str, now: datetime) -> Quantity | None:
    """Return a planned value, or None when nothing was planned."""
    return None if value is None else Quantity(value=value, unit=unit, source=Source.PLAN, observed_at=now)


def image_of(image: Image, now: datetime) -> ImageDescription:
    """Return what one camera delivers."""
    size = image.pixel_size_um
    return ImageDescription(
        camera=image.camera,
        width_px=image.width_px,
        height_px=image.height_px,
        dtype=image.dtype,
        pixel_format=image.pixel_format,
        pixel_size=None
        if size is None
        else Quantity(value=size, unit="um", source=Source.DEVICE, observed_at=now),
        pixel_size_preset=image.pixel_size_preset,
    )
