"""The OpenAPI description made whole: a summary for every operation, words for every parameter, an example for every model.

Examples are made from the schemas themselves, with believable values by the name of a field, so that no model can be without
one and none can be out of date; ``tests/server/test_described.py`` holds each to its own model.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

Schema = dict[str, Any]

_ID = "0199d2c4-7a10-7c3e-9f52-3b1d6e8a4c01"
_AT = "2026-05-04T12:00:00Z"
_HASH = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

VALUES: dict[str, Any] = {
    "Reading.error": None, "Schedule.every_days": None, "Confirmation.reason": "", "QcRunAnswer.status": "pass",
    "QcMetric.uncertainty": None, "QcMetric.lower_limit": None, "QcMetric.upper_limit": 0.282, "Quantity.note": None,
    "ScheduleRun.state": "done", "ScheduleRun.reason": "", "ScheduleRun.supersedes": None, "ScheduleRun.task": None,
    "ScheduleRun.confirmed_by": None, "StartCondition.at_least": None, "StartCondition.steady_within": 0.5,
    "LedgerAnswer.first_frame": 0, "AcquisitionAnswer.n_dropped": 0, "AcquisitionAnswer.n_problems": 0,
    "AcquisitionDetail.n_dropped": 0, "AcquisitionDetail.n_problems": 0, "SpoolAnswer.n_skipped": 0,
    "AgentAnswer.revoked_at": None, "AgentAnswer.revoked_below_at": None, "QuarantineEntry.reason": "unknown_kind", "NotTaken.reason": "foreign_agent",
    "n_expected": 44, "n_seen": 44, "n_frames": 44, "n_in_ledger": 44, "n_used": 7, "n_waiting": 2,
    "agent_id": "b2f1a0c4d6e83957", "instrument_id": "sd-2", "hostname": "scope-pc", "platform": "Windows 11",
    "name": "Spinning disk 2", "site": "Building 4", "version": "0.1.0", "software": "scopestamp",
    "language": "en", "hardware": "idle", "presence": "reporting", "reason": "completed", "kind": "qc_result",
    "schema_version": "1.0", "routine": "psf", "routine_version": "1.0", "metric": "fwhm_x_um", "unit": "um",
    "rule": "at most 1.5 x expected", "device": "Objective", "property": "Label", "boot_id": "4f9c1d2e",
    "monotonic_ns": 81_234_000_000, "position": 4711, "seq": 4711, "mark": 4711, "acked": 4711, "batch_id": 63, "line": 0,
    "spool_id": "6c0f2f5e", "chain": _HASH, "collector": "Scopestamp collector", "collector_id": "national",
    "cron": "0 3 * * 1", "zone": "Europe/Zurich", "window": "22:00-06:00", "schedule_id": "nightly-camera",
    "error": "not_found", "message": "There is no such record.", "text": "Microscopy was performed at Imaging Core …",
    "pid": "https://doi.org/10.5442/NI000001", "facility_rrid": "RRID:SCR_000001",
    "organisation_ror": "https://ror.org/05a28rw58", "path": "/v1/ingest", "by": "ada", "slot": 1, "n_slots": 1,
    "light_path": {"objective": "Plan Apo 60x Oil", "camera": "Camera", "channel": "GFP"}, "value": 0.221,
    "n_rejected": {"saturated": 2}, "before": None, "leaf": _HASH, "log_id": "6c0f2f5e", "figures": None,
    "record": {"kind": "heartbeat", "record_id": _ID}, "problems": ["2 records wait in its spools."],
    "channels": [], "options": {}, "qc_status": "pass", "slide": "beads", "steps": ["Put the slide into the holder."],
    "baselines": [], "conditions": [], "for_min": 10, "instruments": ["sd-2"], "groups": ["confocals"], "above": None,
    "AlertAnswer.key": "silent|sd-2|", "AlertAnswer.rule": "silent", "AlertAnswer.name": "No sign of life",
    "AlertAnswer.text": "No sign of life for 11 min", "AlertAnswer.over_at": None, "AlertAnswer.silence": None,
    "AlertAnswer.href": "/instruments/sd-2", "AlertAnswer.comment": "On my way.", "acknowledged_by": "ada",
    "AlertAnswer.cause": "", "AlertAnswer.advice": "Is the microscope PC switched on and on the network?", "severity": "critical",
    "Acknowledgement.key": "silent|sd-2|", "Acknowledgement.comment": "On my way.", "rules": ["silent"], "sites": [],
    "Silence.key": "6c0f2f5e7a10", "Silence.reason": "The building is without power.", "hours": 8,
    "SilenceAsked.reason": "The building is without power.",
    "at_most": None, "equals": None, "old_until": None, "etag": "w3x1",
}  # fmt: skip
"""Field, or model and field, to a value it may have; one that a field's type does not allow is not taken."""

