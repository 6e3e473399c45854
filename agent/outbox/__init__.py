"""From records to the collector: a spool on disk, and a sender that empties it."""

from agent.outbox.budget import DiskBudget
from agent.outbox.enrol import Enrolment, enrol, enrolment
from agent.outbox.identity import Identity
from agent.outbox.lanes import Lane, lane_of
from agent.outbox.outbox import Outbox
from agent.outbox.sender import DrainReport, Sender, SenderStatus
from agent.outbox.survey import Backlog, Survey

__all__ = [
    "Backlog",
    "DiskBudget",
    "DrainReport",
    "Enrolment",
    "Identity",
    "Lane",
    "Outbox",
    "Sender",
    "SenderStatus",
    "Survey",
    "enrol",
    "enrolment",
    "lane_of",
]
