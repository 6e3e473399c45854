"""Quality control: runs, their figures, and the series they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class QcFigure:
    """One figure of a quality-control run; numbers that cannot be drawn are None, the record has them."""

    metric: str
    status: str
    unit: str | None
    value: float | None
    uncertainty: float | None
    expected: float | None
    baseline: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True, slots=True)
class QcFacts:
    """What a quality-control record adds to the series of its instrument."""

    run_id: UUID
    series_key: str
    routine: str
    light_path: dict[str, str]
    status: str
    figures: tuple[QcFigure, ...]


@dataclass(frozen=True, slots=True)
class QcSeriesRow:
    """A series of quality-control runs, and how it stands."""

    instrument_id: str
    series_key: str
    routine: str
    light_path: dict[str, str]
    n_runs: int
    record_id: str
    captured_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class QcRunRow:
    """One run of quality control in short; its record has the rest."""

    position: int
    record_id: str
    instrument_id: str
    run_id: str
    series_key: str
    routine: str
    status: str
    captured_at: datetime
    acquisition_id: str | None


class QcPoint(NamedTuple):
    """One figure of one run, as a chart needs it."""

    # A named tuple: thousands are made for one page.
    metric: str
    captured_at: datetime
    position: int
    record_id: str
    status: str
    unit: str | None
    value: float | None
    uncertainty: float | None
    expected: float | None
    baseline: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True, slots=True)
class QcCount:
    """So many runs of a routine on an instrument ended with a verdict."""

    instrument_id: str
    routine: str
    status: str
    n_runs: int
