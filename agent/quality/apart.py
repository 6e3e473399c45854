"""Measure in a process of its own: the agent neither loads what measuring takes nor dies of it."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.errors import CaptureError, RunStoppedError
from agent.local import Local
from agent.quality.history import History
from agent.quality.keeping import keep_and_send
from agent.quality.taken import Taken
from agent.records import QcResult

MOST_S = 600.0
"""A measurement may take this long; the first one on a computer also compiles. Below what the scheduler's pulse allows."""
_LOOK_S = 0.2
_log = logging.getLogger("scopestamp.schedule")
_KILL_WAIT_S = 10.0
LOG = Path("logs") / "measure-output.log"
"""In the data folder: what the last measuring process printed."""


class MeasuringError(CaptureError):
    """The measuring process gave no result; the message says why."""


def measured_apart(
    taken: Taken, local: Local, is_ending: Callable[[], bool] = lambda: False, most_s: float = MOST_S
) -> QcResult:
    """Measure, judge, keep the result and put it into the outbox.

    Parameters
    ----------
    taken : Taken
        What was acquired.
    local : Local
        Where it is kept.
    is_ending : callable
        Asked again and again whether to give up.
    most_s : float
        The process is ended after that time.

    Raises
    ------
    MeasuringError
        It cannot be measured, the process crashed, or took too long.
    RunStoppedError
        The agent was told to end.
    """
    folder = local.data_dir / "qc"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="measuring-", dir=folder) as place:
        answer = Path(place) / "answer.json"
        result = _result(_ordered(taken, local, answer), answer, local, is_ending, most_s)
    keep_and_send(History(local.data_dir), local.outbox, result, _log.error)
    return result


def _ordered(taken: Taken, local: Local, answer: Path) -> bytes:
    from agent.quality.measure import Order

    identity = local.identity
    order = Order(
        taken=taken,
        data_dir=local.data_dir.absolute(),
        instrument_id=identity.instrument_id,
        agent_id=identity.agent_id,
        answer=answer.absolute(),
    )
    return order.model_dump_json().encode() + b"\n"


def _result(
    order: bytes, place: Path, local: Local, is_ending: Callable[[], bool], most_s: float
) -> QcResult:
    from agent.quality.measure import Answer

    log = local.data_dir / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    code = _run(order, log, is_ending, most_s)
    if code != 0 or not place.is_file():
        raise MeasuringError(
            f"The process that measures ended (exit code {code}); its last words are in {log}."
        )
    answer = Answer.model_validate_json(place.read_bytes())
    if answer.result is None:
        raise MeasuringError(answer.error)
    return answer.result


def _run(order: bytes, log: Path, is_ending: Callable[[], bool], most_s: float) -> int:
    """Run the process and return its exit code; it is gone when this returns or raises."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "agent.quality.measure"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ) as process,
    ):
        try:
            return _waited(process, order, is_ending, most_s)
        finally:
            process.kill()
            process.wait(_KILL_WAIT_S)


def _waited(
    process: subprocess.Popen[bytes], order: bytes, is_ending: Callable[[], bool], most_s: float
) -> int:
    assert process.stdin is not None
    try:
        process.stdin.write(order)
        process.stdin.flush()
    except OSError:  # it ended before it had read all: its exit code says more
        return process.wait(_KILL_WAIT_S)
    until_s = time.monotonic() + most_s
    while time.monotonic() < until_s:
        if is_ending():
            raise RunStoppedError("The agent was told to end before the run was measured.")
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
    raise MeasuringError(f"Measuring took longer than {most_s / 60:g} min and was ended.")
