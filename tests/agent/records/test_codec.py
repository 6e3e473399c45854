"""What a record refuses to hold, and the canonical form of what it holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from agent.records import (
    AcquisitionPlan,
    AcquisitionStarted,
    Envelope,
    FrameColumns,
    Instant,
    Producer,
    Quantity,
    Reading,
    ReadingStatus,
    RecordError,
    SystemState,
    canonical_json,
    decode,
    decode_tolerant,
    encode,
)

NOON_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON = Instant(wall_at=NOON_AT, monotonic_ns=5, boot_id="boot")
NAN, INF = float("nan"), float("inf")


def started(**fields: Any) -> AcquisitionStarted:
    common = {
        "captured": NOON,
        "instrument_id": "scope",
        "producer": Producer(agent_id="agt-0", version="0"),
        "acquisition_id": "c2a4f7d0-91be-4b53-a7a8-6e0f35d1c9e4",
        "started": NOON,
        "plan": AcquisitionPlan(axes={}),
    }
    return AcquisitionStarted(**common | fields)


def columns(**fields: Any) -> FrameColumns:
    one = dict.fromkeys(FrameColumns.model_fields, (None,))
    one |= {"frame": (0,), "seen_monotonic_ns": (1,), "index": ({"t": 0},), "state": (0,)}
    return FrameColumns(**one | fields)


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: Quantity(value=value, source="device", observed_at=NOON_AT),
        lambda value: Reading(status="ok", value=value, how="cache", observed_at=NOON_AT),
        lambda value: SystemState(taken=NOON, duration_ms=value, devices={}),
        lambda value: columns(x_um=(value,)),
        lambda value: canonical_json({"value": value}),
    ],
    ids=["quantity", "reading", "duration", "column", "canonical_json"],
)
def test_numbers_that_are_none_are_refused(make: Any, value: float) -> None:
    with pytest.raises(ValueError):
        make(value)


def test_foreign_plan_may_hold_nan_and_becomes_json() -> None:
    record = started(plan=AcquisitionPlan(axes={}, sequence={"interval": NAN, "n": 1}))
    assert decode(encode(record)).plan.sequence == {"interval": None, "n": 1}


def test_naive_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Instant(wall_at=datetime(2026, 1, 1), monotonic_ns=0, boot_id="boot")


def test_time_is_normalised_to_utc() -> None:
    tokyo = datetime(2026, 1, 1, 21, tzinfo=timezone(timedelta(hours=9)))
    instant = Instant(wall_at=tokyo, monotonic_ns=0, boot_id="boot")
    assert instant.wall_at == NOON_AT
    assert instant.wall_at.tzinfo is UTC


@pytest.mark.parametrize("status", ReadingStatus)
@pytest.mark.parametrize("value", [None, 0, "", False], ids=repr)
def test_reading_carries_a_value_exactly_when_ok(status: ReadingStatus, value: Any) -> None:
    fits = (status is ReadingStatus.OK) == (value is not None)
    if fits:
        assert Reading(status=status, value=value, how="cache", observed_at=NOON_AT).value == value
    else:
        with pytest.raises(ValidationError, match="exactly when its status is ok"):
            Reading(status=status, value=value, how="cache", observed_at=NOON_AT)


def test_columns_of_unequal_length_are_refused() -> None:
    assert columns().frame == (0,)
    with pytest.raises(ValidationError, match=r"equal length.*'frame': 2"):
        columns(frame=(0, 1))


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (1, "1"), (1.0, "1.0"), ("1", '"1"'), (0.1, "0.1"), (10**20, str(10**20)), ("µ", '"µ"')],
    ids=repr,
)
def test_scalar_keeps_its_type_on_the_wire(value: Any, text: str) -> None:
    quantity = Quantity(value=value, source="device", observed_at=NOON_AT)
    line = canonical_json(quantity.model_dump(mode="json"))
    assert f'"value":{text}}}'.encode() in line
    assert repr(Quantity.model_validate_json(line).value) == repr(value)


def test_canonical_json_sorts_keys_and_leaves_no_space() -> None:
    assert canonical_json({"b": [1, None], "a": {"d": "x y", "c": True}}) == (
        b'{"a":{"c":true,"d":"x y"},"b":[1,null]}'
    )


def test_text_that_is_no_utf8_never_costs_a_record() -> None:
    latin = b"20 \xb0C".decode("utf-8", "surrogateescape")  # as MMCore hands over an adapter's Latin-1
    record = started(outputs=(latin, "µ"), plan=AcquisitionPlan(axes={latin: 1}))
    read = decode(encode(record))
    assert read.outputs == ("20 \ufffd\ufffd\ufffdC", "µ")
    assert set(read.plan.axes) == {read.outputs[0]}, "a label still joins with itself"
    assert encode(read) == encode(record)


def test_absent_fields_are_left_out_and_come_back() -> None:
    record = started(plan=AcquisitionPlan(axes={"t": 1}, sequence={"metadata": None}))
    assert b"z_step" not in encode(record)
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"kind":"heartbeat"}'], ids=repr
)
@pytest.mark.parametrize("read", [decode, decode_tolerant])
def test_bytes_that_are_no_record_are_refused_in_words(read: Any, data: bytes) -> None:
    with pytest.raises(RecordError, match=r"\w+"):
        read(data)


def test_unknown_kind_is_refused_but_can_be_filed() -> None:
    value = json.loads(encode(started())) | {"kind": "coffee", "schema_version": "7.2"}
    data = json.dumps(value).encode()
    with pytest.raises(RecordError, match="coffee"):
        decode_tolerant(data)
    envelope = Envelope.model_validate_json(data)
    assert (envelope.kind, envelope.schema_version) == ("coffee", "7.2")


def test_record_id_is_minted_once_for_every_record() -> None:
    assert started().record_id != started().record_id


def test_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        started().instrument_id = "other"
