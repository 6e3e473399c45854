"""The instrument profile: what a facility states of a microscope, versioned, as a record of its own."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from agent.records._base import Frozen, Record
from agent.records._identifiers import Doi, Orcid, Pid, Ror, Rrid, WebAddress
from agent.records._parts import (
    Camera,
    EnvironmentDevice,
    Filter,
    FilterCube,
    FocusLock,
    LightSource,
    Magnifier,
    Objective,
    OtherPart,
    Part,
    Positive,
    Software,
    Stage,
    Stand,
)

Modality = Literal[
    "widefield_fluorescence", "spinning_disk", "point_scanning_confocal", "slit_scanning_confocal",
    "array_scanning_confocal", "swept_field_confocal", "two_photon", "multi_photon", "light_sheet", "tirf", "sim",
    "sted", "storm", "palm", "brightfield", "darkfield", "dic", "phase_contrast", "hoffman", "oblique",
    "polarization", "varel", "other",
]  # fmt: skip
"""How an image is made: illumination, contrast and mode in one word."""

CreditRole = Literal[
    "conceptualization", "data-curation", "formal-analysis", "funding-acquisition", "investigation", "methodology",
    "project-administration", "resources", "software", "supervision", "validation", "visualization",
    "writing-original-draft", "writing-review-editing",
]  # fmt: skip
"""The fourteen roles of CRediT (ANSI/NISO Z39.104-2022)."""


class Agency(Frozen):
    """A maker, owner or funder."""

    name: str = Field(min_length=1, description="Its name.")
    ror: Ror | None = Field(default=None, description="Its identifier in the Research Organization Registry.")
    url: WebAddress | None = Field(default=None, description="Its page.")
    contact: str | None = Field(default=None, description="Address for mail.")


class RelatedThing(Frozen):
    """Something the instrument is related to, in PIDINST's words."""

    identifier: Pid = Field(description="DOI, Handle, RRID or web address.")
    relation: Literal[
        "IsDescribedBy", "IsNewVersionOf", "IsPreviousVersionOf", "HasComponent", "IsComponentOf", "References",
        "HasMetadata", "WasUsedIn", "IsIdenticalTo", "IsAttachedTo",
    ] = Field(description="How it is related.")  # fmt: skip
    name: str | None = Field(default=None, description="What it is called.")


class Nameplate(Frozen):
    """The instrument as a whole: the PIDINST block."""

    name: str | None = Field(default=None, description="What the facility calls it.")
    instrument_uuid: UUID | None = Field(
        default=None, description="Names it in exports; made from its id if absent."
    )
    pid: Pid | None = Field(default=None, description="Its DOI or Handle.")
    landing_page: WebAddress | None = Field(default=None, description="The page its identifier leads to.")
    owners: tuple[Agency, ...] = Field(default=(), description="Who owns it.")
    manufacturers: tuple[Agency, ...] = Field(default=(), description="Who made it.")
    model: str | None = Field(default=None, description="The maker's name of it.")
    model_pid: Pid | None = Field(default=None, description="Identifier of the model.")
    serial_number: str | None = Field(default=None, description="Of the instrument.")
    inventory_number: str | None = Field(default=None, description="The owner's own number.")
    commissioned: date | None = Field(default=None, description="In use since.")
    decommissioned: date | None = Field(default=None, description="In use until.")
    registered_year: int | None = Field(
        default=None, ge=1900, le=2200, description="Year its identifier was made."
    )
    modality: Modality | None = Field(default=None, description="How it makes images, unless a channel says.")
    measured_variables: tuple[str, ...] = Field(default=(), description="What it measures.")
    description: str | None = Field(default=None, description="In words.")
    related: tuple[RelatedThing, ...] = Field(default=(), description="What it is related to.")
    derived: tuple[str, ...] = Field(default=(), description="Keys of this table that are guesses.")


class Facility(Frozen):
    """The facility that runs it."""

    name: str | None = Field(default=None, description="Its name.")
    rrid: Rrid | None = Field(default=None, description="Its RRID.")
    url: WebAddress | None = Field(default=None, description="Its page.")


class Organisation(Frozen):
    """The institution the facility belongs to."""

    name: str | None = Field(default=None, description="Its name.")
    ror: Ror | None = Field(default=None, description="Its ROR.")
    url: WebAddress | None = Field(default=None, description="Its page.")


class Person(Frozen):
    """Somebody at the facility; named in public only with consent."""

    given_name: str = Field(min_length=1, description="Given name.")
    family_name: str = Field(min_length=1, description="Family name.")
    orcid: Orcid | None = Field(default=None, description="ORCID.")
    roles: tuple[CreditRole, ...] = Field(default=(), description="CRediT roles.")
    has_consented: bool = Field(default=False, description="May be named in acknowledgements and exports.")
    is_experimenter: bool = Field(default=False, description="Takes the images, rather than supports.")


