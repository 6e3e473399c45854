"""From records to the collector: a spool on disk, and a sender that empties it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent.outbox.budget import DiskBudget
from agent.outbox.identity import Identity
from agent.outbox.kept import Retention
from agent.outbox.lanes import Lane, lane_of
from agent.outbox.outbox import Outbox
from agent.outbox.survey import Backlog, Survey

if TYPE_CHECKING:
    from agent.outbox.joining import Enrolment, enrol, enrolment
    from agent.outbox.sender import DrainReport, Sender, SenderStatus

__all__ = [
    "Backlog",
    "DiskBudget",
    "DrainReport",
    "Enrolment",
    "Identity",
    "Lane",
    "Outbox",
    "Retention",
    "Sender",
    "SenderStatus",
    "Survey",
    "enrol",
    "enrolment",
    "lane_of",
]

# Lazy, because a process that only captures never talks HTTP, and the client costs it 10 MB.
_HOME_OF = {
    "DrainReport": "agent.outbox.sender",
    "Sender": "agent.outbox.sender",
    "SenderStatus": "agent.outbox.sender",
    "Enrolment": "agent.outbox.joining",
    "enrol": "agent.outbox.joining",
    "enrolment": "agent.outbox.joining",
}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
