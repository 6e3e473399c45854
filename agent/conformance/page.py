"""The report as one HTML file that needs nothing else: no script, no style sheet, no other origin."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from agent.conformance.findings import Report, Severity
from agent.conformance.sections import Section, all_sections, printable, summary

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid #8885;
  overflow-wrap: anywhere; }
summary { font-size: 1.2rem; font-weight: 600; margin: 1.2rem 0 .4rem; cursor: pointer; }
.error { color: #b3261e; font-weight: 600; } .warning { color: #8a5a00; } .note { opacity: .75; }
@media (prefers-color-scheme: dark) { .error { color: #ff8a80; } .warning { color: #ffca66; } }
"""


def page(report: Report) -> str:
    """Return the report as HTML; whatever a device says is escaped."""
    sections = "\n".join(
        _section(section, is_open=number < 3) for number, section in enumerate(all_sections(report))
    )
    software = ", ".join(f"{name} {version}" for name, version in report.software.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Conformance of {_cell(report.configuration)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><h1>Conformance report</h1><p>{_cell(summary(report))}</p><p>{_cell(report.started_at)}; {_cell(software)}</p>
{sections}
</body></html>
"""


def _section(section: Section, is_open: bool) -> str:
    head = "".join(f'<th scope="col">{_cell(heading)}</th>' for heading in section.headings)
    body = "\n".join(_row(row) for row in section.rows) or "<tr><td>none</td></tr>"
    opened = " open" if is_open else ""
    return (
        f"<details{opened}><summary>{_cell(section.title)} ({len(section.rows)})</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></details>"
    )


def _row(cells: Iterable[str]) -> str:
    first, *rest = cells
    style = f' class="{first}"' if first in set(Severity) else ""
    return (
        f"<tr><td{style}>{_cell(first)}</td>" + "".join(f"<td>{_cell(cell)}</td>" for cell in rest) + "</tr>"
    )


def _cell(text: str) -> str:
    return escape(printable(text))
