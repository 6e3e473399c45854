"""Records to bytes and back.

The canonical form is JSON in UTF-8 with sorted keys, no white space and without the fields that are
absent, so that a record has one SHA-256. Producers are strict; `decode_tolerant` is for the collector.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.records._acquisition import AcquisitionFinished, AcquisitionStarted, DatasetStamp, FrameLedger
from agent.records._base import Record
from agent.records._dataset import DatasetFound
from agent.records._health import AgentEvent, Gap, Heartbeat
from agent.records._instrument import InstrumentDescription
from agent.records._profile import InstrumentProfile
from agent.records._qc import QcResult
from agent.records._schedule import SchedulePlan, ScheduleRun
from agent.records._state import StateChange, StateSnapshot
from agent.records._usage import UsageSession

KINDS: dict[str, type[Record]] = {
    model.model_fields["kind"].default: model
    for model in (
        InstrumentDescription,
        InstrumentProfile,
        StateSnapshot,
        StateChange,
        AcquisitionStarted,
        AcquisitionFinished,
        FrameLedger,
        DatasetStamp,
        DatasetFound,
        UsageSession,
        QcResult,
        ScheduleRun,
        SchedulePlan,
        Heartbeat,
        AgentEvent,
        Gap,
    )
}
"""Every kind of record we publish."""

AnyRecord = Annotated[
    InstrumentDescription
    | InstrumentProfile
    | StateSnapshot
    | StateChange
    | AcquisitionStarted
    | AcquisitionFinished
    | FrameLedger
    | DatasetStamp
    | DatasetFound
    | UsageSession
    | QcResult
    | ScheduleRun
    | SchedulePlan
    | Heartbeat
    | AgentEvent
    | Gap,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Record] = TypeAdapter(AnyRecord)


class RecordError(ValueError):
    """Bytes that are no record of ours; the message says why."""


class Envelope(BaseModel):
    """The few fields by which a collector files a record it may not understand."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    record_id: str
    kind: str
    schema_version: str = "0.0"
    instrument_id: str | None = None
    acquisition_id: str | None = None


def encode(record: Record) -> bytes:
    """Return the canonical JSON of a record, in UTF-8 and without a line end."""
    return canonical_json(record.model_dump(mode="json", exclude_none=True))


def canonical_json(value: Any) -> bytes:
    r"""Return `value` as JSON with sorted keys and no white space; NaN is refused with ValueError.

    Device adapters speak the code page of their vendor: a degree sign that is not UTF-8 reaches us as half a
    surrogate pair, which UTF-8 cannot hold. It becomes U+FFFD, as pydantic does in keys, so that a label still
    joins with itself and never costs a record.

    >>> canonical_json({"unit": b"\xb0C".decode("utf-8", "surrogateescape")}).count("\ufffd".encode())
    3
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def sha256_of(record: Record) -> str:
    """Return the SHA-256 of the record's canonical JSON, in lower-case hexadecimal."""
    return hashlib.sha256(encode(record)).hexdigest()


def decode(data: bytes) -> Record:
    """Return the record in `data`; unknown kinds and unknown fields are refused with `RecordError`."""
    try:
        return _with_identity(_ADAPTER.validate_json(data))
    except ValidationError as error:
        raise RecordError(_in_words(error)) from error


def decode_tolerant(data: bytes) -> Record:
    """Return the record in `data`, ignoring fields we do not know; raise `RecordError` for anything else."""
    try:
        return _with_identity(_ADAPTER.validate_json(data, extra="ignore"))
    except ValidationError as error:
        raise RecordError(_in_words(error)) from error


def _with_identity(record: Record) -> Record:
    """Refuse bytes without an id or version: the models' defaults are for making records, not for reading them."""
    missing = {"record_id", "schema_version"} - record.model_fields_set
    if missing:
        raise RecordError(f"{', '.join(sorted(missing))}: Field required")
    return record


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}"
