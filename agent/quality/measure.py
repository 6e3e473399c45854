"""Measure and judge what a run acquired; also as a process of its own, for which `agent.quality.apart` asks.

``python -m agent.quality.measure`` reads an `Order` from the first line of its standard input and writes an `Answer` to
the file that the order names. When its standard input ends, because who asked is gone, it ends too.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel

from agent.clock import Clock
from agent.errors import ScopestampError
from agent.files import replace_file
from agent.hosting.priority import step_back
from agent.mint import Mint
from agent.quality.acquire import stamped
from agent.quality.assess import assess, routine_named
from agent.quality.facts import Facts
from agent.quality.given import Given
from agent.quality.history import History, HistoryError, figures_of
from agent.quality.results import qc_result
from agent.quality.stacks import read_stack
from agent.quality.taken import Taken
from agent.records import QcResult
from qc_routines.errors import RoutineError
from qc_routines.verdict import Verdict

_NICE = 10
_EXIT_ALONE = 3


class Order(BaseModel):
    """What is to be measured, and in whose name."""

    taken: Taken
    data_dir: Path
    instrument_id: str
    agent_id: str
    answer: Path


class Answer(BaseModel):
    """The result, or why there is none."""

    result: QcResult | None = None
    error: str = ""


def measured(taken: Taken, history: History, mint: Mint) -> tuple[Verdict, QcResult]:
    """Return verdict and record of a run; nothing is kept yet.

    Raises
    ------
    CaptureError, SettingsError, HistoryError
        It cannot be measured; the message says why.
    """
    routine = routine_named(taken.routine)
    stacks = {role: [read_stack(path) for path in paths] for role, paths in taken.datasets.items()}
    first = next((stack for each in stacks.values() for stack in each), None)
    zero = history.baseline(routine.name, taken.light_path)
    others = {**taken.facts, **history.facts(routine.name, taken.light_path)}
    verdict = assess(
        routine,
        Given(stacks, Facts(taken.options, first, others), columns=taken.columns),
        extra=taken.options,
        baseline=figures_of(zero) if zero else None,
        own_limits=taken.own_limits,
    )
    finished, files = stamped(taken.datasets)
    result = qc_result(
        mint,
        routine,
        verdict,
        light_path=taken.light_path,
        acquisition_id=finished[0].acquisition_id if finished else None,
        files=files,
        valid_for=timedelta(days=taken.every_days),
    )
    parameters = {**taken.planned, **result.parameters, **taken.parameters}
    remarks = (*result.remarks, *taken.remarks)
    return verdict, result.model_copy(update={"parameters": parameters, "remarks": remarks})


def _answer(order: Order) -> Answer:
    history, mint = History(order.data_dir), Mint(order.instrument_id, order.agent_id, Clock())
    try:
        verdict, result = measured(order.taken, history, mint)
    except (ScopestampError, RoutineError) as error:
        return Answer(error=str(error))
    try:
        history.keep_measurement(result, verdict.measurement)
    except HistoryError as error:  # the numbers are worth more than what they are drawn from
        print(error, file=sys.stderr)
    return Answer(result=result)


def _end_with(stdin: BinaryIO) -> None:
    """End when nobody is left who waits for the answer."""
    stdin.read()
    os._exit(_EXIT_ALONE)


def _let_others_go_first() -> None:
    with suppress(OSError):
        os.nice(_NICE) if hasattr(os, "nice") else step_back()


def main() -> int:
    """Measure once."""
    faulthandler.enable()
    _let_others_go_first()
    order = Order.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), name="scopestamp-alone", daemon=True).start()
    replace_file(order.answer, _answer(order).model_dump_json().encode())
    sys.stdout.flush()
    os._exit(0)  # the thread above holds standard input, which an interpreter that shuts down would wait for


if __name__ == "__main__":
    sys.exit(main())
