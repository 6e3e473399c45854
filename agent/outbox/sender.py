"""Brings the outbox of a data folder to a collector, for ever."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from agent.clock import Clock
from agent.errors import CollectorAwayError, CollectorError, CollectorRefusedError, SpoolError
from agent.outbox.collector import TIMEOUT_S, Collector
from agent.outbox.drain import Drain
from agent.outbox.identity import Identity
from agent.outbox.kept import Kept, Retention
from agent.outbox.outbox import Outbox
from agent.outbox.survey import Backlog, Survey
from agent.pulse import Pulse
from agent.records.wire import Flagged

_log = logging.getLogger(__name__)
IDLE_S = 1.0
"""How often other processes' spools are looked at when all is well."""
REFUSED_S = 60.0
"""How often a collector that said no is asked again: the administrator may have enrolled the agent meanwhile."""
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0
_STOP_LOOK_S = 0.5
_LATE_S = 30.0


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one pass did.

    Attributes
    ----------
    n_sent : int
        Records acknowledged in this pass.
    n_waiting : int
        Records that still wait.
    flagged : tuple of Flagged
        Records the collector kept but could not index; at most the latest thousand.
    refused : tuple of str
        What the collector said of spools it did not take; the other spools were drained.
    """

    n_sent: int
    n_waiting: int
    flagged: tuple[Flagged, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SenderStatus:
    """How sending fares, for heartbeats.

    Attributes
    ----------
    n_waiting, bytes_on_disk, oldest_waiting_at, n_poisoned, n_aside
        As in `Backlog`.
    clock_offset_s : float or None
        Collector's clock minus ours at the last answer.
    last_success_at : datetime or None
        When a pass last ended without an error.
    last_error : str or None
        What stopped the last pass; None when it went well.
    """

    n_waiting: int
    bytes_on_disk: int
    oldest_waiting_at: datetime | None
    n_poisoned: int
    n_aside: int
    clock_offset_s: float | None
    last_success_at: datetime | None
    last_error: str | None


class Sender:
    """Drains every session of a data folder into one collector.

    One sender at a time works on a data folder; a second one finds the lock held and waits. It never gives up and
    never drops: what cannot be sent waits on disk.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    identity : Identity
        Signs every request.
    url : str
        The collector.
    outbox : Outbox
        Of this process; takes gap and event records about what cannot be sent.
    clock : Clock
        Our side of the clock offset.
    verify : Path, str or bool
        CA file that vouches for the collector, or True for the usual authorities.
    transport : httpx.BaseTransport, optional
        Used instead of the network.
    timeout_s : float
        A request that takes longer is given up and repeated.
    retention : Retention, optional
        How long what was sent is kept, for a collector that is restored from a backup.
    wait : callable, optional
        Waits for a number of seconds; when absent, until `wake` or the stop event. Tests pass their own.
    chance : callable
        Returns a number from 0 to 1, for the jitter of the back-off.

    Raises
    ------
    SettingsError
        The address or the CA file cannot be used.
    """

    def __init__(
        self,
        data_dir: Path,
        identity: Identity,
        url: str,
        *,
        outbox: Outbox,
        clock: Clock,
        verify: Path | str | bool = True,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        retention: Retention | None = None,
        wait: Callable[[float], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        data_dir = Path(data_dir)
        self._clock = clock
        self._collector = Collector(
            url, identity, clock=clock, verify=verify, transport=transport, timeout_s=timeout_s
        )
        kept = Kept(data_dir, retention or Retention())
        self._drain = Drain(data_dir, self._collector, outbox, kept, clock)
        self._survey = Survey(data_dir)
        self._survey_lock = threading.Lock()
        self._data_dir = data_dir
        self._wait = wait
        self._chance = chance
        self._woken = threading.Event()
        self._last_success_at: datetime | None = None
        self._last_error: str | None = None

    @property
    def collector(self) -> Collector:
        """The collector it sends to, for other questions to it; from any thread."""
        return self._collector

    @property
    def pulse(self) -> Pulse:
        """Its sign of life, while `run` runs."""
        return self._collector.pulse

    def drain_once(self, stop: threading.Event | None = None) -> DrainReport:
        """Send all that waits now, critical records first.

        Raises
        ------
        CollectorAwayError
            Nothing can be sent at present; what was acknowledged before counts.
        CollectorRefusedError
            The collector takes nothing from this agent: enrol it.
        SpoolError
            Another process sends from this data folder, or its disk cannot be read.
        """
        # A lock object of its own for every pass, so that it also holds between two threads of this process.
        lock = FileLock(self._data_dir / "drain.lock", timeout=0, thread_local=False)
        try:
            with lock:
                report = self._drained(stop or threading.Event())
        except Timeout as error:
            self._last_error = "Another process already sends from this data folder; only one can."
            raise SpoolError(self._last_error) from error
        except CollectorError as error:
            self._last_error = str(error)
            raise
        except OSError as error:
            self._last_error = f"The spool in {self._data_dir} cannot be read ({error}). Check the disk."
            raise SpoolError(self._last_error) from error
        self._last_error = report.refused[0] if report.refused else None
        if not report.refused:
            self._last_success_at = self._clock.wall_at()
        return report

    def run(self, stop: threading.Event) -> None:
        """Drain again and again until `stop` is set, at most half a second longer than a request in flight takes.

        Between passes it waits `IDLE_S`; after a failure with full-jitter back-off from `FIRST_BACKOFF_S` to
        `LONGEST_BACKOFF_S`, or as long as the collector asks; after a refusal `REFUSED_S`.
        """
        n_failures = 0
        while not stop.is_set():
            self.pulse.beat(_LATE_S)
            pause_s, is_failure = self._try_once(stop, n_failures)
            n_failures = n_failures + 1 if is_failure else 0
            self._pause(stop, pause_s)

    def wake(self) -> None:
        """End the present pause: there is something new, or the collector is believed to be back."""
        self._woken.set()

    def status(self) -> SenderStatus:
        """Return how sending fares; from any thread."""
        backlog = self._backlog()
        return SenderStatus(
            backlog.n_waiting,
            backlog.bytes_on_disk,
            backlog.oldest_waiting_at,
            backlog.n_poisoned,
            backlog.n_aside,
            self._collector.clock_offset_s,
            self._last_success_at,
            self._last_error,
        )

    def close(self) -> None:
        """Close the connections; `run` must have ended."""
        self._collector.close()

    def _drained(self, stop: threading.Event) -> DrainReport:
        n_before = self._drain.n_sent
        self._drain.flagged.clear()
        self._drain.everything(stop)
        return DrainReport(
            self._drain.n_sent - n_before,
            self._backlog().n_waiting,
            tuple(self._drain.flagged),
            tuple(str(error) for error in self._drain.refused.values()),
        )

    def _backlog(self) -> Backlog:
        with self._survey_lock:
            return self._survey.take()

    def _try_once(self, stop: threading.Event, n_failures: int) -> tuple[float, bool]:
        """Return how long to pause now, and whether the pass failed."""
        try:
            report = self.drain_once(stop)
        except CollectorAwayError as error:
            _log.info("Waiting for the collector: %s", error)
            if error.retry_after_s is not None:
                # A tenth more at random, or all agents of a site come back in the same instant.
                return error.retry_after_s * (1 + 0.1 * self._chance()), True
            return self._chance() * _longest_pause_s(n_failures), True
        except CollectorRefusedError as error:
            _log.warning("The collector refuses this agent: %s", error)
            return REFUSED_S, True
        except SpoolError as error:
            _log.warning("Nothing can be sent now: %s", error)
            return REFUSED_S, True
        return (REFUSED_S if report.refused else IDLE_S), False

    def _pause(self, stop: threading.Event, pause_s: float) -> None:
        if self._wait is not None:
            self._wait(pause_s)
            return
        until_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        while not stop.is_set() and (rest_ns := until_ns - self._clock.monotonic_ns()) > 0:
            self.pulse.beat(_LATE_S)
            if self._woken.wait(min(rest_ns / 1e9, _STOP_LOOK_S)):
                self._woken.clear()
                return


def _longest_pause_s(n_failures: int) -> float:
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(n_failures, 16))
