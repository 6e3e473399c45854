"""Numbers as people write them in the viewer's language: where the thousands part, and what stands before the decimals.

Counts are grouped (12,345 · 12.345 · 12 345). Measured values are not, and have the language's decimal mark, so that no page
shows a point that parts thousands in one cell and decimals in the next. Identifiers, years and addresses are left alone.
"""

from __future__ import annotations

from functools import cache
from math import floor, log10
from typing import Any

from babel.numbers import get_decimal_symbol, get_group_symbol

from server.languages import current_language


def count(n: int | None) -> str:
    """Return how many there are, None as a dash.

    >>> count(12345), count(0), count(None)
    ('12,345', '0', '–')
    """
    return "–" if n is None else decimal(f"{n:,}")


def fixed(value: float, n_decimals: int = 1) -> str:
    """Return a number with so many decimals, its thousands apart, as hours and percentages are told.

    >>> fixed(12345.678), fixed(-0.25, 2), fixed(-0.04)
    ('12,345.7', '-0.25', '0.0')
    """
    rounded = round(value, n_decimals) + 0.0  # adding zero takes the minus from a zero
    return decimal(f"{rounded:,.{n_decimals}f}")


def decimal(text: str) -> str:
    """Return a number that Python wrote, with the marks of the viewer's language.

    >>> decimal("0.25"), decimal("1e-05")
    ('0.25', '1e-05')
    """
    return text.translate(_marks(current_language()))


@cache
def _marks(language: str) -> dict[int, str]:
    return {ord(","): get_group_symbol(language), ord("."): get_decimal_symbol(language)}


def number(value: Any) -> str:
    """Return a number short enough to read, anything else as text, None as a dash.

    >>> number(1.23456789), number(None), number("Cy5")
    ('1.23457', '–', 'Cy5')
    """
    if value is None:
        return "–"
    # adding zero turns the minus zero of a stage at its origin into zero
    return decimal(f"{value + 0.0:.6g}") if isinstance(value, float) else str(value)


def measured(value: Any, uncertainty: Any = None) -> str:
    """Return a value with its uncertainty, both to two digits of the uncertainty.

    >>> measured(0.23123, 0.0042), measured(1234.5), measured(None)
    ('0.2312 ± 0.0042', '1234.5', '–')
    """
    if not isinstance(uncertainty, int | float) or not isinstance(value, int | float):
        return number(value)
    if not 1e-6 < abs(uncertainty) < 1e6 or abs(value) > 1e9:
        return f"{number(value)} ± {number(uncertainty)}"
    n_decimals = max(0, 1 - floor(log10(abs(uncertainty))))
    return decimal(f"{value + 0.0:.{n_decimals}f} ± {uncertainty:.{n_decimals}f}")


def size(n_bytes: int | None) -> str:
    """Return a size in decimal units.

    >>> size(2_147_483_648)
    '2.15\xa0GB'
    """
    if n_bytes is None:
        return "–"
    if n_bytes < 1000:
        return f"{n_bytes}\xa0B"
    amount, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB", "PB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{decimal(f'{amount:.3g}')}\xa0{units[0]}"
