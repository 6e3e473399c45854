"""Hours of use, credit and the logbook for programs: the same figures as on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from agent.exports.methods import LANGUAGES
from agent.records.wire import Refusal
from server import logbook_search
from server.access.roles import Permission
from server.api.models import AcknowledgementAnswer
from server.api.tables import Form, as_download, csv_of, whole_table
from server.collector import Collector
from server.dependencies import TheCollector, TheStaff, allowed, found
from server.errors import RefusedError
from server.languages import language_of, speak
from server.quality.schedules import groups
from server.reports.pdf import recognition_pdf
from server.reports.recognition import COLUMNS, hours_of, recognition
from server.reports.year_crate import year_crate
from server.sites import is_within
from server.store.base import Reads
from server.store.rows import Instrument
from server.use.credit import acknowledgement, profile_of
from server.use.periods import Period, period_of, year_of
from server.use.utilisation import MODES, Utilisation, utilisation

router = APIRouter(
    prefix="/v1",
    tags=["reports"],
    dependencies=[Depends(allowed(Permission.VIEW))],
    responses={status: {"model": Refusal} for status in (400, 401, 403, 404, 501)},
)

Short = Annotated[str, Query(max_length=200)]
Day = Annotated[date | None, Query(description="By the calendar of the collector's time zone.")]
InstrumentId = Annotated[str, Path(description="As the agent was enrolled with.")]
_MADE = ("n_acquisitions", "n_datasets", "n_frames", "n_bytes")
USE = (
    "instrument_id",
    "instrument",
    "site",
    "month",
    *(f"hours_{mode}" for mode in MODES),
    "hours_maintenance_told",
)
PEOPLE = (
    "person",
    "published",
    "hours_sessions",
    "n_sessions",
    "n_acquisitions",
    "n_frames",
    "n_instruments",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which instruments, and which days."""

    since: Day = None
    until: Day = None
    site: Annotated[str, Query(max_length=200, description="Only instruments of this site.")] = ""
    group: Annotated[str, Query(max_length=200, description="Only instruments of this group.")] = ""
    instrument: Annotated[str, Query(max_length=200, description="Only this instrument.")] = ""

    def period(self, collector: Collector) -> Period:
        """Return the days asked for, the current month without any."""
        return period_of(self.since, self.until, collector.settings.collector.zone, collector.now())

    def among(self, reads: Reads) -> list[Instrument]:
        """Return the instruments asked for, by name."""
        members = groups(reads).get(self.group, ()) if self.group else None
        return [
            one
            for one in reads.instruments()
            if (not self.site or is_within(one.site, {self.site}))
            and (members is None or one.instrument_id in members)
            and self.instrument in ("", one.instrument_id)
        ]

    def use(self, reads: Reads, collector: Collector) -> Utilisation:
        """Return the hours asked for."""
        return utilisation(reads, self.period(collector), self.among(reads), collector.now())


TheAsked = Annotated[Asked, Depends()]


@router.get("/utilisation", response_class=Response)
def hours(collector: TheCollector, asked: TheAsked, form: Form = "csv") -> Response:
    """Hours in each mode, a row for every instrument and month; every hour stands in exactly one mode."""
    with collector.store.reading() as reads:
        use = asked.use(reads, collector)
    rows = (
        {
            "instrument_id": one.instrument.instrument_id,
            "instrument": one.instrument.name,
            "site": one.instrument.site,
            "month": f"{one.month.first:%Y-%m}",
            **{f"hours_{mode}": hours_of(one.hours.of(mode)) for mode in MODES},
            "hours_maintenance_told": hours_of(one.hours.maintenance_told_s),
        }
        for one in use.months
    )
    return whole_table(f"utilisation-{use.period.text}", USE, rows, form)


@router.get("/utilisation/people", response_class=Response)
def people(collector: TheCollector, asked: TheAsked, person: TheStaff, form: Form = "csv") -> Response:
    """Hours by person as the agents publish them, for facility staff: names, pseudonyms of hashes, or one row for the rest."""
    with collector.store.reading() as reads:
        use = asked.use(reads, collector)
    rows = (
        {
            "person": one.pseudonym,
            "published": one.how,
            "hours_sessions": hours_of(one.seconds),
            "n_sessions": one.n_sessions,
            "n_acquisitions": one.n_acquisitions,
            "n_frames": one.n_frames,
            "n_instruments": len(one.instruments),
        }
        for one in use.people
    )
    return whole_table(f"utilisation-people-{use.period.text}", PEOPLE, rows, form)


