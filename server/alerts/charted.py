"""What the control charts say of the newest values, remembered until a series has a new run or people judge one otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from server.quality.control_chart import Drift
from server.quality.figures import Figure, figures_of, said_of
from server.store.base import Readable, Reads
from server.store.rows import QcPoint, QcSeriesRow

_JUDGED_BY = ("invalidation", "baseline")
"""Notes that change what a control chart is made of."""
_MOST_HEEDED = 100
_LONGEST_S = 20.0
"""Then other rules are looked at."""


class InTrouble(NamedTuple):
    """A figure that is out of control, or drifts: a few hundred bytes of a chart that has 40 000."""

    newest: QcPoint
    n_broken: int
    """So many of the newest values, all of them, break a rule of control."""
    broken_since: datetime
    rule: str
    """That the newest value breaks; empty where it breaks none."""
    drift: Drift | None


class Charted:
    """Knows the figures in trouble of all series.

    Parameters
    ----------
    rest : callable
        Called after every series that was charted: of a large fleet it takes minutes when a collector starts.
    """

    def __init__(self, rest: Callable[[], object]) -> None:
        self._rest = rest
        self._known: dict[tuple[str, str], tuple[str, Sequence[InTrouble]]] = {}
        self._heeded = dict.fromkeys(_JUDGED_BY, 0)

    def catch_up(self, store: Readable) -> bool:
        """Chart series that have a new run, for a while, and return whether those were all.

        Each is charted in a look of its own: one at the store for minutes would keep it from tidying up.
        """
        with store.reading() as reads:
            self.heed_people(reads)
            due = [one for one in reads.qc_standing() if not self._knows(one)]
        ends_at = time.monotonic() + _LONGEST_S
        for one in due:
            if time.monotonic() > ends_at:
                return False
            with store.reading() as reads:
                self.in_trouble(reads, one)
            self._rest()
        return True

    def heed_people(self, reads: Reads) -> None:
        """Forget instruments on which a run was declared invalid or time zero since the last time."""
        for kind, heeded in self._heeded.items():
            newest_first = reads.entries((kind,), limit=_MOST_HEEDED)
            news = [entry for entry in newest_first if entry.position > heeded]
            if len(news) == _MOST_HEEDED:  # and perhaps more
                self._known = {}
            judged = {entry.instrument_id for entry in news}
            self._known = {place: one for place, one in self._known.items() if place[0] not in judged}
            self._heeded[kind] = max((entry.position for entry in news), default=heeded)

    def in_trouble(self, reads: Reads, series: QcSeriesRow) -> Sequence[InTrouble]:
        """Return the figures of a series that are in trouble."""
        place = (series.instrument_id, series.series_key)
        if not self._knows(series):
            self._known[place] = series.record_id, tuple(_in_trouble(reads, series))
        return self._known[place][1]

    def _knows(self, series: QcSeriesRow) -> bool:
        known = self._known.get((series.instrument_id, series.series_key))
        return known is not None and known[0] == series.record_id


def _in_trouble(reads: Reads, series: QcSeriesRow) -> Iterator[InTrouble]:
    for figure in figures_of(reads, series, said_of(reads, series.instrument_id)):
        told = _told(figure)
        if told is not None and (told.n_broken or told.drift):
            yield told


def _told(figure: Figure) -> InTrouble | None:
    chart = figure.chart
    if chart is None:
        return None
    rules = {signal.index: signal.rule for signal in chart.signals}
    last = len(chart.samples) - 1
    broken = list(takewhile(rules.__contains__, range(last, -1, -1)))
    since = chart.samples[broken[-1] if broken else last].at
    return InTrouble(figure.newest, len(broken), since, rules.get(last, ""), chart.drift)
