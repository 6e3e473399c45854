"""The doctor's findings on one screen."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.doctor.examine import Examination
from agent.doctor.finding import Finding, Level

_MARKS = {
    Level.GOOD: ("✓", "green"),
    Level.NOTE: ("·", "dim"),
    Level.WARNING: ("!", "yellow"),
    Level.PROBLEM: ("✗", "bold red"),
}
_VERDICTS = {
    Level.GOOD: "Everything is well.",
    Level.NOTE: "Everything is well.",
    Level.WARNING: "It works, but look at what is marked with !.",
    Level.PROBLEM: "Something keeps records from being taken or sent: see ✗.",
}


def screen(found: Examination) -> RenderableType:
    """Return all findings, each with what to do below it."""
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    topic = ""
    for finding in found.findings:
        mark, style = _MARKS[finding.level]
        shown = finding.topic if finding.topic != topic else ""
        table.add_row(Text(mark, style), Text(shown), Text(finding.name), _said(finding))
        topic = finding.topic
    return Group(table, Text(""), Text(_VERDICTS[found.worst], _MARKS[found.worst][1]))


def _said(finding: Finding) -> Text:
    text = Text(finding.says)
    if finding.advice and finding.level is not Level.GOOD:
        text.append(f"\n→ {finding.advice}", "italic")
    return text
