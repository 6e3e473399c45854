"""Mints records: fills in who, when and of which instrument."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

from agent.clock import Clock
from agent.records import Instant, Producer, Record
from drivers import Moment

AnyRecord = TypeVar("AnyRecord", bound=Record)


class Mint:
    """Makes the records of one process.

    Parameters
    ----------
    instrument_id, agent_id : str
        Written into every record.
    clock : Clock
        Tells the time of capture; its boot id scopes the monotonic times of drivers in this process.
    """

    def __init__(self, instrument_id: str, agent_id: str, clock: Clock) -> None:
        self.instrument_id = instrument_id
        self.clock = clock
        self._producer = Producer(agent_id=agent_id, version=version("scopestamp"))

    def make(self, model: type[AnyRecord], **fields: Any) -> AnyRecord:
        """Return a record of `model`, captured now."""
        return model(
            captured=self.clock.now(), instrument_id=self.instrument_id, producer=self._producer, **fields
        )

    def instant(self, moment: Moment) -> Instant:
        """Return a driver's moment as an instant of this process."""
        return Instant(
            wall_at=datetime.fromtimestamp(moment.wall_ns / 1e9, UTC),
            monotonic_ns=moment.monotonic_ns,
            boot_id=self.clock.boot_id,
        )
