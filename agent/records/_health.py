"""How the agent itself fares: heartbeat, events, and gaps it had to leave."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from agent.records._base import Frozen, Instant, Record, Scalar, UtcTime


class SpoolHealth(Frozen):
    """What waits on disk."""

    n_waiting: int = Field(ge=0, description="Records not yet acknowledged.")
    bytes_on_disk: int = Field(ge=0, description="Size of all spools.")
    oldest_waiting_at: UtcTime | None = Field(default=None, description="Capture time of the oldest of them.")
    n_poisoned: int = Field(default=0, ge=0, description="Records set aside because they could not be sent.")
    n_thinned: int = Field(default=0, ge=0, description="Records given up under disk pressure since start.")


class WatchHealth(Frozen):
    """How the watching of folders fares."""

    is_alive: bool = Field(description="The watcher has gone round within the time it should take.")
    observer: Literal["native", "polling", "mixed", "none"] = Field(
        description="What tells of changes between two rescans."
    )
    last_scan_at: UtcTime | None = Field(
        default=None, description="When all folders had been looked through."
    )
    n_pending: int = Field(ge=0, description="Datasets that are still being written, or wait to be hashed.")
    n_reported: int = Field(ge=0, description="Datasets reported since the agent started.")
    n_restarts: int = Field(default=0, ge=0, description="Restarts of observers since the agent started.")
    away: tuple[str, ...] = Field(default=(), description="Folders that cannot be reached now.")


class PartHealth(Frozen):
    """How one part of the agent fares: each says when it will be heard of next, and a watchdog listens."""

    name: str = Field(
        description="sender, heartbeat, supervisor, watch, schedule; of the hardware process capture, poll, close."
    )
    state: Literal["running", "late", "stopped"] = Field(
        description="running: heard of in time; late: overdue, so it hangs; stopped: its thread has ended."
    )
    late_s: float = Field(default=0.0, ge=0, description="How long it is overdue.")
    n_restarts: int = Field(
        default=0, ge=0, description="How often it was started again since the agent started."
    )


class Temperature(Frozen):
    """What a temperature sensor reads."""

    name: str = Field(description="The sensor, or device and property.")
    value_degc: float = Field(description="Degrees Celsius.")
    of: Literal["computer", "device"] = Field(description="Whose sensor it is.")


class Heartbeat(Record):
    """The agent is alive."""

    kind: Literal["heartbeat"] = "heartbeat"
    uptime_s: float = Field(ge=0, description="Since the agent started.")
    spool: SpoolHealth = Field(description="What waits on disk.")
    hardware: Literal["none", "starting", "idle", "acquiring", "busy", "down"] = Field(
        description="State of the driver."
    )
    last_capture_at: UtcTime | None = Field(default=None, description="When hardware was last read.")
    captured_by: dict[str, UtcTime] = Field(
        default_factory=dict, description="Driver to the time of its last successful capture."
    )
    n_restarts: int = Field(default=0, ge=0, description="Restarts of the hardware process since start.")
    n_overflow: int = Field(default=0, ge=0, description="Events lost to a full capture queue since start.")
    disk_free_bytes: int | None = Field(default=None, ge=0, description="Free on the spool's volume.")
    clock_offset_s: float | None = Field(
        default=None, description="Collector's clock minus ours at the last reply."
    )
    cpu_percent: float | None = Field(
        default=None, description="Agent and its children, since the last heartbeat; 100 is one core."
    )
    memory_bytes: int | None = Field(default=None, description="Resident, agent and its children.")
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of what runs.")
    watch: WatchHealth | None = Field(
        default=None, description="How the watching of folders fares; absent when none is watched."
    )
    parts: tuple[PartHealth, ...] = Field(default=(), description="The parts of the agent.")
    temperatures: tuple[Temperature, ...] = Field(
        default=(), description="Temperature sensors that were found, of the computer and of devices."
    )


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AgentEvent(Record):
    """Something happened to the agent itself."""

    kind: Literal["agent_event"] = "agent_event"
    severity: Severity = Field(description="info, warning or error.")
    event: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="Stable name, such as hardware_process_crashed."
    )
    message: str = Field(description="What happened and what to do, in words.")
    details: dict[str, Scalar] = Field(default_factory=dict, description="Figures of the event.")


class Gap(Record):
    """Records that were given up, and why: nothing is lost in silence."""

    kind: Literal["gap"] = "gap"
    cause: Literal["disk_pressure", "budget", "corrupt_segment", "queue_overflow", "record_too_large"] = (
        Field(description="Why they were given up.")
    )
    lane: str = Field(description="Lane of the spool.")
    spool_id: str | None = Field(
        default=None, description="The spool, when sequence numbers are missing from it."
    )
    first_seq: int | None = Field(default=None, description="First missing sequence number.")
    last_seq: int | None = Field(default=None, description="Last missing sequence number.")
    n_records: int | None = Field(default=None, ge=0, description="How many; absent when that is unknown.")
    since: Instant | None = Field(default=None, description="When the gap began.")
