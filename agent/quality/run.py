"""One QC run: acquire, measure, judge, keep, publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from agent.errors import HardwareError
from agent.hardware import ChildOrder, HardwareProcess
from agent.local import Local
from agent.quality.acquire import Acquired, Acquisition
from agent.quality.facts import Facts
from agent.quality.history import History
from agent.quality.keeping import keep_and_send
from agent.quality.measure import measured
from agent.quality.meters import key_of, settings_of_light
from agent.quality.prepare import SLIDE_DEVICE, Prepared, prepare
from agent.quality.request import Request
from agent.quality.restore import CALL_S, RESTORE_FILE, Hardware, put_back_earlier, undone
from agent.quality.scene import Scene
from agent.quality.steps import Key
from agent.quality.taken import Taken
from agent.quality.watcher import Watcher
from agent.records import QcResult
from agent.settings import AgentSettings
from qc_routines.verdict import Verdict

__all__ = ["Outcome", "Request", "Watcher", "own_hardware", "run_routine", "take"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What came out of a run."""

    verdict: Verdict
    result: QcResult
    datasets: Mapping[str, list[Path]]


def run_routine(
    hardware: Hardware,
    local: Local,
    request: Request,
    watcher: Watcher | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Acquire through the hardware process, measure here, keep the result and put it into the outbox.

    Parameters are those of `take`.

    Raises
    ------
    HardwareError, CaptureError, SettingsError
        It could not be acquired or measured; the hardware is back where it was.
    """
    watcher = watcher or Watcher()
    taken = take(hardware, local, request, watcher, sleep)
    watcher.say("Measuring; the first run on a computer also compiles, which takes a moment.")
    history = History(local.data_dir)
    verdict, result = measured(taken, history, local.mint)
    if keep_and_send(history, local.outbox, result, watcher.say, verdict.measurement):
        watcher.say(f"Run {str(result.run_id)[:8]} is kept in {local.data_dir / 'qc'}; the agent sends it.")
    return Outcome(verdict, result, taken.datasets)


def take(
    hardware: Hardware,
    local: Local,
    request: Request,
    watcher: Watcher,
    sleep: Callable[[float], None] = time.sleep,
) -> Taken:
    """Acquire through the hardware process, and put everything back.

    Parameters
    ----------
    hardware : Hardware
        Hardware process, or whoever supervises it; nobody else may use it meanwhile.
    local : Local
        Where records and runs are kept.
    request : Request
        What to run.
    watcher : Watcher
        Who is told how it goes.
    sleep : callable
        How time passes between readings.

    Raises
    ------
    HardwareError, CaptureError, SettingsError
        It could not be acquired; the hardware is back where it was.
    """

    def touched(scene: Scene) -> Iterable[Key]:
        detector = [key_of(str(gain))] if (gain := request.options.get("gain")) else []
        return (*_properties(request), *settings_of_light(scene, request.options), *detector)

    with undone(hardware, local.data_dir, touched, watcher.say) as before:
        prepared = prepare(hardware, request, _properties(request), before, watcher.say)
        _look_at_time_zero(local, request, prepared)
        watcher.on_plan(prepared.plan)
        images = local.data_dir / "qc" / "images"
        taking = Acquisition(hardware, images, request.routine.name, watcher, sleep)
        acquired = taking.take(prepared.plan.steps)
    return _taken(request, prepared, acquired)


def _properties(request: Request) -> dict[Key, str]:
    slide = {SLIDE_DEVICE: request.slide} if request.slide else {}
    return {**slide, **request.properties}


def _look_at_time_zero(local: Local, request: Request, prepared: Prepared) -> None:
    """Read what the run will be compared with before anything is taken, and ask for a field where one is needed."""
    history, routine = History(local.data_dir), request.routine
    path = {
        **prepared.scene.light_path(prepared.plan.channels, routine.holds_for),
        **prepared.plan.light_path,
    }
    history.baseline(routine.name, path)
    facts = Facts(request.options, others=history.facts(routine.name, path))
    if routine.name == "illumination_change":
        facts.need("reference_image")


def _taken(request: Request, prepared: Prepared, acquired: Acquired) -> Taken:
    routine, plan, scene = request.routine, prepared.plan, prepared.scene
    slide = {"slide": request.slide} if request.slide else {}
    return Taken(
        routine=routine.name,
        options=dict(request.options),
        datasets=acquired.datasets,
        columns=acquired.columns,
        light_path={**scene.light_path(plan.channels, routine.holds_for), **plan.light_path},
        facts={**scene.facts(), **plan.facts},
        planned={
            name: value for name, (value, _) in plan.facts.items() if isinstance(value, str | int | float)
        },
        parameters={**prepared.parameters, **slide},
        remarks=prepared.remarks,
        every_days=plan.protocol.every_days,
        own_limits=request.own_limits,
    )


def need_hardware(settings: AgentSettings) -> None:
    """Raise HardwareError where no hardware is configured: before anybody is asked to put a slide on."""
    if not settings.hardware.config_file:
        raise HardwareError(
            "No hardware is configured. Set [hardware] config_file in the settings and name them with --config."
        )


@contextmanager
def own_hardware(settings: AgentSettings, data_dir: Path) -> Iterator[tuple[HardwareProcess, Local]]:
    """Give a hardware process of our own; no daemon can use the data folder meanwhile.

    Raises
    ------
    HardwareError
        A daemon has it, no hardware is configured, or it does not load.
    """
    need_hardware(settings)
    section = settings.hardware
    with _held(data_dir):
        local = Local.open(settings, data_dir)
        process = HardwareProcess(ChildOrder(settings=settings, data_dir=data_dir))
        try:
            process.start(section.start_deadline_s)
            try:
                process.call("settle", CALL_S)
                yield process, local
            finally:
                process.stop(section.call_deadline_s)
                _put_back_after_crash(settings, data_dir, section.start_deadline_s)
        finally:
            local.outbox.close()


def _put_back_after_crash(settings: AgentSettings, data_dir: Path, deadline_s: float) -> None:
    """Load the hardware once more where a run could not put it back, because the process that held it is gone."""
    if not (data_dir / "qc" / RESTORE_FILE).is_file():
        return
    process = HardwareProcess(ChildOrder(settings=settings, data_dir=data_dir))
    try:
        process.start(deadline_s)
    except HardwareError as error:
        _log.warning("Not put back, the next QC run will try again: %s", error)
        return
    try:
        put_back_earlier(process, data_dir, _log.warning)
    finally:
        process.stop(deadline_s)


@contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / "daemon.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise HardwareError(
            f"The agent is running on {data_dir} and holds the hardware. Stop it (Ctrl-C, or its service), run this, "
            "and start it again."
        ) from error
    try:
        yield
    finally:
        lock.release()
