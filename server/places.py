"""Page cursors in URLs: the time and position at which a page ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from server.errors import RefusedError
from server.store.rows import AcquisitionRow, ChangeRow, Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_cursor(place: Place) -> str:
    """Return a place as it stands in a URL.

    >>> to_cursor(Place(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 7))
    '1000000-7'
    """
    return f"{(place.at - _EPOCH) // timedelta(microseconds=1)}-{place.position}"


def from_cursor(cursor: str | None) -> Place | None:
    """Return the place in a URL, or refuse with 400."""
    if cursor is None:
        return None
    micros, _, position = cursor.partition("-")
    if not (micros.isdecimal() and position.isdecimal() and len(micros) < 18 and len(position) < 19):
        raise RefusedError(400, "bad_cursor", "`before` must be what the page before gave out.")
    return Place(_EPOCH + timedelta(microseconds=int(micros)), int(position))


def place_of(row: AcquisitionRow | ChangeRow) -> Place:
    """Return where a row stands in its list."""
    if isinstance(row, AcquisitionRow):
        return Place(row.began_at, row.position)
    return Place(row.change.last_at.wall_at, row.position)


def next_cursor(rows: Sequence[AcquisitionRow | ChangeRow], limit: int) -> str | None:
    """Return the cursor of the next page, or None when a page was not full."""
    return to_cursor(place_of(rows[-1])) if len(rows) == limit else None
