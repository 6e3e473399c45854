"""The parts of a microscope, as a facility states them: what no device can say of itself.

Units are in the names. `device` and `state` join a part to the live hardware: the label of the device and, for
what sits in a turret, wheel or slider, the label of the position.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from agent.records._base import Frozen
from agent.records._identifiers import Pid, WebAddress

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

Immersion = Literal["air", "water", "dipping", "oil", "silicone_oil", "glycerol", "multi", "other"]
Correction = Literal[
    "Achro", "Achromat", "Achroplan", "Acroplan", "Apo", "Apochromat", "C-Achroplan", "EF", "Fl", "Fluar", "Fluor",
    "Fluotar", "Lambda", "N", "Neofluar", "NPL", "Pl", "Plan", "Plano", "PlanApo", "PlanApochromat", "PlanFluor",
    "PlanNeofluar", "SuperFluor", "UPLAN", "UPlanApo", "UPlanFl", "UV", "VioletCorrected", "Other",
]  # fmt: skip
Modulation = Literal["none", "ph1", "ph2", "ph3", "hoffman", "varel", "other"]
FilterType = Literal["band_pass", "band_stop", "long_pass", "multi_pass", "notch", "short_pass", "other"]
Coating = Literal["hard", "soft", "other"]
FilterLocation = Literal["infinity_space", "camera_port", "illumination_port", "other"]
Attenuation = Literal["absorption", "reflection", "refraction", "other"]
Encoder = Literal["none", "linear", "rotary", "other"]
Axes = Literal["X", "Y", "Z", "XY", "XYZ", "Θ", "Other"]
ShutterMode = Literal["global", "rolling", "other"]
StandType = Literal[
    "compound", "custom_made", "dissection", "electrophysiology", "light_sheet", "stereo", "other"
]
Origin = Literal["commercial", "modified", "custom_built"]
Mechanism = Literal["hardware", "image", "other"]


class PropertyRef(Frozen):
    """Which property of which device holds a value."""

    device: str = Field(min_length=1, description="Device label.")
    property: str = Field(min_length=1, description="Property name.")
    unit: str | None = Field(default=None, description="UCUM code of what it says, such as %, mW or Cel.")


class Part(Frozen):
    """What every part can state."""

    name: str = Field(min_length=1, description="What people call it; unique among parts of its sort.")
    part_id: UUID | None = Field(
        default=None, description="Names it in exports; made from the name when absent."
    )
    device: str | None = Field(
        default=None, description="Label of the device it is, or of the turret or wheel it sits in."
    )
    state: str | None = Field(default=None, description="Label of the position it sits in.")
    manufacturer: str | None = Field(default=None, description="Who made it.")
    model: str | None = Field(default=None, description="The maker's name of it.")
    catalog_number: str | None = Field(default=None, description="The maker's order number.")
    serial_number: str | None = Field(default=None, description="Of this very piece.")
    lot_number: str | None = Field(default=None, description="Of the production lot.")
    specs_url: str | None = Field(default=None, description="Where its data sheet is.")
    description: str | None = Field(default=None, description="In words.")
    pid: Pid | None = Field(default=None, description="Its own persistent identifier.")
    derived: tuple[str, ...] = Field(
        default=(),
        description="Keys of this table that are guesses; delete a name once you have confirmed it.",
    )
    nbo: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of 4DN-BINA-OME, under that standard's names; they win in its exports.",
    )
    nbo_null: tuple[str, ...] = Field(
        default=(), description="Such fields that the imported file held without a value."
    )


class Stand(Part):
    """The microscope's body."""

    geometry: Literal["inverted", "upright"] | None = Field(default=None, description="inverted or upright.")
    stand_type: StandType | None = Field(default=None, description="What it was built for.")
    origin: Origin | None = Field(default=None, description="Bought as it is, modified, or built.")


