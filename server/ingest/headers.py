"""What the headers of a batch say, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.records.wire import (
    AGENT_HEADER,
    COUNT_HEADER,
    FIRST_SEQ_HEADER,
    MAX_BATCH_RECORDS,
    PREV_HEADER,
    SKIPPED_FROM_HEADER,
    SPOOL_HEADER,
)
from server.errors import RefusedError

MAX_SEQ = 2**62
SPOOL_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
_HEADERS = {
    "agent_id": AGENT_HEADER,
    "spool_id": SPOOL_HEADER,
    "first_seq": FIRST_SEQ_HEADER,
    "n_records": COUNT_HEADER,
    "prev": PREV_HEADER,
    "skipped_from": SKIPPED_FROM_HEADER,
}
_FIELDS = {name.lower(): field for field, name in _HEADERS.items()}


class BatchHeaders(BaseModel):
    """The headers of one batch."""

    model_config = ConfigDict(frozen=True)

    agent_id: str
    spool_id: str = Field(pattern=f"^{SPOOL_ID.pattern}$")
    first_seq: _Seq
    n_records: int = Field(ge=1)
    prev: str = Field(pattern=r"^[0-9a-f]{64}$")
    skipped_from: _Seq | None = None


def parse_headers(headers: Mapping[str, str]) -> BatchHeaders:
    """Return the batch headers, or refuse with 400 ``malformed_batch`` naming the header that is wrong."""
    sent = {name.lower(): value for name, value in headers.items()}
    try:
        parsed = BatchHeaders(**{field: sent[name] for name, field in _FIELDS.items() if name in sent})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _malformed(f"{_HEADERS[str(first['loc'][0])]}: {first['msg']}.") from error
    if parsed.skipped_from is not None and parsed.skipped_from >= parsed.first_seq:
        raise _malformed(f"{SKIPPED_FROM_HEADER} must be less than {FIRST_SEQ_HEADER}.")
    if parsed.n_records > MAX_BATCH_RECORDS:
        raise RefusedError(
            413,
            "too_large",
            f"A batch has at most {MAX_BATCH_RECORDS} records; this one says {parsed.n_records}. Send fewer at a time.",
        )
    return parsed


def _malformed(message: str) -> RefusedError:
    return RefusedError(400, "malformed_batch", f"{message} See agent/records/wire.py for the protocol.")
