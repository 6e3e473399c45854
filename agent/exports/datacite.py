"""The instrument's identifier record: DataCite 4.5 as JSON, 4.7 as XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from agent.exports.errors import ExportError
from agent.exports.pidinst import alternates_of, manufacturers_of, owners_of, related_to
from agent.records import Agency, Nameplate, Profile, kind_of_pid

_DATACITE = "http://datacite.org/schema/kernel-4"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_XML = "http://www.w3.org/XML/1998/namespace"
_NOT_SAID = ":unav"
"""DataCite's own word for what is unavailable."""


def lacking(profile: Profile) -> str:
    """Return what DataCite cannot do without and the profile does not state: ``doi``, or nothing."""
    pid = profile.instrument.pid
    return "" if pid and kind_of_pid(pid) == "DOI" else "doi"


def lacking_in_xml(profile: Profile) -> str:
    """Return the same of the XML, which wants the year of registration too: ``doi``, ``registered_year``, or nothing."""
    return lacking(profile) or ("" if _registered_year(profile.instrument) else "registered_year")


def _registered_year(plate: Nameplate) -> int | None:
    return plate.registered_year or (plate.commissioned.year if plate.commissioned else None)


def datacite(profile: Profile, instrument_id: str) -> dict[str, Any]:
    """Return the DataCite record of the instrument (schema 4.5 to 4.7, as JSON).

    Raises
    ------
    ExportError
        The instrument has no DOI: DataCite registers nothing else.
    """
    plate = profile.instrument
    if not plate.pid or lacking(profile):
        raise ExportError(
            f"DataCite expects an instrument with a DOI, came {plate.pid or 'none'}. "
            "Set pid in [instrument] of the profile; the PIDINST export needs none."
        )
    year = _registered_year(plate)
    doi = plate.pid.removeprefix("https://doi.org/")
    out: dict[str, Any] = {
        "doi": doi,
        "schemaVersion": _DATACITE,
        "titles": [{"title": plate.name or instrument_id}],
        "creators": [_creator(maker) for maker in manufacturers_of(profile)],
        "contributors": [
            _creator(owner) | {"contributorType": "HostingInstitution"} for owner in owners_of(profile)
        ],
        "publisher": {"name": profile.organisation.name or owners_of(profile)[0].name},
        "publicationYear": str(year) if year else _NOT_SAID,
        "types": {"resourceType": "Light microscope", "resourceTypeGeneral": "Instrument"},
        "dates": _available(plate),
        "descriptions": _descriptions(profile),
        "alternateIdentifiers": alternates_of(plate),
        "relatedIdentifiers": _datacite_related(profile),
    }
    return {key: value for key, value in out.items() if value}


def _creator(agency: Agency) -> dict[str, Any]:
    out: dict[str, Any] = {"name": agency.name, "nameType": "Organizational"}
    if agency.ror:
        out["nameIdentifiers"] = [
            {
                "nameIdentifier": agency.ror,
                "nameIdentifierScheme": "ROR",
                "schemeUri": "https://ror.org",
            }
        ]
    return out


def _available(plate: Nameplate) -> list[dict[str, str]]:
    """Return commissioned and decommissioned as the range that DataCite calls Available."""
    if not plate.commissioned:
        return []
    end = f"/{plate.decommissioned.isoformat()}" if plate.decommissioned else ""
    information = "Commissioned" + (" and decommissioned" if end else "")
    return [
        {
            "date": plate.commissioned.isoformat() + end,
            "dateType": "Available",
            "dateInformation": information,
        }
    ]


def _descriptions(profile: Profile) -> list[dict[str, str]]:
    """Return what DataCite has no field for: the model and the measured variables are technical info."""
    plate = profile.instrument
    technical = [f"Model Name: {plate.model}"] if plate.model else []
    technical += [f"Measured Variable: {text}" for text in plate.measured_variables]
    rows = [(plate.description, "Abstract"), ("; ".join(technical), "TechnicalInfo")]
    return [{"description": text, "descriptionType": kind} for text, kind in rows if text]


