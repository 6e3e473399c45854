"""`scopestamp export`, `completeness` and `enrich`. Exit codes: 0 done, 1 it failed (the message says why)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.exports.errors import ExportError

Records = Annotated[
    list[Path], typer.Argument(help="Records: <data>.scopestamp.json, and others such as the instrument's.")
]
ProfileFile = Annotated[
    Path | None, typer.Option("--profile", help="Instrument profile (TOML); wins over one among the records.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write, or folder for 'all'.")]
ALL = "all"


def export(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="A format, 'all', or 'list' to see them.")
    ],
    records: Annotated[list[Path] | None, typer.Argument(help="Records, as files.")] = None,
    profile: ProfileFile = None,
    out: Out = None,
    language: Annotated[str, typer.Option(help="Of texts: en, de, fr, es, pt, ja or zh.")] = "en",
    position: Annotated[
        int, typer.Option(help="Place on the sample, from 0, for a format that holds a single one.")
    ] = 0,
) -> None:
    """Write an acquisition in a standard's format; to the screen unless --out is given."""
    from agent.exports.formats import FORMATS
    from agent.exports.formats import export as write

    if format_name == "list":
        for item in FORMATS.values():
            typer.echo(f"{item.name:24}{item.title}")
        return
    try:
        view = _view(records or [], profile)
        if format_name == ALL:
            _write_all(view, out or Path(), language)
            return
        data = write(format_name, view, language, position)
        _put(data, out)
    except (ExportError, OSError) as error:
        _fail(error)


def completeness(
    records: Records,
    profile: ProfileFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    tier: Annotated[int, typer.Option(min=1, max=3, help="Show what is missing up to this tier.")] = 1,
) -> None:
    """Say how complete an acquisition's metadata is, what is missing, and who can supply it."""
    from agent.exports.completeness import completeness as judge

    try:
        report = judge(_view(records, profile))
    except (ExportError, OSError) as error:
        _fail(error)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
        return
    for score in (*report.tiers, report.wg11, report.rembi):
        typer.echo(
            f"{score.name:16}{score.n_present:4} of {score.n_required:4}  {100 * score.fraction:3.0f} %"
        )
    for item in report.missing:
        if item.tier <= tier:
            typer.echo(f"missing  {item.nbo}  ({item.place}; {item.who} can supply it)")
    for text in report.contradictions:
        typer.echo(f"contradiction  {text}")


def enrich(
    dataset: Annotated[Path, typer.Argument(help="OME-TIFF, folder of them, or OME-Zarr.")],
    records: Annotated[
        list[Path] | None, typer.Argument(help="Records; default: <dataset>.scopestamp.json beside it.")
    ] = None,
    profile: ProfileFile = None,
) -> None:
    """Write the full metadata into a dataset in place; pixels are not touched."""
    from agent.exports.enrich import enrich_dataset

    beside = dataset.with_name(dataset.name + ".scopestamp.json")
    try:
        changed = enrich_dataset(dataset, _view(records or [beside], profile))
    except (ExportError, OSError) as error:
        _fail(error)
    typer.echo(
        "\n".join(f"written: {path}" for path in changed) or "nothing to do: it holds all of it already"
    )


def _view(records: list[Path], profile: Path | None) -> Any:
    from agent.exports.bundle import read_bundle
    from agent.exports.view import view_of
    from agent.profile import ProfileError, load_profile

    try:
        stated = load_profile(profile) if profile else None
    except ProfileError as error:
        raise ExportError(str(error)) from error
    return view_of(read_bundle(records, stated))


def _put(data: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        out.write_bytes(data)
        typer.echo(f"written: {out}", err=True)


def _write_all(view: Any, folder: Path, language: str) -> None:
    """Write every format that this acquisition can be written in, and a crate around them."""
    from agent.exports.crate import all_files

    folder.mkdir(parents=True, exist_ok=True)
    files, refused = all_files(view, language)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        typer.echo(f"written: {folder / name}", err=True)
    for name, reason in refused.items():
        typer.echo(f"left out: {name}: {reason}", err=True)


def _fail(error: Exception) -> Any:
    typer.echo(str(error), err=True)
    raise typer.Exit(1)