PARAMETERS = {
    "instrument_id": "As the agent was enrolled with.",
    "instrument": "Only this instrument.",
    "device": "Part of a device's label.",
    "schedule_id": "Letters, digits, dots, hyphens and underscores.",
    "spool": "As the agent named it.",
    "if-none-match": "The ETag of the answer before: 304 when nothing has changed.",
}
_TABLE = ("text/csv", "application/jsonl", "application/vnd.apache.parquet")
FILES: dict[str, tuple[str, ...]] = {
    "/figures": _TABLE, "/table": _TABLE, "/utilisation": _TABLE, "/people": _TABLE, "/logbook": _TABLE,
    "/recognition": ("text/csv", "application/pdf"), "/crate": ("application/zip",), "/live": ("text/event-stream",),
    "/records/{record_id}/raw": ("application/json",), "/quarantine/{position}/raw": ("application/octet-stream",),
    "/{format_name}": ("application/octet-stream",),
}  # fmt: skip
"""End of a path to what its answer may be, where that is a file."""


class DescribedApi(FastAPI):
    """FastAPI whose description is complete."""

    def openapi(self) -> Schema:
        """Return the description, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def completed(described: Schema) -> Schema:
    """Complete a description in place, and return it."""
    schemas = described.get("components", {}).get("schemas", {})
    for path, methods in described["paths"].items():
        for operation in methods.values():
            _complete(operation, path)
    for unused in ("HTTPValidationError", "ValidationError"):  # we answer 400 with a `Refusal`
        schemas.pop(unused, None)
    for name, schema in schemas.items():
        if "examples" not in schema:
            schema["examples"] = [example_of(schema, schemas, name)]
    return described


def _complete(operation: Schema, path: str) -> None:
    told = operation.get("description", "")
    operation["summary"] = told.split(". ")[0].split("\n\n")[0].split("; ")[0].replace("\n", " ").rstrip(".")
    for parameter in operation.get("parameters", ()):
        if not parameter.get("description") and parameter["name"] in PARAMETERS:
            parameter["description"] = PARAMETERS[parameter["name"]]
    if operation["responses"].pop("422", None) is not None:
        refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
        operation["responses"].setdefault("400", {"description": "Bad Request", "content": refusal})
    answer = operation["responses"].get("200", {})
    if not answer.get("content"):
        kinds = next((kinds for end, kinds in FILES.items() if path.endswith(end)), ())
        if kinds:
            answer["content"] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}


def example_of(schema: Schema, schemas: Schema, field: str = "") -> Any:
    """Return a value that a schema allows.

    Parameters
    ----------
    schema : dict
        A JSON Schema as FastAPI writes them.
    schemas : dict
        The components that it may refer to.
    field : str
        Name of the field whose schema it is; it chooses the value.

    >>> example_of({"type": "object", "properties": {"seq": {"type": "integer"}}}, {})
    {'seq': 4711}
    """
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, field)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        value = VALUES.get(field)
        return value if value in schema["enum"] else schema["enum"][0]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return _one_of(options, schemas, field)
    if schema.get("type") == "object":
        return _object(schema, schemas, field)
    if schema.get("type") == "array":
        return _array(schema, schemas, field)
    return _scalar(schema, field)


def _one_of(options: list[Schema], schemas: Schema, field: str) -> Any:
    if field in VALUES and VALUES[field] is None:
        return None
    wanted = type(VALUES.get(field))
    by_type = {"string": str, "integer": int, "number": float}
    fitting = [one for one in options if by_type.get(one.get("type", "")) is wanted]
    others = [one for one in options if one.get("type") != "null"]
    return example_of((fitting or others)[0], schemas, field)


def _object(schema: Schema, schemas: Schema, field: str) -> Any:
    if "properties" not in schema:
        return VALUES[field] if isinstance(VALUES.get(field), dict) else {}
    values, title = {}, schema.get("title", "")
    for name, one in schema["properties"].items():
        own = f"{title}.{name}"
        values[name] = VALUES[own] if own in VALUES else example_of(one, schemas, name)
    return values


def _array(schema: Schema, schemas: Schema, field: str) -> list[Any]:
    if isinstance(VALUES.get(field), list):
        return VALUES[field]
    if "items" not in schema:
        return []
    return [example_of(schema["items"], schemas, field.removesuffix("s"))]


def _scalar(schema: Schema, field: str) -> Any:
    kind, value = schema.get("type"), VALUES.get(field)
    if schema.get("format") == "date-time":
        return _AT
    if schema.get("format") == "uuid" or (
        kind == "string" and field.endswith(("record_id", "run_id", "acquisition_id"))
    ):
        return _ID
    if kind == "boolean":
        return bool(schema.get("default", True))
    if kind in ("integer", "number"):
        allowed = int if kind == "integer" else (int, float)
        return value if isinstance(value, allowed) else _number(schema)
    if isinstance(value, str):
        return value
    default = schema.get("default")
    if isinstance(default, str):
        return default
    return (
        _HASH
        if field.endswith(("sha256", "root", "chain"))
        else _AT
        if field.endswith(("_at", "until"))
        else "…"
    )


def _number(schema: Schema) -> Any:
    if schema.get("default") is not None:
        return schema["default"]
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return max(int(lowest), 1)
