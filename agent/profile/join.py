"""The profile joined to live devices: what it states of each, and where it does not fit them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.records import InstrumentDescription, Part, Profile, Quantity, Source

_NOT_STATED = {"name", "part_id", "device", "state", "derived", "nbo", "nbo_null"}
_UNITS = {"_um": "um", "_nm": "nm", "_mw": "mW", "_mhz": "MHz", "_e": "{electron}", "_px": "{pixel}"}


def stated_of(profile: Profile, observed_at: datetime) -> dict[str, dict[str, Quantity]]:
    """Return what the profile states, by device label: single values, each with unit and source.

    What sits in a turret is named ``<state>/<field>``. A guess has the source *derived*.
    """
    out: dict[str, dict[str, Quantity]] = {}
    for _, parts in profile.sections():
        for part in parts:
            if part.device:
                before = f"{part.state}/" if part.state else ""
                found = _quantities(part, before, observed_at)
                out.setdefault(part.device, {}).update(found)
    return out


def _quantities(part: Part, before: str, observed_at: datetime) -> dict[str, Quantity]:
    found = {}
    for field in type(part).model_fields:
        value: Any = getattr(part, field)
        if field in _NOT_STATED or not isinstance(value, bool | int | float | str):
            continue
        found[f"{before}{field}"] = Quantity(
            value=value,
            unit=next((unit for end, unit in _UNITS.items() if field.endswith(end)), None),
            source=Source.DERIVED if field in part.derived else Source.PROFILE,
            observed_at=observed_at,
        )
    return found


def nameplate_of(profile: Profile, observed_at: datetime) -> dict[str, Quantity]:
    """Return what the profile states of the whole instrument, as the instrument's record carries it."""
    plate, stand = profile.instrument, profile.stand
    stated = {
        "name": plate.name,
        "manufacturer": (stand.manufacturer if stand else None)
        or "; ".join(m.name for m in plate.manufacturers),
        "model": plate.model,
        "serial_number": plate.serial_number,
        "pid": plate.pid,
        "owner": "; ".join(owner.name for owner in plate.owners),
        "facility": profile.facility.name,
        "organisation": profile.organisation.name,
    }
    return {
        key: Quantity(
            value=text,
            source=Source.DERIVED if key in plate.derived else Source.PROFILE,
            observed_at=observed_at,
        )
        for key, text in stated.items()
        if text
    }


def publishable(profile: Profile) -> Profile:
    """Return the profile without the people who have not consented: this is what a record carries and is hashed."""
    return profile.model_copy(update={"people": tuple(item for item in profile.people if item.has_consented)})


def misfits(profile: Profile, instrument: InstrumentDescription) -> list[tuple[str, str]]:
    """Return the parts that join to nothing that is loaded: place and reason."""
    found = []
    for section, parts in profile.sections():
        for part in parts:
            place = f"{section} '{part.name}'"
            if part.device and part.device not in instrument.devices:
                loaded = ", ".join(instrument.devices) or "none"
                found.append((place, f"no device '{part.device}' is loaded; loaded are {loaded}"))
            elif part.device and part.state:
                labels = instrument.devices[part.device].state_labels
                if part.state not in labels:
                    found.append(
                        (
                            place,
                            f"'{part.device}' has no position '{part.state}'; it has {', '.join(labels) or 'none'}",
                        )
                    )
    return found