_RELATIONS = {
    "HasComponent": "HasPart",
    "IsComponentOf": "IsPartOf",
    "WasUsedIn": "Collects",
    "IsAttachedTo": "IsPartOf",
}
_RELATED_TYPES = {"DOI": "DOI", "Handle": "Handle", "URN": "URN", "URL": "URL"}


def _datacite_related(profile: Profile) -> list[dict[str, str]]:
    rows = []
    for item in related_to(profile):
        kind = _RELATED_TYPES.get(item["relatedIdentifierType"])
        if kind is None:  # DataCite has no type for an RRID
            continue
        relation = _RELATIONS.get(item["relationType"], item["relationType"])
        rows.append(
            {
                "relatedIdentifier": item["relatedIdentifier"],
                "relatedIdentifierType": kind,
                "relationType": relation,
            }
        )
    return rows


def datacite_xml(profile: Profile, instrument_id: str) -> bytes:
    """Return the DataCite record of the instrument as XML (kernel 4.7).

    Raises
    ------
    ExportError
        The instrument has no DOI.
    """
    record = datacite(profile, instrument_id)
    ET.register_namespace("", _DATACITE)
    ET.register_namespace("xsi", _XSI)
    schema = f"{_DATACITE} https://schema.datacite.org/meta/kernel-4.7/metadata.xsd"
    root = ET.Element(f"{{{_DATACITE}}}resource", {f"{{{_XSI}}}schemaLocation": schema})
    _add(root, "identifier", record["doi"], identifierType="DOI")
    _agents(root, "creators", "creator", record["creators"])
    titles = _add(root, "titles")
    for title in record["titles"]:
        _add(titles, "title", title["title"], **{f"{{{_XML}}}lang": "en"})
    _add(root, "publisher", record["publisher"]["name"])
    _add(root, "publicationYear", _year(record["publicationYear"]))
    types = record["types"]
    _add(root, "resourceType", types["resourceType"], resourceTypeGeneral=types["resourceTypeGeneral"])
    _agents(root, "contributors", "contributor", record["contributors"])
    _list(root, "dates", "date", record.get("dates", ()), "date")
    _list(root, "alternateIdentifiers", "alternateIdentifier", record.get("alternateIdentifiers", ()))
    _list(root, "relatedIdentifiers", "relatedIdentifier", record.get("relatedIdentifiers", ()))
    _list(root, "descriptions", "description", record.get("descriptions", ()), "description")
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _year(text: str) -> str:
    if text == _NOT_SAID:
        raise ExportError(
            "DataCite expects the year of registration, came none. Set registered_year in [instrument] of the profile."
        )
    return text


def _add(parent: ET.Element, name: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, f"{{{_DATACITE}}}{name}", attributes)
    element.text = text
    return element


def _agents(root: ET.Element, group: str, name: str, agents: list[dict[str, Any]]) -> None:
    parent = _add(root, group)
    for agent in agents:
        kind = {key: agent[key] for key in ("contributorType",) if key in agent}
        element = _add(parent, name, **kind)
        _add(element, f"{name}Name", agent["name"], nameType=agent["nameType"])
        for item in agent.get("nameIdentifiers", ()):
            _add(
                element,
                "nameIdentifier",
                item["nameIdentifier"],
                nameIdentifierScheme=item["nameIdentifierScheme"],
                schemeURI=item["schemeUri"],
            )


def _list(root: ET.Element, group: str, name: str, rows: Any, text_key: str | None = None) -> None:
    """Add a list of elements: one key of each row is the text, the others are attributes."""
    if not rows:
        return
    parent = _add(root, group)
    for row in rows:
        attributes = {key: value for key, value in row.items() if key != (text_key or name)}
        _add(parent, name, row[text_key or name], **attributes)
