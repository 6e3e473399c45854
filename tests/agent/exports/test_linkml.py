"""Our records as LinkML: it accepts the golden records and refuses bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.exports.linkml import linkml_schema
from agent.records import KINDS

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def golden(kind: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((GOLDEN / f"{kind}.v1.0.json").read_bytes())
    return value


@pytest.mark.timeout(300)
def test_linkml_accepts_every_golden_record_and_refuses_bad_ones(
    tmp_path: Path, linkml: Callable[..., list[list[str]]]
) -> None:
    schema = tmp_path / "records.yaml"
    schema.write_text(json.dumps(linkml_schema()), encoding="utf-8")  # JSON is YAML
    good = [
        (schema, model.__name__, golden(kind))
        for kind, model in KINDS.items()
        if (GOLDEN / f"{kind}.v1.0.json").exists()
    ]
    bad = [
        (schema, "AcquisitionFinished", golden("acquisition_finished") | {"reason": "finished"}),
        (schema, "AcquisitionFinished", golden("acquisition_finished") | {"colour": "blue"}),
        (schema, "QcResult", {key: value for key, value in golden("qc_result").items() if key != "routine"}),
        (schema, "Heartbeat", golden("heartbeat") | {"instrument_id": 3}),
    ]
    found = linkml([*good, *bad])
    assert found[: len(good)] == [[]] * len(good)
    assert all(problems for problems in found[len(good) :])


def test_schema_has_every_record() -> None:
    assert {model.__name__ for model in KINDS.values()} <= set(linkml_schema()["classes"])
