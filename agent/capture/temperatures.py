"""Temperatures among what the hardware told."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drivers import PropertyReading, Status

_IS_TEMPERATURE = re.compile(r"temp(erature)?\b|temp(erature)?[-_ (]|temperature|deg_?c$", re.IGNORECASE)
_IS_WISH = re.compile(r"set|target|nominal|limit|min|max|control|mode|status|unit", re.IGNORECASE)
_UNITS = {None, "", "Cel", "degC", "°C", "C"}
_LEAST_DEGC, _MOST_DEGC = -200.0, 200.0


def temperatures_in(readings: Iterable[PropertyReading]) -> dict[str, float]:
    """Return what was measured, by 'device property', in degrees Celsius; set points are none."""
    found = {}
    for reading in readings:
        device, name = reading.key
        if reading.status is not Status.OK or reading.unit not in _UNITS:
            continue
        if not _IS_TEMPERATURE.search(name) or _IS_WISH.search(name):
            continue
        value = _number(reading.value)
        if value is not None and _LEAST_DEGC < value < _MOST_DEGC:
            found[f"{device} {name}"] = value
    return found


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