@router.get("/reports/recognition", response_class=Response)
def recognition_report(
    request: Request,
    collector: TheCollector,
    asked: TheAsked,
    form: Annotated[Literal["csv", "pdf"], Query(alias="format", description="csv or pdf.")] = "csv",
) -> Response:
    """The figures facilities are asked for: acquisitions, datasets, frames, bytes, people served, QC and maintenance."""
    with collector.store.reading() as reads:
        report = recognition(reads, asked.period(collector), asked.among(reads), collector.now())
    name = f"recognition-{report.period.text}"
    if form == "csv":
        content = b"".join(csv_of(COLUMNS, report.rows()))
        return Response(content, media_type="text/csv; charset=utf-8", headers=as_download(name, "csv"))
    speak(language_of(request))
    content = recognition_pdf(
        report, _title(collector, asked, [line.instrument for line in report.lines]), collector.now()
    )
    return Response(content, media_type="application/pdf", headers=as_download(name, "pdf"))


def _title(collector: Collector, asked: Asked, instruments: Sequence[Instrument]) -> str:
    if asked.instrument and instruments:
        return instruments[0].name
    return " · ".join(part for part in (collector.settings.collector.name, asked.site, asked.group) if part)


@router.get("/instruments/{instrument_id}/acknowledgement")
def acknowledgement_text(
    instrument_id: InstrumentId,
    collector: TheCollector,
    language: Annotated[str, Query(max_length=8, description="en, de, fr, es, pt, ja or zh.")] = "en",
) -> AcknowledgementAnswer:
    """The sentence to put into a paper, with the identifiers of instrument, facility and institution."""
    if language not in LANGUAGES:
        raise RefusedError(
            400, "malformed_request", f"language: expected one of {', '.join(LANGUAGES)}; came '{language}'."
        )
    with collector.store.reading() as reads:
        instrument = found(reads.instrument(instrument_id), "instrument")
        profile = profile_of(reads, instrument)
        text = acknowledgement(reads, instrument, language)
    return AcknowledgementAnswer(
        instrument_id=instrument_id,
        language=language,
        text=text,
        pid=profile.instrument.pid,
        facility_rrid=profile.facility.rrid,
        organisation_ror=profile.organisation.ror,
    )


@router.get("/instruments/{instrument_id}/crate", response_class=Response)
def crate_of_year(
    instrument_id: InstrumentId,
    collector: TheCollector,
    year: Annotated[int | None, Query(ge=1990, le=2199, description="The current one without.")] = None,
) -> Response:
    """An instrument's year as an RO-Crate 1.2 (zip): identifiers, quality control with verdicts, logbook, hours; no names."""
    zone, now = collector.settings.collector.zone, collector.now()
    asked = year or now.astimezone(zone).year
    with collector.store.reading() as reads:
        instrument = found(reads.instrument(instrument_id), "instrument")
        content = year_crate(reads, instrument, year_of(asked, zone), now)
    headers = as_download(f"{instrument_id}-{asked}.crate", "zip")
    return Response(content, media_type="application/zip", headers=headers)


@router.get("/logbook", response_class=Response)
def logbook(
    collector: TheCollector,
    form: Form = "csv",
    instrument: Short = "",
    kind: Annotated[str, Query(max_length=40, description="A kind of note, or of maintenance work.")] = "",
    device: Short = "",
    who: Annotated[str, Query(max_length=200, description="Part of who wrote or did it.")] = "",
    q: Annotated[str, Query(max_length=200, description="Words of the note.")] = "",
    since: Day = None,
    until: Day = None,
) -> Response:
    """The logbooks of all instruments, the last written first: who, when, what and why, with the hashes of attached files."""
    zone = collector.settings.collector.zone
    wanted = logbook_search.Wanted(instrument, kind, device, who, q, since, until, zone)
    with collector.store.reading() as reads:
        rows = map(logbook_search.row_of, logbook_search.find(reads, wanted))
        return whole_table("logbook", logbook_search.COLUMNS, rows, form)
