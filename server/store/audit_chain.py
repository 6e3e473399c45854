"""The chain of the audit log: every entry carries a hash over itself and the entry before (ASVS 5.0 16.4.2).

Whoever changes, removes or inserts an entry must compute every later one anew: `server.keeping.verify` recomputes the chain, and
compares it with the signed checkpoints, which tell where the log stood.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

MAX_TEXT = 2000


def audit_chain(before: str, at: datetime, *texts: str) -> str:
    """Return the chain value after an entry: its time, who, action, outcome, detail and address."""
    told = json.dumps([at.astimezone(UTC).isoformat(timespec="microseconds"), *texts], separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(before) + hashlib.sha256(told.encode()).digest()).hexdigest()


def one_line(text: str) -> str:
    r"""Return text as it may stand in a log: one line, nothing that a terminal or a parser takes for its own.

    >>> one_line("ada\n2026-01-01 admin signed in\x1b[2K")
    'ada\\n2026-01-01 admin signed in\\x1b[2K'
    """
    kept = text[:MAX_TEXT]
    return kept if kept.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in kept)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
