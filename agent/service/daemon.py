"""The daemon: owns the hardware process, drains every spool, and says that it lives."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from agent.errors import CollectorError, ScopestampError, SettingsError, SpoolError
from agent.hardware.order import ChildOrder
from agent.local import Local
from agent.outbox import Retention, Sender, enrolment
from agent.privacy import Privacy
from agent.pulse import Pulse
from agent.records import AgentEvent, Heartbeat, PartHealth, Severity, SpoolHealth
from agent.service.health import Usage, free_bytes, temperatures, versions
from agent.service.supervisor import Supervisor
from agent.service.vigil import Part, Watchdog
from agent.settings import AgentSettings
from agent.supervise import shielded

if TYPE_CHECKING:
    from agent.quality.schedule import Scheduler
    from agent.watch.part import FolderWatch

_log = logging.getLogger("scopestamp.daemon")
_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}
_STOP_S = 20.0
_STOP_HARDWARE_S = 45.0  # a driver that hangs while it is unloaded is ended before
_STOP_QC_S = 60.0
_STOP_SENDER_S = 1.0
_LAST_SEND_S = 2.0
_BEAT_LATE_S = 120.0
_HEARTBEAT_LATE_S = 40.0
_NO_GOOD_AFTER_S = 600.0  # a part that hangs for so long and cannot be replaced: only a new process helps
_AGAIN_S = 5.0


class Daemon:
    """The agent of one PC.

    Parameters
    ----------
    settings : AgentSettings
        What to do.
    data_dir : Path, optional
        Overrides the folder of the settings.

    Raises
    ------
    SettingsError
        Another daemon works on the same folder.
    IdentityError, SpoolError
        The folder cannot be used.
    """

    def __init__(self, settings: AgentSettings, data_dir: Path | None = None) -> None:
        self.settings = settings
        self.data_dir = data_dir or settings.data_path
        self._lock = _only_one(self.data_dir)
        self.local = Local.open(settings, self.data_dir)
        self._privacy = Privacy.of(settings.privacy, self.data_dir)
        self.sender = self._sender()
        self.supervisor = self._supervisor()
        self.folders = self._folders()
        self._usage = Usage()
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._beat_now = threading.Event()
        self.watchdog = Watchdog(self.report)
        self._stop_watchdog = threading.Event()
        self._watching: threading.Thread | None = None
        self._leave_folders = threading.Event()
        self._pulse = Pulse()
        self._captured: dict[str, datetime] = {}
        self._parts: dict[str, Part] = {}
        self._last_beat_s = self._began
        self._stop_qc = threading.Event()
        self.scheduler = self._scheduler()

    def _sender(self) -> Sender | None:
        section, spool = self.settings.collector, self.settings.spool
        place = enrolment(self.data_dir)
        url = section.url or (place.url if place else "")
        if not url:
            return None
        return Sender(
            self.data_dir,
            self.local.identity,
            url,
            outbox=self.local.outbox,
            clock=self.local.clock,
            verify=section.ca_file or True,
            timeout_s=section.timeout_s,
            retention=Retention(spool.keep_sent_days, spool.keep_sent_bytes, spool.min_free_bytes),
        )

    def _supervisor(self) -> Supervisor | None:
        section = self.settings.hardware
        if not section.is_set:
            return None
        return Supervisor(
            ChildOrder(settings=self.settings, data_dir=self.data_dir),
            self.report,
            call_deadline_s=section.call_deadline_s,
            start_deadline_s=section.start_deadline_s,
            backoff_s=section.restart_backoff_s,
            backoff_max_s=section.restart_backoff_max_s,
        )

    def _folders(self) -> FolderWatch | None:
        if not self.settings.watch.folders:
            return None
        from agent.watch.part import FolderWatch  # takes memory, and not every agent watches folders

        return FolderWatch(self.local, self.settings, self.report, self._is_acquiring)

    def _is_acquiring(self) -> bool:
        status = self.supervisor.status if self.supervisor else None
        return bool(status and (status["is_acquiring"] or status["is_live"]))

    def _scheduler(self) -> Scheduler | None:
        if not self.settings.schedule.is_on:
            return None
        from agent.quality.schedule import scheduler_of  # takes time, and an agent that only sends needs none

        try:
            return scheduler_of(
                self.settings,
                self.local,
                self.report,
                self._stop_qc,
                hardware=self.supervisor,
                status=lambda: self.supervisor.status if self.supervisor else None,
                ask=self.sender.collector.schedules if self.sender else None,
            )
        except ScopestampError as error:  # capture goes on without it
            self.report(Severity.ERROR, "schedules_not_run", f"Nothing is run by itself: {error}")
            return None

    def start(self) -> None:
        """Start everything; returns at once."""
        self.report(Severity.INFO, "agent_started", "The agent has started.")
        if self.sender is not None:
            sender = self.sender
            self._keep("sender", sender.pulse, lambda: sender.run(self._stop))
        else:
            _log.warning("No collector is set: records stay on this disk, in %s.", self.data_dir)
        if self.supervisor is not None:
            self._parts["supervisor"] = self.watchdog.keep(
                Part("supervisor", self.supervisor.pulse, self.supervisor.start)
            )
        else:
            _log.warning("No hardware is set: only programs that attach themselves are captured.")
        if self.folders is not None:
            self._parts["watch"] = self.watchdog.keep(
                Part("watch", self.folders.watcher.pulse, self._watch_folders, can_replace=True)
            )
        self._keep("heartbeat", self._pulse, self._beat)
        if self.scheduler is not None:
            scheduler = self.scheduler
            self._keep("schedule", scheduler.pulse, lambda: scheduler.run(self._stop_qc), self._stop_qc)
        self._watch()

    def _watch(self) -> None:
        run = self.watchdog.run
        self._watching = threading.Thread(
            target=lambda: run(self._stop_watchdog), name="scopestamp-watchdog", daemon=True
        )
        self._watching.start()

    def look_after_watchdog(self) -> None:
        """Start the watchdog again when it has died: it looks after all other parts, and the main thread after it."""
        if self._watching is not None and not self._watching.is_alive():
            self._watch()
            self.report(
                Severity.ERROR,
                "part_stopped",
                "The agent's part 'watchdog' has ended and was started again; the log says what it did last.",
                part="watchdog",
            )

    def _watch_folders(self) -> threading.Thread:
        """Start to watch folders; a watcher that hangs or has died before is left to itself and replaced."""
        if (part := self._parts.get("watch")) is not None:
            self._leave_folders.set()
            if self.folders is not None and part.thread is not None and not part.thread.is_alive():
                self.folders.close()
            self.folders, self._leave_folders = self._folders(), threading.Event()
            assert self.folders is not None
            part.pulse = self.folders.watcher.pulse
        folders, leave = self.folders, self._leave_folders
        assert folders is not None
        return self._thread("watch", lambda: folders.watcher.run(leave), leave)

    def stop(self) -> bool:
        """Stop everything, give the last records a chance to be sent, and return whether all ended in time."""
        self._stop_watchdog.set()
        if self._watching is not None:
            self._watching.join(_STOP_S)
        self._stop_qc.set()
        if qc := self._thread_of("schedule"):
            qc.join(_STOP_QC_S)  # a run under way puts everything back first
        is_hardware_done = self.supervisor.stop(_STOP_HARDWARE_S) if self.supervisor else True
        self.report(Severity.INFO, "agent_stopped", "The agent was stopped.")
        self._stop.set()
        self._leave_folders.set()
        self._beat_now.set()
        if self.sender is not None:
            self.sender.wake()
        if self.folders is not None:
            self.folders.watcher.wake()
        kept = [self._thread_of(name) for name in ("watch", "heartbeat", "schedule")]
        own = [thread for thread in kept if thread is not None]
        for thread in own:
            thread.join(_STOP_S)
        if self.folders is not None:
            self.folders.close()
        if self.sender is not None:
            self._send_the_rest(self.sender)
        if self.scheduler is not None and not (qc and qc.is_alive()):
            self.scheduler.close()
        self.local.outbox.close()
        self._lock.release()
        return is_hardware_done and not any(thread.is_alive() for thread in own)

    def is_well(self) -> bool:
        """Return whether heartbeats are being written and no part hangs for good; else only a new process helps."""
        late_s = time.monotonic() - self._last_beat_s - self.settings.collector.heartbeat_interval_s
        longest_s = max([self.watchdog.pulse.late_s, *(part.late_s for part in self.watchdog.parts)])
        return late_s < _BEAT_LATE_S and longest_s < _NO_GOOD_AFTER_S

    def report(self, severity: Severity, event: str, message: str, **details: Any) -> None:
        """Say something of ourselves, in the log and as a record."""
        _log.log(_LEVELS[severity], "%s: %s", event, message)
        record = self.local.mint.make(
            AgentEvent,
            severity=severity,
            event=event,
            message=self._privacy.in_words(message),
            details=details,
        )
        try:
            self.local.outbox.put(record)
        except SpoolError as error:
            _log.error("The event could not be recorded: %s", error)
        self._beat_now.set()

    def heartbeat(self) -> Heartbeat:
        """Return how we are now."""
        percent, memory = self._usage.look()
        sent = self.sender.status() if self.sender else None
        status = (self.supervisor.status if self.supervisor else None) or {}
        if status.get("last_capture_at"):
            self._captured[status["driver"]] = datetime.fromisoformat(status["last_capture_at"])
        return self.local.mint.make(
            Heartbeat,
            uptime_s=time.monotonic() - self._began,
            spool=SpoolHealth(
                n_waiting=sent.n_waiting if sent else 0,
                bytes_on_disk=sent.bytes_on_disk if sent else 0,
                oldest_waiting_at=sent.oldest_waiting_at if sent else None,
                n_poisoned=sent.n_poisoned if sent else 0,
                n_thinned=self.local.outbox.n_thinned,
            ),
            hardware=self._hardware_state(status),
            last_capture_at=self._captured.get(self.settings.hardware.driver),
            captured_by=self._captured,
            n_restarts=self.supervisor.n_restarts if self.supervisor else 0,
            n_overflow=status.get("n_overflow", 0),
            disk_free_bytes=free_bytes(self.data_dir),
            clock_offset_s=sent.clock_offset_s if sent else None,
            cpu_percent=percent,
            memory_bytes=memory,
            versions=versions(),
            watch=self.folders.watcher.health() if self.folders else None,
            parts=(*self.watchdog.parts, *_parts_in(status)),
            temperatures=temperatures(status.get("temperatures", {})),
        )

    def _hardware_state(self, status: dict[str, Any]) -> str:
        if self.supervisor is None:
            return "none"
        if status and not status.get("is_present", True):
            return "starting"
        if not status:
            return "starting" if self.supervisor.is_starting or not self.supervisor.last_error else "down"
        if status["is_acquiring"]:
            return "acquiring"
        return "busy" if status["is_live"] else "idle"

    def _beat(self) -> None:
        """Put a heartbeat every interval, and at once when something has happened."""
        while not self._stop.is_set():
            self._pulse.beat(_HEARTBEAT_LATE_S)
            self._beat_now.clear()
            self.local.outbox.put(self.heartbeat())
            self._last_beat_s = time.monotonic()
            self._pulse.beat(self.settings.collector.heartbeat_interval_s + _HEARTBEAT_LATE_S)
            self._beat_now.wait(self.settings.collector.heartbeat_interval_s)

    def _keep(
        self, name: str, pulse: Pulse, work: Callable[[], None], stop: threading.Event | None = None
    ) -> None:
        """Have a part do work that ends only with us, looked after by the watchdog."""
        part = Part(name, pulse, lambda: self._thread(name, work, stop or self._stop))
        self._parts[name] = self.watchdog.keep(part)

    def _thread(self, name: str, work: Callable[[], None], stop: threading.Event) -> threading.Thread:
        """Do work on a thread; what it raises costs it a pause, not its life."""

        def again_and_again() -> None:
            while not stop.is_set():
                shielded(work, name)
                stop.wait(_AGAIN_S)

        thread = threading.Thread(target=again_and_again, name=f"scopestamp-{name}", daemon=True)
        thread.start()
        return thread

    def _thread_of(self, name: str) -> threading.Thread | None:
        part = self._parts.get(name)
        return part.thread if part else None

    def _send_the_rest(self, sender: Sender) -> None:
        """Send what is left, for a moment at most: all of it is on disk and goes at the next start otherwise.

        A request that hangs in the network is left to itself; it ends with the process.
        """
        if sending := self._thread_of("sender"):
            sending.join(_STOP_SENDER_S)
            if sending.is_alive():
                return
        enough = threading.Event()
        timer = threading.Timer(_LAST_SEND_S, enough.set)
        timer.start()
        try:
            sender.drain_once(enough)
        except (CollectorError, SpoolError) as error:
            _log.info("The last records go at the next start: %s", error)
        finally:
            timer.cancel()
            timer.join()
            sender.close()


def _parts_in(status: dict[str, Any]) -> list[PartHealth]:
    """Return how the parts of the hardware process are, from its answer to a ping."""
    return [
        PartHealth(
            name=name, state="stopped" if not is_alive else "late" if late_s else "running", late_s=late_s
        )
        for name, is_alive, late_s in status.get("parts", ())
    ]


def _only_one(data_dir: Path) -> FileLock:
    """Return the lock that says: this data folder has its daemon."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / "daemon.lock", thread_local=False)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SettingsError(
            f"Another agent is running on {data_dir}. Stop it first, or give this one a data_dir of its own."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The data folder {data_dir} cannot be used: {error.strerror}. Set data_dir to a folder that the agent "
            "may write."
        ) from error
    return lock
