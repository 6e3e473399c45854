"""What a report says, before it is laid out: one run, its figures in pictures, and how it compares with the runs before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.quality.history import History, HistoryError
from agent.quality.report import words
from agent.quality.report.trend import Trend, trends
from agent.records import QcMetric, QcResult
from agent.settings import InstrumentSettings
from qc_routines.catalogue import ROUTINES
from qc_routines.figures import draw, png
from qc_routines.results import Measurement

NO_PICTURES = "What the pictures are drawn from was not kept with this run, so there are none here."


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as PNG, or a sentence in its place."""

    name: str
    title: str
    caption: str
    png: bytes | None
    missing: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says.

    Attributes
    ----------
    result : QcResult
        The run.
    title : str
        Of the routine, for people.
    instrument : tuple of (str, str)
        What is known of the instrument, its name first.
    judged, others : tuple of QcMetric
        Figures that somebody set a limit for, and all others.
    meanings : dict of str to str
        Figure to one sentence.
    pictures : tuple of Picture
        Empty without the measurement.
    trends : tuple of Trend
        Up to this run.
    n_runs : int
        That the trends were made from, this one included.
    time_zero : QcResult or None
        The run that the baseline is from.
    """

    result: QcResult
    title: str
    instrument: tuple[tuple[str, str], ...]
    judged: tuple[QcMetric, ...]
    others: tuple[QcMetric, ...]
    meanings: dict[str, str]
    pictures: tuple[Picture, ...]
    trends: tuple[Trend, ...]
    n_runs: int
    time_zero: QcResult | None

    @property
    def verdict(self) -> str:
        """The verdict as a sentence."""
        return words.verdict(self.result)

    @property
    def out_of_limits(self) -> list[str]:
        """A sentence for each figure out of its limits."""
        return words.out_of_limits(self.result)


def report_of(
    result: QcResult,
    measurement: Measurement | None = None,
    history: History | None = None,
    instrument: InstrumentSettings | None = None,
) -> Report:
    """Return the report of a run.

    Parameters
    ----------
    result : QcResult
        The run's record.
    measurement : Measurement, optional
        Its table and maps, for the pictures; they are not part of the record.
    history : History, optional
        For the trends and for time zero.
    instrument : InstrumentSettings, optional
        What the facility states of the instrument, beside its id.
    """
    runs: Sequence[QcResult] = history.runs(result.routine, result.light_path) if history else ()
    routine = ROUTINES.get(result.routine)
    meanings = {name: names.meaning for name, names in routine.figures.items()} if routine else {}
    found = trends(result, runs)
    return Report(
        result=result,
        title=routine.title if routine else words.figure_name(result.routine).capitalize(),
        instrument=_facts(result, instrument),
        judged=tuple(metric for metric in result.metrics if words.has_rule(metric)),
        others=tuple(metric for metric in result.metrics if not words.has_rule(metric)),
        meanings=meanings,
        pictures=_pictures(result, measurement),
        trends=found,
        n_runs=max((len(trend.points) for trend in found), default=1),
        time_zero=_time_zero(result, history),
    )


def _time_zero(result: QcResult, history: History | None) -> QcResult | None:
    try:
        return history.baseline(result.routine, result.light_path) if history else None
    except HistoryError:  # the baseline's own file is gone: the report is still worth having
        return None


def _facts(result: QcResult, stated: InstrumentSettings | None) -> tuple[tuple[str, str], ...]:
    stated = stated or InstrumentSettings()
    facts = {
        "Instrument": stated.name or result.instrument_id,
        "Instrument id": result.instrument_id,
        "Where": stated.site,
        "Stand": " ".join(part for part in (stated.manufacturer, stated.model) if part),
        "Serial number": stated.serial_number,
        "Persistent identifier": stated.pid,
    }
    return tuple((name, value) for name, value in facts.items() if value)


def _pictures(result: QcResult, measurement: Measurement | None) -> tuple[Picture, ...]:
    if measurement is None:
        return ()
    expected = {m.metric: value for m in result.metrics if (value := words.number(m.expected)) is not None}
    return tuple(
        Picture(d.name, d.title, d.caption, png(d.canvas) if d.canvas else None, d.missing)
        for d in draw(measurement, expected)
    )
