"""From the record models to JSON Schema files, and the rule that a version's schema never changes."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from agent.records import KINDS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION_KEY = "x-schema-version"


class SchemaChangedError(Exception):
    """A model no longer matches the released schema of the version it claims."""


class _WithoutFieldTitles(GenerateJsonSchema):
    """pydantic's titles only repeat the field names."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of record, as its model is now."""
    model = KINDS[kind]
    version = _version_of(kind)
    body = model.model_json_schema(schema_generator=_WithoutFieldTitles)
    # They have defaults for whoever makes a record; a record that is read must carry them.
    body["required"] = sorted({*body["required"], "kind", "record_id", "schema_version"})
    head = {
        "$schema": DIALECT,
        "$id": f"urn:scopestamp:record:{kind}:v{version.split('.')[0]}",
        VERSION_KEY: version,
    }
    return head | body


def file_name(kind: str) -> str:
    """Return the name of a kind's schema file, such as ``heartbeat.v1.json``."""
    return f"{kind}.v{_version_of(kind).split('.')[0]}.json"


def load_schema(kind: str) -> dict[str, Any]:
    """Return the released schema of a kind, as it came with this package."""
    text = (files("agent.records.schema") / file_name(kind)).read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def render(schema: dict[str, Any]) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema into `folder` and return the files; none is written if one may not change.

    Raises
    ------
    SchemaChangedError
        A model changed in more than its descriptions, and its `schema_version` did not.
    """
    schemas = {folder / file_name(kind): schema_of(kind) for kind in KINDS}
    for path, schema in schemas.items():
        _refuse_silent_change(path, schema)
    for path, schema in schemas.items():
        path.write_text(render(schema), encoding="utf-8", newline="\n")
    return list(schemas)


def _refuse_silent_change(path: Path, schema: dict[str, Any]) -> None:
    if not path.exists():
        return
    released = json.loads(path.read_text("utf-8"))
    version = schema[VERSION_KEY]
    if version == released[VERSION_KEY] and _without_words(schema) != _without_words(released):
        raise SchemaChangedError(
            f"{path.name}: the model differs from the released schema {version}. Raise its schema_version: the "
            "minor number if only optional fields were added, else the major one. Then run "
            "`python -m agent.records.schema` and add a golden record of the new version."
        )


def _version_of(kind: str) -> str:
    return str(KINDS[kind].model_fields["schema_version"].default)


def _without_words(node: Any) -> Any:
    """Return a schema without its descriptions: better words are no new version."""
    if isinstance(node, dict):
        return {
            key: _without_words(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [_without_words(value) for value in node] if isinstance(node, list) else node
