"""One run of a schedule, from the first look at the hardware to everything back in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from agent.errors import PersonAtMicroscopeError, RunStoppedError, ScopestampError
from agent.local import Local
from agent.outbox.disk import remove_file
from agent.quality.apart import MeasuringError, measured_apart
from agent.quality.restore import CALL_S, Hardware, RestorePlan, restore
from agent.quality.scene import Scene
from agent.quality.schedule.held import HeldHardware, WhyStop
from agent.quality.schedule.limits import Bounds, Limits
from agent.records import Objective, QcStatus, ScheduleState
from agent.records.schedules import Schedule

RESTORE_PATH = Path("qc") / "restore.json"
"""In the data folder: what `agent.quality.run` wrote down before it moved anything."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    state: ScheduleState
    reason: str = ""
    qc_run_id: UUID | None = None
    qc_status: QcStatus | None = None


def run_once(
    schedule: Schedule,
    hardware: Hardware,
    local: Local,
    bounds: Bounds,
    objectives: tuple[Objective, ...],
    why_stop: WhyStop,
    say: Say,
    by_hand: Callable[[], frozenset[str]] = frozenset,
    is_ending: Callable[[], bool] = lambda: False,
) -> End:
    """Run a schedule's routine, and put everything back whatever comes.

    Parameters
    ----------
    schedule : Schedule
        What to run.
    hardware : Hardware
        The daemon's.
    local : Local
        Where records and runs are kept.
    bounds : Bounds
        What the run may ask of the sample and the stages.
    objectives : tuple of Objective
        Of the profile, with their safe ranges.
    why_stop : callable
        Asked again and again whether to end.
    say : callable
        Gets sentences.
    by_hand : callable
        Returns devices that a person has moved meanwhile: they stay where the person put them.
    is_ending : callable
        Tells, while the frames are measured and the microscope is free again, whether the agent is to end.
    """
    held: HeldHardware | None = None
    try:
        home = Scene.of(hardware.call("read_all", CALL_S))
        held = HeldHardware(hardware, Limits(bounds, home, objectives), why_stop)
        end = _measured(schedule, held, local, say, is_ending)
    except ScopestampError as error:
        end = _ended_by((held.stopped if held else None) or error)
    problems = put_back(hardware, local.data_dir, by_hand())
    if problems:
        told = f"{end.reason} Not everything could be put back: {' '.join(problems)}".strip()
        return End(ScheduleState.FAILED, told, end.qc_run_id, end.qc_status)
    return end


def _measured(
    schedule: Schedule, held: HeldHardware, local: Local, say: Say, is_ending: Callable[[], bool]
) -> End:
    from agent.quality.assess import routine_named
    from agent.quality.run import Request, Watcher, take

    request = Request(
        routine_named(schedule.routine),
        {name: _plain(value) for name, value in schedule.options.items()},
        schedule.channels,
        {_key(name): _text(value) for name, value in schedule.properties.items()},
        schedule.slide,
    )
    taken = take(held, local, request, Watcher(say=say), held.sleep)
    try:
        result = measured_apart(taken, local, is_ending)
    except MeasuringError as error:
        return End(ScheduleState.FAILED, f"It was acquired, and could not be measured: {error}")
    return End(ScheduleState.DONE, f"Verdict: {result.status.value}.", result.run_id, result.status)


def _ended_by(error: ScopestampError) -> End:
    if isinstance(error, PersonAtMicroscopeError):
        return End(
            ScheduleState.ABORTED_BY_USER, f"{error} The run was stopped and everything put back as it was."
        )
    if isinstance(error, RunStoppedError):
        return End(ScheduleState.FAILED, f"{error} The run was stopped and everything put back as it was.")
    return End(ScheduleState.FAILED, str(error))


def put_back(hardware: Hardware, data_dir: Path, by_hand: frozenset[str] = frozenset()) -> list[str]:
    """Carry out what a run that was cut off left to be put back, and return what could not be, in words.

    The plan stays on disk until all of it was done. Devices in `by_hand` are left to the person who moved them.
    """
    path = data_dir / RESTORE_PATH
    if not path.is_file():
        return []
    try:
        plan = RestorePlan.read(path)
        problems = restore(hardware, _without(plan, by_hand, hardware) if by_hand else plan)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return [f"{path} cannot be read ({error})."]
    except ScopestampError as error:
        return [str(error)]
    if not problems:
        remove_file(path)
    return problems


def _without(plan: RestorePlan, devices: frozenset[str], hardware: Hardware) -> RestorePlan:
    """Return a plan that leaves some devices alone."""
    now = Scene.of(hardware.call("read_all", CALL_S))
    of_axis = {"x": now.role("XYStage"), "y": now.role("XYStage"), "z": now.role("Focus")}
    return replace(
        plan,
        properties=[one for one in plan.properties if one[0] not in devices],
        presets=[],
        position={axis: um for axis, um in plan.position.items() if of_axis[axis] not in devices},
    )


def _key(name: str) -> tuple[str, str]:
    device, _, prop = name.partition("-")
    return device, prop


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, tuple | list) else value
