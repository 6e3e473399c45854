"""Numbers, limits and verdicts in the words of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import floor, isfinite, log10

from agent.records import QcMetric, QcResult, QcStatus, Quantity
from qc_routines.figures import shown_unit

NO_LIMIT = "no limit set"
"""The rule that `qc_routines.verdict.judge` writes where there is none."""

SHAPES = {QcStatus.PASS: "●", QcStatus.WARN: "▲", QcStatus.FAIL: "■", QcStatus.UNKNOWN: "○"}
"""Beside the colour, so that nobody needs the colour."""

CALLED = {
    QcStatus.PASS: "Passes",
    QcStatus.WARN: "Needs attention",
    QcStatus.FAIL: "Fails",
    QcStatus.UNKNOWN: "No verdict",
}


def number(quantity: Quantity | None) -> float | None:
    """Return a quantity's number; None for text, for nothing, and for what is not there."""
    if quantity is None or isinstance(quantity.value, str | bool):
        return None
    return float(quantity.value)


def shown(value: float | None, uncertainty: float | None = None) -> str:
    """Return a number as far as it is known: to two digits of its uncertainty, otherwise to four digits.

    Examples
    --------
    >>> shown(0.251349, 0.0021), shown(1234.5, 31.0), shown(0.2513491), shown(65535.0), shown(None)
    ('0.2513', '1234', '0.2513', '65535', '–')
    """
    if value is None or not isfinite(value):
        return "–"
    if uncertainty and isfinite(uncertainty):
        decimals = 1 - floor(log10(abs(uncertainty)))
        if decimals < 8:
            return _signed(f"{value:.{max(decimals, 0)}f}")
    return _signed(f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}")


def _signed(digits: str) -> str:
    return digits.replace("-", "−") if "e" not in digits else digits  # a true minus sign


def figure_name(metric: str) -> str:
    """Return a figure's name in words.

    Examples
    --------
    >>> figure_name("shift_x[DAPI-FITC]"), figure_name("fwhm_z")
    ('shift x, DAPI-FITC', 'FWHM z')
    """
    stem, _, which = metric.partition("[")
    words = stem.replace("_", " ").replace("fwhm", "FWHM").replace("snr", "SNR").replace("r squared", "R²")
    return f"{words}, {which.removesuffix(']')}" if which else words


def with_unit(digits: str, unit: str | None) -> str:
    """Return digits and the sign of their unit.

    Examples
    --------
    >>> with_unit("3", "um"), with_unit("3", "1")
    ('3 µm', '3')
    """
    return f"{digits} {shown_unit(unit)}".rstrip()


def unit_of(metric: QcMetric) -> str:
    """Return the unit that a metric's numbers are in; empty when none of them is there."""
    known = (metric.measured, metric.expected, metric.baseline, metric.uncertainty)
    return next((quantity.unit for quantity in known if quantity is not None and quantity.unit), "")


def measured(metric: QcMetric) -> str:
    """Return what was measured, with uncertainty and unit."""
    value, sigma = number(metric.measured), number(metric.uncertainty)
    if value is None:
        return "not measured" if metric.measured is None else str(metric.measured.value)
    spread = f" ± {shown(sigma, sigma)}" if sigma else ""
    return with_unit(shown(value, sigma) + spread, metric.measured and metric.measured.unit)


def limits(metric: QcMetric) -> str:
    """Return between which values it passes, in the figure's unit."""
    low, high = metric.lower_limit, metric.upper_limit
    if low is None and high is None:
        return "–"
    if low is None or high is None:
        return f"≤ {shown(high)}" if low is None else f"≥ {shown(low)}"
    return f"{shown(low)} to {shown(high)}"


def has_rule(metric: QcMetric) -> bool:
    """Whether anybody set a limit for it."""
    return metric.rule != NO_LIMIT


def verdict(result: QcResult) -> str:
    """Return the verdict as a sentence."""
    ruled = [metric for metric in result.metrics if has_rule(metric)]
    n = len({metric.metric for metric in ruled})
    count = {status: len({m.metric for m in ruled if m.status == status}) for status in QcStatus}
    if not any(metric.measured is not None for metric in result.metrics):
        return "Nothing could be measured; the remarks say why."
    if not ruled:
        return "Nobody has set a limit for what was measured."
    if result.status == QcStatus.UNKNOWN:
        return "No rule could be applied to what was measured."
    if result.status == QcStatus.PASS:
        return f"{_of_all(count[QcStatus.PASS], n)} inside the limits.{_open(count[QcStatus.UNKNOWN])}"
    parts = [
        f"{count[status]} of {n} figures with limits {words}"
        for status, words in ((QcStatus.FAIL, "failed"), (QcStatus.WARN, "to be looked at"))
        if count[status]
    ]
    return f"{'; '.join(parts)}.{_open(count[QcStatus.UNKNOWN])}"


def _of_all(n_inside: int, n: int) -> str:
    if n == 1:
        return "The one figure with a limit is"
    return f"{'All' if n_inside == n else n_inside} of {n} figures with limits {'is' if n_inside == 1 else 'are'}"


def _open(n: int) -> str:
    """Say of how many figures a limit could not be applied: one against time zero, as long as there is none."""
    return f" {n} {'has' if n == 1 else 'have'} a limit that could not be applied." if n else ""


def out_of_limits(result: QcResult) -> list[str]:
    """Return a sentence for each figure out of its limits, failures first."""
    wrong = [m for m in result.metrics if m.status in (QcStatus.FAIL, QcStatus.WARN)]
    wrong.sort(key=lambda metric: metric.status != QcStatus.FAIL)
    return [
        f"{figure_name(metric.metric)} is {measured(metric)}; passes {limits(metric)}"
        + (f" {shown_unit(unit_of(metric))}" if shown_unit(unit_of(metric)) else "")
        for metric in wrong
    ]


def when(moment: datetime) -> str:
    """Return a moment to the minute."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def listed(pairs: Mapping[str, object] | Sequence[tuple[str, object]]) -> str:
    """Return names and values in one line."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return ", ".join(f"{name} {value}" for name, value in items)


def printable(words: object) -> object:
    """Return text without control characters, which neither a page nor paper can hold; all else as it is."""
    if not isinstance(words, str):
        return words
    return "".join(c if c >= " " or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in words)
