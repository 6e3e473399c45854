"""All checks at once, each on a thread of its own, until a common deadline: a check that hangs is a finding, too."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.doctor.collector import collector
from agent.doctor.finding import Check, Finding, Level, Place
from agent.doctor.folders import folders
from agent.doctor.hardware import hardware
from agent.doctor.logs import logs
from agent.doctor.quality import quality
from agent.doctor.service import service
from agent.doctor.spool import spool
from agent.doctor.versions import versions
from agent.supervise import shielded

DEADLINE_S = 15.0
CHECKS: Mapping[str, Check] = {
    "versions": versions,
    "service": service,
    "hardware": hardware,
    "folders": folders,
    "spool": spool,
    "collector": collector,
    "quality control": quality,
    "log": logs,
}


@dataclass(frozen=True)
class Examination:
    """What was found, topic by topic."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        """The worst of all levels."""
        order = list(Level)
        return max((finding.level for finding in self.findings), key=order.index, default=Level.GOOD)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"worst": self.worst, "findings": [finding.as_dict() for finding in self.findings]}


def examine(
    place: Place, checks: Mapping[str, Check] = CHECKS, deadline_s: float = DEADLINE_S
) -> Examination:
    """Run all checks.

    Parameters
    ----------
    place : Place
        The agent.
    checks : mapping of str to Check
        By topic; the findings come in this order.
    deadline_s : float
        What has not answered then is reported as such; its thread ends with the process.
    """
    answers: queue.SimpleQueue[tuple[str, list[Finding]]] = queue.SimpleQueue()
    for topic, check in checks.items():
        threading.Thread(
            target=_look, args=(topic, check, place, answers), name=f"doctor-{topic}", daemon=True
        ).start()
    found: dict[str, list[Finding]] = {}
    ends = time.monotonic() + deadline_s
    while len(found) < len(checks):
        try:
            topic, findings = answers.get(timeout=max(ends - time.monotonic(), 0.001))
        except queue.Empty:
            break
        found[topic] = findings
    return Examination(
        tuple(one for topic in checks for one in found.get(topic) or [_unanswered(topic, deadline_s)])
    )


def _look(
    topic: str, check: Check, place: Place, answers: queue.SimpleQueue[tuple[str, list[Finding]]]
) -> None:
    found = shielded(lambda: list(check(place)), f"the doctor's check of {topic}")
    answers.put((topic, [_failed(topic)] if found is None else found))


def _unanswered(topic: str, deadline_s: float) -> Finding:
    return Finding(
        topic,
        "check",
        Level.WARNING,
        f"no answer within {deadline_s:g} s",
        "A disk, a network share or a device may hang. Try again; see whether other programs hang with it.",
    )


def _failed(topic: str) -> Finding:
    return Finding(
        topic,
        "check",
        Level.WARNING,
        "the check itself failed",
        "Please report this as a bug, with the bundle.",
    )
