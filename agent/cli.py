"""The command line of the agent. Exit codes: 0 done, 1 it failed (the message says why), 2 wrong use."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent.conformance.command import conformance
from agent.doctor.command import doctor
from agent.errors import ScopestampError
from agent.exports.cli import completeness, enrich, export
from agent.hosting.command import app as service_app
from agent.profile.cli import app as profile_app
from agent.quality.commands import app as quality_app
from agent.quality.schedule_commands import app as schedule_app
from agent.quality.schedule_commands import operator
from agent.studio_listener import app as studio_listener_app
from agent.watch.command import watch

app = typer.Typer(
    name="scopestamp",
    help="Captures what a microscope is and does at every acquisition, and streams it to a collector.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Settings file (TOML); print-config shows all keys. Default: the defaults."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scopestamp {version('scopestamp')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep everything in this folder. Default: a temporary one.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after the summary instead of staying up.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run everything on this computer: a collector, an agent, and a simulated microscope that takes images."""
    from agent.demo import run_demo

    raise typer.Exit(run_demo(data, once=once, as_json=as_json))


def run(config: Config = None, data: Data = None) -> None:
    """Run the agent: own the hardware, capture, and send, until Ctrl-C or the service manager ends it."""
    from agent.service.run import ended_by_signal, run_agent
    from agent.settings import load_settings

    with ended_by_signal() as ended:
        raise typer.Exit(run_agent(load_settings(config), data, ended, typer.echo))


def enrol(
    url: Annotated[str, typer.Option("--url", help="Address of the collector, https://…")],
    config: Config = None,
    data: Data = None,
    code_file: Annotated[
        Path | None, typer.Option("--code-file", help="File with the join code. Default: it is asked for.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", help="Certificate authority to trust.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bind this agent to its instrument at a collector, with a one-time join code."""
    from agent.outbox import Identity
    from agent.outbox import enrol as enrol_at
    from agent.settings import load_settings

    settings = load_settings(config)
    identity = Identity.load_or_create(data or settings.data_path, settings.instrument.id or None)
    reply = enrol_at(
        identity,
        url,
        _join_code(code_file),
        instrument_name=settings.instrument.name or identity.instrument_id,
        verify=ca_file or settings.collector.ca_file or True,
    )
    if as_json:
        typer.echo(reply.model_dump_json())
    else:
        typer.echo(f"Enrolled at {reply.collector} as {reply.agent_id} for instrument {reply.instrument_id}.")
        typer.echo(f'Set [collector] url = "{url}" in the settings, then start the agent.')


def rotate_key(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Replace this agent's key by a new one, vouched for by the old; a running agent goes on with the new key."""
    from agent.clock import Clock
    from agent.outbox import Identity
    from agent.outbox.rotating import rotate_key as rotate_at
    from agent.settings import load_settings

    settings = load_settings(config)
    if not settings.collector.url:
        raise ScopestampError("[collector] url is not set; there is no collector to tell of a new key.")
    identity = Identity.load_or_create(data or settings.data_path, settings.instrument.id or None)
    reply = rotate_at(
        identity, settings.collector.url, clock=Clock(), verify=settings.collector.ca_file or True
    )
    said = (
        f"{reply.agent_id} has a new key; the old one is accepted until {reply.old_until:%Y-%m-%d %H:%M} UTC."
    )
    typer.echo(reply.model_dump_json() if as_json else said)


def _join_code(code_file: Path | None) -> str:
    """Return the join code; never from the command line, where other users would see it."""
    if code_file is None:
        return (
            typer.prompt("Join code", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
        )
    try:
        return code_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ScopestampError(f"The join code file {code_file} cannot be read: {error.strerror}.") from error


def status(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show who this agent is, where it is enrolled, and what waits on its disk."""
    from agent.local import look
    from agent.settings import load_settings

    settings = load_settings(config)
    facts = look(data or settings.data_path)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), "–" if value is None else str(value))
    Console().print(table)


def snapshot(
    config: Config = None,
    wait_s: Annotated[
        float | None,
        typer.Option("--wait", min=0, help="Wait so many seconds for hardware that somebody else has."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load the hardware, read every property once, and show it; nothing is recorded or sent."""
    from agent.hardware.owner import waiting
    from agent.settings import load_settings
    from agent.snapshot import read_hardware, snapshot_table

    readings = read_hardware(waiting(load_settings(config), wait_s))
    if as_json:
        typer.echo(json.dumps(readings))
    else:
        Console().print(snapshot_table(readings))


def print_config(config: Config = None) -> None:
    """Print the effective settings, with every key explained; the output is a settings file."""
    from agent.settings import load_settings, print_settings

    typer.echo(print_settings(load_settings(config)), nl=False)


_TRY, _MICROSCOPE, _QUALITY, _DATA = (
    "Try it",
    "At the microscope",
    "Quality control",
    "Metadata with the data",
)
_COMMANDS = (
    ("demo", demo, _TRY),
    ("conformance", conformance, _TRY),
    ("enrol", enrol, _MICROSCOPE),
    ("run", run, _MICROSCOPE),
    ("status", status, _MICROSCOPE),
    ("doctor", doctor, _MICROSCOPE),
    ("snapshot", snapshot, _MICROSCOPE),
    ("print-config", print_config, _MICROSCOPE),
    ("rotate-key", rotate_key, _MICROSCOPE),
    ("operator", operator, _QUALITY),
    ("watch", watch, _DATA),
    ("export", export, _DATA),
    ("completeness", completeness, _DATA),
    ("enrich", enrich, _DATA),
)
_GROUPS = (
    ("service", service_app, _MICROSCOPE),
    ("studio-listener", studio_listener_app, _MICROSCOPE),
    ("qc", quality_app, _QUALITY),
    ("schedule", schedule_app, _QUALITY),
    ("profile", profile_app, _DATA),
)
for name, command, panel in _COMMANDS:
    app.command(name, rich_help_panel=panel)(command)
for name, group, panel in _GROUPS:
    app.add_typer(group, name=name, rich_help_panel=panel)


def main() -> None:
    """Run the command line."""
    from agent.packages import refuse_foreign_packages

    try:
        refuse_foreign_packages()
        app()
    except ScopestampError as error:
        console = Console(stderr=True)
        console.print("Error:", style="bold red", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)  # "[hardware]" is no markup
        sys.exit(1)
