"""Single facts of an acquisition by name, each with its unit and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.exports.view import AcquisitionView, ChannelView, number
from agent.records import Camera, Frozen, Part, Source


@dataclass(frozen=True)
class Fact:
    """One value.

    Attributes
    ----------
    value : object
        The value.
    unit : str
        UCUM code, or nothing.
    source : Source
        Who says so.
    origin : str
        Where it stands: a property of a device, or a key of the profile.
    """

    value: Any
    unit: str
    source: Source
    origin: str


Facts = dict[str, Fact]
_UNITS = {
    "_nm": "nm",
    "_um": "um",
    "_ms": "ms",
    "_s": "s",
    "_mw": "mW",
    "_mhz": "MHz",
    "_percent": "%",
    "_c": "Cel",
}
_OF_CAMERA = ("camera.", "camera_settings.")
_SPECIAL = {"nbo", "nbo_null", "derived", "part_id", "device", "state"}


def facts_of(view: AcquisitionView) -> Facts:
    """Return every fact that holds for the whole acquisition; absent ones are left out."""
    facts: Facts = {}
    profile = view.bundle.profile
    for key, model in (
        ("instrument", profile.instrument),
        ("organisation", profile.organisation),
        ("facility", profile.facility),
        ("rights", profile.rights),
        ("stand", profile.stand),
        ("objective", view.objective),
        ("magnifier", view.magnifier),
        ("camera", view.camera),
        ("focus_lock", next(iter(profile.focus_locks), None)),
        ("incubator", next(iter(profile.environment), None)),
    ):
        facts |= stated(key, model)
    if any(person.has_consented for person in profile.people):
        facts["people"] = Fact(len(profile.people), "", Source.PROFILE, "profile: people")
    facts |= _image_facts(view) | _camera_facts(view, view.camera_label, view.camera)
    return facts | _environment_facts(view) | _software_facts(view)


def facts_in(view: AcquisitionView, channel: ChannelView) -> Facts:
    """Return every fact that holds in a channel: those of the acquisition, with the camera that saw the channel."""
    facts = facts_of(view)
    if channel.camera_label != view.camera_label:
        facts = {name: fact for name, fact in facts.items() if not name.startswith(_OF_CAMERA)}
    return facts | channel_facts(view, channel)


def stated(key: str, model: Frozen | None) -> Facts:
    """Return what a table of the profile states, named `key.field`; guesses are marked derived."""
    if model is None:
        return {}
    derived = set(getattr(model, "derived", ()))
    name = f"{key} '{model.name}'" if isinstance(model, Part) else key
    found = {}
    for field in type(model).model_fields:
        value = getattr(model, field)
        if field in _SPECIAL or value is None or value == ():
            continue
        source = Source.DERIVED if field in derived else Source.PROFILE
        found[f"{key}.{field}"] = Fact(value, _unit(field), source, f"profile: {name}")
    return found


def _unit(field: str) -> str:
    return next((unit for end, unit in _UNITS.items() if field.endswith(end)), "")


def _image_facts(view: AcquisitionView) -> Facts:
    finished, image = view.bundle.finished, view.image
    facts: Facts = {
        "image.acquired_at": Fact(finished.started.wall_at, "", Source.DEVICE, "agent's clock"),
        "image.name": Fact(image_name(view), "", Source.PLAN, "output"),
    }
    for axis in "tczp":
        facts[f"image.size_{axis}"] = Fact(view.size(axis), "", Source.PLAN, "plan")
    if image:
        facts["image.size_x"] = Fact(image.width_px, "", Source.DEVICE, image.camera)
        facts["image.size_y"] = Fact(image.height_px, "", Source.DEVICE, image.camera)
        facts["image.dtype"] = Fact(image.dtype, "", Source.DEVICE, image.camera)
    if view.pixel_size_um:
        preset = image.pixel_size_preset if image else None
        origin = f"pixel size preset {preset}" if preset else "pixel size"
        facts["image.pixel_size_um"] = Fact(view.pixel_size_um, "um", Source.DEVICE, origin)
    if view.z_step_um:
        facts["image.z_step_um"] = Fact(view.z_step_um, "um", Source.PLAN, "plan")
    if view.time_interval_s:
        facts["image.time_interval_s"] = Fact(view.time_interval_s, "s", Source.PLAN, "plan")
    if view.objective and view.objective.magnification:
        total = view.objective.magnification * ((view.magnifier and view.magnifier.magnification) or 1.0)
        facts["image.total_magnification"] = Fact(total, "", Source.DERIVED, "objective and magnifier")
    return facts


def image_name(view: AcquisitionView) -> str:
    """Return what the images are called: the name of the first dataset, else the acquisition's id."""
    files = view.bundle.finished.files
    if not files:
        return str(view.bundle.finished.acquisition_id)
    return files[0].path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _camera_facts(view: AcquisitionView, label: str | None, camera: Camera | None) -> Facts:
    facts: Facts = {}

    def read(name: str, prop: str, unit: str = "", device: str | None = label) -> None:
        value = view.reading(device, prop)
        if value not in (None, ""):
            facts[f"camera_settings.{name}"] = Fact(value, unit, Source.DEVICE, f"{device}.{prop}")

    read("binning", "Binning")
    read("bit_depth", "BitDepth")
    read("gain", "Gain")
    read("offset", "Offset")
    read("temperature_c", "CCDTemperature", "Cel")
    if camera and camera.gain:
        read("gain", camera.gain.property, "", camera.gain.device)
    if "camera_settings.binning" in facts:
        text = str(facts["camera_settings.binning"].value)
        text = text if "x" in text else f"{text}x{text}"
        facts["camera_settings.binning"] = Fact(text, "", Source.DEVICE, f"{label}.Binning")
    for name in ("readout_rate_mhz", "shutter_mode", "amplification_gain"):
        if camera is not None and getattr(camera, name) is not None:
            facts[f"camera_settings.{name}"] = Fact(
                getattr(camera, name), _unit(name), Source.PROFILE, f"profile: camera '{camera.name}'"
            )
    return facts


