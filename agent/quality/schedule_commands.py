"""``scopestamp schedule`` and ``scopestamp operator``: what would run when and why not, and what a person is asked to do.

They read what the daemon has written down; nothing here moves a microscope.
"""

from __future__ import annotations

import getpass
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from agent.errors import ScopestampError
from agent.privacy import Privacy

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
_STALE = timedelta(minutes=2)

app = typer.Typer(
    no_args_is_help=True, help="Quality control that runs by itself: what would run when, and why not."
)

EXAMPLE = """\
# Schedules of this PC: name this file in agent.toml, [schedule] file = "schedules.toml".
# Times are those of [schedule] zone, or of the schedule's own zone.

[[schedule]]
schedule_id = "noise-nightly"
routine = "dark_noise"
cron = "0 3 * * *"             # minute hour day month weekday: every night at three
window = "daily 01:00-05:00"   # it may start within these hours only
deadline_min = 90              # due until 04:30
missed = "once"                # if it could not start: once when possible, skip, or all
max_duration_min = 15
quiet_min = 15                 # nobody there, no acquisition, no device moved for so long

[[schedule]]
schedule_id = "field-weekly"
routine = "illumination"
every_days = 7
window = "weekdays 01:00-05:00"
channels = ["FITC"]
slide = "uniform"
asks_person = true             # somebody is asked to put the slide in, and confirms it
ask_before_h = 12
slot = 2                       # place of the slide holder, from the left
n_slots = 4
limits = {light_s = 30, travel_um = 100, focus_um = 20}
conditions = [{device = "Lamp", property = "State", equals = "On", for_min = 30}]
"""


@dataclass(frozen=True)
class _Place:
    """The data folder's scheduler, as a reader sees it."""

    settings: Any
    folder: Path
    privacy: Callable[[], Privacy]

    @classmethod
    def of(cls, config: Path | None, data: Path | None) -> _Place:
        from agent.quality.schedule.scheduler import FOLDER
        from agent.settings import load_settings

        settings = load_settings(config)
        data_dir = data or settings.data_path
        return cls(settings.schedule, data_dir / FOLDER, lambda: Privacy.of(settings.privacy, data_dir))

    def book(self) -> Any:
        from agent.quality.schedule.book import read_book

        return read_book(self.settings, self.folder)

    def now_shown(self, now: datetime) -> dict[str, Any] | None:
        """Return what the daemon said last, None when it is not running."""
        from agent.quality.schedule.scheduler import NOW_FILE

        try:
            said = json.loads((self.folder / NOW_FILE).read_bytes())
            is_fresh = abs(now - datetime.fromisoformat(said["at"])) < _STALE
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return said if is_fresh or said.get("running") else None

    def occurrences(self, where: str) -> list[dict[str, Any]]:
        """Return occurrences from the daemon's journal, which is only read here."""
        from agent.quality.schedule.journal import FILE_NAME

        path = self.folder / FILE_NAME
        if not path.is_file():
            return []
        sql = f"SELECT run_id, schedule_id, planned_at, state, reason FROM occurrences {where}"
        try:
            with closing(
                sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            ) as connection:
                rows = connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise ScopestampError(f"The journal {path} cannot be read ({error}).") from error
        return [
            dict(zip(("run_id", "schedule_id", "planned_at", "state", "reason"), row, strict=True))
            for row in rows
        ]


@app.command("example")
def example() -> None:
    """Print a schedules file to start from."""
    typer.echo(EXAMPLE, nl=False)


