"""The entities of an RO-Crate, and those that stand for people and organisations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.exports.facts import text_of
from agent.records import Agency, Grant, Person, Profile

Entity = dict[str, Any]


class Graph:
    """Entities by their id, in the order in which they were added."""

    def __init__(self) -> None:
        self._entities: dict[str, Entity] = {}

    def add(self, entity: Entity) -> str:
        """Add an entity without its empty fields; return its id."""
        kept = {key: value for key, value in entity.items() if value not in (None, "", [], {})}
        self._entities.setdefault(kept["@id"], kept)
        return str(kept["@id"])

    def entities(self) -> list[Entity]:
        """Return them; the descriptor and the root come first."""
        first = ("ro-crate-metadata.json", "./")
        rest = [entity for name, entity in self._entities.items() if name not in first]
        return [*(self._entities[name] for name in first), *rest]


def refs(names: Iterable[str | None]) -> Any:
    """Return references; a single one stands alone, as the validators like it."""
    found = [{"@id": name} for name in dict.fromkeys(names) if name]
    return found[0] if len(found) == 1 else found


def property_value(
    graph: Graph, name: str, label: str, value: Any, unit: str | None = None, **more: Any
) -> str:
    """Add a PropertyValue; return its id."""
    entity = {
        "@id": f"#{name}",
        "@type": "PropertyValue",
        "name": label,
        "value": value if isinstance(value, bool | int | float) else text_of(value),
        "unitCode": unit if unit not in (None, "", "1") else None,
    }
    return graph.add(entity | more)


def named(profile: Profile) -> list[Person]:
    """Return those who consented."""
    return [person for person in profile.people if person.has_consented]


def person_entity(profile: Profile, person: Person, graph: Graph) -> str:
    """Add a person with ORCID, affiliation and CRediT roles; return the id."""
    name = person.orcid or f"#person-{person.family_name}-{person.given_name}".replace(" ", "-")
    roles = [
        graph.add(
            {
                "@id": f"https://credit.niso.org/contributor-roles/{role}/",
                "@type": "DefinedTerm",
                "name": role.replace("-", " "),
                "inDefinedTermSet": "https://credit.niso.org/",
            }
        )
        for role in person.roles
    ]
    return graph.add(
        {
            "@id": name,
            "@type": "Person",
            "name": f"{person.given_name} {person.family_name}",
            "givenName": person.given_name,
            "familyName": person.family_name,
            "affiliation": refs([organisation_entity(profile, graph)]),
            "hasOccupation": refs(roles),
        }
    )


def organisation_entity(profile: Profile, graph: Graph) -> str | None:
    """Add the institution; return its id, or none when nobody stated it."""
    own = profile.organisation
    if not own.name:
        return None
    return agency_entity(Agency(name=own.name, ror=own.ror, url=own.url), graph)


def agency_entity(agency: Agency, graph: Graph) -> str:
    """Add an organisation; return its id."""
    name = agency.ror or agency.url or "#organisation-" + "-".join(agency.name.split())
    return graph.add(
        {"@id": name, "@type": "Organization", "name": agency.name, "url": agency.url or agency.ror}
    )


def publisher(profile: Profile, graph: Graph) -> Any:
    """Add the facility and return a reference to it; to the institution when no facility is stated."""
    facility = profile.facility
    if not facility.name:
        return refs([organisation_entity(profile, graph)])
    name = f"https://identifiers.org/{facility.rrid}" if facility.rrid else facility.url or "#facility"
    entity = {
        "@id": name,
        "@type": "Organization",
        "name": facility.name,
        "identifier": facility.rrid,
        "url": facility.url,
        "parentOrganization": refs([organisation_entity(profile, graph)]),
    }
    return refs([graph.add(entity)])


def funders(profile: Profile, graph: Graph) -> list[str]:
    """Add who paid for the instrument; return their ids."""
    return [_funder(grant, graph) for grant in profile.grants]


def funding(profile: Profile, graph: Graph) -> list[str]:
    """Add the grants that have a number or an identifier; return their ids."""
    return [
        graph.add(
            {
                "@id": grant.doi or "#grant-" + "-".join(str(grant.number).split()),
                "@type": "Grant",
                "name": f"{grant.funder} {grant.number or grant.doi}",
                "identifier": grant.number or grant.doi,
                "funder": refs([_funder(grant, graph)]),
            }
        )
        for grant in profile.grants
        if grant.number or grant.doi
    ]


def _funder(grant: Grant, graph: Graph) -> str:
    return agency_entity(Agency(name=grant.funder, ror=grant.funder_ror), graph)


def licence(profile: Profile, graph: Graph) -> Any:
    """Return the licence, as an entity where its text has an address."""
    rights = profile.rights
    if not rights.licence_url:
        return rights.licence or "Not stated; ask the rights holder before use."
    entity = {
        "@id": rights.licence_url,
        "@type": "CreativeWork",
        "name": rights.licence or rights.licence_url,
        "description": f"Licence {rights.licence or rights.licence_url}",
    }
    return {"@id": graph.add(entity)}
