"""`scopestamp conformance`. Exit codes: 0 nothing wrong, 1 it could not run, 2 wrong use, 3 errors were found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.conformance import Report
    from agent.records import Profile
    from agent.settings import AgentSettings

EXIT_ERRORS_FOUND = 3
EXITS = "Exit codes: 0 nothing wrong; 3 errors were found; 1 it could not run; 2 wrong use."

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); its section hardware is loaded.")
]
Cfg = Annotated[
    str | None,
    typer.Option("--cfg", help="Micro-Manager configuration (.cfg), or 'demo'; wins over --config."),
]
ProfileFile = Annotated[Path | None, typer.Option("--profile", help="Instrument profile (TOML).")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for conformance.html, conformance.json and junit.xml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Junit = Annotated[Path | None, typer.Option("--junit", help="File for the JUnit XML.")]
Move = Annotated[
    bool, typer.Option("--move", help="Also work objective turrets and settings that may move something far.")
]
Light = Annotated[bool, typer.Option("--light", help="Also work shutters and light sources. Mind your eyes.")]
ReadDeadline = Annotated[
    float, typer.Option("--read-deadline-s", min=0.1, help="A read that takes longer hangs.")
]
SetDeadline = Annotated[
    float, typer.Option("--set-deadline-s", min=0.1, help="Setting that takes longer hangs.")
]
Notification = Annotated[float, typer.Option("--notification-ms", min=0, help="How long to wait for each.")]


def conformance(
    config: Config = None,
    cfg: Cfg = None,
    profile: ProfileFile = None,
    out: Out = None,
    as_json: AsJson = False,
    junit_file: Junit = None,
    move: Move = False,
    light: Light = False,
    read_deadline_s: ReadDeadline = 5.0,
    set_deadline_s: SetDeadline = 20.0,
    notification_ms: Notification = 200.0,
) -> None:
    """Hold a device adapter against what a metadata agent needs; for makers of adapters."""
    from agent.conformance import Pace, Permission, Severity, run_conformance

    settings, stated = _settings(config, cfg), _profile(profile)
    pace = Pace(read_deadline_s, set_deadline_s, notification_ms)
    report = run_conformance(settings, stated, Permission(move, light), pace)
    _write(report, out, junit_file)
    _tell(report, as_json)
    raise typer.Exit(EXIT_ERRORS_FOUND if report.n_of(Severity.ERROR) else 0)


def _settings(config: Path | None, cfg: str | None) -> AgentSettings:
    from agent.settings import AgentSettings, load_settings

    settings = load_settings(config)
    if cfg is None:
        return settings
    hardware = settings.hardware.model_dump() | {"config_file": cfg}
    return AgentSettings.model_validate(settings.model_dump() | {"hardware": hardware})


def _profile(path: Path | None) -> Profile | None:
    from agent.errors import ScopestampError
    from agent.profile import ProfileError, load_profile

    try:
        return load_profile(path) if path else None
    except ProfileError as error:
        raise ScopestampError(str(error)) from error


def _write(report: Report, out: Path | None, junit_file: Path | None) -> None:
    from agent.conformance.junit import junit
    from agent.conformance.page import page
    from agent.errors import ScopestampError

    files: dict[Path, bytes] = {}
    if out is not None:
        files[out / "conformance.html"] = page(report).encode("utf-8")
        files[out / "conformance.json"] = json.dumps(report.as_dict(), indent=2).encode("utf-8")
        files[out / "junit.xml"] = junit(report)
    if junit_file is not None:
        files[junit_file] = junit(report)
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise ScopestampError(f"{path} cannot be written: {error.strerror}.") from error
        typer.echo(f"written: {path}", err=True)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    from rich.console import Console

    from agent.conformance.terminal import show

    show(report, Console())


conformance.__doc__ = f"{conformance.__doc__} {EXITS}"
