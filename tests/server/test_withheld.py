"""What a policy withholds: every text of every kind of record is tried, and every place where a name can hide."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from datetime import date
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, FiniteFloat

import agent.records as r
from agent.records._codec import KINDS
from server.forwarding.policy import Policy
from server.settings import UpstreamSettings

OPEN = {"withhold_people": False, "withhold_samples": False}
NAME = "rosalind"
VALUES: dict[Any, object] = {
    bool: True, int: 1, float: 0.5, FiniteFloat: 0.5, AwareDatetime: "2026-05-04T12:00:00Z", date: "2026-05-04",
    UUID: "01890000-0000-7000-8000-000000000000",
}  # fmt: skip
IDENTIFIERS = {
    "ror": "05a28rw58", "orcid": "0000-0002-1825-0097", "doi": "10.5442/NI000001", "pid": "10.5442/NI000001",
    "rrid": "SCR_000001", "web_address": "https://example.org",
}  # fmt: skip

# What each text says is known to be no person's and no sample's name: identifiers, units, versions, the vocabulary of devices and
# their labels, what the facility states of its instrument, and what programs of ours make of it.
HARMLESS = (
    "*.boot_id", "*.unit", "*sha256", "instrument_id", "record_id", "schema_version", "producer.*", "kind", "routine",
    "*.routine", "*.routine_version", "routine_version", "software.*", "versions.*", "zone", "*.zone", "schedule_id",
    "*.schedule_id", "lane", "spool_id", "event", "reader", "format", "files.*.format", "parts.*.name",
    "temperatures.*.name", "*light_path.*", "*.statement", "*metric", "*.rule", "advice.*", "task.*",
    "columns.camera.*", "columns.channel.*", "images.*", "plan.channels.*.group", "plan.channels.*.preset",
    "plan.channels.*.settings.*", "plan.axes.*", "plan.*.value", "*states.*.values.*", "*devices.*",
    "*presets.*.value", "*pixel_size.value", "changes.*", "changed.*", "config_groups.*", "nameplate.*.value",
    "pixel_sizes.*.value", "profile.*", "*.expected.value", "*.baseline.value", "*.measured.value",
    "*.uncertainty.value", "qc.*.value", "metrics.*.value",
)  # fmt: skip
NEVER = (
    "*note",
    "*error",
    "*.nbo.*",
    "*.nbo_null.*",
    "*contact",
    "*people*",
    "*rights*",
    "*micro_meta*",
    "*path",
)
"""Places that are withheld also within what is harmless."""


def made(kind: type, place: str) -> Any:
    """Return JSON of a type in which every text says where it stands."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _identifier(parts[1:]) or made(parts[0], place)
    if origin in (Union, types.UnionType):
        kinds = [one for one in parts if one is not type(None)]
        return made(str if str in kinds else kinds[-1], place)
    if origin is Literal:
        return parts[0]
    if origin is tuple:
        return [made(parts[0], f"{place}.*")]
    if origin is dict:
        return {"key": made(parts[1], f"{place}.*")}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return record_of(kind, place)
    return VALUES.get(kind, f"{NAME} {place}")


def record_of(model: type[BaseModel], place: str = "") -> dict[str, Any]:
    found = {}
    for name, field in model.model_fields.items():
        assert field.annotation is not None
        found[name] = _identifier(field.metadata) or made(field.annotation, f"{place}.{name}".lstrip("."))
    exact = {"cut_on_nm": 0.25, "registered_year": 2026}
    return found | {name: value for name, value in exact.items() if name in found}


def _identifier(metadata: tuple[object, ...] | list[object]) -> str | None:
    names = (getattr(getattr(one, "func", None), "__name__", "") for one in metadata)
    return next((IDENTIFIERS[name] for name in names if name in IDENTIFIERS), None)


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_in(one)


