"""The report in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.conformance.findings import Report, Severity
from agent.conformance.sections import Section, brief_sections, printable, summary

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def show(report: Report, console: Console) -> None:
    """Print what a person wants to see first; what a device says is text, never markup."""
    for section in brief_sections(report):
        console.print(_table(section))
    console.print(Text(printable(summary(report)), style="bold"))


def _table(section: Section) -> Table:
    table = Table(title=section.title, title_justify="left")
    for heading in section.headings:
        table.add_column(heading, overflow="fold")
    styles = {str(severity): style for severity, style in _STYLES.items()}
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row), style=styles.get(row[0]))
    return table
