"""A run with progress bars and live numbers."""

from __future__ import annotations

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

from agent.quality.plans import Plan, Shot
from agent.quality.run import Request, Watcher, own_hardware, run_routine
from agent.quality.stacks import read_stack
from agent.records import QcResult
from agent.settings import AgentSettings


def progress_of(console: Console) -> Progress:
    """Return the house's progress bars."""
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[live]}"),
        console=console,
    )


def watcher_on(progress: Progress, title: str) -> Watcher:
    """Return a watcher that shows a run on progress bars."""
    task = progress.add_task(title, total=None, live="")

    def on_shot(shot: Shot, path: Path) -> None:
        live = live_numbers(path, shot)
        progress.update(task, live=live)
        progress.console.print(f"  {path.name}: {live}", highlight=False)

    return Watcher(
        on_plan=lambda plan: progress.update(task, total=plan.n_frames, description=_described(title, plan)),
        on_frames=lambda n: progress.update(task, completed=n),
        on_shot=on_shot,
        say=lambda text: progress.console.print(text, highlight=False),
    )


def live_numbers(path: Path, shot: Shot) -> str:
    """Return what the frames of an acquisition hold, in a few words."""
    data = read_stack(path).data
    text = f"mean {data.mean():.4g} ADU, least {data.min():.4g}, largest {data.max():.4g}"
    return text + (" (dark)" if shot.is_dark else "")


def run_watched(settings: AgentSettings, data_dir: Path, request: Request, console: Console) -> QcResult:
    """Run a routine on hardware of our own, and show how it goes.

    Raises
    ------
    HardwareError, CaptureError, SettingsError
        It could not be done; the hardware is back where it was.
    """
    with progress_of(console) as progress:
        task = progress.add_task("Loading the hardware", total=1, live="")
        with own_hardware(settings, data_dir) as (hardware, local):
            progress.update(task, completed=1)
            outcome = run_routine(hardware, local, request, watcher_on(progress, request.routine.title))
    folder = data_dir / "qc"
    console.print(
        f"Run {str(outcome.result.run_id)[:8]} is kept in {folder}; the agent sends it.", highlight=False
    )
    return outcome.result


def _described(title: str, plan: Plan) -> str:
    return f"{title}, {' + '.join(plan.channels) or 'dark'}"
