"""When the collector itself was away: whoever was not heard then need not have been silent.

After a night without its collector, every instrument has been quiet for a night; most are heard again within a minute, and people were
called for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from server.store.base import Reads


@dataclass(frozen=True, slots=True)
class Away:
    """From anybody's last sign of life to the collector's start."""

    since: datetime
    until: datetime

    def quiet(self, heard_at: datetime, now: datetime) -> timedelta:
        """Return for how long one that was last heard then has been quiet while the collector listened."""
        away = self.until - self.since if heard_at <= self.since else timedelta()
        return now - heard_at - max(away, timedelta())


def away_until(reads: Reads, now: datetime) -> Away:
    """Return when a collector that starts now was away."""
    return Away(max((one.heard_at for one in reads.agents() if one.heard_at), default=now), now)
