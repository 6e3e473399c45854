"""What the drainer tells about records that cannot be sent: nothing is lost in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.errors import SpoolError
from agent.outbox.folders import SpoolFolder
from agent.outbox.limit import was_given_up
from agent.outbox.outbox import Outbox
from agent.outbox.reader import Unreadable
from agent.records import Severity

_log = logging.getLogger(__name__)


class Reports:
    """Puts gap and event records into the drainer's own outbox, each once.

    A disk too full to take a report must not stop the drainer, which is what makes room: the report is then owed and
    put later.

    Parameters
    ----------
    outbox : Outbox
        Where reports go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._told: set[tuple[object, ...]] = set()
        self._owed: list[Callable[[], None]] = []
        self._is_fresh = False

    def has_told(self) -> bool:
        """Return whether anything was put since the last time this was asked."""
        is_fresh, self._is_fresh = self._is_fresh, False
        return is_fresh

    def pay(self) -> None:
        """Put what is owed."""
        owed, self._owed = self._owed, []
        for put in owed:
            self._try(put)

    def missing(self, spool: SpoolFolder, first_seq: int, last_seq: int) -> None:
        """Tell that a run of records is gone, unless the one who gave it up has told."""
        if was_given_up(spool, first_seq, last_seq):
            return
        self._gap(spool, "corrupt_segment", first_seq, last_seq, last_seq - first_seq + 1)

    def unreadable(self, spool: SpoolFolder, damage: Unreadable, *, is_end_of_spool: bool) -> None:
        """Tell that bytes of a segment are no record; what is missing by number is told by `missing`."""
        if is_end_of_spool:
            # No later number shows what was here: perhaps an unfinished write, which nobody was promised.
            self._gap(spool, "corrupt_segment", damage.after_seq + 1, None, None)
        self._event(
            spool,
            "segment_damaged",
            f"Bytes {damage.start} to {damage.end} of {damage.path.name} in lane {spool.lane} are not readable. "
            "Records around them were read. After a power cut the last bytes of a file are often so; otherwise have "
            "the disk checked.",
            segment=damage.path.name,
            start=damage.start,
            end=damage.end,
        )

    def poisoned(self, spool: SpoolFolder, seq: int) -> None:
        """Tell that the collector holds one record to be too large."""
        self._gap(spool, "record_too_large", seq, seq, 1)

    def forked(self, spool: SpoolFolder, says: str) -> None:
        """Tell that the collector holds a spool to be forked."""
        self._event(
            spool,
            "spool_forked",
            f"The collector knows another history of a spool in lane {spool.lane} ({says}). Its records are kept in "
            f"{spool.path}. Look for a second computer that runs from a copy of this disk.",
            path=str(spool.path),
        )

    def collector_lost(self, spool: SpoolFolder, was_acked: int, now_acked: int) -> None:
        """Tell that the collector no longer has what it acknowledged."""
        self._event(
            spool,
            "collector_lost_records",
            f"The collector had acknowledged record {was_acked} in lane {spool.lane} and now holds {now_acked}: it was "
            "probably restored from a backup. What is still here is sent again.",
            was_acked=was_acked,
            now_acked=now_acked,
        )

    def _gap(
        self, spool: SpoolFolder, cause: str, first_seq: int, last_seq: int | None, n_records: int | None
    ) -> None:
        self._once(
            ("gap", spool.spool_id, first_seq, last_seq),
            lambda: self._outbox.note_gap(
                cause,
                spool.lane,
                spool_id=spool.spool_id,
                first_seq=first_seq,
                last_seq=last_seq,
                n_records=n_records,
            ),
        )

    def _event(self, spool: SpoolFolder, event: str, message: str, **details: int | str) -> None:
        self._once(
            (event, spool.spool_id, *details.values()),
            lambda: self._outbox.note_event(
                Severity.ERROR, event, message, spool_id=spool.spool_id, lane=str(spool.lane), **details
            ),
        )

    def _once(self, key: tuple[object, ...], put: Callable[[], None]) -> None:
        if key not in self._told:
            self._told.add(key)
            self._try(put)

    def _try(self, put: Callable[[], None]) -> None:
        try:
            put()
            self._is_fresh = True
        except SpoolError as error:
            _log.warning("A report could not be recorded and is kept for later: %s", error)
            self._owed.append(put)
