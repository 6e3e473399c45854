"""Golden records: what was once published stays readable, byte for byte.

A golden record is never edited. A new version of a kind gets a new file.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from agent.records import KINDS, RecordError, decode, decode_tolerant, encode, sha256_of
from agent.records.schema import load_schema

GOLDEN = sorted((Path(__file__).parents[2] / "data" / "golden").glob("*.json"))


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> bytes:
    return request.param.read_bytes()


def test_golden_exists_for_every_kind_and_version() -> None:
    expected = {f"{kind}.v{model.model_fields['schema_version'].default}" for kind, model in KINDS.items()}
    assert expected <= {path.stem for path in GOLDEN}


def test_golden_survives_decoding_and_encoding(golden: bytes) -> None:
    assert encode(decode(golden)) == golden
    assert encode(decode_tolerant(golden)) == golden


def test_golden_validates_against_its_schema(golden: bytes) -> None:
    value = json.loads(golden)
    jsonschema.Draft202012Validator(load_schema(value["kind"])).validate(value)


def test_golden_is_named_after_its_kind_and_version() -> None:
    for path in GOLDEN:
        value = json.loads(path.read_bytes())
        assert path.stem == f"{value['kind']}.v{value['schema_version']}"


def test_golden_stamp_names_the_golden_acquisition() -> None:
    stamp, finished = (
        decode(next(path for path in GOLDEN if path.stem.startswith(kind)).read_bytes())
        for kind in ("dataset_stamp", "acquisition_finished")
    )
    assert stamp.stamped_record_id == finished.record_id
    assert stamp.stamped_record_sha256 == sha256_of(finished)


def test_decode_refuses_what_decode_tolerant_ignores(golden: bytes) -> None:
    value = json.loads(golden)
    value["colour_of_the_cat"] = "black"
    value["captured"]["colour_of_the_clock"] = "white"
    stranger = json.dumps(value).encode()
    with pytest.raises(RecordError, match="colour_of_the"):
        decode(stranger)
    assert encode(decode_tolerant(stranger)) == golden


@pytest.mark.parametrize("field", ["record_id", "schema_version", "kind", "captured", "producer"])
def test_decode_refuses_a_record_without_identity(golden: bytes, field: str) -> None:
    value = json.loads(golden)
    del value[field]
    crippled = json.dumps(value).encode()
    for read in (decode, decode_tolerant):
        with pytest.raises(RecordError):
            read(crippled)
    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.validate(value, load_schema(json.loads(golden)["kind"]))
