"""Errors of the collector. A message says what was expected, what came, and what to do.

CollectorError
├── SettingsError     the configuration file, an option or a name is wrong
├── StoreError        the store could not read or commit; nothing of the transaction remains
│   └── OutdatedError     what a batch was verified against has changed meanwhile; verify it again
└── RefusedError      a request is understood and declined; carries the HTTP status and the `Refusal` body
    └── NotSignedInError  a person must sign in first; pages answer it with the way to do so
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.records.wire import Refusal

_log = logging.getLogger(__name__)


class CollectorError(Exception):
    """Anything the collector tells its user in one plain sentence."""


class SettingsError(CollectorError):
    """The configuration file, an option or a name is wrong."""


class StoreError(CollectorError):
    """The store could not read or commit; nothing of the transaction remains."""


class OutdatedError(StoreError):
    """What a batch was verified against has changed meanwhile; verify it again."""


class RefusedError(CollectorError):
    """A request is understood and declined.

    Parameters
    ----------
    status : int
        HTTP status of the answer.
    error : str
        Stable name for programs, such as ``fork``.
    message : str
        What was expected, what came, what to do.
    expected : int, optional
        With ``gap``: the next sequence number wanted.
    retry_after_s : int, optional
        Sent as Retry-After.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        expected: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.refusal = Refusal(error=error, message=message, expected=expected)
        self.retry_after_s = retry_after_s


class NotSignedInError(RefusedError):
    """A person must sign in first."""

    def __init__(self) -> None:
        super().__init__(
            401, "not_signed_in", "This needs a session cookie or a bearer token: sign in at /login first."
        )


def unavailable() -> RefusedError:
    """Return what a client is told of a `StoreError`, whose message is for the log."""
    message = "The collector's store cannot be used right now; its log says why. Send again later."
    return RefusedError(503, "store_unavailable", message, retry_after_s=5)


def survived(work: Callable[[], object], what: str) -> bool:
    """Do `work`, and return whether it was done; what it raises, a bug of ours too, is logged.

    The one place where the collector survives what it did not foresee: for work on threads of its own, which would end with it and
    be missed by nobody until an alert did not come.

    >>> survived(lambda: 1 + 1, "Adding")
    True
    """
    try:
        work()
    except CollectorError as error:
        _log.warning("%s failed and will be tried again: %s", what, error)
    except Exception:  # noqa: BLE001 - the one place, see above
        _log.exception("%s failed, by a bug of the collector's, and will be tried again", what)
    else:
        return True
    return False