def _environment_facts(view: AcquisitionView) -> Facts:
    facts: Facts = {}
    for part in view.bundle.profile.environment:
        for name, ref in (
            ("temperature_c", part.temperature),
            ("co2_percent", part.co2),
            ("humidity_percent", part.humidity),
            ("o2_percent", part.o2),
        ):
            value = view.referred(ref)
            value = to_unit(value, ref.unit, _unit(name)) if ref and value is not None else None
            if ref is not None and value is not None:
                facts[f"environment.{name}"] = Fact(
                    value, _unit(name), Source.DEVICE, f"{ref.device}.{ref.property}"
                )
    return facts


def to_unit(value: float, unit: str | None, wanted: str) -> float | None:
    """Return a value in the unit wanted; none when its unit is not one that we can convert.

    A property without a unit is taken to be in the unit wanted.

    >>> to_unit(310.15, "K", "Cel"), to_unit(98.6, "[degF]", "Cel"), to_unit(0.05, "1", "%")
    (37.0, 37.0, 5.0)
    >>> to_unit(3.0, "furlong", "Cel") is None
    True
    """
    if unit in (None, "", wanted):
        return value
    factor, offset = _CONVERSIONS.get((unit, wanted), (None, 0.0))
    return None if factor is None else round((value - offset) * factor, 9)


_CONVERSIONS = {
    ("K", "Cel"): (1.0, 273.15),
    ("[degF]", "Cel"): (5.0 / 9.0, 32.0),
    ("°C", "Cel"): (1.0, 0.0),
    ("1", "%"): (100.0, 0.0),
    ("[ppm]", "%"): (1e-4, 0.0),
}
"""(Unit, unit wanted) to factor and offset."""


_PROGRAMS = ("micro-manager", "mmcore", "pymmcore-plus", "pymmcore")


def _software_facts(view: AcquisitionView) -> Facts:
    live = {
        name.lower(): (name, v)
        for name, v in (view.bundle.instrument.software if view.bundle.instrument else {}).items()
    }
    stated_one = next(iter(view.bundle.profile.software), None)
    facts = stated("software", stated_one)
    found = next((live[name] for name in _PROGRAMS if name in live), None) or next(iter(live.values()), None)
    if found:
        facts.setdefault("software.name", Fact(found[0], "", Source.DEVICE, "running software"))
        facts["software.version"] = Fact(found[1], "", Source.DEVICE, f"running software {found[0]}")
    return facts


def channel_facts(view: AcquisitionView, channel: ChannelView) -> Facts:
    """Return every fact that holds for one channel alone; with its camera where that is not the first one."""
    facts: Facts = {"channel.name": Fact(channel.name, "", Source.PLAN, "plan")}
    for key in ("cube", "excitation", "dichroic", "emission"):
        facts |= stated(key, getattr(channel, key))
    facts |= stated("light_source", channel.light)
    facts |= stated("channel", channel.statement)
    if channel.camera_label != view.camera_label:
        facts |= stated("camera", channel.camera) | _camera_facts(view, channel.camera_label, channel.camera)
    modality = modality_of(view, channel)
    if modality:
        facts["channel.modality"] = Fact(modality, "", Source.PROFILE, "profile")
    if channel.exposure_ms is not None:
        source = Source.PLAN if channel.plan and channel.plan.exposure else Source.DEVICE
        facts["channel.exposure_ms"] = Fact(channel.exposure_ms, "ms", source, "plan")
    ref = channel.light.intensity if channel.light else None
    if ref is not None and (channel.power_percent is not None or channel.power_mw is not None):
        is_planned = channel.plan is not None and f"{ref.device}-{ref.property}" in channel.plan.settings
        facts["channel.power_setting"] = Fact(
            channel.power_mw if channel.power_percent is None else channel.power_percent,
            "mW" if channel.power_percent is None else "%",
            Source.PLAN if is_planned else Source.DEVICE,
            f"{ref.device}.{ref.property}",
        )
    return facts


def modality_of(view: AcquisitionView, channel: ChannelView) -> str | None:
    """Return how a channel's image is made."""
    stated_here = channel.statement.modality if channel.statement else None
    return stated_here or view.bundle.profile.instrument.modality


def text_of(value: Any) -> str:
    """Return a value as text for people and for key-value pairs.

    >>> text_of(0.25), text_of(10.0), text_of(True)
    ('0.25', '10', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{number(value):.10g}"
    if isinstance(value, tuple):
        return "; ".join(text_of(item) for item in value)
    if isinstance(value, Frozen):
        return ", ".join(f"{k} {text_of(v)}" for k, v in value if v is not None and v != ())
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
