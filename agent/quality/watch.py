"""A run as it goes: progress bars and live numbers for people, lines of JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from agent.quality.plans import Plan
from agent.quality.run import Request, Watcher, own_hardware, run_routine
from agent.quality.stacks import read_stack
from agent.quality.steps import Shot
from agent.records import QcResult
from agent.settings import AgentSettings

SHOWN = {
    "focus_score": "Focus score",
    "mean_adu": "Mean (ADU)",
    "least_adu": "Least (ADU)",
    "largest_adu": "Largest (ADU)",
    "line": "Line",
    "setting_percent": "Setting (%)",
    "power_mw": "Power (mW)",
    "temperature_c": "Temperature (degC)",
    "defocus_um": "Defocused by (um)",
    "recovered_um": "Recovered at (um)",
}
"""Numbers of a frame or a reading, in their order, and what they are called."""


def numbers_table(numbers: Mapping[str, Any]) -> Table:
    """Return the newest numbers as a table of one row; the level of a frame comes first."""
    table = Table(box=box.SIMPLE_HEAD)
    if "full_scale_adu" in numbers:
        clipped = numbers["clipped_fraction"]
        level = f"{100 * numbers['beads_adu'] / numbers['full_scale_adu']:.0f} % of full scale"
        table.add_column("Level")
        cells = [level + (f", [bold red]{100 * clipped:.2g} % clipped[/]" if clipped else "")]
    else:
        cells = []
    for name in (name for name in SHOWN if name in numbers):
        table.add_column(SHOWN[name], justify="right")
        cells.append(f"{numbers[name]:.4g}")
    table.add_row(*cells)
    return table


class LiveRun:
    """Shows a run on a console: a bar, and the newest numbers below it.

    Parameters
    ----------
    console : Console
        Where.
    title : str
        Of the routine.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._loading = self._progress.add_task("Loading the hardware", total=1)
        self._live = Live(Group(self._progress), console=console, refresh_per_second=8)
        self._task = self._progress.add_task(title, total=None, visible=False)

    def __enter__(self) -> LiveRun:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.update(Group(self._progress), refresh=True)
        self._live.__exit__(*error)
        if not self._live.console.is_terminal:  # what is written into a file ends without a line break
            self._live.console.print()

    def loaded(self) -> None:
        """Tell that the hardware is loaded."""
        self._progress.update(self._loading, completed=1)

    @property
    def watcher(self) -> Watcher:
        """Who is told."""
        return Watcher(
            on_plan=self._on_plan,
            on_frames=lambda n: self._progress.update(self._task, completed=n),
            on_numbers=lambda numbers: self._live.update(Group(self._progress, numbers_table(numbers))),
            on_shot=lambda shot, path: self._say(f"  {path.name}: {live_numbers(path, shot)}"),
            say=self._say,
        )

    def _on_plan(self, plan: Plan) -> None:
        words = f"{self._title}, {' + '.join(plan.channels) or 'dark'}" if plan.shots else self._title
        self._progress.update(self._task, total=plan.n_frames, description=words, visible=True)

    def _say(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)


def json_watcher(console: Console) -> Watcher:
    """Return a watcher that prints a line of JSON for everything it is told."""

    def tell(event: str, **more: Any) -> None:
        line = json.dumps({"event": event, **more}, allow_nan=False, default=str)
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    return Watcher(
        on_plan=lambda plan: tell("plan", of=plan.n_frames, channels=plan.channels),
        on_frames=lambda n: tell("progress", done=n),
        on_numbers=lambda numbers: tell("numbers", **_finite(numbers)),
        on_shot=lambda shot, path: tell("dataset", name=path.name, role=shot.role, is_dark=shot.is_dark),
        say=lambda text: tell("said", text=text),
    )


def _finite(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in numbers.items()}


def live_numbers(path: Path, shot: Shot) -> str:
    """Return what the frames of an acquisition hold, in a few words."""
    data = read_stack(path).data
    text = f"mean {data.mean():.4g} ADU, least {data.min():.4g}, largest {data.max():.4g}"
    return text + (" (dark)" if shot.is_dark else "")


def run_watched(
    settings: AgentSettings, data_dir: Path, request: Request, console: Console, *, as_json: bool = False
) -> QcResult:
    """Run a routine on hardware of our own, and show how it goes.

    Raises
    ------
    HardwareError, CaptureError, SettingsError
        It could not be done; the hardware is back where it was.
    """
    if as_json:
        with own_hardware(settings, data_dir) as (hardware, local):
            return run_routine(hardware, local, request, json_watcher(console)).result
    with (
        LiveRun(console, request.routine.title) as live,
        own_hardware(settings, data_dir) as (hardware, local),
    ):
        live.loaded()
        return run_routine(hardware, local, request, live.watcher).result
