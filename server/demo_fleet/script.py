"""What happens to the instruments of the fleet: who they are, and what goes wrong when. All of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Zurich")
"""Of all sites."""

FaultKind = Literal[
    "dichroic_swapped",
    "objective_cleaned",
    "camera_firmware",
    "drifts_to_limit",
    "follows_temperature",
    "silent",
    "qc_overdue",
    "out_of_limits",
    "disk_full",
    "outlier",
]
FAULTS: tuple[FaultKind, ...] = FaultKind.__args__  # type: ignore[attr-defined]
"""The first instruments have one each, in this order; of the others about one in seven has one."""

STEPS: dict[FaultKind, tuple[str, str, str]] = {
    "dichroic_swapped": ("psf", "fwhm_x", "Dichroic Label"),
    "objective_cleaned": ("psf", "fwhm_x", "cleaning"),
    "camera_firmware": ("illumination", "field_uniformity", "Camera firmware"),
}
"""Faults that make a figure step: its routine, the figure, and what the likely cause must be called."""

_SHARE = 0.15
_STEP_AT = 0.7
_SITES = (
    "Basel / Biozentrum",
    "Basel / Building 4",
    "Zurich / Imaging centre",
    "Geneva / Campus",
    "Lausanne / SV",
)
_MODELS = (
    "Nikon Ti2-E",
    "Zeiss Axio Observer 7",
    "Olympus IX83",
    "Leica DMi8",
    "Yokogawa CSU-W1",
    "Custom light sheet",
)
_SORTS = {
    "Nikon Ti2-E": "Widefield",
    "Zeiss Axio Observer 7": "Live cell",
    "Olympus IX83": "TIRF",
    "Leica DMi8": "Screening",
    "Yokogawa CSU-W1": "Spinning disk",
    "Custom light sheet": "Light sheet",
}
PEOPLE = (
    "ada", "barbara", "chien", "dorothy", "emil", "frits", "gerta", "hooke", "inge", "jan", "kofi", "lise", "maria",
    "nadia", "otto", "pauline", "rosa", "santiago", "tu", "vera",
)  # fmt: skip
"""Who uses the fleet; nobody real."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one instrument.

    `at` is when it begins. For those in `STEPS` the first run after it has the new level, `figure` of `routine` steps, and `cause` is
    what recurs in the change log, the logbook or the description before it.
    """

    kind: FaultKind
    instrument_id: str
    at: datetime
    routine: str = ""
    figure: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One simulated instrument."""

    number: int
    instrument_id: str
    name: str
    site: str
    model: str
    fault: Fault | None
    seed: str
    weekday: int
    """Of its quality control, 0 to 6 after the start of a week."""

    def dice(self, of: str) -> random.Random:
        """Return random numbers that belong to one purpose, so that one never shifts the others."""
        return random.Random(f"{self.seed} {self.instrument_id} {of}")

    @property
    def sort(self) -> str:
        """What people call such a microscope."""
        return _SORTS[self.model]


@dataclass(frozen=True, slots=True)
class Span:
    """The time that history covers."""

    ends_at: datetime
    n_weeks: int

    def week(self, number: int) -> datetime:
        """Return when a week begins, on a Monday at midnight; the last of `n_weeks` is the one in which history ends."""
        last = self.ends_at.astimezone(ZONE).date()
        monday = last - timedelta(days=last.weekday(), weeks=self.n_weeks - 1 - number)
        return datetime.combine(monday, time(), ZONE).astimezone(UTC)

    def number_of(self, at: datetime) -> int:
        """Return the number of the week of a moment."""
        first = self.week(0).astimezone(ZONE).date()
        return (at.astimezone(ZONE).date() - first).days // 7


def fleet(n_instruments: int, span: Span, seed: int) -> list[Instrument]:
    """Return the instruments, the same ones for the same arguments."""
    return [_instrument(number, span, seed) for number in range(n_instruments)]


def _instrument(number: int, span: Span, seed: int) -> Instrument:
    dice = random.Random(f"{seed} {number}")
    model = dice.choice(_MODELS)
    instrument_id = f"demo-{number:04d}"
    weekday = dice.randrange(5)
    is_first = number < len(FAULTS)
    kind = FAULTS[number] if is_first else dice.choice(FAULTS) if dice.random() < _SHARE else None
    return Instrument(
        number=number,
        instrument_id=instrument_id,
        name=f"{_SORTS[model]} {number + 1}",
        site=_SITES[number % len(_SITES)],
        model=model,
        fault=_fault(kind, instrument_id, span, weekday) if kind else None,
        seed=str(seed),
        weekday=weekday,
    )


def _fault(kind: FaultKind, instrument_id: str, span: Span, weekday: int) -> Fault:
    step_week = span.week(int(span.n_weeks * _STEP_AT)) + timedelta(days=weekday)
    begins: dict[str, datetime] = {
        "silent": span.ends_at - timedelta(days=3),
        "qc_overdue": span.ends_at - timedelta(days=60),
        "out_of_limits": span.ends_at - timedelta(days=15),
        "disk_full": span.ends_at - timedelta(hours=2),
        "drifts_to_limit": span.week(0),
        "follows_temperature": span.week(0),
    }
    at = begins.get(kind, step_week - timedelta(days=2))
    return Fault(kind, instrument_id, at, *STEPS.get(kind, ("", "", "")))
