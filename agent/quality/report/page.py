"""A report as one HTML file that needs nothing else: no script, no other origin, light and dark, and A4."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent.quality.report import words
from agent.quality.report.chart import chart
from agent.quality.report.content import NO_PICTURES, Report
from qc_routines.figures import shown_unit

FOLDER = Path(__file__).parent / "templates"


def page(report: Report) -> str:
    """Return the report as HTML that is also well-formed XML. Whatever a record says is escaped."""
    style = Markup((FOLDER / "report.css").read_text(encoding="utf-8"))  # our own file
    return _templates().get_template("report.html").render(report=report, style=style, words=words)


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_printable,
    )
    templates.globals.update(chart=chart, NO_PICTURES=NO_PICTURES, SHAPES=words.SHAPES, CALLED=words.CALLED)
    templates.filters.update(
        base64=lambda content: b64encode(content).decode("ascii"),
        figure_name=words.figure_name,
        unit=shown_unit,
        when=words.when,
        exact=repr,
    )
    return templates


def _printable(found: object) -> object:
    """Return text from records without control characters; what a macro has already escaped stays as it is."""
    return found if isinstance(found, Markup) else words.printable(found)
