"""The fleet goes on living while the collector runs: heartbeats every minute, what is planned, now and then a change, a session."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from server.collector import Collector
from server.demo_fleet.figures import temperature_c
from server.demo_fleet.filling import agent_of
from server.demo_fleet.history import History
from server.demo_fleet.script import Span
from server.demo_fleet.spool import Spool
from server.errors import CollectorError

EVERY_S = 60.0
_A_MINUTE = timedelta(minutes=1)
_log = logging.getLogger(__name__)


class Living:
    """Writes what the agents would send, through the collector's own writer.

    Parameters
    ----------
    collector : Collector
        That runs.
    histories : sequence of History
        The fleet, as it was filled in.
    span : Span
        The time of that history.
    """

    def __init__(self, collector: Collector, histories: Sequence[History], span: Span) -> None:
        self._collector = collector
        self._histories = [one for one in histories if one.is_silent_from is None]
        self._span = span
        spool_id = f"live-{uuid4().hex}"  # a new process, a new spool: as any agent does
        self._spools = [Spool(one.lines, spool_id) for one in self._histories]
        self._dice = [one.instrument.dice(spool_id) for one in self._histories]
        self._last: datetime | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-fleet")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the minute in hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def minute(self, now: datetime) -> int:
        """Write one minute of the fleet; return how many records that were."""
        n_records = 0
        for number, history in enumerate(self._histories):
            lines = self._lines(number, now)
            agent = agent_of(history, self._span.week(0))
            self._collector.writer.do(self._spools[number].batch(lines, agent, now))
            n_records += len(lines)
        self._last = now
        return n_records

    def _lines(self, number: int, now: datetime) -> list[bytes]:
        history, dice = self._histories[number], self._dice[number]
        uptime_s = (now - self._span.ends_at).total_seconds() + 86_400
        lines = [history.lines.heartbeat(now, history.disk_free_gb, max(0.0, uptime_s))]
        if dice.random() < 1 / 60:
            was, holds = (
                round(temperature_c(history.instrument, now) + dice.gauss(0, 0.1), 2) for _ in range(2)
            )
            lines.append(history.lines.change("Incubator", "Temperature", was, holds, now, "Cel"))
        lines += history.due(self._last or now - _A_MINUTE, now)
        if dice.random() < 1 / 600:
            began = now - timedelta(minutes=40)
            n_frames = dice.randrange(50, 500)
            told, name = history.lines.acquisition(began, 30, n_frames, "ada", is_ok=True)
            lines += [*told, history.lines.session(began, 0.6, "ada", [name], 1800.0, n_frames)]
        return lines

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.minute(self._collector.now())
            except CollectorError as error:
                _log.warning("The demo fleet missed a minute: %s", error)
            self._stop.wait(EVERY_S)
