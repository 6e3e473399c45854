"""What filing needs of the kinds that come by the thousand, read without looking at the rest.

A snapshot is filed by its header: whether its readings make sense is found out by who reads them. A change is read whole,
because it goes into the change log. Whatever a glance does not take is judged by the model itself, so a glance may
be stricter than the model but never more lenient; ``tests/server/test_glance.py`` holds it to that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec

from agent.records import StateChange, StateSnapshot
from server.store.rows import Agent, Filed, FiledChange

_Aware = Annotated[datetime, msgspec.Meta(tz=True)]
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_VERSIONS = {
    model.model_fields["kind"].default: str(model.model_fields["schema_version"].default)
    for model in (StateSnapshot, StateChange)
}


class _Instant(msgspec.Struct, frozen=True, gc=False):
    wall_at: _Aware
    monotonic_ns: _Int64
    boot_id: str


class _Producer(msgspec.Struct, frozen=True, gc=False):
    agent_id: str
    version: str
    software: str = "scopestamp"


class _Header(msgspec.Struct, frozen=True, tag_field="kind"):
    record_id: UUID
    schema_version: str
    instrument_id: Annotated[str, msgspec.Meta(min_length=1)]
    captured: _Instant
    producer: _Producer


class _Reading(msgspec.Struct, frozen=True):
    status: Literal["ok", "absent", "unsupported", "failed", "timeout"]
    how: Literal["event", "cache", "hardware", "commanded"]
    observed_at: _Aware
    value: bool | int | float | str | None = None
    unit: str | None = None
    source: Literal["device"] = "device"
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.status == "ok") != (self.value is not None):
            raise ValueError("a reading carries a value exactly when its status is ok")


class _Change(msgspec.Struct, frozen=True):
    device: str
    property: str
    after: _Reading
    cause: Literal["commanded", "notified", "drifted"]
    first_at: _Instant
    last_at: _Instant
    before: _Reading | None = None
    n_changes: Annotated[int, msgspec.Meta(ge=1)] = 1


class _SnapshotHeader(_Header, frozen=True, tag="state_snapshot"):
    named: ClassVar[str] = "state_snapshot"
    changes: ClassVar[tuple[()]] = ()
    acquisition_id: ClassVar[None] = None


class _ChangeHeader(_Header, frozen=True, tag="state_change"):
    named: ClassVar[str] = "state_change"
    changes: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1)]
    acquisition_id: UUID | None = None


_HEADERS = msgspec.json.Decoder(_SnapshotHeader | _ChangeHeader)
_CHANGES = msgspec.json.Decoder(_Change)


def glance_all(body: bytes, lines: list[bytes], agent: Agent) -> list[Filed | None]:
    """Return where each line of a body is filed, None for those that the model must judge.

    Parameters
    ----------
    body : bytes
        The lines together.
    lines : list of bytes
        The same, each alone.
    agent : Agent
        Who sent them.
    """
    try:
        headers = _HEADERS.decode_lines(body) if _is_utf8(body) else []
    except (msgspec.MsgspecError, RecursionError):
        headers = []
    if len(headers) != len(lines):  # there is another kind among them, or something odd
        return [glance(line, agent) for line in lines]
    return [_filed(header, agent) for header in headers]


def glance(raw: bytes, agent: Agent) -> Filed | None:
    """Return where one line is filed, or None when the model must judge it."""
    try:
        return _filed(_HEADERS.decode(raw), agent) if _is_utf8(raw) else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _filed(header: _SnapshotHeader | _ChangeHeader, agent: Agent) -> Filed | None:
    version = _VERSIONS[header.named]
    is_ours = header.producer.agent_id == agent.agent_id and header.instrument_id == agent.instrument_id
    if header.schema_version != version or not is_ours:
        return None
    captured = header.captured
    try:
        return Filed(
            header.record_id,
            header.named,
            version,
            agent.instrument_id,  # the same object for all: it is a key of what comes after
            _utc(captured.wall_at),
            captured.boot_id,
            captured.monotonic_ns,
            header.acquisition_id,
            tuple([_change(raw) for raw in header.changes]) if header.changes else (),
        )
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return None


def _change(raw: msgspec.Raw) -> FiledChange:
    change = _CHANGES.decode(raw)
    return FiledChange(change.device, change.property, _utc(change.last_at.wall_at), bytes(raw).decode())


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
