"""A result is kept here and sent: a disk that takes the one no more does not cost the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.outbox import Outbox
from agent.quality.history import History, HistoryError
from agent.records import QcResult

if TYPE_CHECKING:
    from qc_routines.results import Measurement


def keep_and_send(
    history: History,
    outbox: Outbox | None,
    result: QcResult,
    say: Callable[[str], None],
    measurement: Measurement | None = None,
) -> bool:
    """Keep a run, and put it into the outbox, whose ballast lets it through where the disk is full.

    Returns whether it was kept; where there is no outbox it is not sent.

    Raises
    ------
    SpoolError
        It could not be put into the outbox.
    """
    try:
        history.keep(result, measurement)
    except HistoryError as error:
        say(f"Not kept: {error}")
        is_kept = False
    else:
        is_kept = True
    if outbox is not None:
        outbox.put(result)
    return is_kept
