"""The settings of one image as a file of Micro-Meta App: what was set, each pointing to its hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from agent.exports.convert import tidy, to_nbo
from agent.exports.facts import Fact, Facts, channel_facts, facts_in, facts_of, modality_of
from agent.exports.mapping import load_mapping
from agent.exports.micro_meta import instrument_uuid, part_id
from agent.exports.quality import profile_as_measured
from agent.exports.view import AcquisitionView, ChannelView, PlaneView
from agent.records import Part, Source


def image_settings(view: AcquisitionView, position: int = 0, tier: int = 1) -> dict[str, Any]:
    """Return the settings file of one position of an acquisition."""
    facts = _image_facts(view)
    name = f"position {position}"
    profile = profile_as_measured(view.bundle)
    software = [part_id(_instrument(view), "software", item) for item in profile.software]
    out = _object(view, "Image", name, facts, tier)
    out |= {
        "AppVersion": load_mapping().micro_meta_app_version,
        "ValidationTier": tier,
        "InstrumentName": view.bundle.profile.instrument.name or _instrument(view),
        "InstrumentID": str(instrument_uuid(_instrument(view), view.bundle.profile)),
        "AcquisitionSoftware": software,
        "Pixels": _object(view, "Pixels", f"{name} pixels", facts, tier),
        "Channels": [_channel(view, channel, tier) for channel in view.channels],
        "Planes": [_plane(view, plane, tier) for plane in view.planes if plane.position == position],
    }
    if view.objective is not None:
        out["ObjectiveSettings"] = _objective(view, facts, tier)
    if any(key.startswith("environment.") for key in facts):
        out["ImagingEnvironment"] = _object(view, "ImagingEnvironment", "environment", facts, tier)
    return out


def _instrument(view: AcquisitionView) -> str:
    return view.bundle.finished.instrument_id


def _image_facts(view: AcquisitionView) -> Facts:
    facts = facts_of(view)
    facts["image.dimension_order"] = Fact("XYZCT", "", Source.DERIVED, "agent")
    facts["image.acquired_at"] = Fact(
        view.bundle.finished.started.wall_at.isoformat(), "", Source.DEVICE, "agent's clock"
    )
    return facts


def _object(view: AcquisitionView, nbo: str, name: str, facts: Facts, tier: int) -> dict[str, Any]:
    """Return an object of a settings class: what the facts hold of its fields."""
    mapping = load_mapping()
    found = mapping.class_named(nbo)
    assert found is not None, f"{nbo} stands in the mapping"
    key = f"urn:scopestamp:{view.bundle.finished.acquisition_id}:{nbo}:{name}"
    out: dict[str, Any] = {
        "Name": name,
        "ID": str(uuid5(NAMESPACE_URL, key)),
        "Tier": tier,
        "Schema_ID": f"{nbo}.json",
        "ModelVersion": mapping.nbo_version,
        "Extension": found.extension,
        "Domain": found.domain,
        "Category": found.category,
    }
    return out | nbo_values(nbo, facts)


def nbo_values(nbo: str, facts: Facts) -> dict[str, Any]:
    """Return the fields of a settings class that the facts hold, under NBO's names."""
    mapping = load_mapping()
    out: dict[str, Any] = {}
    for field in mapping.fields[nbo]:
        fact = facts.get(field.field)
        if fact is None:
            continue
        if fact.unit == "mW" and field.unit == "%":
            out |= {field.key: fact.value, field.unit_key: "mW"}
            continue
        found = to_nbo(mapping, field, fact.value, {}, {})
        if field.text and field.key in found:
            found[field.key] = f"{found[field.key]:g}"
        out |= found
    return out


def _channel(view: AcquisitionView, channel: ChannelView, tier: int) -> dict[str, Any]:
    mapping = load_mapping()
    own = channel_facts(view, channel)
    modality = modality_of(view, channel)
    if modality:
        contrast = mapping.term("modality", modality, "contrast")
        own["channel.contrast"] = Fact(contrast, "", Source.PROFILE, "profile")
    out = _object(view, "Channel", channel.name, own, tier)
    if channel.statement and channel.statement.fluorophore:
        out["Fluorophore"] = _object(view, "Fluorophore", channel.statement.fluorophore, own, tier)
    path = _object(view, "LightPath", f"{channel.name} light path", own, tier)
    out["LightPath"] = path | {"ComponentSettings": _components(view, channel, tier)}
    return out


def _components(view: AcquisitionView, channel: ChannelView, tier: int) -> dict[str, Any]:
    """Return the light path of a channel: hardware, and what it was set to."""
    facts = facts_in(view, channel)
    out: dict[str, Any] = {}
    for key, section, part, nbo in (
        ("LightSource", "light_sources", channel.light, "LightSourceSettings"),
        ("ExcitationFilter", "filters", channel.excitation, ""),
        ("Dichroic", "filters", channel.dichroic, ""),
        ("EmissionFilter", "filters", channel.emission, ""),
        ("Objective", "objectives", view.objective, ""),
        ("Detector", "cameras", channel.camera, "CameraSettings"),
    ):
        if part is not None:
            name = f"{channel.name} {key}"
            base = _object(view, nbo, name, facts, tier) if nbo else _plain(view, name)
            out[key] = base | {"Component_ID": part_id(_instrument(view), section, part)}
    return out


def _plain(view: AcquisitionView, name: str) -> dict[str, Any]:
    key = f"urn:scopestamp:{view.bundle.finished.acquisition_id}:component:{name}"
    return {"Name": name, "ID": str(uuid5(NAMESPACE_URL, key))}


def _objective(view: AcquisitionView, facts: Mapping[str, Fact], tier: int) -> dict[str, Any]:
    objective: Part | None = view.objective
    assert objective is not None
    own = dict(facts)
    if immersion := facts.get("objective.immersion"):
        own["objective.medium"] = immersion
    out = _object(view, "ObjectiveSettings", objective.name, own, tier)
    liquid = _object(view, "ImmersionLiquid", f"{objective.name} medium", own, tier)
    if liquid.get("Type") in ("Air", "Dipping"):  # no liquids to NBO
        del liquid["Type"]
    component = {"Component_ID": part_id(_instrument(view), "objectives", objective)}
    return out | component | {"ImmersionLiquid": liquid}


def _plane(view: AcquisitionView, plane: PlaneView, tier: int) -> dict[str, Any]:
    values = {
        "plane.z": plane.z,
        "plane.t": plane.t,
        "plane.c": plane.c,
        "plane.delta_t_s": plane.delta_t_s,
        "plane.exposure_s": tidy(plane.exposure_ms / 1e3) if plane.exposure_ms is not None else None,
        "plane.x_um": plane.x_um,
        "plane.y_um": plane.y_um,
        "plane.z_um": plane.z_um,
    }
    facts = {key: Fact(value, "", Source.DEVICE, "") for key, value in values.items() if value is not None}
    name = f"p{plane.position} t{plane.t} c{plane.c} z{plane.z}"
    return _object(view, "Plane", name, facts, tier)
