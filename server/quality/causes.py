"""What may have made a figure step: the events before it, the likeliest first, each with its reasons.

An event that happens between most runs explains nothing, and is left out where there are runs enough to say so; one
that happened only before the step explains a lot. So an event's weight is its surprise, −log2 of the share of
intervals between runs that it occurs in (with one added to each side, Laplace's rule), raised when people wrote it
down, when it concerns a device of the light path, and lowered when what changed was put back before the next run.
Series that go along with the figure (a temperature) are ranked by Spearman's rank correlation (Am. J. Psychol. 15
(1904) 72, doi:10.2307/1412159).

None of this proves a cause: it says where to look first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log2
from typing import Literal, NamedTuple

import numpy as np

Sort = Literal["maintenance", "change", "software", "event"]

N_LEAST_FOR_COMPANION = 8
COMPANION_FROM = 0.7

_WEIGHT: Mapping[Sort, float] = {"maintenance": 2.0, "software": 1.5, "change": 1.0, "event": 1.0}
LIKELY = 1.5
"""Bits of surprise that an event must have to be told beside a trouble: what lies between every third run is none."""
_IN_LIGHT_PATH = 1.5
_EVERYDAY_FROM, _EVERYDAY_OF = 0.75, 8
"""Share of the intervals from which an event is everyday, and how many there must be."""
_PUT_BACK = 0.2


class Event(NamedTuple):
    """Something that happened to an instrument.

    `subject` is what recurs (``Dichroic Label``, ``service``), `what` is this one time in words.
    """

    # A named tuple: thousands are gone through for one page.
    at: datetime
    sort: Sort
    subject: str
    what: str
    device: str = ""
    href: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """An event before a step, its weight, and the reasons in numbers."""

    event: Event
    weight: float
    n_intervals_with: int
    n_intervals: int
    is_in_light_path: bool
    was_put_back: bool


def suspects(
    events: Iterable[Event],
    runs_at: Sequence[datetime],
    step: int,
    light_path: Mapping[str, str],
    devices_of_path: Iterable[str] = (),
) -> list[Suspect]:
    """Return the events between the runs ``step - 1`` and `step`, the likeliest first; one for each subject.

    Parameters
    ----------
    events : iterable of Event
        Of the whole time that the runs cover; how often each subject recurs is counted in it.
    runs_at : sequence of datetime
        When the runs of the series were, oldest first.
    step : int
        Index of the first run after the step, at least 1.
    light_path : mapping
        Role to label, as the run tells it.
    devices_of_path : iterable of str
        Device labels known to be in the light path.
    """
    by_subject: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda event: event.at):
        by_subject.setdefault(event.subject, []).append(event)
    in_path = {*light_path.values(), *devices_of_path}
    found = [
        _suspect(here, everything, runs_at, in_path)
        for everything in by_subject.values()
        if (here := [e for e in everything if runs_at[step - 1] < e.at <= runs_at[step]])
    ]
    found = [one for one in found if not _is_everyday(one)]
    return sorted(found, key=lambda suspect: (-suspect.weight, suspect.event.at))


def _is_everyday(one: Suspect) -> bool:
    return one.n_intervals >= _EVERYDAY_OF and one.n_intervals_with >= _EVERYDAY_FROM * one.n_intervals


def _suspect(
    here: Sequence[Event], everything: Sequence[Event], runs_at: Sequence[datetime], in_path: set[str]
) -> Suspect:
    last = here[-1]
    n_with = len({bisect_left(runs_at, event.at) for event in everything})
    n_intervals = max(len(runs_at) - 1, n_with)
    is_in_path = last.device in in_path or (last.after or "") in in_path or (here[0].before or "") in in_path
    was_put_back = here[0].before is not None and here[0].before == last.after
    weight = -log2((n_with + 1) / (n_intervals + 2)) * _WEIGHT[last.sort]
    weight *= (_IN_LIGHT_PATH if is_in_path else 1.0) * (_PUT_BACK if was_put_back else 1.0)
    return Suspect(last, weight, n_with, n_intervals, is_in_path, was_put_back)


@dataclass(frozen=True, slots=True)
class Companion:
    """A series that goes along with the figure."""

    name: str
    correlation: float
    n: int


def companions(
    at: Sequence[datetime], values: Sequence[float], series: Mapping[str, Sequence[tuple[datetime, float]]]
) -> list[Companion]:
    """Return the series whose values at the times of the runs go along with the figure, the closest first.

    Parameters
    ----------
    at, values : sequence
        The figure, oldest first.
    series : mapping
        Name to its values in order of time; each holds until the next.
    """
    found = []
    for name, told in series.items():
        times = [moment for moment, _ in told]
        held = [bisect_right(times, moment) - 1 for moment in at]
        pairs = [(value, told[i][1]) for value, i in zip(values, held, strict=True) if i >= 0]
        if len(pairs) >= N_LEAST_FOR_COMPANION:
            correlation = _rank_correlation(np.array(pairs))
            if abs(correlation) >= COMPANION_FROM:
                found.append(Companion(name, correlation, len(pairs)))
    return sorted(found, key=lambda one: -abs(one.correlation))


def _rank_correlation(pairs: np.ndarray) -> float:
    ranks = np.column_stack([_ranks(column) for column in pairs.T])
    spread = ranks.std(axis=0)
    if not spread.all():
        return 0.0
    centred = (ranks - ranks.mean(axis=0)) / spread
    return float((centred[:, 0] * centred[:, 1]).mean())


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]
