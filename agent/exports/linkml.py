"""Our records as a LinkML schema, made from the JSON Schemas that are made from the models."""

from __future__ import annotations

from typing import Any

from agent.records import KINDS
from agent.records.schema import schema_of

_TYPES = {"string": "string", "integer": "integer", "number": "float", "boolean": "boolean"}
_FORMATS = {"date-time": "datetime", "date": "date"}
_ANY = "AnyValue"


def linkml_schema() -> dict[str, Any]:
    """Return the LinkML schema of every kind of record, as plain values for YAML or JSON."""
    classes: dict[str, Any] = {
        _ANY: {"class_uri": "linkml:Any", "description": "A value whose shape LinkML has no word for."}
    }
    enums: dict[str, Any] = {}
    for kind, model in KINDS.items():
        schema = schema_of(kind)
        for name, body in schema["$defs"].items():
            _take(name, body, classes, enums)
        _take(model.__name__, schema, classes, enums)
    return {
        "id": "https://scopestamp.org/linkml/records/v1",
        "name": "scopestamp_records",
        "description": "Records of Scopestamp, generated from their pydantic models.",
        "prefixes": {
            "linkml": "https://w3id.org/linkml/",
            "scopestamp": "https://scopestamp.org/linkml/records/v1/",
        },
        "default_prefix": "scopestamp",
        "default_range": "string",
        "imports": ["linkml:types"],
        "classes": classes,
        "enums": enums,
    }


def _take(name: str, body: dict[str, Any], classes: dict[str, Any], enums: dict[str, Any]) -> None:
    """Add one definition: an enumeration or a class."""
    if "enum" in body:
        enums[name] = {"permissible_values": {str(value): {} for value in body["enum"]}}
        return
    required = set(body.get("required", ()))
    attributes = {
        key: _attribute(f"{name}_{key}", value, enums) for key, value in body.get("properties", {}).items()
    }
    for key in required:
        if attributes[key]["range"] != _ANY:  # LinkML's loaders drop an empty table, and would miss it then
            attributes[key]["required"] = True
    classes[name] = {"description": body.get("description", name), "attributes": attributes}


def _attribute(name: str, value: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    described = {"description": value["description"]} if "description" in value else {}
    return described | _range(name, value, enums)


def _range(name: str, value: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """Return the range of a property; what is several things at once may be anything."""
    if "$ref" in value:
        return {"range": value["$ref"].rpartition("/")[2], "inlined": True}
    options = [item for item in value.get("anyOf", ()) if item.get("type") != "null"]
    if options:
        return _range(name, options[0], enums) if len(options) == 1 else {"range": _ANY}
    choices = [value["const"]] if "const" in value else value.get("enum")
    if choices:
        enums[name] = {"permissible_values": {str(choice): {} for choice in choices}}
        return {"range": name}
    if value.get("type") == "array":
        return _list(name, value, enums)
    if value.get("type") in _TYPES:
        return _scalar(value)
    return {"range": _ANY}


def _scalar(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"range": _FORMATS.get(value.get("format", ""), _TYPES[value["type"]])}
    limits = {"minimum": "minimum_value", "maximum": "maximum_value", "pattern": "pattern"}
    return found | {theirs: value[ours] for ours, theirs in limits.items() if ours in value}


def _list(name: str, value: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """Return a list; one whose entries may be null or several things has entries of any kind."""
    item = value.get("items", {})
    if not isinstance(item, dict) or "anyOf" in item or item.get("type") == "object":
        return {"range": _ANY, "multivalued": True}
    found = _range(name, item, enums)
    found.pop("inlined", None)
    is_class = "$ref" in item
    return found | {"multivalued": True} | ({"inlined_as_list": True} if is_class else {})
