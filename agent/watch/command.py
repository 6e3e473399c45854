"""``scopestamp watch --once FOLDER``: what a folder holds, and whether it is complete, without an agent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from agent.settings import load_settings
from agent.watch.candidates import list_folder
from agent.watch.complete import judge
from agent.watch.errors import ChangedError, WatchError
from agent.watch.extent import extent_of
from agent.watch.opening import is_held_by_writer
from agent.watch.scan import Scanner
from agent.watch.shares import is_on_share

_ALL = 1 << 62


def watch(
    folders: Annotated[list[Path], typer.Argument(help="Folders to look into, with all below them.")],
    once: Annotated[
        bool, typer.Option("--once", help="Look once and say what is there; nothing is written or sent.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file (TOML), for [watch] exclude and settle_s.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """List the datasets in folders and how complete they are."""
    if not once:
        raise WatchError(
            "'scopestamp watch' looks once: add --once. To watch for good, name the folders under [watch] in the "
            "settings and start 'scopestamp run'."
        )
    settings = load_settings(config).watch
    found = list(look(tuple(folders), settings.exclude, settings.settle_s, time.time()))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        Console().print(_table(found))


def look(
    folders: tuple[Path, ...], exclude: tuple[str, ...], settle_s: float, now_s: float
) -> Iterator[dict[str, Any]]:
    """Yield what is known of every dataset in some folders; raise `FolderAwayError` when one cannot be read."""
    folders = tuple(folder.absolute() for folder in folders)
    for folder in folders:
        list_folder(folder)
    scanner = Scanner(folders, exclude)
    scanner.begin()
    for listing in scanner.some(_ALL):
        for candidate in listing.datasets:
            told: dict[str, Any] = {"path": str(candidate.path), "format": candidate.format}
            try:
                extent = extent_of(candidate)
                told |= {"size_bytes": extent.size_bytes, "n_files": extent.n_files}
                is_held = not candidate.is_folder and is_held_by_writer(
                    candidate.path, is_on_share=is_on_share(candidate.path)
                )
                if is_held or now_s - extent.last_ns / 1e9 < settle_s:
                    yield told | {
                        "completeness": "changing",
                        "note": "it is being written, or was a moment ago",
                    }
                    continue
                verdict = judge(candidate)
            except ChangedError as error:
                yield told | {"completeness": "changing", "note": str(error)}
                continue
            yield told | {
                "completeness": verdict.completeness,
                "note": verdict.note,
                "n_frames": verdict.n_frames,
                "n_frames_expected": verdict.n_frames_expected,
                "facts": verdict.facts,
                "reader": verdict.reader,
                "problems": list(verdict.problems),
            }


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Dataset", "Format", "Completeness", "Frames", "MB", "Why"):
        table.add_column(name, overflow="fold", no_wrap=name in ("Format", "Completeness", "Frames", "MB"))
    for item in found:
        frames = "–" if item.get("n_frames") is None else str(item["n_frames"])
        if item.get("n_frames_expected") is not None:
            frames += f" of {item['n_frames_expected']}"
        mb = f"{item.get('size_bytes', 0) / 1e6:.1f}"
        table.add_row(Path(item["path"]).name, item["format"], item["completeness"], frames, mb, item["note"])
    return table
