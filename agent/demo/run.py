"""Run the demo: start everything, acquire, look at what arrived, and stay up."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from agent.clock import Clock
from agent.demo.collector import LocalCollector
from agent.demo.script import (
    BY_HAND,
    N_FRAMES,
    acquire,
    change_by_hand,
    qc_request,
    write_configuration,
)
from agent.demo.summary import Summary, show, summarise
from agent.errors import HardwareError
from agent.logs import start_logging, stop_logging
from agent.outbox import Identity, enrol
from agent.quality.run import Watcher, run_routine
from agent.quality.show import SIGNS
from agent.service import Daemon
from agent.settings import AgentSettings

INSTRUMENT = "Demo microscope"
_LOAD_S = 120.0
_SEND_S = 60.0
_LOOK_S = 0.1


def run_demo(folder: Path | None, *, once: bool, as_json: bool) -> int:
    """Run the demo in `folder` (default: a temporary one) and return the exit code.

    0: everything that was captured is in the collector; 1: it is not.
    """
    console = Console(stderr=as_json)
    with _folder(folder) as place, LocalCollector(place / "collector", place / "collector.log") as collector:
        console.print(f"Collector at {collector.url}, data in {place}", highlight=False)
        settings = _settings(collector.url, write_configuration(place / "microscope.cfg"))
        agent_dir = place / "agent"
        identity = Identity.load_or_create(agent_dir)
        enrol(
            identity,
            collector.url,
            collector.join_code(INSTRUMENT),
            instrument_name=INSTRUMENT,
            clock=Clock(),
        )
        daemon = Daemon(settings, agent_dir)
        start_logging(settings.log.model_copy(update={"level": "warning"}), agent_dir, "daemon")
        daemon.start()
        try:
            summary = _acquire_and_send(daemon, collector, place / "images", console)
            show(summary, console)
            if as_json:
                print(json.dumps({"url": collector.url, **summary.as_json()}))
            if not once:
                _stay_up(collector, console)
        finally:
            daemon.stop()
            stop_logging()
    return 0 if summary.is_complete else 1


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="scopestamp-demo-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def _settings(url: str, configuration: Path) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "instrument": {
                "name": INSTRUMENT,
                "site": "this computer",
                "manufacturer": "Scopestamp",
                "model": "simulated widefield microscope",
                "devices": {
                    "Camera": {"pixel_pitch": {"value": 6.5, "unit": "um"}, "sensor": "simulated sCMOS"},
                    "Objective": {"numerical_aperture": {"value": 1.4, "unit": "1"}},
                },
            },
            "hardware": {"driver": "simulated", "config_file": str(configuration)},
            "capture": {"poll_interval_s": 5.0},
            "collector": {"url": url, "heartbeat_interval_s": 10.0},
        }
    )


def _acquire_and_send(daemon: Daemon, collector: LocalCollector, images: Path, console: Console) -> Summary:
    assert daemon.supervisor is not None
    supervisor = daemon.supervisor
    images.mkdir(exist_ok=True)
    with _progress(console) as progress:
        task = progress.add_task("Loading Micro-Manager's core with the simulated microscope", total=1)
        if not supervisor.wait_until_up(_LOAD_S):
            raise HardwareError(f"The demo hardware was not loaded: {supervisor.last_error or 'no answer'}")
        supervisor.call("settle", _LOAD_S)
        progress.update(task, completed=1)
        _acquire_shown(daemon, _free_name(images, "demo.ome.zarr"), progress)
        task = progress.add_task("Changing properties by hand", total=len(BY_HAND))
        change_by_hand(supervisor)
        progress.update(task, completed=len(BY_HAND))
        _acquire_shown(daemon, _free_name(images, "demo.ome.tiff"), progress)
        _qc_shown(daemon, progress)
        supervisor.call("snapshot", _LOAD_S)
        marks = _marks(daemon)
        task = progress.add_task("Streaming to the collector", total=sum(marks.values()))
        _send(daemon, collector, marks, lambda n: progress.update(task, completed=n))
    return summarise(collector, daemon.local.identity.instrument_id, marks)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _acquire_shown(daemon: Daemon, output: Path, progress: Progress) -> None:
    assert daemon.supervisor is not None
    task = progress.add_task(f"2 channels × 11 planes × 2 positions into {output.name}", total=N_FRAMES)
    acquire(daemon.supervisor, output, lambda n: progress.update(task, completed=n))


def _qc_shown(daemon: Daemon, progress: Progress) -> None:
    assert daemon.supervisor is not None
    request = qc_request()
    task = progress.add_task(f"QC: {request.routine.title.lower()} on the {request.slide} slide", total=1)
    watcher = Watcher(
        on_plan=lambda plan: progress.update(task, total=plan.n_frames),
        on_frames=lambda n: progress.update(task, completed=n),
    )
    result = run_routine(daemon.supervisor, daemon.local, request, watcher).result
    evenness = next(metric for metric in result.metrics if metric.metric == "uniformity").measured
    assert evenness is not None
    progress.console.print(
        f"  {SIGNS[result.status]}  {request.routine.title}: uniformity {float(evenness.value):.1f} %",
        highlight=False,
    )


def _free_name(folder: Path, name: str) -> Path:
    """Return a path that nothing is at: a demo may be run twice in one folder."""
    stem, suffix = name.split(".", 1)
    number, path = 1, folder / name
    while path.exists() or (folder / path.name.split(".", 1)[0]).exists():
        number += 1
        path = folder / f"{stem}-{number}.{suffix}"
    return path


def _marks(daemon: Daemon) -> dict[str, int]:
    """Return how far every spool of the agent reaches now: spool id to last sequence number."""
    assert daemon.supervisor is not None
    outbox = daemon.local.outbox
    last = outbox.last_seq()
    own = {spool_id: last[lane] for lane, spool_id in outbox.spool_ids().items()}
    return {**own, **daemon.supervisor.call("spools", _LOAD_S)}


def _send(
    daemon: Daemon, collector: LocalCollector, marks: dict[str, int], on_sent: Callable[[int], None]
) -> None:
    """Wait until the collector holds everything up to `marks`, or until it takes too long."""
    assert daemon.sender is not None
    deadline = time.monotonic() + _SEND_S
    while time.monotonic() < deadline:
        daemon.sender.wake()
        held = {spool["spool_id"]: spool["mark"] for spool in collector.get("/v1/spools")}
        n_held = sum(min(held.get(spool, 0), last) for spool, last in marks.items())
        on_sent(n_held)
        if n_held == sum(marks.values()):
            return
        time.sleep(_LOOK_S)


def _stay_up(collector: LocalCollector, console: Console) -> None:
    from agent.service.run import ended_by_signal

    console.print(f"\nThe page: [bold]{collector.sign_in_link()}[/]", highlight=False, soft_wrap=True)
    console.print("The link signs you in once. Everything stays up until Ctrl-C.")
    with ended_by_signal() as ended, contextlib.suppress(KeyboardInterrupt):
        ended.wait()
    console.print("\nStopping.")
