"""All records about one acquisition, together; and how they are found in files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.exports.errors import ExportError
from agent.records import (
    AcquisitionFinished,
    Agency,
    DatasetStamp,
    FrameColumns,
    FrameLedger,
    InstrumentDescription,
    InstrumentProfile,
    Nameplate,
    Profile,
    QcResult,
    Quantity,
    Record,
    RecordError,
    decode_tolerant,
)

_SUPPORTED_MAJOR = 1


@dataclass(frozen=True)
class Bundle:
    """What is known of one acquisition.

    Attributes
    ----------
    finished : AcquisitionFinished
        The acquisition itself.
    instrument : InstrumentDescription, optional
        The instrument as it was loaded.
    profile : Profile
        What the facility states; an empty one when nothing was stated.
    frames : FrameColumns, optional
        Every frame.
    qc : tuple of QcResult
        Quality control of the instrument, in any order.
    stamp : DatasetStamp, optional
        Where the data was stamped.
    """

    finished: AcquisitionFinished
    instrument: InstrumentDescription | None = None
    profile: Profile = field(default_factory=Profile)
    frames: FrameColumns | None = None
    qc: tuple[QcResult, ...] = ()
    stamp: DatasetStamp | None = None


def bundle_of(records: Iterable[Record], profile: Profile | None = None) -> Bundle:
    """Return the bundle of records about one acquisition.

    `profile` wins over a profile among the records. Of several profiles the one is taken that the acquisition
    points to, else the newest; of several instrument descriptions the newest.

    Raises
    ------
    ExportError
        None of the records is a finished acquisition, or there are several.
    """
    have = list(records)
    finished = [record for record in have if isinstance(record, AcquisitionFinished)]
    if len({record.acquisition_id for record in finished}) != 1:
        raise ExportError(
            f"expected the record of one finished acquisition (acquisition_finished), came {len(finished)} of them. "
            "Name the .scopestamp.json file beside the data."
        )
    acquisition = finished[-1]
    ours = [record for record in have if record.instrument_id == acquisition.instrument_id]
    instruments = sorted(
        (record for record in ours if isinstance(record, InstrumentDescription)), key=_captured_at
    )
    stamps = [record for record in ours if isinstance(record, DatasetStamp)]
    ledgers = [
        record
        for record in ours
        if isinstance(record, FrameLedger) and record.acquisition_id == acquisition.acquisition_id
    ]
    return Bundle(
        finished=acquisition,
        instrument=instruments[-1] if instruments else None,
        profile=profile or _profile_that_held(acquisition, ours, instruments),
        frames=join_ledgers(ledgers),
        qc=tuple(record for record in ours if isinstance(record, QcResult)),
        stamp=next((item for item in stamps if item.acquisition_id == acquisition.acquisition_id), None),
    )


def _captured_at(record: Record) -> Any:
    return record.captured.wall_at


def _profile_that_held(
    acquisition: AcquisitionFinished, records: Sequence[Record], instruments: Sequence[InstrumentDescription]
) -> Profile:
    """Return the profile that the acquisition points to, else the newest, else what the agent's settings state."""
    profiles = sorted((item for item in records if isinstance(item, InstrumentProfile)), key=_captured_at)
    named = [item for item in profiles if item.profile_sha256 == acquisition.profile_sha256]
    if chosen := (named or profiles)[-1:]:
        return chosen[0].profile
    return profile_of_nameplate(instruments[-1].nameplate) if instruments else Profile()


def profile_of_nameplate(nameplate: Mapping[str, Quantity]) -> Profile:
    """Return the little that the agent's settings state of the whole instrument."""
    texts = {key: str(quantity.value) for key, quantity in nameplate.items()}
    kept = {key: texts.get(key) for key in ("name", "model", "serial_number")}
    makers = (Agency(name=texts["manufacturer"]),) if texts.get("manufacturer") else ()
    return Profile(instrument=Nameplate(**kept, manufacturers=makers))  # type: ignore[arg-type]


def join_ledgers(ledgers: Sequence[FrameLedger]) -> FrameColumns | None:
    """Return the frames of several ledgers, in order and each once."""
    rows: dict[int, tuple[Any, ...]] = {}
    for ledger in ledgers:
        columns = [getattr(ledger.columns, name) for name in FrameColumns.model_fields]
        rows |= {row[0]: row for row in zip(*columns, strict=True)}
    return _columns_of([rows[frame] for frame in sorted(rows)])


def _columns_of(rows: Sequence[Sequence[Any]]) -> FrameColumns | None:
    if not rows:
        return None
    columns = zip(*rows, strict=True)
    return FrameColumns(**{n: tuple(c) for n, c in zip(FrameColumns.model_fields, columns, strict=True)})


def read_bundle(paths: Sequence[Path], profile: Profile | None = None) -> Bundle:
    """Return the bundle in files: records as JSON, one or one a line, and the frame ledger beside a dataset.

    A ledger ``<data>.scopestamp.frames.jsonl`` beside ``<data>.scopestamp.json`` is found by itself.

    Raises
    ------
    ExportError
        A file cannot be read, is no record of ours, or is of a newer major version.
    """
    records: list[Record] = []
    frames: FrameColumns | None = None
    for path in [*paths, *_ledgers_beside(paths)]:
        if path.name.endswith(".frames.jsonl"):
            frames = _read_frames(path)
        else:
            records += _read_records(path)
    bundle = bundle_of(records, profile)
    return bundle if frames is None else replace(bundle, frames=frames)


def _ledgers_beside(paths: Sequence[Path]) -> list[Path]:
    ends = (".scopestamp.json", ".scopestamp.frames.jsonl")
    beside = [
        path.with_name(path.name.removesuffix(ends[0]) + ends[1])
        for path in paths
        if path.name.endswith(ends[0])
    ]
    return [path for path in beside if path.is_file() and path not in paths]


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"expected a record in {path}, but it cannot be read: {error}.") from error


def _read_records(path: Path) -> list[Record]:
    text = _text_of(path)
    lines = [text] if _is_one_document(text) else [line for line in text.splitlines() if line.strip()]
    return [_record_in(line, path) for line in lines]


def _is_one_document(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _record_in(text: str, path: Path) -> Record:
    try:
        value = json.loads(text)
        version = str(value.get("schema_version", "")) if isinstance(value, dict) else ""
    except ValueError as error:
        raise ExportError(f"{path}: expected a record as JSON, came something else: {error}.") from error
    major = version.partition(".")[0]
    if major.isdigit() and int(major) > _SUPPORTED_MAJOR:
        raise ExportError(
            f"{path}: expected a record of version {_SUPPORTED_MAJOR}.x, came {version}. "
            "A newer Scopestamp wrote it; update this one."
        )
    try:
        return decode_tolerant(text.encode())
    except RecordError as error:
        raise ExportError(f"{path}: expected a record of Scopestamp, came {error}.") from error


def _read_frames(path: Path) -> FrameColumns | None:
    """Return the frames of a local ledger: one list a frame in the order of FrameColumns, states in between."""
    rows = []
    for line in _text_of(path).splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # the last line of a ledger that a crash cut short
        if isinstance(value, list) and len(value) == len(FrameColumns.model_fields):
            rows.append(value)
    return _columns_of(rows)
