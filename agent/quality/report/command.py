"""Reports as files, and the command that writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.quality.history import History
from agent.quality.report.content import Report, report_of
from agent.quality.report.page import page
from agent.quality.report.paper import paper

KINDS = (".html", ".pdf")


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Write a report; return the files.

    Parameters
    ----------
    report : Report
        What to write.
    out : Path
        A file that ends in .html or .pdf, or a folder, which then gets both.
    """
    result = report.result
    files = [out]
    if out.suffix.lower() not in KINDS:
        stem = f"{result.routine}-{result.captured.wall_at:%Y%m%dT%H%M%SZ}-{str(result.run_id)[:8]}"
        files = [out / f"{stem}{kind}" for kind in KINDS]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        is_paper = file.suffix.lower() == ".pdf"
        file.write_bytes(paper(report) if is_paper else page(report).encode())
    return tuple(files)


def report_command(
    run: Annotated[str, typer.Argument(help="Id of the run, or its beginning; 'qc history' lists them.")],
    out: Annotated[
        Path, typer.Option("--out", help="A file ending in .html or .pdf, or a folder, which gets both.")
    ] = Path(),
    data: Annotated[Path | None, typer.Option("--data", help="Data folder; overrides the settings.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file (TOML). Default: the defaults.")
    ] = None,
) -> None:
    """Write the report of a QC run that was kept: verdict, figures, trends, where it all came from."""
    from agent.settings import load_settings

    settings = load_settings(config)
    history = History(data or settings.data_path)
    result = history.run(run)
    report = report_of(result, history.measurement(result), history, settings.instrument)
    for file in write_report(report, out):
        typer.echo(file)
