"""ASCII units, as routines write them, in the signs that people read."""

from __future__ import annotations

import re

SIGNS = {
    "1": "",
    "um": "µm",
    "px": "px",
    "deg": "°",
    "deg C": "°C",
    "e-": "e⁻",
    "%": "%",
}


def shown_unit(unit: str | None) -> str:
    """Return a unit for people; nothing for ratios and counts.

    Examples
    --------
    >>> shown_unit("um"), shown_unit("e-/ADU"), shown_unit("mW/cm^2"), shown_unit("1")
    ('µm', 'e⁻/ADU', 'mW/cm²', '')
    """
    if not unit:
        return ""
    return re.sub(r"[^/^]+(\^2)?", lambda part: _part(part.group()), unit)


def _part(unit: str) -> str:
    plain, is_squared, _ = unit.partition("^2")
    return SIGNS.get(plain, plain) + ("²" if is_squared else "")
