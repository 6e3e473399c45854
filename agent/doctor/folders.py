"""The disk: the data folder, free space, watched folders, the clock of the files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.doctor.finding import Finding, Level, Place
from agent.outbox.disk import free_bytes, remove_file
from agent.watch.shares import is_on_share

_TOPIC = "folders"
_GIB = 1 << 30


def folders(place: Place) -> Iterator[Finding]:
    """Tell whether the agent can write where it must, and see what it watches."""
    yield _data(place.data_dir)
    yield _free(place)
    for folder in place.settings.watch.folders:
        yield _watched(Path(folder))


def _data(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding(
            _TOPIC,
            "data folder",
            Level.PROBLEM,
            f"{folder} is not there",
            "The agent never ran here, or with other settings: name its settings with --config, or its folder with --data.",
        )
    trial = folder / f"doctor-{os.getpid()}.trial"
    try:
        trial.write_bytes(b"?")
        remove_file(trial)
    except OSError as error:
        with suppress(OSError):
            remove_file(trial)
        return Finding(
            _TOPIC,
            "data folder",
            Level.PROBLEM,
            f"{folder} cannot be written by this account: {error.strerror or error}",
            "If the agent runs as another account, ask as that one; otherwise give this account full access.",
        )
    return Finding(_TOPIC, "data folder", Level.GOOD, f"{folder}, writable")


def _free(place: Place) -> Finding:
    section = place.settings.spool
    folder = next((one for one in (place.data_dir, *place.data_dir.parents) if one.is_dir()), Path("/"))
    try:
        free = free_bytes(folder)
    except OSError as error:
        return Finding(_TOPIC, "disk", Level.PROBLEM, f"cannot be asked: {error}", "Check the disk.")
    says, facts = f"{free / _GIB:.1f} GiB free", {"free_bytes": free}
    if free < section.floor_bytes:
        return Finding(
            _TOPIC,
            "disk",
            Level.PROBLEM,
            f"{says}: only acquisitions and events are kept",
            "Free some space now.",
            facts,
        )
    if free < section.min_free_bytes:
        return Finding(
            _TOPIC, "disk", Level.WARNING, f"{says}: snapshots are thinned out", "Free some space.", facts
        )
    return Finding(_TOPIC, "disk", Level.GOOD, says, facts=facts)


def _watched(folder: Path) -> Finding:
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        return Finding(
            _TOPIC,
            "watched folder",
            Level.PROBLEM,
            f"{folder} cannot be read: {error.strerror or error}",
            "Correct [watch] folders; a service sees no mapped drives (name the share) and no other user's folders.",
        )
    where = ", on a share" if is_on_share(folder) else ""
    return Finding(_TOPIC, "watched folder", Level.GOOD, f"{folder}, readable{where}")
