"""One life of the agent: start, say so, stay until told to end, stop. The command line and services both run this."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.errors import ScopestampError
from agent.logs import start_logging, stop_logging
from agent.service.announce import announce, take_back
from agent.service.daemon import Daemon
from agent.service.notify import Notify
from agent.settings import AgentSettings, load_settings

_LOOK_S = 10.0
_log = logging.getLogger("scopestamp.daemon")


def run_agent(
    settings: AgentSettings,
    data_dir: Path | None,
    ended: threading.Event,
    tell: Callable[[str], None] = lambda words: None,
    notify: Notify | None = None,
) -> int:
    """Run the agent until `ended` is set; return 0, or 1 when something did not stop in time.

    What keeps it from starting is raised, and stands in ``logs/start.log`` as well: a service has no terminal.

    Raises
    ------
    ScopestampError
        It could not be started.
    """
    notify = notify or Notify()
    try:
        daemon = Daemon(settings, data_dir)
    except ScopestampError as error:
        _leave_word(settings, data_dir, error)
        raise
    start_logging(settings.log, daemon.data_dir, "daemon")
    daemon.start()
    _note(announce, daemon.data_dir)
    words = f"Agent {daemon.local.identity.agent_id} on {daemon.data_dir}"
    tell(f"{words}; Ctrl-C ends it.")
    notify.ready(words)
    while not ended.wait(min(notify.interval_s, _LOOK_S)):
        daemon.look_after_watchdog()
        if daemon.is_well():
            notify.alive()
    notify.stopping()
    is_done = daemon.stop()
    _note(take_back, daemon.data_dir)
    return 0 if is_done else 1


def options(arguments: Sequence[str]) -> tuple[AgentSettings, Path | None]:
    """Return settings and data folder from ``--config FILE --data FOLDER``.

    Raises
    ------
    SettingsError
        The settings file cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m agent.service", description="Run the agent as a service."
    )
    parser.add_argument("--config", type=Path, help="Settings file (TOML).")
    parser.add_argument("--data", type=Path, help="Data folder; overrides the settings.")
    given = parser.parse_args(arguments)
    return load_settings(given.config), given.data


@contextmanager
def ended_by_signal() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or a service manager sets."""
    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note(change: Callable[[Path], None], data_dir: Path) -> None:
    try:
        change(data_dir)
    except OSError as error:  # the agent works without it
        _log.warning("The note of the running agent in %s: %s", data_dir, error)


def _leave_word(settings: AgentSettings, data_dir: Path | None, error: ScopestampError) -> None:
    try:
        log = start_logging(settings.log, data_dir or settings.data_path, "start")
    except ScopestampError:  # the folder is what is wrong; the message says so
        return
    log.error("The agent did not start: %s", error)
    stop_logging()
