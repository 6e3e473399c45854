"""The committed JSON Schemas against the models they were written from."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import Field

import agent.records.schema
from agent.records import KINDS, Frozen, Heartbeat
from agent.records.schema import (
    SchemaChangedError,
    file_name,
    load_schema,
    render,
    schema_of,
    write_schemas,
)

FOLDER = Path(agent.records.schema.__file__).parent


class LargerHeartbeat(Heartbeat):
    """A model somebody changed."""

    mood: str | None = Field(default=None, description="How it feels.")


class HeartbeatOneOne(LargerHeartbeat):
    schema_version: str = Field(default="1.1", pattern=r"^\d+\.\d+$", description="major.minor")


@pytest.mark.parametrize("kind", KINDS)
def test_schema_file_matches_its_model(kind: str) -> None:
    assert load_schema(kind) == schema_of(kind), (
        f"the model of {kind} and its released schema differ. Run `python -m agent.records.schema`; "
        "if it refuses, it says which version number to raise."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_schema_file_is_valid_and_written_as_the_generator_writes(kind: str) -> None:
    text = (FOLDER / file_name(kind)).read_text("utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    assert text == render(json.loads(text))


def test_schema_folder_holds_no_stray_file() -> None:
    current = {file_name(kind) for kind in KINDS}
    assert current <= {path.name for path in FOLDER.glob("*.json")}
    assert all(path.name.split(".")[0] in KINDS for path in FOLDER.glob("*.json"))


def test_every_field_is_described() -> None:
    models = [getattr(agent.records, name) for name in agent.records.__all__]
    for model in models:
        if isinstance(model, type) and issubclass(model, Frozen):
            bare = {name for name, field in model.model_fields.items() if not field.description}
            assert bare <= {"kind"}, f"{model.__name__} has fields without description"


def test_generator_refuses_a_changed_model_without_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_schemas(tmp_path)
    before = (tmp_path / "heartbeat.v1.json").read_bytes()
    monkeypatch.setitem(KINDS, "heartbeat", LargerHeartbeat)
    with pytest.raises(SchemaChangedError, match=r"heartbeat\.v1\.json.*Raise its schema_version"):
        write_schemas(tmp_path)
    assert (tmp_path / "heartbeat.v1.json").read_bytes() == before


def test_generator_takes_a_new_minor_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_schemas(tmp_path)
    monkeypatch.setitem(KINDS, "heartbeat", HeartbeatOneOne)
    write_schemas(tmp_path)
    assert json.loads((tmp_path / "heartbeat.v1.json").read_text("utf-8"))["x-schema-version"] == "1.1"


def test_generator_takes_better_words(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    path = tmp_path / "heartbeat.v1.json"
    released = path.read_text("utf-8")
    path.write_text(released.replace("Since the agent started.", "Worse words."), encoding="utf-8")
    write_schemas(tmp_path)
    assert path.read_text("utf-8") == released
