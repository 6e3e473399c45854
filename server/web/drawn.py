"""Values of charts as markup: a page holds thousands of them, so they are put together here and not by a template."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from server.languages import gettext
from server.web.trends import HEIGHT, Dot, Trend
from server.web.words import unit, when, words

_OUTLINES = {"warn": "m0-6l6 11h-12z", "fail": "m-5-5h10v10h-10z"}
_DIAMOND, _ROUND = "m0-7l7 7l-7 7l-7-7z", "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
_ABOVE, _BELOW = "m0-14l5 6h-10z", "m0 14l5-6h-10z"
_STATUSES = ("pass", "warn", "fail")


def value_dots(trend: Trend, is_small: bool = False) -> Markup:
    """Return the values as shapes of an SVG, each with its time and number as its title; of a small one only what strikes."""
    if is_small:
        return _striking(trend)
    signals = {dot.value.signal for dot in trend.dots}
    said = {rule: f"; {escape(words(rule))}" if rule else "" for rule in signals}
    shown = [_shown(dot, said[dot.value.signal]) for dot in trend.dots]
    return Markup("\n".join([*_beneath(trend), *shown]))


def _beneath(trend: Trend) -> list[str]:
    """Return what several values have in common, each as one shape: their spread, a ring, a hint that they lie beyond the edge."""
    spreads: dict[str, list[str]] = {}
    for dot in trend.dots:
        if dot.y_bottom > dot.y_top:
            spread = f"M{dot.x:.1f} {dot.y_top:.1f}v{dot.y_bottom - dot.y_top:.1f}"
            spreads.setdefault(_look(dot), []).append(spread)
    found = [f'<path class="spread {look}" d="{"".join(told)}"/>' for look, told in spreads.items()]
    off = [
        f"M{dot.x:.1f} {dot.y:.1f}{_ABOVE if dot.y < HEIGHT / 2 else _BELOW}"
        for dot in trend.dots
        if dot.is_off
    ]
    found += [f'<path class="off" d="{"".join(off)}"/>'] if off else []
    found += [
        f'<circle class="signal" cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="9"/>'
        for dot in trend.dots
        if dot.value.signal
    ]
    return found


def _shown(dot: Dot, signal: str) -> str:
    look, outline = _look(dot), _outline(dot)
    title = f"<title>{str(dot.value.point.captured_at)[:16]} UTC: {dot.text}{signal}</title>"
    if outline:
        return f'<path class="{look}" d="M{dot.x:.1f} {dot.y:.1f}{outline}">{title}</path>'
    return f'<circle class="{look}" cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="4">{title}</circle>'


def _striking(trend: Trend) -> Markup:
    """Return the newest value and those that something is to be said of, all of one look as one shape of an SVG."""
    shapes: dict[str, list[str]] = {}
    for dot in trend.dots:
        outline = _outline(dot)
        if outline or not dot.value.is_valid or dot is trend.dots[0]:
            shapes.setdefault(_look(dot), []).append(f"M{dot.x:.0f} {dot.y:.0f}{outline or _ROUND}")
    return Markup("\n".join(f'<path class="{look}" d="{"".join(told)}"/>' for look, told in shapes.items()))


def _look(dot: Dot) -> str:
    """Return the class of a value's shape."""
    if not dot.value.is_valid:
        return "void"
    status = dot.value.point.status
    return f"mark-{status}" if status in _STATUSES else "mark-unknown"


def _outline(dot: Dot) -> str:
    """Return the outline of a value's shape around it; empty for a circle."""
    if not dot.value.is_valid:
        return ""
    return _DIAMOND if dot.value.is_baseline else _OUTLINES.get(dot.value.point.status, "")


def value_rows(
    trend: Trend,
    mark: Callable[[str], Markup],
    badge: Callable[[str, str], Markup],
    n_most: int | None = None,
) -> Markup:
    """Return the newest values, or all, as rows of a table: run, measured, status, noted.

    Parameters
    ----------
    trend : Trend
        The figure.
    mark, badge : callable
        The templates' ``qc_mark`` and ``badge``.
    """
    ucum = trend.figure.newest.unit
    behind = f' <span class="unit">{escape(unit(ucum))}</span>' if ucum and ucum != "1" else ""
    dots = trend.dots[:n_most]
    marks = {status: mark(status) for status in {dot.value.point.status for dot in dots}}
    measured, status, noted = (escape(gettext(head)) for head in ("Measured", "Status", "Noted"))
    rows = []
    for dot in dots:
        point = dot.value.point
        said = _noted(dot, badge)
        rows.append(
            f'<tr><th scope="row"><a href="/qc/{point.record_id}">{when(point.captured_at)}</a></th>'
            f'<td class="num" data-label="{measured}">{dot.text}{behind}</td>'
            f'<td data-label="{status}">{marks[point.status]}</td>'
            f'<td data-label="{noted}">{said}</td></tr>'
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
