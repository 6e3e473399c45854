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


def places_of(site: str) -> list[str]:
    """Return a site and all that it is within, the largest first.

    >>> places_of("Basel / Building 4")
    ['Basel', 'Basel / Building 4']
    """
    parts = site.split(SEPARATOR)
    return [path_of(*parts[:n]) for n in range(1, len(parts) + 1)]


def is_within(site: str, places: Iterable[str]) -> bool:
    """Return whether a site is one of some places, or within one.

    >>> is_within("Basel / Building 4", ["Basel"]), is_within("Baselland", ["Basel"])
    (True, False)
    """
    return any(site == place or site.startswith(place + SEPARATOR) for place in places if place)