@app.command("list")
def list_schedules(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show the schedules that hold on this PC, and those that are refused, with the reason."""
    from agent.quality.schedule.plan import planned

    place, now = _Place.of(config, data), datetime.now(UTC)
    book = place.book()
    told = [planned(one, now) for one in book.entries]
    if as_json:
        typer.echo(
            json.dumps({"schedules": [one.model_dump(mode="json") for one in told], "problem": book.problem})
        )
        return
    table = _table("Schedule", "Routine", "When", "Next", "From", "Standing")
    for one in told:
        table.add_row(
            one.schedule_id, one.routine, one.rule, _local(one.next_at[0], one.zone) if one.next_at else "–",
            one.source, f"[red]refused:[/] {one.refused}" if one.refused else "runs",
        )  # fmt: skip
    _show(table, told, "There are no schedules. 'scopestamp schedule example' prints a file to start from.")
    if book.problem:
        Console().print(book.problem, style="red")


@app.command("next")
def next_runs(
    config: Config = None,
    data: Data = None,
    days: Annotated[float, typer.Option("--days", min=0.1, max=400, help="How far ahead.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Show what is planned next, in the site's time zone, and what waits from before."""
    from agent.due_dates import due_between

    place, now = _Place.of(config, data), datetime.now(UTC)
    accepted = place.book().accepted
    rows = [
        {"planned_at": at.isoformat(), "schedule_id": name, "routine": one.schedule.routine, "state": "planned",
         "zone": one.zone.key}
        for name, one in accepted.items()
        for at in due_between(one.schedule, one.zone, now, now + timedelta(days=days), 1000)
    ]  # fmt: skip
    for waiting in _open(place):
        one = accepted.get(waiting["schedule_id"])
        rows = [row for row in rows if (row["schedule_id"], row["planned_at"]) != (waiting["schedule_id"], waiting["planned_at"])]  # fmt: skip
        rows.append(
            {
                **waiting,
                "routine": one.schedule.routine if one else "",
                "zone": one.zone.key if one else "UTC",
            }
        )
    rows.sort(key=lambda row: (row["planned_at"], row["schedule_id"]))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = _table("Planned", "Schedule", "Routine", "State", "Why")
    for row in rows:
        at = _local(datetime.fromisoformat(row["planned_at"]), row["zone"])
        table.add_row(
            at, row["schedule_id"], row["routine"], row["state"].replace("_", " "), row.get("reason", "")
        )
    _show(table, rows, f"Nothing is planned within {days:g} days.")


@app.command()
def check(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show whether the daemon runs schedules, what stands in the way now, and how the last runs ended."""
    from agent.idle import input_idle

    place, now = _Place.of(config, data), datetime.now(UTC)
    idle = input_idle()
    said = {
        "daemon": place.now_shown(now),
        "input_idle_s": None if idle.for_s is None or idle.for_s == float("inf") else idle.for_s,
        "input_unknown": idle.why,
        "waiting": _open(place),
        "last": place.occurrences(f"WHERE state IN ({_ends()}) ORDER BY planned_at DESC LIMIT 10"),
    }
    if as_json:
        typer.echo(json.dumps(said))
        return
    console = Console()
    shown = said["daemon"]
    console.print(
        "The daemon looks after schedules." if shown else "[red]No daemon looks after schedules here.[/]"
    )
    if shown and shown.get("banner"):
        console.print(shown["banner"], highlight=False)
    if idle.for_s is None:
        console.print(f"Mouse and keyboard: not known, {idle.why}.", highlight=False)
    for name, guards in (shown or {}).get("guards", {}).items():
        for guard, reason in guards.items():
            console.print(f"{name} waits, {guard}: {reason}", highlight=False)
    table = _table("Planned (UTC)", "Schedule", "Ended as", "Why")
    for row in said["last"]:
        table.add_row(
            row["planned_at"][:16], row["schedule_id"], row["state"].replace("_", " "), row["reason"]
        )
    _show(table, said["last"], "Nothing has ended yet.")


@app.command()
def stop(config: Config = None, data: Data = None) -> None:
    """Stop the quality control that is running: somebody needs the microscope."""
    from agent.quality.schedule.person import STOP_FILE

    place = _Place.of(config, data)
    shown = place.now_shown(datetime.now(UTC))
    if not (shown and shown.get("running")):
        typer.echo("No quality control is running.")
        return
    (place.folder / STOP_FILE).touch()
    typer.echo("It stops within two seconds, and puts everything back.")


def operator(
    config: Config = None,
    data: Data = None,
    as_json: AsJson = False,
    confirm: Annotated[
        str, typer.Option("--confirm", help="Beginning of a task's id: say that it is done.")
    ] = "",
) -> None:
    """Show what a person is asked to do before quality control can go on, with a drawing, and take the answer."""
    place = _Place.of(config, data)
    tasks = _tasks(place)
    if as_json and not confirm:
        typer.echo(json.dumps([{**task, "task": task["task"].model_dump(mode="json")} for task in tasks]))
        return
    if confirm:
        _confirm(place, [task for task in tasks if task["run_id"].startswith(confirm.lower())], confirm)
        return
    console = Console()
    if not tasks:
        console.print("Nobody is asked for anything.")
    for task in tasks:
        _show_task(console, task)
        if typer.confirm("Is all of this done?", default=False):
            _confirm(place, [task], "")


def _tasks(place: _Place) -> list[dict[str, Any]]:
    from agent.quality.schedule.planner import task_of

    accepted = place.book().accepted
    found = []
    for row in place.occurrences("WHERE state = 'waiting_for_person' ORDER BY planned_at"):
        one = accepted.get(row["schedule_id"])
        if one is None:
            continue
        until = datetime.fromisoformat(row["planned_at"]) + timedelta(minutes=one.schedule.deadline_min)
        found.append(
            {
                **row,
                "routine": one.schedule.routine,
                "zone": one.zone.key,
                "task": task_of(one.schedule, until),
            }
        )
    return found


def _show_task(console: Console, task: dict[str, Any]) -> None:
    from agent.quality.schedule.picture import picture_of

    at = _local(datetime.fromisoformat(task["planned_at"]), task["zone"])
    console.print(
        f"\n[bold]{task['routine']}[/], planned for {at}, task {task['run_id'][:8]}", highlight=False
    )
    console.print(f"Wanted until {_local(task['task'].until, task['zone'])}.\n", highlight=False)
    for number, step in enumerate(task["task"].steps, 1):
        console.print(f" {number}. {step}", highlight=False, markup=False)
    console.print("\n" + picture_of(task["task"]) + "\n", highlight=False, markup=False)


def _confirm(place: _Place, tasks: list[dict[str, Any]], wanted: str) -> None:
    from agent.quality.schedule.confirmed import confirm

    if len(tasks) != 1:
        raise ScopestampError(
            f"There {'are several tasks' if tasks else 'is no task'} whose id begins with {wanted!r}; "
            "'scopestamp operator' shows all."
        )
    by = place.privacy().publish(getpass.getuser()).text or "a person at the PC"
    confirm(place.folder, UUID(tasks[0]["run_id"]), by)
    typer.echo("Confirmed; it runs when its time has come and nobody is there.")


def _open(place: _Place) -> list[dict[str, Any]]:
    return place.occurrences(f"WHERE state NOT IN ({_ends()}) ORDER BY planned_at")


def _ends() -> str:
    from agent.records import ScheduleState

    return ", ".join(f"'{state.value}'" for state in ScheduleState if state.is_end)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(table: Table, rows: list[Any] | tuple[Any, ...], when_empty: str) -> None:
    Console().print(table if rows else when_empty, highlight=False)


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone or 'UTC')):%a %Y-%m-%d %H:%M} {zone or 'UTC'}"
