"""`scopestamp profile`: new, import, check, schema. Exit codes: 0 done, 1 it failed or something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.profile.errors import ProfileError

app = typer.Typer(
    name="profile",
    help="The instrument profile: what no device can say of itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
InstrumentRecord = Annotated[
    Path | None, typer.Option("--instrument", help="The instrument's record (JSON), to join the profile to.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write; default: the screen.")]


@app.command()
def new(
    instrument: Annotated[
        Path, typer.Argument(help="The instrument's record (JSON), as the agent published it.")
    ],
    out: Out = None,
) -> None:
    """Write a profile pre-filled from the loaded configuration; every guess is marked."""
    from agent.profile.prefill import prefilled
    from agent.profile.write import profile_toml

    _put(profile_toml(prefilled(_instrument(instrument))), out)


@app.command("import")
def import_file(
    microscope: Annotated[Path, typer.Argument(help="Microscope file of Micro-Meta App (JSON).")],
    out: Out = None,
) -> None:
    """Write a profile with everything that a microscope file of Micro-Meta App holds."""
    from agent.exports.errors import ExportError
    from agent.exports.micro_meta_import import profile_from_micro_meta
    from agent.profile.write import profile_toml

    try:
        profile = profile_from_micro_meta(microscope.read_bytes())
    except (ExportError, OSError) as error:
        _fail(f"{microscope}: {error}")
    _put(profile_toml(profile), out)


@app.command()
def check(
    profile: Annotated[Path, typer.Argument(help="The profile (TOML).")],
    instrument: InstrumentRecord = None,
    tier: Annotated[int, typer.Option(min=1, max=3, help="Ask for what NBO wants up to this tier.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Say what is wrong with a profile, what is missing by standard and tier, and who can supply it."""
    from agent.profile.check import check_profile
    from agent.profile.load import load_profile

    try:
        stated = load_profile(profile)
    except ProfileError as error:
        _fail(str(error))
    findings = check_profile(stated, _instrument(instrument) if instrument else None, tier)
    if as_json:
        typer.echo(json.dumps([vars(item) for item in findings], indent=2, ensure_ascii=False))
    else:
        for item in findings:
            typer.echo(f"{item.level:8}{item.standard:12}{item.place}: {item.text} ({item.who})")
        typer.echo(f"{profile}: valid; {len(findings)} things to see to. SHA-256 {stated.sha256}")
    if any(item.level == "error" for item in findings):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the profile, for editors that complete and check while one types."""
    from agent.profile.schema import profile_schema

    typer.echo(json.dumps(profile_schema(), indent=2, ensure_ascii=False))


def _instrument(path: Path) -> Any:
    from agent.records import InstrumentDescription, RecordError, decode_tolerant

    try:
        record = decode_tolerant(path.read_bytes())
    except (RecordError, OSError) as error:
        _fail(f"expected the record of an instrument in {path}, came: {error}")
    if not isinstance(record, InstrumentDescription):
        _fail(f"expected the record of an instrument in {path}, came one of another kind.")
    return record


def _put(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8", newline="\n")
        typer.echo(f"written: {out}", err=True)


def _fail(text: str) -> Any:
    typer.echo(text, err=True)
    raise typer.Exit(1)