class Objective(Part):
    """An objective lens."""

    magnification: Positive | None = Field(default=None, description="As engraved.")
    na: Positive | None = Field(default=None, lt=2.5, description="Numerical aperture, as engraved.")
    correction: Correction | None = Field(default=None, description="Class of correction.")
    immersion: Immersion | None = Field(default=None, description="What is between it and the sample.")
    refractive_index: Positive | None = Field(default=None, description="Of the immersion medium used.")
    is_infinity_corrected: bool | None = Field(default=None, description="Made for infinity optics.")
    modulation: Modulation | None = Field(default=None, description="Phase ring or other contrast element.")
    has_dic: bool | None = Field(default=None, description="Made for DIC.")
    working_distance_um: Positive | None = Field(default=None, description="Free working distance, um.")
    safe_z_min_um: float | None = Field(
        default=None, description="Lowest position of the focus drive at which this objective is safe, um."
    )
    safe_z_max_um: float | None = Field(
        default=None, description="Highest position of the focus drive at which this objective is safe, um."
    )
    has_collar: bool | None = Field(default=None, description="It has a correction collar.")
    collar_position: str | None = Field(
        default=None, description="What the collar is set to, as engraved, such as 0.17."
    )
    calibrated_magnification: Positive | None = Field(default=None, description="As measured.")


class Band(Frozen):
    """One band of wavelengths that a filter lets through; an edge filter has one end only."""

    cut_on_nm: Positive | None = Field(default=None, description="Lower edge at half maximum, nm.")
    cut_off_nm: Positive | None = Field(default=None, description="Upper edge at half maximum, nm.")
    transmittance: float | None = Field(default=None, ge=0, le=1, description="Mean within the band, 0 to 1.")

    @model_validator(mode="after")
    def _edges_in_order(self) -> Band:
        if self.cut_on_nm is None and self.cut_off_nm is None:
            raise ValueError("cut_on_nm, cut_off_nm or both")
        if self.cut_on_nm and self.cut_off_nm and self.cut_on_nm >= self.cut_off_nm:
            raise ValueError(f"cut_on_nm ({self.cut_on_nm:g}) below cut_off_nm ({self.cut_off_nm:g})")
        return self


class Filter(Part):
    """An excitation or emission filter, or a dichroic."""

    role: Literal["excitation", "dichroic", "emission"] = Field(
        description="excitation, dichroic or emission."
    )
    filter_type: FilterType | None = Field(default=None, description="band_pass, long_pass …")
    bands: tuple[Band, ...] = Field(default=(), description="What it lets through.")
    coating: Coating | None = Field(default=None, description="hard, soft or other.")
    location: FilterLocation | None = Field(default=None, description="Where in the light path.")
    attenuation: Attenuation | None = Field(default=None, description="What keeps the rest back.")


class FilterCube(Part):
    """A cube: the filters it holds, by name."""

    excitation: str | None = Field(default=None, description="Name of the excitation filter.")
    dichroic: str | None = Field(default=None, description="Name of the dichroic.")
    emission: str | None = Field(default=None, description="Name of the emission filter.")


class Emission(Frozen):
    """One line, diode or range of a light source."""

    peak_nm: Positive | None = Field(default=None, description="Peak wavelength, nm.")
    cut_on_nm: Positive | None = Field(default=None, description="Lower edge, nm.")
    cut_off_nm: Positive | None = Field(default=None, description="Upper edge, nm.")
    power_mw: NotNegative | None = Field(default=None, description="Nominal power, mW.")


class LightSource(Part):
    """A lamp, diode or laser."""

    source_type: Literal["laser", "led", "arc", "filament", "multi_laser_engine", "generic"] = Field(
        description="laser, led, arc, filament, multi_laser_engine or generic."
    )
    illumination: Literal["fluorescence", "transmitted"] = Field(
        default="fluorescence", description="fluorescence or transmitted."
    )
    emissions: tuple[Emission, ...] = Field(default=(), description="Its lines, diodes or ranges.")
    shutter: str | None = Field(default=None, description="Label of the shutter in front of it.")
    intensity: PropertyRef | None = Field(default=None, description="The property that sets its intensity.")
    intensity_maximum: Positive | None = Field(
        default=None, description="Value of that property at full power."
    )
    is_tunable: bool | None = Field(default=None, description="Laser: its wavelength can be tuned.")
    is_pulsed: bool | None = Field(default=None, description="Laser: it is pulsed.")


