"""``scopestamp doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def doctor(
    config: Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Write a zip for support: no names, no paths, no secrets, no records."),
    ] = None,
    deadline_s: Annotated[
        float, typer.Option("--deadline", min=1, help="Seconds until it answers anyway.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Check everything a person would ask on the phone, and say what to do; the exit code is 1 when there is a problem.

    Works while the agent runs and while it does not, changes nothing and never waits for long.
    """
    from agent.doctor.examine import examine
    from agent.doctor.finding import Level, Place
    from agent.settings import load_settings

    settings = load_settings(config)
    place = Place(settings, data or settings.data_path, config)
    found = examine(place, deadline_s=deadline_s)
    if bundle is not None:
        from agent.doctor.bundle import write_bundle

        write_bundle(bundle, place, found)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
    else:
        from rich.console import Console

        from agent.doctor.show import screen

        Console().print(screen(found))
        if bundle is not None:
            typer.echo(f"For support: {bundle}. Look into it before you send it.")
    raise typer.Exit(1 if found.worst is Level.PROBLEM else 0)
