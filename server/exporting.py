"""Acquisitions in the standards' formats, from the records this collector holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from agent.exports import (
    FORMATS,
    AcquisitionView,
    Completeness,
    ExportError,
    Format,
    bundle_of,
    completeness,
    export,
    view_of,
)
from agent.exports.facts import image_name
from agent.records import AcquisitionFinished, InstrumentProfile, Record
from server.errors import RefusedError
from server.ingest.evidence import raw_line, record_of
from server.languages import gettext
from server.quality.runs import KIND as QC
from server.quality.runs import MOST_RUNS
from server.store.base import Reads
from server.store.rows import AcquisitionRow, RecordRow

T = TypeVar("T")

MOST_ROWS = 2000
MAX_FRAMES_IN_SHORT = 5000


@dataclass(frozen=True, slots=True)
class File:
    """An export as it is handed out."""

    name: str
    media_type: str
    data: bytes

    @property
    def disposition(self) -> str:
        """The header that makes a browser save it, whatever letters its name has."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", self.name)
        exact = quote(self.name.encode("utf-8", "replace"), safe="")
        return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A format, and why an acquisition cannot be had in it; empty when it can."""

    format: Format
    why_not: str


def offers_of(view: AcquisitionView) -> list[Offer]:
    """Return every format, each with what keeps this acquisition from it and what to do, in the viewer's language."""
    return [Offer(one, _why_not(one.lacks(view))) for one in FORMATS.values()]


def _why_not(lack: str) -> str:
    match lack:
        case "doi":
            return gettext(
                "DataCite registers instruments with a DOI. State it as pid under [instrument] in the profile on the "
                "instrument's computer; acquisitions after that have it. PIDINST needs none."
            )
        case "registered_year":
            return gettext(
                "DataCite wants the year of registration. State it as registered_year under [instrument] in the profile on "
                "the instrument's computer; acquisitions after that have it."
            )
        case "qc":
            return gettext(
                "No result of PSF, field illumination or light power that held for this acquisition has been received. Run "
                "one of them, or schedule it; acquisitions after that have it."
            )
    return ""


def file_of(view: AcquisitionView, format_name: str, language: str, position: int = 0) -> File:
    """Return an acquisition as a file of a format.

    Raises
    ------
    RefusedError
        404 ``no_such_format``; 409 ``cannot_export`` when the format cannot hold this acquisition or has nothing to say.
    """
    known = FORMATS.get(format_name)
    if known is None:
        message = f"Expected a format out of {', '.join(FORMATS)}; came '{format_name[:64]}'."
        raise RefusedError(404, "no_such_format", message)
    data = _exported(lambda: export(format_name, view, language, position))
    if not data:
        message = f"{known.title} has nothing to say of this acquisition: no quality control that held was received."
        raise RefusedError(409, "cannot_export", message)
    return File(image_name(view) + known.suffix, known.media_type, data)


def report_on(view: AcquisitionView) -> Completeness:
    """Return how complete the metadata of an acquisition is, or refuse as `file_of` does."""
    return _exported(lambda: completeness(view))


def _exported(work: Callable[[], T]) -> T:
    try:
        return work()
    except ExportError as error:
        raise RefusedError(409, "cannot_export", _sentence(str(error))) from error
    except OverflowError as error:  # JSON's integers have no largest; floating-point numbers do
        message = "A record of this acquisition holds a whole number too large to calculate with; see the record itself."
        raise RefusedError(409, "cannot_export", message) from error


def view_for(reads: Reads, row: AcquisitionRow, *, max_frames: int | None = None) -> AcquisitionView:
    """Return an acquisition joined from everything received of it and of its instrument before it.

    Parameters
    ----------
    reads : Reads
        The store.
    row : AcquisitionRow
        The acquisition.
    max_frames : int, optional
        With more frames than that, only the first and the last ledger are read: enough to judge completeness.

    Raises
    ------
    RefusedError
        409 ``not_finished`` when its end has not been received; 409 ``profile_not_received`` when it names an
        instrument profile that has not.
    """
    finished = record_of(reads, reads.record(row.finished_record_id)) if row.finished_record_id else None
    if not isinstance(finished, AcquisitionFinished):
        message = "The record of the acquisition's end (acquisition_finished) has not been received yet. Ask again later."
        raise RefusedError(409, "not_finished", message)
    records: list[Record | None] = [
        finished,
        _profile(reads, finished),
        *(record_of(reads, one) for one in _context(reads, finished)),
        *_ledgers(reads, row, max_frames),
        record_of(reads, reads.record(row.stamp_record_id)) if row.stamp_record_id else None,
    ]
    return view_of(bundle_of(record for record in records if record is not None))


def notes_on(row: AcquisitionRow) -> list[str]:
    """Return what a reader of an export must know, in sentences."""
    if row.n_seen is None or row.n_in_ledger >= row.n_seen:
        return []
    return [
        f"Of {row.n_seen} frames, the stamps of {row.n_in_ledger} have been received; exports hold no more."
    ]


def _context(reads: Reads, finished: AcquisitionFinished) -> Iterator[RecordRow]:
    """Yield the instrument's description as it then was, and the quality control before the acquisition."""
    described = reads.recent(finished.instrument_id, "instrument", MOST_ROWS)
    yield from (_before(described, finished) or described[-1:])[:1]
    yield from _before(reads.recent(finished.instrument_id, QC, MOST_ROWS), finished)[:MOST_RUNS]


def _before(rows: list[RecordRow], finished: AcquisitionFinished) -> list[RecordRow]:
    """Return the rows captured before an acquisition began, newest first."""
    earlier = [row for row in rows if row.captured_at <= finished.started.wall_at]
    return sorted(earlier, key=lambda row: row.captured_at, reverse=True)


def _profile(reads: Reads, finished: AcquisitionFinished) -> InstrumentProfile | None:
    """Return the profile that an acquisition names; when it names none, the newest before it."""
    rows = reads.recent(finished.instrument_id, "instrument_profile", MOST_ROWS)
    named = finished.profile_sha256
    for row in rows if named else _before(rows, finished)[:1]:
        if named and named.encode() not in raw_line(reads, row):
            continue
        record = record_of(reads, row)
        if isinstance(record, InstrumentProfile) and named in (None, record.profile_sha256):
            return record
    if named:
        message = f"The acquisition names the instrument profile {named[:64]}, which has not been received. Ask again later."
        raise RefusedError(409, "profile_not_received", message)
    return None


def _ledgers(reads: Reads, row: AcquisitionRow, max_frames: int | None) -> Iterator[Record | None]:
    ledgers = reads.ledgers(row.acquisition_id)
    if max_frames is not None and row.n_in_ledger > max_frames:
        ledgers = [ledgers[0], ledgers[-1]]
    for ledger in ledgers:
        yield record_of(reads, reads.record(ledger.record_id))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
