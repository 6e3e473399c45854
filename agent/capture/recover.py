"""Close the acquisitions that a dead process left open."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from agent.capture.close import Ending, Stamping, close_acquisition
from agent.capture.journal import JournalRead, left_journals, read_journal
from agent.capture.ledger import batches, ledger_record, seen_at
from agent.capture.publish import Publisher
from agent.capture.quality import KeptQuality
from agent.files import move_file, remove_folder
from agent.mint import Mint
from agent.records import AcquisitionFinished, FinishReason, Instant, RecordError
from agent.supervise import shielded

_log = logging.getLogger("scopestamp.capture")


def recover_open_acquisitions(
    data_dir: Path, mint: Mint, publisher: Publisher, stamping: Stamping, quality: KeptQuality | None = None
) -> list[AcquisitionFinished]:
    """Publish every acquisition whose process is gone, with every frame that was seen.

    One that had no end is closed as *interrupted*; one that had ended but was not yet stamped is closed as it
    ended. What was published before the crash is published again, byte by byte as it was.
    """
    closed, quality = [], quality or KeptQuality(data_dir)
    for folder in left_journals(data_dir):
        try:
            journal = read_journal(folder)
        except (OSError, RecordError) as error:
            _set_aside(data_dir, folder, str(error))
            continue
        record = shielded(
            partial(_close, folder, journal, mint, publisher, stamping, quality),
            f"closing what is left in {folder}",
        )
        if record is not None:
            closed.append(record)
    return closed


def _close(
    folder: Path,
    journal: JournalRead,
    mint: Mint,
    publisher: Publisher,
    stamping: Stamping,
    quality: KeptQuality,
) -> AcquisitionFinished:
    publisher.publish(journal.started)
    for rows in batches(journal.rows, journal.batch_ends):
        publisher.publish(ledger_record(journal.started, rows, journal.states))
    return close_acquisition(_ending(folder, journal), mint, publisher, stamping, quality)


def _ending(folder: Path, journal: JournalRead) -> Ending:
    started, ended = journal.started, journal.ended
    if not ended:
        reason, problems = (
            FinishReason.INTERRUPTED,
            ["The process that captured it ended before the acquisition did."],
        )
        finished = seen_at(started.started, journal.rows[-1]) if journal.rows else started.started
    else:
        reason = FinishReason(ended["ended"])
        problems = ["The process that captured it ended before the state after it was read."]
        finished = Instant(
            wall_at=ended["wall_at"], monotonic_ns=ended["monotonic_ns"], boot_id=started.started.boot_id
        )
    return Ending(
        started=started,
        reason=reason,
        n_frames=len(journal.rows),
        folder=folder,
        fields={"finished": finished},
        problems=problems,
        finished=journal.finished,
        remove=lambda: remove_folder(folder),
    )


def _set_aside(data_dir: Path, folder: Path, why: str) -> None:
    kept = data_dir / "unreadable" / folder.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    move_file(folder, kept)
    _log.error("The journal of acquisition %s cannot be read (%s); it is kept in %s", folder.name, why, kept)
