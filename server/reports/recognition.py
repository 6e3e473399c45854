"""The figures core facilities are asked for: what was made on their instruments, for how many people, and how well kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.store.base import Reads
from server.store.rows import Instrument
from server.use.credit import profile_of
from server.use.periods import Period
from server.use.utilisation import Hours, Made, Utilisation, utilisation

COLUMNS = (
    "instrument_id", "instrument", "site", "pid", "facility_rrid", "organisation_ror", "since", "until",
    "n_acquisitions", "n_datasets", "n_frames", "n_bytes", "n_people", "hours_acquiring", "hours_manual", "hours_qc",
    "hours_maintenance", "n_qc_runs", "n_qc_passed", "n_qc_warned", "n_qc_failed",
)  # fmt: skip
"""`n_people` are those known by name or pseudonym; `hours_maintenance` as the logbook tells them."""


@dataclass(frozen=True, slots=True)
class Line:
    """One instrument of the report."""

    instrument: Instrument
    pid: str
    rrid: str
    ror: str
    made: Made
    hours: Hours
    n_people: int
    qc: Counter[str]


@dataclass(frozen=True, slots=True)
class Recognition:
    """The report: a line an instrument, the most used first, and the use it was made from."""

    use: Utilisation
    lines: tuple[Line, ...]

    @property
    def period(self) -> Period:
        """Its days."""
        return self.use.period

    @property
    def qc(self) -> Counter[str]:
        """Runs of quality control by verdict."""
        return sum((line.qc for line in self.lines), Counter())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the lines as rows of a table, and their sum, in which a person who used several counts once."""
        for line in self.lines:
            who = line.instrument
            named = {"instrument_id": who.instrument_id, "instrument": who.name, "site": who.site,
                     "pid": line.pid, "facility_rrid": line.rrid, "organisation_ror": line.ror}  # fmt: skip
            yield {**named, **self._figures(line.made, line.hours, line.n_people, line.qc)}
        blank = dict.fromkeys(COLUMNS[:6], "") | {"instrument": "Total"}
        yield {**blank, **self._figures(self.use.all_made, self.use.total, self.use.n_people, self.qc)}

    def _figures(self, made: Made, hours: Hours, n_people: int, qc: Counter[str]) -> dict[str, Any]:
        return {
            "since": self.period.first.isoformat(),
            "until": self.period.last.isoformat(),
            **{name: getattr(made, name) for name in Made.__slots__},
            "n_people": n_people,
            "hours_acquiring": hours_of(hours.acquiring_s),
            "hours_manual": hours_of(hours.manual_s),
            "hours_qc": hours_of(hours.qc_s),
            "hours_maintenance": hours_of(hours.maintenance_told_s),
            "n_qc_runs": qc.total(),
            "n_qc_passed": qc["pass"],
            "n_qc_warned": qc["warn"],
            "n_qc_failed": qc["fail"],
        }


def hours_of(seconds: float) -> float:
    """Return hours to two decimals."""
    return round(seconds / 3600, 2)


def recognition(reads: Reads, period: Period, among: Sequence[Instrument], now: datetime) -> Recognition:
    """Return the report over some instruments."""
    use = utilisation(reads, period, among, now)
    qc: dict[str, Counter[str]] = {one.instrument_id: Counter() for one in among}
    for count in reads.qc_counts(period.since, period.until, list(qc)):
        qc[count.instrument_id][count.status] += count.n_runs
    return Recognition(use, tuple(_line(reads, use, one, hours, qc) for one, hours in use.by_instrument()))


def _line(
    reads: Reads, use: Utilisation, instrument: Instrument, hours: Hours, qc: dict[str, Counter[str]]
) -> Line:
    profile, of = profile_of(reads, instrument), instrument.instrument_id
    return Line(
        instrument=instrument,
        pid=profile.instrument.pid or "",
        rrid=profile.facility.rrid or "",
        ror=profile.organisation.ror or "",
        made=use.made[of],
        hours=hours,
        n_people=len(use.served[of]),
        qc=qc[of],
    )
