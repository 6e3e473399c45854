"""The OpenAPI description: whole, and every example is what its own model takes."""

from __future__ import annotations

import json

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from agent.records import KINDS
from server.schedules import schedule_from


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


def answers(app):
    """Yield the models that routes answer with."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema and route.response_model is not None:
            yield route.path, route.response_model


def test_every_answer_has_an_example_that_its_code_takes(running, described):
    schemas = described["components"]["schemas"]
    n_taken = 0
    for path, model in answers(running.app):
        name = getattr(model, "__name__", "")
        if name not in schemas:  # a list of a model that stands alone elsewhere
            continue
        TypeAdapter(model).validate_json(json.dumps(schemas[name]["examples"][0]))
        n_taken += 1
        assert path.startswith("/v1/")
    assert n_taken >= 15


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
