"""The instrument's identifier record: PIDINST 1.0."""

from __future__ import annotations

from typing import Any

from agent.records import Agency, Nameplate, Profile, kind_of_pid


def pidinst(profile: Profile, instrument_id: str) -> dict[str, Any]:
    """Return the PIDINST record; what is mandatory and nobody stated says so in words.

    PIDINST has no word for 'not known': a missing identifier is given as our own id of type Other.
    """
    plate = profile.instrument
    out: dict[str, Any] = {
        "schemaVersion": "1.0",
        "identifier": {
            "identifier": plate.pid or instrument_id,
            "identifierType": _identifier_type(plate.pid),
        },
        "landingPage": plate.landing_page or plate.pid or f"urn:scopestamp:{instrument_id}",
        "name": plate.name or instrument_id,
        "owners": [_agency(owner, "owner") for owner in owners_of(profile)],
        "manufacturers": [_agency(maker, "manufacturer") for maker in manufacturers_of(profile)],
    }
    optional = {
        "model": _model(plate),
        "description": plate.description,
        "instrumentTypes": [{"instrumentTypeName": "light microscope"}],
        "measuredVariables": list(plate.measured_variables),
        "dates": _dates(plate),
        "relatedIdentifiers": related_to(profile),
        "alternateIdentifiers": alternates_of(plate),
    }
    return out | {key: value for key, value in optional.items() if value}


def _identifier_type(pid: str | None) -> str:
    kind = kind_of_pid(pid) if pid else "Other"
    return kind if kind in ("DOI", "Handle", "RRID", "URN", "URL") else "Other"


def owners_of(profile: Profile) -> tuple[Agency, ...]:
    """Return who owns it; the organisation when nobody is named."""
    own = profile.organisation
    return profile.instrument.owners or (Agency(name=own.name or "not stated", ror=own.ror),)


def manufacturers_of(profile: Profile) -> tuple[Agency, ...]:
    """Return who made it; the stand's maker when nobody is named."""
    maker = profile.stand.manufacturer if profile.stand else None
    return profile.instrument.manufacturers or (Agency(name=maker or "not stated"),)


def _agency(agency: Agency, role: str) -> dict[str, Any]:
    out: dict[str, Any] = {f"{role}Name": agency.name}
    if agency.contact and role == "owner":
        out["ownerContact"] = agency.contact
    identifier = agency.ror or agency.url
    if identifier:
        kind = "ROR" if agency.ror else "URL"
        out[f"{role}Identifier"] = {
            f"{role}Identifier": identifier,
            f"{role}IdentifierType": kind,
        }
    return out


def _model(plate: Nameplate) -> dict[str, Any] | None:
    if not plate.model:
        return None
    out: dict[str, Any] = {"modelName": plate.model}
    if plate.model_pid:
        kind = _identifier_type(plate.model_pid)
        out["modelIdentifier"] = {"modelIdentifier": plate.model_pid, "modelIdentifierType": kind}
    return out


def _dates(plate: Nameplate) -> list[dict[str, str]]:
    known = {"Commissioned": plate.commissioned, "DeCommissioned": plate.decommissioned}
    return [{"date": day.isoformat(), "dateType": kind} for kind, day in known.items() if day]


def related_to(profile: Profile) -> list[dict[str, str]]:
    """Return what it is related to: what is stated, its parts with identifiers, its facility."""
    related = [(item.identifier, item.relation, item.name) for item in profile.instrument.related]
    related += [
        (part.pid, "HasComponent", part.name) for _, parts in profile.sections() for part in parts if part.pid
    ]
    if profile.facility.rrid:
        related.append((profile.facility.rrid, "References", profile.facility.name))
    out = []
    for identifier, relation, name in related:
        row = {
            "relatedIdentifier": identifier,
            "relatedIdentifierType": kind_of_pid(identifier),
            "relationType": relation,
        }
        out.append(row | ({"relatedIdentifierName": name} if name else {}))
    return out


def alternates_of(plate: Nameplate) -> list[dict[str, str]]:
    """Return its serial and inventory numbers."""
    known = {"SerialNumber": plate.serial_number, "InventoryNumber": plate.inventory_number}
    return [
        {"alternateIdentifier": text, "alternateIdentifierType": kind} for kind, text in known.items() if text
    ]
