"""By what an acquisition is to be found: its datasets, the words of their names, light path, people, verdict of quality."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    DatasetFound,
    DatasetStamp,
    InstrumentDescription,
    Record,
    SystemState,
    UsageSession,
)
from server.store.rows import Dataset, SearchFacts

SORTS = ("objective", "channel", "camera", "person", "qc")
"""Sorts of terms that people choose from; file names are told as sort ``word``."""

_WORD = re.compile(r"[^\W_]+")
_OBJECTIVE = re.compile(r"objective|nosepiece", re.IGNORECASE)
_MOST_WORDS = 60
_LONGEST = 120


def words_of(text: str) -> list[str]:
    """Return the words of a text, as file names have them.

    >>> words_of("2026-05_Mitosis.ome.zarr")
    ['2026', '05', 'mitosis', 'ome', 'zarr']
    """
    return [word[:_LONGEST] for word in _WORD.findall(text.lower())]


def search_of(record: Record) -> SearchFacts | None:
    """Return what a record says for looking acquisitions up, None when it says nothing."""
    match record:
        case AcquisitionStarted():
            terms = [*_plan(record), *_words(record.outputs)]
            return _facts(record, terms)
        case AcquisitionFinished():
            terms = [*_plan(record), *_words(file.path for file in record.files), *_quality(record)]
            return _facts(record, terms, (Dataset(file.path, file.sha256) for file in record.files))
        case DatasetStamp():
            stamped = (Dataset(file.path, None, file.sha256) for file in record.files)
            return _facts(record, _words(file.path for file in record.files), stamped)
        case DatasetFound():
            return _facts(record, _words([record.path]), [Dataset(record.path, record.sha256)])
        case UsageSession() if record.user:
            return SearchFacts(record.acquisition_ids, (_term("person", record.user),))
    return None


def model_of(record: Record) -> str | None:
    """Return the make and model in a description, None in another record or when it does not say."""
    if not isinstance(record, InstrumentDescription):
        return None
    told = [record.nameplate[name].value for name in ("manufacturer", "model") if name in record.nameplate]
    return " ".join(str(value) for value in told if value is not None)[:_LONGEST] if told else None


def _facts(
    record: AcquisitionStarted | AcquisitionFinished | DatasetStamp | DatasetFound,
    terms: Iterable[tuple[str, str]],
    datasets: Iterable[Dataset] = (),
) -> SearchFacts | None:
    if record.acquisition_id is None:
        return None
    by_path = {one.path: one for one in datasets}
    return SearchFacts((record.acquisition_id,), tuple(dict.fromkeys(terms)), tuple(by_path.values()))


def _term(sort: str, text: str) -> tuple[str, str]:
    return sort, text[:_LONGEST].lower()


def _words(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the words of names and of the folders they are in."""
    for path in paths:
        for word in words_of(" ".join(re.split(r"[/\\]", path)[-2:]))[:_MOST_WORDS]:
            yield "word", word


def _plan(record: AcquisitionStarted | AcquisitionFinished) -> Iterator[tuple[str, str]]:
    yield from (_term("channel", channel.preset) for channel in record.plan.channels)
    yield from (_term("camera", image.camera) for image in record.images)
    if record.before is not None:
        yield from _objectives(record.before)


def _objectives(state: SystemState) -> Iterator[tuple[str, str]]:
    for device, values in state.devices.items():
        label = values.get("Label") if _OBJECTIVE.search(device) else None
        if label is not None and label.value:
            yield _term("objective", str(label.value))


def _quality(record: AcquisitionFinished) -> Iterator[tuple[str, str]]:
    """Yield the verdict that held and the light paths it was asked for."""
    for one in record.qc.light_paths if record.qc else ():
        yield _term("qc", one.status.value)
        yield from (_term(part, name) for part, name in one.light_path.items() if part in SORTS and name)