class Camera(Part):
    """A camera or another detector."""

    detector_type: Literal[
        "cmos", "ccd", "emccd", "intensified", "pmt", "hybrid", "photodiode", "generic"
    ] = Field(description="cmos, ccd, emccd, intensified, pmt, hybrid, photodiode or generic.")
    pixel_width_um: Positive | None = Field(default=None, description="Pitch along a row, um.")
    pixel_height_um: Positive | None = Field(default=None, description="Pitch along a column, um.")
    array_width_px: int | None = Field(default=None, gt=0, description="Columns of the chip.")
    array_height_px: int | None = Field(default=None, gt=0, description="Rows of the chip.")
    bit_depth: int | None = Field(default=None, gt=0, le=64, description="Of the digitiser.")
    quantum_efficiency: float | None = Field(default=None, ge=0, le=1, description="At its peak, 0 to 1.")
    conversion_factor_e_per_adu: NotNegative | None = Field(
        default=None, description="Electrons per grey level."
    )
    read_noise_e: NotNegative | None = Field(default=None, description="Read noise, electrons rms.")
    dark_current_e_per_s: NotNegative | None = Field(
        default=None, description="Dark current, electrons per pixel and second."
    )
    full_well_e: NotNegative | None = Field(default=None, description="Full-well capacity, electrons.")
    readout_rate_mhz: NotNegative | None = Field(default=None, description="Pixel rate, MHz.")
    shutter_mode: ShutterMode | None = Field(default=None, description="global or rolling.")
    gain: PropertyRef | None = Field(
        default=None, description="Property of the analogue gain, if not 'Gain'."
    )
    amplification_gain: NotNegative | None = Field(
        default=None, description="Gain of an electron multiplier; 1 without one."
    )
    relay_magnification: Positive | None = Field(default=None, description="Of the lens before it.")


class Stage(Part):
    """A stage or focus drive."""

    stage_type: Literal["xy", "piezo", "z_drive", "objective_piezo", "nosepiece", "insert"] = Field(
        description="xy, piezo, z_drive, objective_piezo, nosepiece or insert."
    )
    axes: Axes | None = Field(default=None, description="What it moves.")
    is_motorized: bool | None = Field(default=None, description="It has a motor.")
    encoder: Encoder | None = Field(default=None, description="Kind of encoder.")
    xy_repeatability_um: NotNegative | None = Field(default=None, description="As its maker says, um.")
    z_repeatability_um: NotNegative | None = Field(default=None, description="As its maker says, um.")
    is_built_in: bool | None = Field(default=None, description="Part of the stand.")


class Magnifier(Part):
    """A magnification changer."""

    magnification: Positive | None = Field(default=None, description="Its factor.")


class FocusLock(Part):
    """A device that holds the focus."""

    mechanism: Mechanism | None = Field(default=None, description="hardware or image.")


class EnvironmentDevice(Part):
    """An incubator, and which properties tell its climate."""

    temperature_control: Literal["none", "cage", "objective_heater", "stage_top", "other"] | None = Field(
        default=None, description="How temperature is held."
    )
    humidity_control: Literal["none", "active", "passive", "mineral_oil", "water_bath", "other"] | None = (
        Field(default=None, description="How humidity is held.")
    )
    co2_control: Literal["none", "gas_mixer", "premixed", "other"] | None = Field(
        default=None, description="How CO2 is held."
    )
    has_o2_control: bool | None = Field(default=None, description="Oxygen is held.")
    has_perfusion: bool | None = Field(default=None, description="It perfuses.")
    temperature: PropertyRef | None = Field(default=None, description="Property that tells the temperature.")
    co2: PropertyRef | None = Field(default=None, description="Property that tells the CO2, in %.")
    humidity: PropertyRef | None = Field(default=None, description="Property that tells the humidity, in %.")
    o2: PropertyRef | None = Field(default=None, description="Property that tells the oxygen, in %.")


class Software(Part):
    """A program that drives the microscope."""

    version: str | None = Field(default=None, description="Its version; live versions win.")
    developer: str | None = Field(default=None, description="Who wrote it.")
    website: WebAddress | None = Field(default=None, description="Where it is found.")


class OtherPart(Part):
    """A part that we carry for 4DN-BINA-OME without knowing more of it."""

    nbo_class: str = Field(min_length=1, description="Its class there, such as Condenser.")
