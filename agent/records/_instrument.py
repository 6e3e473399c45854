"""The instrument: what its profile states, joined to the devices that are really there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.records._base import Frozen, Quantity, Record, Scalar


class PropertyDescription(Frozen):
    """What a device says of one of its properties."""

    value_type: Literal["string", "float", "integer", "undefined"] = Field(
        description="The adapter's declared type."
    )
    unit: str | None = Field(
        default=None, description="UCUM code where the name defines it; absent when unknown."
    )
    is_read_only: bool = Field(description="It cannot be set.")
    is_pre_init: bool = Field(description="It can be set only before the device is initialised.")
    is_sequenceable: bool = Field(
        default=False, description="Hardware can step through values of it by itself."
    )
    lower_limit: float | None = Field(default=None, description="Lowest value accepted.")
    upper_limit: float | None = Field(default=None, description="Highest value accepted.")
    allowed_values: tuple[Scalar, ...] = Field(
        default=(), description="The only values accepted; empty when free."
    )


class DeviceDescription(Frozen):
    """One device of the loaded configuration."""

    device_type: str = Field(description="Micro-Manager's device type, such as CameraDevice.")
    library: str = Field(description="Device adapter library.")
    adapter_name: str = Field(description="Name of the device in its adapter.")
    description: str = Field(default="", description="The adapter's own words.")
    parent: str | None = Field(default=None, description="Label of the hub it hangs on.")
    state_labels: tuple[str, ...] = Field(
        default=(), description="Labels of its positions, for state devices."
    )
    properties: dict[str, PropertyDescription] = Field(description="Its properties.")
    stated: dict[str, Quantity] = Field(
        default_factory=dict, description="What the profile states of it, joined by label."
    )


class InstrumentDescription(Record):
    """What the instrument is: profile and live devices together."""

    kind: Literal["instrument"] = "instrument"
    nameplate: dict[str, Quantity] = Field(
        default_factory=dict,
        description="What the profile states of the whole instrument: name, site, manufacturer, model, serial_number, pid …",
    )
    devices: dict[str, DeviceDescription] = Field(description="The loaded devices by label.")
    config_groups: dict[str, dict[str, dict[str, str]]] = Field(
        default_factory=dict, description="Group to preset to 'device-property' setting to commanded value."
    )
    pixel_sizes: dict[str, Quantity] = Field(default_factory=dict, description="Pixel size presets, um.")
    software: dict[str, str] = Field(description="Versions of the software that drives the hardware.")
    configuration_sha256: str | None = Field(default=None, description="Of the loaded configuration file.")
    profile_sha256: str | None = Field(
        default=None, description="Of the instrument profile that held; see the record instrument_profile."
    )
