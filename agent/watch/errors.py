"""Errors of watching folders.

ScopestampError
└── WatchError
    ├── FolderAwayError   a watched folder cannot be read now: try again later
    └── ChangedError      a dataset changed while it was looked at: wait until it has settled again
"""

from __future__ import annotations

from agent.errors import ScopestampError


class WatchError(ScopestampError):
    """Folders cannot be watched as asked."""


class FolderAwayError(WatchError):
    """A watched folder cannot be read now."""


class ChangedError(WatchError):
    """A dataset changed, or went, while it was looked at."""
