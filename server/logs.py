"""The collector's own log: one line an event, whatever stands in a name that somebody else has chosen (ASVS 5.0 16.4.1)."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler

from server.store.audit_chain import one_line


class OneLine(logging.Formatter):
    """Escapes what a terminal or a parser would take for its own; a traceback below the line stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        told = logging.makeLogRecord({**record.__dict__, "message": one_line(record.message)})
        return super().formatMessage(told)


def log_to_stderr() -> None:
    """Log in colour for a person, in whole plain lines for a file."""
    plain = logging.StreamHandler()
    plain.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    rich = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
    rich.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[rich if sys.stderr.isatty() else plain])
