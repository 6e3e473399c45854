"""Values of charts as markup: a page holds thousands of them, so they are put together here and not by a template."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from server.web.languages import gettext
from server.web.trends import HEIGHT, Dot, Trend
from server.web.words import unit, when, words

_SHAPES = {"warn": "M0 -6 6 5 -6 5Z", "fail": "M-5 -5H5V5H-5Z"}
_STATUSES = ("pass", "warn", "fail")
_ABOVE, _BELOW = '<path class="off" d="M0 -14 5 -8H-5Z"/>', '<path class="off" d="M0 14 5 8H-5Z"/>'


def value_dots(trend: Trend) -> Markup:
    """Return the values as shapes of an SVG, each with its time and number as its title."""
    signals = {dot.value.signal for dot in trend.dots}
    said = {rule: f"; {escape(words(rule))}" if rule else "" for rule in signals}
    return Markup("\n".join(_shown(dot, said[dot.value.signal]) for dot in trend.dots))


def _shown(dot: Dot, signal: str) -> str:
    value = dot.value
    status = value.point.status if value.point.status in _STATUSES else "unknown"
    spread = (
        f'<line class="spread" x1="0" x2="0" y1="{dot.y_top - dot.y:.1f}" y2="{dot.y_bottom - dot.y:.1f}"/>'
        if value.point.uncertainty
        else ""
    )
    ring = '<circle class="signal" r="9"/>' if signal else ""
    off = (_ABOVE if dot.y < HEIGHT / 2 else _BELOW) if dot.is_off else ""
    return (
        f'<g class="mark-{status}{"" if value.is_valid else " void"}" transform="translate({dot.x:.1f} {dot.y:.1f})">'
        f"<title>{str(value.point.captured_at)[:16]} UTC: {dot.text}{signal}</title>{spread}{_shape(dot, status)}{ring}{off}</g>"
    )


def _shape(dot: Dot, status: str) -> str:
    if not dot.value.is_valid:
        return '<circle class="void" r="4.5"/>'
    if dot.value.is_baseline:
        return '<path d="M0 -7 7 0 0 7 -7 0Z"/>'
    path = _SHAPES.get(status)
    return f'<path d="{path}"/>' if path else '<circle r="4"/>'


def value_rows(trend: Trend, mark: Callable[[str], Markup], badge: Callable[[str, str], Markup]) -> Markup:
    """Return the values as rows of a table: run, measured, status, noted.

    Parameters
    ----------
    trend : Trend
        The figure.
    mark, badge : callable
        The templates' ``qc_mark`` and ``badge``.
    """
    ucum = trend.figure.newest.unit
    behind = f' <span class="unit">{escape(unit(ucum))}</span>' if ucum and ucum != "1" else ""
    marks = {status: mark(status) for status in {dot.value.point.status for dot in trend.dots}}
    rows = []
    for dot in trend.dots:
        point = dot.value.point
        rows.append(
            f'<tr><th scope="row"><a href="/qc/{point.record_id}">{when(point.captured_at)}</a></th>'
            f'<td class="num">{dot.text}{behind}</td><td>{marks[point.status]}</td><td>{_noted(dot, badge)}</td></tr>'
        )
    return Markup("\n".join(rows))


def _noted(dot: Dot, badge: Callable[[str, str], Markup]) -> str:
    """Return what is to be said of a value beside its status; of most there is nothing."""
    value, told = dot.value, []
    if not value.is_valid:
        told.append(badge("off", "invalid"))
    if value.is_baseline:
        told.append(badge("busy", "baseline"))
    if value.signal:
        told.append(escape(words(value.signal)))
    if dot.is_off:
        told.append(Markup('<span class="small">{}</span>').format(gettext("beyond the chart")))
    return " ".join(told)
