"""``scopestamp service``: the agent as a service of this computer."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.hosting.managers import ServiceManager
    from agent.hosting.order import ServiceOrder
    from agent.hosting.steps import Step

app = typer.Typer(
    no_args_is_help=True, help="Run the agent as a service: from boot on, without anybody there."
)


def _good_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
        raise typer.BadParameter("small letters, digits and '-' only, such as scopestamp-left")
    return name


Name = Annotated[
    str,
    typer.Option("--name", callback=_good_name, help="Name of the service; a second agent needs another."),
]
ForUser = Annotated[
    bool,
    typer.Option(
        "--user", help="Of you alone, without administrator's rights (systemd --user, LaunchAgent)."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print exactly what would be done, and do nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command()
def install(
    config: Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")] = None,
    account: Annotated[
        str,
        typer.Option(
            "--account", help="Run as this account. Default: one of its own, where the platform has that."
        ),
    ] = "",
    name: Name = "scopestamp",
    user: ForUser = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Install the service and start it; installing again after an upgrade keeps spool and settings."""
    from agent.hosting.managers import manager_here

    order = _order(config, data, account, name, user)
    _do(manager_here(name, is_user=user), lambda manager: manager.install(order), dry_run, as_json)


@app.command()
def uninstall(
    name: Name = "scopestamp", user: ForUser = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Stop the service and remove it; spool, settings, key and logs stay where they are."""
    _act(name, user, lambda manager: manager.uninstall(), dry_run, as_json)


@app.command()
def start(
    name: Name = "scopestamp", user: ForUser = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Start the service."""
    _act(name, user, lambda manager: manager.start(), dry_run, as_json)


@app.command()
def stop(
    name: Name = "scopestamp", user: ForUser = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Stop the service until the next boot."""
    _act(name, user, lambda manager: manager.stop(), dry_run, as_json)


@app.command()
def status(name: Name = "scopestamp", user: ForUser = False, as_json: AsJson = False) -> None:
    """Show how the service fares; the exit code is 0 when it runs and 3 when it does not."""
    from agent.hosting.host import Computer
    from agent.hosting.managers import manager_here

    state = manager_here(name, is_user=user).standing(Computer())
    if as_json:
        typer.echo(json.dumps(state.as_dict()))
    else:
        typer.echo(f"{name}, {state.manager}: {'runs' if state.is_running else 'does not run'}, {state.says}")
        if not state.is_installed:
            typer.echo("It is not installed; 'scopestamp service install --config agent.toml' does that.")
        elif state.starts_at_boot is False:
            typer.echo("It does not start with the computer.")
    raise typer.Exit(0 if state.is_running else 3)


def _act(
    name: str, user: bool, plan: Callable[[ServiceManager], list[Step]], dry_run: bool, as_json: bool
) -> None:
    from agent.hosting.managers import manager_here

    _do(manager_here(name, is_user=user), plan, dry_run, as_json)


def _do(
    manager: ServiceManager, plan: Callable[[ServiceManager], list[Step]], dry_run: bool, as_json: bool
) -> None:
    """Show the steps, or take them."""
    from agent.hosting.host import Computer
    from agent.hosting.steps import take_all

    steps = plan(manager)
    if as_json:
        typer.echo(json.dumps({"is_dry_run": dry_run, "steps": [str(step) for step in steps]}))
    else:
        for step in steps:
            typer.echo(str(step) if dry_run else str(step).partition("\n")[0])
    if not dry_run:
        take_all(steps, Computer())


def _order(config: Path | None, data: Path | None, account: str, name: str, is_user: bool) -> ServiceOrder:
    """Return what to install; the settings are read now, so that a mistake shows before anything is installed."""
    from agent.hosting.order import ServiceOrder
    from agent.hosting.systemd import groups_here
    from agent.hosting.windows import interpreter
    from agent.settings import load_settings

    settings = load_settings(config)
    folder = data or (Path(settings.data_dir) if settings.data_dir else None)
    if folder is None:
        is_var_lib = sys.platform.startswith("linux") and not is_user
        folder = Path("/var/lib", name) if is_var_lib else settings.data_path
    if sys.platform == "darwin" and not is_user:
        account = account or os.environ.get("SUDO_USER", "")  # launchd makes no users; root needs not be
    python: str = sys.executable
    environment: tuple[tuple[str, str], ...] = ()
    if sys.platform == "win32":
        python, environment = interpreter(sys.executable, getattr(sys, "_base_executable", sys.executable))
    module = "agent.hosting.windows_service" if sys.platform == "win32" else "agent.service"
    named = ("--config", str(config.absolute())) if config else ()
    return ServiceOrder(
        program=(python, "-m", module, *named, "--data", str(folder.absolute())),
        data_dir=str(folder.absolute()),
        name=name,
        account=account,
        is_user=is_user,
        environment=environment,
        groups=groups_here(),
    )
