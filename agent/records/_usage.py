"""Who used the instrument, from when to when, and for what."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from agent.records._base import Instant, Record, UtcTime


class UsageSession(Record):
    """A session of use: from a person's first touch to the last, without a long gap in between."""

    kind: Literal["usage_session"] = "usage_session"
    session_id: UUID = Field(description="Names the session.")
    user: str | None = Field(
        default=None, description="Who was logged in at the operating system when it began."
    )
    user_name: Literal["plain", "hashed", "omitted", "unknown"] = Field(
        description="How `user` is given: plain; hashed: HMAC-SHA-256 with a secret of the site; omitted: the site does "
        "not publish it; unknown: nobody was logged in, or the system did not tell."
    )
    logged_in_at: UtcTime | None = Field(default=None, description="Since when that user was logged in.")
    began: Instant = Field(description="First touch.")
    ended: Instant = Field(description="Last touch, or the end of the last acquisition.")
    duration_s: float = Field(ge=0, description="From one to the other.")
    ended_by: Literal["idle", "logout", "other_user", "agent_stopped", "interrupted"] = Field(
        description="idle: no touch for long; logout; other_user: somebody else logged in; agent_stopped; interrupted: "
        "the capturing process died, and the next start closed the session."
    )
    devices: dict[str, int] = Field(
        default_factory=dict,
        description="Device label to how often it was moved outside acquisitions, by software or by hand.",
    )
    shutter_open_s: float | None = Field(
        default=None, ge=0, description="How long any shutter stood open; absent when no shutter told."
    )
    n_snaps: int = Field(default=0, ge=0, description="Single frames taken outside acquisitions.")
    n_live: int = Field(default=0, ge=0, description="How often live mode was started.")
    live_s: float = Field(default=0.0, ge=0, description="How long it ran in all.")
    n_frames_live_at_most: int | None = Field(
        default=None, ge=0, description="Its duration over the exposure time: no camera can have been faster."
    )
    acquisition_ids: tuple[UUID, ...] = Field(
        default=(), description="Acquisitions begun in it, the first thousand."
    )
    n_acquisitions: int = Field(default=0, ge=0, description="How many.")
    n_frames_acquired: int = Field(default=0, ge=0, description="Frames of these.")
    acquiring_s: float = Field(default=0.0, ge=0, description="How long these ran, attended or not.")
