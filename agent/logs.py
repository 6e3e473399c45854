"""The agent's own log: one rotating file per process role, and the terminal when there is one.

Everything is logged below the logger "scopestamp". The root logger belongs to whoever runs us, so it is never
touched: inside somebody's acquisition program, before `start_logging`, our messages go where that program sends
its own.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from agent.errors import SettingsError
from agent.files import move_file
from agent.settings import LogSettings

LOGGER_NAME = "scopestamp"


def start_logging(settings: LogSettings, data_dir: Path, role: str) -> logging.Logger:
    """Log to `<data_dir>/logs/<role>.log`, and to the terminal when standard error is one.

    Parameters
    ----------
    settings : LogSettings
        Level, size of a file and number of files.
    data_dir : Path
        The agent's data folder; made when it is not there.
    role : str
        What this process is, such as ``daemon`` or ``hardware``. Two processes never share a file, because a file
        that another process holds open cannot be rotated on Windows.

    Returns
    -------
    logging.Logger
        The top of our logger tree. Calling again closes what the call before opened.

    Raises
    ------
    SettingsError
        The log folder cannot be made or written.
    """
    logger = stop_logging()
    logger.addHandler(_file_handler(settings, data_dir / "logs" / f"{role}.log", role))
    if sys.stderr is not None and sys.stderr.isatty():  # a Windows service has no stderr at all
        logger.addHandler(_terminal_handler())
    logger.setLevel(settings.level.upper())
    logger.propagate = False
    return logger


def stop_logging() -> logging.Logger:
    """Close what `start_logging` opened and leave the logger tree as it was before."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    return logger


def _file_handler(settings: LogSettings, path: Path, role: str) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path,
            maxBytes=settings.max_bytes,
            backupCount=max(settings.n_files - 1, 1),  # with 0 the handler would never rotate
            encoding="utf-8",
            errors="backslashreplace",  # device labels can hold what UTF-8 cannot
        )
    except OSError as error:
        raise SettingsError(
            f"expected to write the log file {path}, but: {error.strerror}. "
            "Choose another data_dir, or let this account write there."
        ) from error
    handler.rotator = lambda source, target: move_file(Path(source), Path(target))
    handler.setFormatter(OneLineFormatter(f"%(asctime)s %(levelname)s {role} %(name)s: %(message)s"))
    return handler


def _terminal_handler() -> logging.Handler:
    from rich.console import Console  # only when somebody looks: the service never loads it
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    handler.setFormatter(OneLineFormatter("%(message)s"))
    return handler


class OneLineFormatter(logging.Formatter):
    """Writes every record on one line, times in UTC.

    Device labels, file names and answers of servers are strangers' text: whatever is not printable is escaped, so
    that nobody can forge a line or drive a terminal with it.

    >>> record = logging.LogRecord("scopestamp", logging.INFO, "", 0, "label %r", ("a\\n",), None)
    >>> record.created = 0.25
    >>> OneLineFormatter("%(asctime)s %(message)s").format(record)
    "1970-01-01T00:00:00.250Z label 'a\\\\n'"
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the record's time, UTC with milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, traceback included, as one printable line."""
        return escaped(super().format(record))


def escaped(text: str) -> str:
    r"""Return `text` with everything that is not printable as a backslash escape.

    >>> print(escaped("stage\n\x1b[31m µm"))
    stage\n\x1b[31m µm
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
