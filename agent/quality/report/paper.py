"""A report on A4 sheets, as PDF: for who files paper. The page says more; the numbers are the same."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from agent.quality.report import words
from agent.quality.report.content import NO_PICTURES, Picture, Report
from agent.quality.report.sheet import (
    BODY_PT,
    LITTLE_IN,
    SOFT,
    STATUS_COLOURS,
    Sheets,
    axes_room_in,
    image_room_in,
)
from agent.quality.report.trend import Trend
from agent.records import QcMetric, QcStatus
from qc_routines.figures import shown_unit
from qc_routines.figures.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = {
    "figure": 0.0,
    "measured": 0.31,
    "expected": 0.56,
    "time zero": 0.67,
    "passes": 0.77,
    "status": 0.91,
}
"""Where the columns of the table begin, in parts of the text width."""

TREND_HEIGHT_IN = 1.9
LINE_LOOKS = {"theory": ("#1d55a5", "-."), "time zero": (SOFT, "-")}
MARKERS = {QcStatus.PASS: "o", QcStatus.WARN: "^", QcStatus.FAIL: "s", QcStatus.UNKNOWN: "o"}


def paper(report: Report) -> bytes:
    """Return the report as PDF; the same bytes from the same record and version of matplotlib."""
    from matplotlib.backends.backend_pdf import PdfPages

    written = BytesIO()
    made_at = report.result.captured.wall_at
    title = f"{report.title}: {words.CALLED[report.result.status]}"
    about = {"Title": title, "Creator": "Scopestamp", "Producer": "Scopestamp", "CreationDate": made_at}
    with _styled(), PdfPages(written, metadata=about) as pdf:
        sheets = Sheets(pdf, f"{report.instrument[0][1]} · {report.title} · {words.when(made_at)}")
        for part in (_head, _advice, _judged, _pictures, _trends, _others, _made):
            part(report, sheets)
        sheets.close()
    return written.getvalue()


@contextmanager
def _styled() -> Iterator[None]:
    from matplotlib import rc_context

    with (
        rc_context(STYLE | {"figure.constrained_layout.use": False, "pdf.fonttype": 42}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings(
            "ignore", message=r"Glyph .* missing from"
        )  # labels in scripts DejaVu has not
        yield


def _head(report: Report, sheets: Sheets) -> None:
    result = report.result
    sheets.write(report.title, size=18, bold=True)
    sheets.write(" · ".join(value for _, value in report.instrument), colour=SOFT)
    sheets.space(6)
    colour = STATUS_COLOURS[result.status]
    sheets.write(
        f"{words.SHAPES[result.status]} {words.CALLED[result.status]}", size=15, bold=True, colour=colour
    )
    sheets.write(report.verdict, size=11)
    for sentence in report.out_of_limits:
        sheets.write(f"• {sentence}", indent=0.02)
    if result.remarks:
        sheets.heading("Remarks")
        for remark in result.remarks:
            sheets.write(f"• {remark}", indent=0.02)
    sheets.heading("Run")
    sheets.pairs(
        {
            "When": words.when(result.captured.wall_at),
            "Light path": words.listed(result.light_path) or "not stated",
            "Entered": f"{result.n_used} objects or frames",
            "Left out": words.listed(result.n_rejected) or "none",
            "Routine": f"{result.routine}, method version {result.routine_version}",
            "Time zero": words.when(report.time_zero.captured.wall_at) if report.time_zero else "not set",
            "Run id": str(result.run_id),
        }
    )


def _advice(report: Report, sheets: Sheets) -> None:
    if report.result.advice:
        sheets.heading("Likely causes and what to check")
    for i, item in enumerate(report.result.advice, 1):
        sheets.write(f"{i}. {item.finding}", bold=True)
        sheets.write(item.check, indent=0.025)
        sheets.write(item.source, size=7.5, colour=SOFT, indent=0.025)


def _judged(report: Report, sheets: Sheets) -> None:
    sheets.heading("Figures with limits")
    if not report.judged:
        sheets.write("Nobody has set a limit for a figure of this routine.", colour=SOFT)
        return
    sheets.row(dict(zip(COLUMNS.values(), COLUMNS, strict=True)), colour=SOFT)
    for metric in report.judged:
        _row(metric, sheets)
        sheets.write(metric.rule, size=7, colour=SOFT, indent=0.01)
    sheets.write("± is one standard uncertainty. Expected is from theory.", size=7.5, colour=SOFT)


def _row(metric: QcMetric, sheets: Sheets) -> None:
    status = metric.status
    name = textwrap.shorten(words.figure_name(metric.metric), 30, placeholder="…")
    cells = [
        name,
        words.measured(metric),
        words.shown(words.number(metric.expected)),
        words.shown(words.number(metric.baseline)),
        *([words.limits(metric)] if words.has_rule(metric) else []),
    ]
    sheets.row(dict(zip(COLUMNS.values(), cells, strict=False)))
    if words.has_rule(metric):
        sheets.beside(COLUMNS["status"], f"{words.SHAPES[status]} {status.value}", STATUS_COLOURS[status])


def _pictures(report: Report, sheets: Sheets) -> None:
    first = report.pictures[0].png if report.pictures else None
    sheets.heading("What it looks like", LITTLE_IN if first is None else image_room_in(first))
    if not report.pictures:
        sheets.write(NO_PICTURES, colour=SOFT)
    for picture in report.pictures:
        _picture(picture, sheets)


def _picture(picture: Picture, sheets: Sheets) -> None:
    if picture.png is None:
        sheets.write(picture.title, bold=True)
        sheets.write(picture.missing, colour=SOFT)
        return
    sheets.image(picture.png, picture.title)
    sheets.write(picture.caption, size=8, colour=SOFT)
    sheets.space(8)


def _trends(report: Report, sheets: Sheets) -> None:
    is_drawn = bool(report.trends) and len(report.trends[0].points) > 1
    sheets.heading("Over the runs", axes_room_in(TREND_HEIGHT_IN) if is_drawn else LITTLE_IN)
    for trend in report.trends:
        if len(trend.points) > 1:
            _plot(trend, sheets.axes(TREND_HEIGHT_IN, trend.title))
        sheets.write(trend.summary, size=8, colour=SOFT)
        sheets.space(4)


def _plot(trend: Trend, axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    at = [point.at for point in trend.points]
    axes.plot(at, [point.value for point in trend.points], "-", color=SOFT, linewidth=0.6)
    for point in trend.points:
        is_hollow = point.status is QcStatus.UNKNOWN
        axes.errorbar(
            [point.at], [point.value], [point.uncertainty or 0.0], fmt=MARKERS[point.status],
            color=STATUS_COLOURS[point.status], markerfacecolor="white" if is_hollow else None,
            markersize=7 if point.is_this else 4.5,
        )  # fmt: skip
    for name, value in trend.lines:
        colour, dash = LINE_LOOKS.get(name, (STATUS_COLOURS[QcStatus.FAIL], "--"))
        axes.axhline(value, color=colour, linestyle=dash, linewidth=1, label=name)
    if trend.lines:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    locator = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel(shown_unit(trend.unit) or "ratio or count")


def _others(report: Report, sheets: Sheets) -> None:
    if report.others:
        sheets.heading("All other figures")
        sheets.row(
            {COLUMNS[name]: name for name in ("figure", "measured", "expected", "time zero")}, colour=SOFT
        )
    for metric in report.others:
        _row(metric, sheets)


def _made(report: Report, sheets: Sheets) -> None:
    result = report.result
    sheets.heading("How it was made")
    for title, pairs in (
        ("Left out, by reason", result.n_rejected),
        ("Parameters", result.parameters),
        ("Seeds", result.seeds),
        ("Software", result.software),
        ("Measured on (sha256)", {item.name: item.sha256 for item in result.inputs}),
        ("Record", {"record id": result.record_id, "agent": result.producer.agent_id}),
    ):
        if pairs:
            sheets.write(title, bold=True)
            sheets.pairs(pairs, size=BODY_PT - 1.5)
