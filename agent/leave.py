"""Leave a process without taking the interpreter apart.

When everything is written and let go of, Python still spends seconds on freeing one by one what its libraries have loaded, which
the system does at once. A service manager waits for that, and so does whoever wants the microscope.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from typing import NoReturn


class _Ending:
    """What the process ends with; 1 until somebody has said so, because it then failed."""

    exit_code = 1


def end_at_once() -> None:
    """Have this process end, once its threads and all that others registered for the end are done, without more ado.

    Called first of all: what is registered first is done last.
    """
    atexit.register(_end)


def end(exit_code: int) -> NoReturn:
    """End the process."""
    _Ending.exit_code = exit_code
    sys.exit(exit_code)


def _end() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(_Ending.exit_code)
