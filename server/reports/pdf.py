"""The recognition report as PDF pages. Matplotlib is imported at the first report: a collector that writes none stays small."""

from __future__ import annotations

import io
import logging
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from server.languages import SOURCE_LANGUAGE, current_language, gettext, speak
from server.numbers import count, fixed, size
from server.reports.recognition import Line, Recognition

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_A4_IN = (8.27, 11.69)
_ROWS = 34
_INK, _SOFT, _RULE = "#16202a", "#586673", "#c9d0d6"
COLOURS = {"acquiring": "#0f766e", "manual": "#5aa9e6", "qc": "#8a5200", "maintenance": "#a61b29"}
_CJK = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Yu Gothic", "Microsoft YaHei", "Hiragino Sans",
        "WenQuanYi Zen Hei", "IPAGothic", "TakaoGothic", "Droid Sans Fallback")  # fmt: skip
_WIDTHS = (0.2, 0.24, 0.1, 0.11, 0.09, 0.08, 0.085, 0.095)
_LETTERS = (25, 31)
"""So many letters of an instrument's name and of its PID have room."""
_HEAD_LETTERS = 11


def recognition_pdf(report: Recognition, title: str, now: datetime) -> bytes:
    """Return the report as PDF, in the language of the request; in English where no font has its letters."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    language = current_language()
    speak(language if _can_write(gettext("Recognition report")) else SOURCE_LANGUAGE)
    try:
        buffer = io.BytesIO()
        told = {
            "Title": f"{title} {report.period.text}",
            "Creator": "Scopestamp",
            "CreationDate": now.astimezone(UTC),
        }
        with (
            rc_context({"pdf.fonttype": 42, "font.family": list(_fonts())}),
            PdfPages(buffer, metadata=told) as pdf,
        ):
            pages = [report.lines[at : at + _ROWS] for at in range(0, len(report.lines), _ROWS)]
            n_pages = 1 + len(pages)
            pdf.savefig(_first_page(report, title, now, n_pages))
            for number, lines in enumerate(pages, start=2):
                pdf.savefig(_table_page(report, lines, title, number, n_pages))
        return buffer.getvalue()
    finally:
        speak(language)


@cache
def _fonts() -> tuple[str, ...]:
    """Return the fonts there are for our letters, by preference; Matplotlib goes on to the next one letter by letter."""
    from matplotlib import font_manager

    logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)
    there = {entry.name for entry in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _CJK if name in there))


@cache
def _letters() -> tuple[Any, ...]:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    return tuple(FT2Font(font_manager.findfont(name)) for name in _fonts())


def _can_write(text: str) -> bool:
    return all(
        any(font.get_char_index(ord(letter)) for font in _letters()) for letter in text if letter > " "
    )


def _written(text: str, longest: int = 200) -> str:
    """Return a text with a box for every letter that no font here has, cut to a length; never taken for a formula."""
    plain = (letter if letter.isprintable() else " " for letter in text)
    told = "".join(letter if _can_write(letter) else "\u25a1" for letter in plain)
    cut = told if len(told) <= longest else told[: longest - 1] + "\u2026"
    return cut.replace("$", r"\$")


def _page(title: str, number: int, n_pages: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_A4_IN)
    figure.text(0.08, 0.035, _written(title, 80), size=7.5, color=_SOFT)
    figure.text(0.92, 0.035, f"{number} / {n_pages}", size=7.5, color=_SOFT, ha="right")
    return figure


def _first_page(report: Recognition, title: str, now: datetime, n_pages: int) -> Figure:
    figure = _page(title, 1, n_pages)
    period = report.period
    figure.text(0.08, 0.925, gettext("Recognition report"), size=21, weight="bold", color=_INK)
    figure.text(0.08, 0.9, _written(title, 90), size=11, color=_INK)
    days = gettext("%(first)s to %(last)s, days of %(zone)s") % {
        "first": period.first, "last": period.last, "zone": period.zone.key,
    }  # fmt: skip
    made = gettext("made %s UTC") % f"{now.astimezone(UTC):%Y-%m-%d %H:%M}"
    figure.text(0.08, 0.88, f"{days} · {made}", size=9, color=_SOFT)
    _tiles(figure, report)
    _chart(figure, report)
    _definitions(figure)
    return figure


def _tiles(figure: Figure, report: Recognition) -> None:
    made, total, qc = report.use.all_made, report.use.total, report.qc
    tiles = (
        (gettext("Acquisitions"), count(made.n_acquisitions)),
        (gettext("Datasets"), count(made.n_datasets)),
        (gettext("Frames"), count(made.n_frames)),
        (gettext("Data written"), size(made.n_bytes)),
        (gettext("People served"), count(report.use.n_people)),
        (gettext("Instruments"), count(len(report.lines))),
        (gettext("Hours in use"), _h(total.used_s)),
        (gettext("QC runs"), count(qc.total())),
        (gettext("Maintenance, hours"), _h(total.maintenance_told_s)),
    )
    for number, (name, value) in enumerate(tiles):
        x, y = 0.08 + 0.29 * (number % 3), 0.815 - 0.068 * (number // 3)
        figure.text(x, y, value, size=17, weight="bold", color=_INK)
        figure.text(x, y - 0.018, name, size=9, color=_SOFT)


def _chart(figure: Figure, report: Recognition) -> None:
    months = report.use.by_month()
    axes = figure.add_axes((0.11, 0.3, 0.81, 0.27))
    bottom = [0.0] * len(months)
    names = {"acquiring": gettext("acquiring"), "manual": gettext("live and manual"), "qc": gettext("QC"),
             "maintenance": gettext("maintenance")}  # fmt: skip
    for mode, name in names.items():
        heights = [hours.of(mode) / 3600 for _, hours in months]
        axes.bar(range(len(months)), heights, 0.7, bottom, color=COLOURS[mode], label=name)
        bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
    step = max(1, len(months) // 12)
    axes.set_xticks(range(0, len(months), step), [f"{month.first:%Y-%m}" for month, _ in months[::step]])
    axes.set_xlim(-0.6, max(len(months), 6) - 0.4)
    axes.set_ylim(0, max(max(bottom) * 1.08, 1))
    axes.tick_params(labelsize=7.5, colors=_SOFT, length=0)
    axes.tick_params(axis="x", labelrotation=30 if len(months) > 8 else 0)
    axes.grid(axis="y", color=_RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_title(gettext("Hours by month"), loc="left", size=11, color=_INK, pad=22)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, frameon=False, fontsize=8, labelcolor=_INK
    )


def _definitions(figure: Figure) -> None:
    told = (
        gettext("Every hour stands in one mode: quality control before acquiring, acquiring before live and manual use."),
        gettext("Acquisitions count in the period they began in. Datasets, frames and bytes are those their ends told of."),
        gettext("People are those known by name or pseudonym; who is not published is not counted."),
        gettext("Maintenance is what the logbook tells."),
    )  # fmt: skip
    for number, line in enumerate(told):
        figure.text(0.08, 0.22 - 0.019 * number, line, size=7, color=_SOFT, wrap=True)


def _table_page(report: Recognition, lines: Sequence[Line], title: str, number: int, n_pages: int) -> Figure:
    figure = _page(title, number, n_pages)
    _row(figure, 0.93, _heads(), _SOFT, 7)
    for at, line in enumerate(lines, start=1):
        _row(figure, 0.93 - 0.0245 * at, _cells(line), _INK, 7.5)
    if number == n_pages:
        made = report.use.all_made
        sums = (gettext("Total"), "", _h(report.use.total.used_s), count(made.n_acquisitions), count(made.n_frames),
                size(made.n_bytes), count(report.use.n_people), count(report.qc.total()))  # fmt: skip
        _row(figure, 0.93 - 0.0245 * (len(lines) + 1), sums, _INK, 7.5, weight="bold")
    return figure


def _heads() -> list[str]:
    heads = (gettext("Instrument"), "PID", gettext("Hours in use"), gettext("Acquisitions"), gettext("Frames"),
             gettext("Data"), gettext("People"), gettext("QC runs"))  # fmt: skip
    return [textwrap.fill(head, _HEAD_LETTERS, break_long_words=False) for head in heads]


def _cells(line: Line) -> tuple[str, ...]:
    made = line.made
    pid = line.pid.removeprefix("https://")
    return (line.instrument.name, pid or "–", _h(line.hours.used_s), count(made.n_acquisitions), count(made.n_frames),
            size(made.n_bytes), count(line.n_people), count(line.qc.total()))  # fmt: skip


def _row(
    figure: Figure, y: float, cells: Sequence[str], colour: str, points: float, weight: str = "normal"
) -> None:
    from matplotlib.lines import Line2D

    x = 0.06
    for number, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True)):
        is_text = number < 2
        at = x if is_text else x + 0.88 * width - 0.004
        words = _written(cell, _LETTERS[number]) if is_text else cell
        figure.text(at, y, words, size=points, color=colour, weight=weight, va="bottom",
                    ha="left" if is_text else "right")  # fmt: skip
        x += 0.88 * width
    figure.add_artist(Line2D((0.06, 0.94), (y - 0.008, y - 0.008), color=_RULE, linewidth=0.5))


def _h(seconds: float) -> str:
    return fixed(seconds / 3600)
