"""The OpenAPI description: whole, and every example is what its own model takes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from agent.records import KINDS
from server.quality.schedules import schedule_from


@pytest.fixture
def described(running):
    return running.get("/openapi.json").json()


def test_every_model_has_examples_that_it_takes(described):
    schemas = described["components"]["schemas"]
    assert len(schemas) > 40
    for name, schema in schemas.items():
        validator = Draft202012Validator(
            {"components": {"schemas": schemas}, "$ref": f"#/components/schemas/{name}"}
        )
        assert schema["examples"], name
        for example in schema["examples"]:
            assert [error.message for error in validator.iter_errors(example)] == [], name


def models_of(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in cls.__subclasses__():
        yield one
        yield from models_of(one)


def test_every_example_is_taken_by_the_code_of_its_model(described):
    schemas = described["components"]["schemas"]
    ours = {
        one.__name__: one for one in models_of(BaseModel) if one.__module__.startswith(("agent.", "server."))
    }
    taken = [ours[name] for name in schemas if name in ours]
    for model in taken:
        for example in schemas[model.__name__]["examples"]:
            model.model_validate_json(json.dumps(example))
    enums = {name for name, schema in schemas.items() if "enum" in schema}
    assert {model.__name__ for model in taken} == set(schemas) - enums


def test_example_of_a_schedule_can_be_written(running, described):
    example = described["components"]["schemas"]["KeptAnswer"]["examples"][0]
    placed = schedule_from({name: example[name] for name in ("schedule", "instruments", "groups")})
    assert placed.schedule.schedule_id == "nightly-camera"


def test_record_within_an_example_is_of_a_kind_there_is(described):
    assert described["components"]["schemas"]["RecordEntry"]["examples"][0]["kind"] in KINDS


def test_every_operation_is_told_in_words(described):
    operations = [(path, one) for path, methods in described["paths"].items() for one in methods.values()]
    summaries = [one["summary"] for _, one in operations]
    assert all(len(summary.split()) >= 3 for summary in summaries), summaries
    for path, operation in operations:
        assert operation["description"], path
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])
        good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        assert good.get("content") or "204" in operation["responses"], path
        assert "422" not in operation["responses"], path