def left_of(*records: dict[str, Any] | r.Record, **policy: Any) -> list[dict[str, Any]]:
    """Return what goes up of records under the default policy, or another one."""
    lines = [json.dumps(one).encode() if isinstance(one, dict) else r.encode(one) for one in records]
    return [json.loads(line) for line in Policy(UpstreamSettings(**policy), "col-x", b"key").apply(lines)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_that_goes_up_was_judged(kind):
    record = (
        record_of(KINDS[kind]) | {"schema_version": "1.0"} | ({"event": "x"} if kind == "agent_event" else {})
    )
    (left,) = left_of(record)
    places = {text.split()[1] for text in texts_in(left) if text.startswith(NAME)}
    judged = {one for one in places if any(fnmatchcase(one, known) for known in HARMLESS)}
    assert places - judged == set()
    assert {one for one in places if any(fnmatchcase(one, end) for end in NEVER)} == set()


@pytest.fixture
def scope(tools, running):
    return tools.Scope(running.sender())


def test_path_of_a_reference_in_the_parameters_of_a_measurement(scope):
    told = {"reference_image": rf"C:\Users\{NAME}\flat.tif", "slide": f"beads of {NAME}", "exposure_ms": 20.0}
    (left,) = left_of(scope.qc(parameters=told))
    assert left["parameters"] == {"exposure_ms": 20.0}


def test_withheld_property_in_presets_plans_and_lists_of_values(scope):
    read = scope.read(NAME).model_dump(mode="json", exclude_none=True)
    snapshot = json.loads(r.encode(scope.snapshot()))
    snapshot["state"]["presets"] = {"Operator": read, "Channel": read | {"value": "DAPI"}}
    described = record_of(KINDS["instrument"]) | {"schema_version": "1.0"}
    described["devices"]["key"]["properties"] = {
        name: {**described["devices"]["key"]["properties"]["key"], "allowed_values": values}
        for name, values in {"UserName": [NAME, "maurice"], "Binning": ["1", "2"]}.items()
    }
    described["devices"]["key"]["stated"] = {"usual_operator": {**read, "source": "profile"}}
    described["config_groups"] = {
        "System": {"Startup": {"Stage-1-UserName": NAME, "Cam-Binning": "2"}},
        "Users": {NAME: {"Cam-Binning": "1"}},
    }
    started = json.loads(r.encode(next(iter(scope.acquisition()))))
    channel = {"group": "Channel", "preset": "DAPI", "settings": {"Stage-SampleName": NAME, "Cam-Gain": "3"}}
    started["plan"]["channels"] = [channel]
    for_snapshot, for_instrument, for_plan = left_of(snapshot, described, started)
    assert set(for_snapshot["state"]["presets"]) == {"Channel"}
    (device,) = for_instrument["devices"].values()
    assert "allowed_values" not in device["properties"]["UserName"]
    assert device["properties"]["Binning"]["allowed_values"] == ["1", "2"]
    assert device["stated"] == {}
    assert for_instrument["config_groups"] == {"System": {"Startup": {"Cam-Binning": "2"}}}
    assert for_plan["plan"]["channels"][0]["settings"] == {"Cam-Gain": "3"}


def test_device_named_as_a_field_is_no_trouble(scope):
    snapshot = json.loads(r.encode(scope.snapshot()))
    read = scope.read("x").model_dump(mode="json", exclude_none=True)
    snapshot["state"]["devices"] = {
        one: {"UserName": read, "Gain": read} for one in ("presets", "values", "devices", "properties")
    }
    (left,) = left_of(snapshot)
    assert [set(one) for one in left["state"]["devices"].values()] == [{"Gain"}] * 4


def test_login_of_somebody_withheld_and_words_of_devices(scope):
    session = record_of(KINDS["usage_session"]) | {"schema_version": "1.0", "user_name": "plain"}
    error = {
        "status": "failed",
        "how": "hardware",
        "observed_at": "2026-05-04T12:00:00Z",
        "error": f"no {NAME}.ini",
    }
    snapshot = json.loads(r.encode(scope.snapshot()))
    snapshot["state"]["devices"] = {"Camera": {"Gain": error}}
    of_session, of_state = left_of(session, snapshot)
    assert (of_session["user_name"], {"user", "logged_in_at"} & set(of_session)) == ("omitted", set())
    assert of_state["state"]["devices"]["Camera"]["Gain"]["status"] == "failed"
    assert NAME not in json.dumps(of_state)


def test_schedule_that_is_not_refused_stays_so(scope):
    plan = record_of(KINDS["schedule_plan"]) | {"schema_version": "1.0", "problem": ""}
    plan["schedules"] = [
        {**plan["schedules"][0], "refused": told} for told in ("", f"{NAME}.toml is no schedule")
    ]
    (left,) = left_of(plan)
    assert (left["problem"], [one["refused"] for one in left["schedules"]]) == ("", ["", "withheld"])


@pytest.mark.parametrize("told", [5, NAME, {"by": NAME}, [{"by": NAME}], [[NAME]]], ids=str)
def test_mark_of_an_agents_own_making_is_an_unknown_field(scope, told):
    quiet, loud = (json.loads(r.encode(one)) for one in (scope.heartbeat(), scope.event("x")))
    left = left_of({**quiet, "filtered": told}, {**loud, "filtered": told})
    assert [len(one["filtered"]) for one in left] == [1, 1]
    assert NAME not in json.dumps(left)


def test_mark_of_a_site_below_goes_up_with_ours(scope):
    mark = {"by": "col-a", "filters": ["people"], "original_sha256": "0" * 64}
    below = {**json.loads(r.encode(scope.event("x"))), "filtered": [mark]}
    (left,) = left_of(below)
    assert left["filtered"][0] == mark
    assert left["filtered"][1]["by"] == "col-x"
    assert left_of(left) == [left]  # nothing is left to change: it goes up as it is


@pytest.mark.parametrize("odd", [
    pytest.param(lambda line: line.replace(b"{", b'{"x":' + b"9" * 5000 + b",", 1), id="endless number"),
    pytest.param(lambda line: line.replace(b"{", b'{"hardware":"rosalind",', 1), id="key told twice"),
])  # fmt: skip
def test_line_that_cannot_be_judged_is_withheld_and_holds_nothing_up(scope, odd):
    line, next_line = (r.encode(scope.heartbeat()) for _ in range(2))
    for policy in ({}, {**OPEN, "summaries_only": True}, {**OPEN, "metrics": ("*",)}):
        chosen = Policy(UpstreamSettings(**policy), "col-x", b"key")
        assert chosen.apply([odd(line), next_line]) == [next_line]


@pytest.mark.parametrize("number", ["NaN", "1e999", "-Infinity"])
def test_number_that_json_cannot_tell_holds_nothing_up(scope, number):
    started, heartbeat = next(iter(scope.acquisition())), r.encode(scope.heartbeat())
    plan = started.plan.model_copy(update={"sequence": {"z": "odd"}})
    line = r.encode(started.model_copy(update={"plan": plan})).replace(b'"odd"', number.encode())
    for policy in ({}, {**OPEN, "metrics": ("*",)}):
        left = Policy(UpstreamSettings(**policy), "col-x", b"key").apply([line, heartbeat])
        assert left[-1] == heartbeat
        assert number.encode() not in b"".join(left)


def test_chosen_metrics_tell_nothing_of_the_others(scope):
    result = json.loads(r.encode(scope.qc(remarks=("Uniformity is 41 %.",))))
    seen, hidden = (
        {**result["metrics"][0], "status": "pass"},
        {**result["metrics"][0], "metric": "hidden", "status": "fail"},
    )
    advice = [{"finding": "hidden", "check": "the lamp", "source": "us"}]
    result |= {"metrics": [seen, hidden], "status": "fail", "advice": advice}
    newer = {**result, "schema_version": "1.9", "figures_by_bead": {"hidden": 41}}
    unreadable = {**result, "metrics": {"hidden": 41}}
    chosen = left_of(result, newer, unreadable, **OPEN, metrics=(seen["metric"],))
    assert len(chosen) == 2
    assert "hidden" not in json.dumps(chosen)
    assert [(one["status"], one["remarks"]) for one in chosen] == [("pass", [])] * 2


def test_summaries_hold_no_field_that_is_not_known(scope):
    *_, ended, _ = scope.acquisition()
    finished = json.loads(r.encode(ended))
    (left,) = left_of({**finished, "before_in_full": {"Stage": NAME}}, **OPEN, summaries_only=True)
    assert "before_in_full" not in left
