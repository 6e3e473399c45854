"""One QC run: acquire, measure, judge, keep, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agent.errors import HardwareError
from agent.hardware import ChildOrder, HardwareProcess
from agent.local import Local
from agent.quality.acquire import OnFrames, OnShot, acquire_plan, stamped, undone
from agent.quality.assess import assess
from agent.quality.facts import Facts
from agent.quality.given import MAIN, Given
from agent.quality.history import History, figures_of
from agent.quality.plans import Plan, plan_of, protocol_of
from agent.quality.restore import CALL_S, Hardware
from agent.quality.results import qc_result
from agent.quality.scene import Scene
from agent.quality.stacks import read_stack
from agent.records import QcResult
from agent.settings import AgentSettings
from qc_routines.routine import Routine
from qc_routines.verdict import Verdict

SLIDE_DEVICE = ("Slide", "Label")
"""The slide holder of the simulated microscope, which puts on the slide that is named."""


@dataclass(frozen=True)
class Request:
    """What is to be run.

    Attributes
    ----------
    routine : Routine
        The routine.
    options : mapping
        Facts, arguments of the protocol and of the measurement, as stated by whoever runs it.
    channels : tuple of str
        Presets of the channel group; empty: the one that is set.
    properties : mapping
        (device, property) to value, set before the run and set back after it.
    slide : str
        What lies on the stage; empty: not stated.
    own_limits : Path or None
        Limits of this instrument.
    """

    routine: Routine
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    properties: Mapping[tuple[str, str], str] = field(default_factory=dict)
    slide: str = ""
    own_limits: Path | None = None


@dataclass(frozen=True)
class Watcher:
    """Who is told how a run goes; every part may be left out."""

    on_plan: Callable[[Plan], None] = lambda plan: None
    on_frames: OnFrames = lambda n: None
    on_shot: OnShot = lambda shot, path: None
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Outcome:
    """What came out of a run."""

    verdict: Verdict
    result: QcResult
    datasets: Mapping[str, list[Path]]


def run_routine(
    hardware: Hardware, local: Local, request: Request, watcher: Watcher | None = None
) -> Outcome:
    """Acquire through the hardware process, measure, keep the result and put it into the outbox.

    Parameters
    ----------
    hardware : Hardware
        Hardware process, or whoever supervises it; nobody else may use it meanwhile.
    local : Local
        Where records and runs are kept.
    request : Request
        What to run.
    watcher : Watcher, optional
        Who is told how it goes.

    Raises
    ------
    HardwareError, CaptureError, SettingsError
        It could not be acquired or measured; the hardware is back where it was.
    """
    watcher = watcher or Watcher()
    with undone(hardware, local.data_dir, tuple(_properties(request)), watcher.say) as scene:
        plan, scene = _prepare(hardware, request, scene)
        watcher.on_plan(plan)
        datasets = acquire_plan(
            hardware,
            plan,
            request.routine.name,
            local.data_dir / "qc" / "images",
            watcher.on_frames,
            watcher.on_shot,
        )
    watcher.say("Measuring; the first run on a computer also compiles, which takes a moment.")
    return _measured(local, request, plan, scene, datasets)


def _properties(request: Request) -> dict[tuple[str, str], str]:
    slide = {SLIDE_DEVICE: request.slide} if request.slide else {}
    return {**slide, **request.properties}


def _prepare(hardware: Hardware, request: Request, before: Scene) -> tuple[Plan, Scene]:
    """Set what is to be set, and return the plan for the microscope as it then is."""
    for (device, name), value in _properties(request).items():
        if (device, name) == SLIDE_DEVICE and (device, name) not in before.readings:
            continue  # a real microscope: a person has put it on
        hardware.call("set_property", CALL_S, device=device, property=name, value=value)
    scene = Scene.of(hardware.call("read_all", CALL_S))
    facts = Facts(request.options, others=scene.facts())
    needs_optics = "optics" in request.routine.protocol.__annotations__
    optics = Given({}, facts).optics(max(len(request.channels) - 1, 0)) if needs_optics else None
    channels = request.channels or ((scene.channel,) if scene.channel else ())
    options = {"field_um": _field_um(scene), **request.options}
    protocol = protocol_of(request.routine, {k: v for k, v in options.items() if v}, channels, optics)
    return plan_of(request.routine, protocol, channels, scene), scene


def _field_um(scene: Scene) -> float | None:
    """Return the shorter side of what the camera sees."""
    shape, pixel_um = scene.shape_yx, scene.pixel_um
    return round(min(shape) * pixel_um, 3) if shape and pixel_um else None


def _measured(
    local: Local, request: Request, plan: Plan, scene: Scene, datasets: Mapping[str, list[Path]]
) -> Outcome:
    routine = request.routine
    stacks = {role: [read_stack(path) for path in paths] for role, paths in datasets.items()}
    facts = Facts(request.options, stacks[MAIN][0], {**scene.facts(), **plan.facts})
    history, light_path = History(local.data_dir), scene.light_path(plan.channels, routine.holds_for)
    zero = history.baseline(routine.name, light_path)
    verdict = assess(
        routine,
        Given(stacks, facts),
        extra=request.options,
        baseline=figures_of(zero) if zero else None,
        own_limits=request.own_limits,
    )
    finished, files = stamped(datasets)
    result = qc_result(
        local.mint,
        routine,
        verdict,
        light_path=light_path,
        acquisition_id=finished[0].acquisition_id if finished else None,
        files=files,
        valid_for=timedelta(days=plan.protocol.every_days),
    )
    if request.slide:
        result = result.model_copy(update={"parameters": {**result.parameters, "slide": request.slide}})
    history.keep(result)
    local.outbox.put(result)
    return Outcome(verdict, result, datasets)


@contextmanager
def own_hardware(settings: AgentSettings, data_dir: Path) -> Iterator[tuple[HardwareProcess, Local]]:
    """Give a hardware process of our own; no daemon can use the data folder meanwhile.

    Raises
    ------
    HardwareError
        A daemon has it, no hardware is configured, or it does not load.
    """
    section = settings.hardware
    if not section.config_file:
        raise HardwareError(
            "No hardware is configured. Set [hardware] config_file in the settings and name them with --config."
        )
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
        finally:
            local.outbox.close()


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
