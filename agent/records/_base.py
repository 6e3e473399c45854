"""What every record has in common: identity, time, and values that say where they come from."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID, uuid4

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, model_validator


def _new_record_id() -> UUID:
    """Return an id that begins with the time (UUID version 7, RFC 9562 section 5.7): indices grow at their end."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    low = uuid4().int & (1 << 64) - 1  # variant and 62 random bits, as they are
    return UUID(int=milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | low)


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware time, normalised to UTC."""

Scalar = bool | int | FiniteFloat | str
"""What one property of a device can hold. Numbers are finite: JSON has no NaN."""


class Frozen(BaseModel):
    """A model that is never changed once made and refuses fields it does not know."""

    # allow_inf_nan: JSON has neither, so they are refused where a record is made, not where it is sent
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Instant(Frozen):
    """A moment on two clocks, because the wall clocks of instrument PCs jump."""

    wall_at: UtcTime = Field(description="Wall-clock time, UTC.")
    monotonic_ns: int = Field(description="Monotonic clock, nanoseconds; comparable only within one boot_id.")
    boot_id: str = Field(description="Minted when the capturing process starts; scopes monotonic_ns.")


class Source(StrEnum):
    """Who says so."""

    DEVICE = "device"
    PROFILE = "profile"
    DERIVED = "derived"
    QC = "qc"
    PLAN = "plan"
    HUMAN = "human"
    DEFAULT = "default"


class Quantity(Frozen):
    """A stated or measured value, with unit, source and time."""

    value: Scalar = Field(description="The value itself.")
    unit: str | None = Field(
        default=None, description="UCUM code; '1' is dimensionless, absent is not applicable."
    )
    source: Source = Field(description="Who says so; a default is never a measurement.")
    observed_at: UtcTime = Field(description="When the value was observed or stated.")
    note: str | None = Field(default=None, description="What a reader should know about the value.")


class ReadingStatus(StrEnum):
    """How a hardware reading ended."""

    OK = "ok"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    TIMEOUT = "timeout"


class How(StrEnum):
    """How a hardware value was obtained."""

    EVENT = "event"
    CACHE = "cache"
    HARDWARE = "hardware"
    COMMANDED = "commanded"


class Reading(Frozen):
    """One value read from hardware; it carries a value exactly when its status is ok."""

    status: ReadingStatus = Field(
        description="ok; absent: no such property; unsupported: it cannot be read; failed: the device reported an error; "
        "timeout: it did not answer in time."
    )
    value: Scalar | None = Field(default=None, description="Present exactly when status is ok.")
    unit: str | None = Field(default=None, description="UCUM code; absent when the device does not say.")
    source: Literal[Source.DEVICE] = Field(default=Source.DEVICE, description="Always the device itself.")
    how: How = Field(description="event, cache, hardware or commanded.")
    observed_at: UtcTime = Field(description="When this value was obtained.")
    error: str | None = Field(default=None, description="The device's own words when the status is not ok.")

    @model_validator(mode="after")
    def _value_exactly_when_ok(self) -> Reading:
        if (self.status is ReadingStatus.OK) != (self.value is not None):
            raise ValueError(
                f"a reading carries a value exactly when its status is ok; got {self.status} with {self.value!r}"
            )
        return self


class Producer(Frozen):
    """The program that made the record."""

    agent_id: str = Field(description="Fingerprint of the agent's public key.")
    software: str = Field(default="scopestamp", description="Name of the program.")
    version: str = Field(description="Version of the program.")


class Record(Frozen):
    """What every published record carries."""

    record_id: UUID = Field(
        default_factory=_new_record_id, description="Minted once, at capture; the idempotency key."
    )
    schema_version: str = Field(
        default="1.0", pattern=r"^\d+\.\d+$", description="major.minor of this kind's schema."
    )
    captured: Instant = Field(description="When the record was made.")
    instrument_id: str = Field(description="The instrument this record speaks of.", min_length=1)
    producer: Producer = Field(description="Who made the record.")
