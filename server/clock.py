"""The collector's clock, an argument everywhere so that tests need not wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]
"""Returns the time, aware and UTC."""


def utc_now() -> datetime:
    """Return the wall-clock time, aware and UTC."""
    return datetime.now(UTC)
