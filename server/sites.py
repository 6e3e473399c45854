"""Sites within sites: what a collector below calls ``Building 4`` is ``Basel / Building 4`` here, and within ``Basel``."""

from __future__ import annotations

from collections.abc import Iterable

SEPARATOR = " / "


def path_of(*parts: str) -> str:
    """Return the name of a site within others, the largest first.

    >>> path_of("Basel", "Building 4")
    'Basel / Building 4'
    """
    return SEPARATOR.join(part for part in parts if part)


def is_within(site: str, places: Iterable[str]) -> bool:
    """Return whether a site is one of some places, or within one.

    >>> is_within("Basel / Building 4", ["Basel"]), is_within("Baselland", ["Basel"])
    (True, False)
    """
    return any(site == place or site.startswith(place + SEPARATOR) for place in places if place)
