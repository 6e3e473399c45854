"""Which acquisition produced a dataset: the one that announced it, else the one that ran while it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from agent.capture.stamp import sidecar_path
from agent.chronicle import Chronicle, KnownAcquisition, path_key
from agent.records import AcquisitionFinished, RecordError, decode_tolerant

SLACK = timedelta(seconds=30)
"""A writer may begin so long before the first frame, and end so long after the last."""
CLEARLY = 2.0
"""Of two acquisitions, one must overlap so many times longer than the other to be taken."""


@dataclass(frozen=True, slots=True)
class Written:
    """When a dataset was written, and what tells more about its origin.

    Attributes
    ----------
    is_shared : bool
        It lies on a share, where other computers write too: then the number of frames must agree as well.
    """

    path: Path
    began_at: datetime
    ended_at: datetime
    n_frames: int | None
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """The acquisition of a dataset, or why there is none; `is_open` when it must be asked again later."""

    by: Literal["path", "time", "stamp", "nothing"]
    acquisition: KnownAcquisition | None = None
    carried: AcquisitionFinished | None = None
    problem: str | None = None
    is_open: bool = False


def join(
    written: Written,
    chronicle: Chronicle,
    is_open: Callable[[UUID], bool] = lambda _: True,
    *,
    is_written_since: bool = False,
) -> Joined:
    """Return which acquisition produced a dataset.

    `is_open` says of an acquisition without an end whether that may still come.
    `is_written_since`: an acquisition had announced this path and was stamped, but then somebody wrote it anew.
    """
    for known in () if is_written_since else chronicle.announced():
        if _is_announced(written.path, known.outputs):
            return Joined("path", known, is_open=known.finished_at is None and is_open(known.acquisition_id))
    if (carried := _carried(written.path)) is not None:
        return Joined("stamp", carried=carried)
    return _by_time(written, chronicle, is_open)


def _is_announced(path: Path, outputs: Iterable[str]) -> bool:
    """Return whether a dataset is one that was announced, or lies in a folder that was."""
    parents = {path_key(path), *(path_key(parent) for parent in path.parents)}
    return any(path_key(output) in parents for output in outputs)


def _carried(path: Path) -> AcquisitionFinished | None:
    """Return the acquisition whose record lies beside a dataset that was copied here together with it."""
    try:
        record = decode_tolerant(sidecar_path(path).read_bytes())
    except (OSError, RecordError):
        return None
    return record if isinstance(record, AcquisitionFinished) else None


def _by_time(written: Written, chronicle: Chronicle, is_open: Callable[[UUID], bool]) -> Joined:
    running = chronicle.acquisitions(written.began_at - SLACK, written.ended_at + SLACK)
    candidates = [known for known in running if not known.outputs]  # the others wrote where they announced
    if any(known.finished_at is None and is_open(known.acquisition_id) for known in candidates):
        return Joined("nothing", is_open=True)
    fitting = [known for known in candidates if known.finished_at and _frames_agree(known, written)]
    overlaps = sorted(((_overlap_s(known, written), known) for known in fitting), key=lambda pair: -pair[0])
    if not overlaps:
        return Joined("nothing")
    best_s, best = overlaps[0]
    if len(overlaps) > 1 and best_s < CLEARLY * overlaps[1][0]:
        return Joined("nothing", problem=f"{len(overlaps)} acquisitions ran while it was written.")
    return Joined("time", best)


def _frames_agree(known: KnownAcquisition, written: Written) -> bool:
    if known.n_frames is None or written.n_frames is None:
        return not written.is_shared
    return known.n_frames == written.n_frames or (not written.is_shared and written.n_frames < known.n_frames)


def _overlap_s(known: KnownAcquisition, written: Written) -> float:
    assert known.finished_at is not None
    begin = max(known.started_at - SLACK, written.began_at)
    end = min(known.finished_at + SLACK, written.ended_at)
    return max(0.0, (end - begin).total_seconds()) + 1e-3  # an instant counts too
