"""The mapping file, read: which of our fields is which of theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from agent.records import Part, QcMetric, Stand


@dataclass(frozen=True)
class NboClass:
    """A class of 4DN-BINA-OME, and which of our parts it is."""

    nbo: str
    section: str
    tier: int
    extension: str = ""
    domain: str = ""
    category: str = ""
    ome: str = ""
    when: Table[str, str] = field(default_factory=dict)
    fixed: Table[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NboField:
    """A field of such a class, and which of ours it is; one without `field` is known to none of our records."""

    nbo: str
    tier: int
    who: str
    required: bool = False
    field: str = ""
    unit: str = ""
    unit_key: str = ""
    terms: str = ""
    convert: str = ""
    ome: str = ""
    rembi: str = ""
    ngff: str = ""
    methods: str = ""
    whole: bool = False
    text: bool = False

    @property
    def key(self) -> str:
        """Its name within its class."""
        return self.nbo.split(".", 1)[1]

    @property
    def attribute(self) -> str:
        """Our field's name within its part."""
        return self.field.partition(".")[2]


@dataclass(frozen=True)
class Mapping:
    """The whole mapping."""

    nbo_version: str
    nbo_namespace: str
    micro_meta_app_version: str
    classes: tuple[NboClass, ...]
    fields: Table[str, tuple[NboField, ...]]
    qc: tuple[Table[str, Any], ...]
    wg11: tuple[Table[str, Any], ...]
    rembi: tuple[Table[str, Any], ...]
    terms: Table[str, Table[str, Table[str, str]]]
    units: Table[str, Table[str, float]]

    def class_of(self, section: str, part: Part) -> NboClass | None:
        """Return the class a part belongs to; none if the standard has none or the part does not say."""
        for candidate in self.classes:
            if candidate.section == section and all(
                getattr(part, key) == value for key, value in candidate.when.items()
            ):
                return candidate
        return None

    def class_named(self, nbo: str) -> NboClass | None:
        """Return a class by its name there."""
        return next((candidate for candidate in self.classes if candidate.nbo == nbo), None)

    def term(self, terms: str, ours: Any, standard: str) -> str | None:
        """Return a standard's word for one of our terms.

        >>> load_mapping().term("immersion", "oil", "nbo")
        'Mineral Oil'
        """
        return self.terms[terms].get(str(ours), {}).get(standard)

    def our_term(self, terms: str, theirs: Any) -> str | None:
        """Return our word for a term of NBO."""
        return next((ours for ours, words in self.terms[terms].items() if words.get("nbo") == theirs), None)

    def section_of_stand(self, stand: Stand) -> NboClass:
        """Return the class of a stand; an inverted one when it does not say."""
        found = self.class_of("stand", stand)
        return found or next(item for item in self.classes if item.section == "stand")


@cache
def load_mapping() -> Mapping:
    """Return the mapping that came with this package."""
    raw = tomllib.loads((files("agent.exports") / "mapping.toml").read_text("utf-8"))
    fields: dict[str, list[NboField]] = {item["nbo"]: [] for item in raw["classes"]}
    for item in raw["fields"]:
        fields[item["nbo"].split(".", 1)[0]].append(NboField(**item))
    return Mapping(
        nbo_version=raw["nbo_version"],
        nbo_namespace=raw["nbo_namespace"],
        micro_meta_app_version=raw["micro_meta_app_version"],
        classes=tuple(NboClass(**item) for item in raw["classes"]),
        fields={name: tuple(items) for name, items in fields.items()},
        qc=tuple(raw["qc"]),
        wg11=tuple(raw["wg11"]),
        rembi=tuple(raw["rembi"]),
        terms=raw["terms"],
        units=raw["units"],
    )


def row_of(routine: str, metric: QcMetric) -> Table[str, Any] | None:
    """Return the mapping's row for a figure: by routine and name, without brackets or a unit at its end."""
    stem = metric.metric.partition("[")[0]
    unit = metric.measured.unit if metric.measured else None
    names = {stem, stem.removesuffix(f"_{(unit or '').lower()}")}
    rows = load_mapping().qc
    return next((row for row in rows if row["routine"] == routine and row["metric"] in names), None)