class Grant(Frozen):
    """What paid for it."""

    funder: str = Field(min_length=1, description="Who gave it.")
    funder_ror: Ror | None = Field(default=None, description="The funder's ROR.")
    number: str | None = Field(default=None, description="Its number.")
    doi: Doi | None = Field(default=None, description="Its DOI.")


class Rights(Frozen):
    """Who may do what with the images."""

    holder: str | None = Field(default=None, description="Who holds the rights.")
    licence: str | None = Field(default=None, description="SPDX name, such as CC-BY-4.0.")
    licence_url: WebAddress | None = Field(default=None, description="Its text.")


class ChannelStatement(Frozen):
    """What a channel preset means."""

    preset: str = Field(min_length=1, description="Name of the preset.")
    group: str | None = Field(default=None, description="Its configuration group; any if absent.")
    fluorophore: str | None = Field(default=None, description="The dye it is made for.")
    excitation_nm: Positive | None = Field(default=None, description="Excitation maximum of the dye, nm.")
    emission_nm: Positive | None = Field(default=None, description="Emission maximum of the dye, nm.")
    modality: Modality | None = Field(default=None, description="How it makes images.")
    light_source: str | None = Field(default=None, description="Name of the light source it uses.")
    derived: tuple[str, ...] = Field(default=(), description="Keys of this table that are guesses.")


class Profile(Frozen):
    """One microscope, as its file states it."""

    version: str = Field(default="1", min_length=1, description="The facility's own version of the profile.")
    valid_from: date | None = Field(default=None, description="Holds from this day on.")
    valid_until: date | None = Field(default=None, description="Held to this day.")
    instrument: Nameplate = Field(default=Nameplate(), description="The instrument as a whole.")
    organisation: Organisation = Field(default=Organisation(), description="Whose it is.")
    facility: Facility = Field(default=Facility(), description="Who runs it.")
    people: tuple[Person, ...] = Field(default=(), description="Staff and users.")
    grants: tuple[Grant, ...] = Field(default=(), description="What paid for it.")
    rights: Rights = Field(default=Rights(), description="Of the images.")
    stand: Stand | None = Field(default=None, description="The body.")
    objectives: tuple[Objective, ...] = Field(default=(), description="Every objective mounted.")
    filters: tuple[Filter, ...] = Field(default=(), description="Filters and dichroics.")
    filter_cubes: tuple[FilterCube, ...] = Field(default=(), description="Cubes.")
    light_sources: tuple[LightSource, ...] = Field(default=(), description="Light sources.")
    cameras: tuple[Camera, ...] = Field(default=(), description="Detectors.")
    stages: tuple[Stage, ...] = Field(default=(), description="Stages and focus drives.")
    magnifiers: tuple[Magnifier, ...] = Field(default=(), description="Magnification changers.")
    focus_locks: tuple[FocusLock, ...] = Field(default=(), description="Focus stabilisation.")
    environment: tuple[EnvironmentDevice, ...] = Field(default=(), description="Incubators.")
    software: tuple[Software, ...] = Field(default=(), description="Programs.")
    other_parts: tuple[OtherPart, ...] = Field(default=(), description="Parts carried along.")
    channels: tuple[ChannelStatement, ...] = Field(default=(), description="What channel presets mean.")
    micro_meta: dict[str, Any] = Field(
        default_factory=dict, description="What an imported Micro-Meta App file holds beside its parts."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Profile:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError(f"valid_until ({self.valid_until}) not before valid_from ({self.valid_from})")
        for section, parts in self.sections():
            names = [part.name for part in parts]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"names in {section} only once; '{twice[0]}' stands there twice")
        return self

    def sections(self) -> list[tuple[str, tuple[Part, ...]]]:
        """Return every list of parts with the key it has in the file."""
        lists = [(name, getattr(self, name)) for name in type(self).model_fields]
        return [(name, value) for name, value in lists if name in _PART_LISTS]

    @property
    def sha256(self) -> str:
        """SHA-256 of its canonical JSON: what other records point to."""
        value = self.model_dump(mode="json", exclude_none=True)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_PART_LISTS = frozenset(
    {"objectives", "filters", "filter_cubes", "light_sources", "cameras", "stages", "magnifiers", "focus_locks",
     "environment", "software", "other_parts"}
)  # fmt: skip


class InstrumentProfile(Record):
    """A version of the instrument's profile; other records point to the version that held."""

    kind: Literal["instrument_profile"] = "instrument_profile"
    profile: Profile = Field(description="The profile.")
    profile_sha256: str = Field(description="SHA-256 of the profile's canonical JSON.")
