"""An instrument's year as RO-Crate 1.2: what it is, every run of its quality control, its logbook and its hours.

Made to be published: it names nobody. Who wrote or did what stays in the collector's own logbook.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

from agent.exports.pidinst import pidinst
from agent.exports.ro_crate import CONTEXT, SPECIFICATION
from agent.exports.ro_crate_graph import (
    Entity,
    Graph,
    agency_entity,
    funders,
    funding,
    licence,
    property_value,
    publisher,
    refs,
)
from agent.records import Profile
from server.api.tables import csv_of
from server.logbook import Maintenance, Signed, invalid_runs
from server.reports.recognition import hours_of
from server.store.base import Reads
from server.store.rows import Instrument, Place, QcRunRow
from server.use.credit import profile_of
from server.use.periods import Period
from server.use.utilisation import MODES, Utilisation, maintenance_in, utilisation

METADATA = "ro-crate-metadata.json"
_AT_ONCE = 500
_RUNS = ("run_id", "captured_at", "routine", "light_path", "status", "is_invalid", "reason", "record_id")
_FIGURES = ("run_record_id", "captured_at", "routine", "metric", "status", "unit", "value", "uncertainty", "expected",
            "baseline", "lower_limit", "upper_limit")  # fmt: skip
_WORKS = ("day", "work", "title", "text", "device", "n_minutes")
_MONTHS = ("month", *(f"hours_{mode}" for mode in MODES))
_ACQUISITIONS = (
    "acquisition_id",
    "began_at",
    "finished_at",
    "reason",
    "n_expected",
    "n_seen",
    "n_files",
    "size_bytes",
)
_TOLD = {
    "qc-runs.csv": "Runs of quality control with their verdicts; those declared invalid say why",
    "qc-figures.csv": "Every figure of these runs",
    "logbook.csv": "Maintenance: what was done on which day, without names",
    "utilisation.csv": "Hours in each mode by month; every hour stands in one mode",
    "acquisitions.csv": "When the instrument acquired, and how much",
    "instrument.json": "The instrument as a PIDINST 1.0 record",
}


def year_crate(reads: Reads, instrument: Instrument, year: Period, now: datetime) -> bytes:
    """Return the crate as a zip; the same records and moment give the same bytes."""
    profile = profile_of(reads, instrument)
    runs = list(_runs(reads, instrument.instrument_id, year))
    works = sorted(maintenance_in(reads, year, {instrument.instrument_id}), key=_day_of)
    use = utilisation(reads, year, [instrument], now)
    files = dict(_files(reads, instrument, profile, year, runs, works, use))
    crate = crate_of(instrument, profile, year, runs, works, use, files, now)
    files[METADATA] = json.dumps(crate, indent=2, ensure_ascii=False).encode("utf-8", "replace")
    return _zipped(files, now)


def _day_of(one: Signed) -> tuple[Any, int]:
    assert isinstance(one.note, Maintenance)
    return one.note.day, one.position


Told = dict[str, Any]
"""A run or an acquisition as its row in the table says it."""


def _runs(reads: Reads, instrument_id: str, year: Period) -> Iterator[Told]:
    """Yield the runs of the year, oldest first."""
    paths = {one.series_key: one.light_path for one in reads.qc_series(instrument_id)}
    invalid = invalid_runs(reads, instrument_id)
    for row in reversed(list(_rows(reads, instrument_id, year))):
        said = invalid.get(row.record_id)
        yield {
            "run_id": row.run_id,
            "captured_at": row.captured_at,
            "routine": row.routine,
            "light_path": json.dumps(paths.get(row.series_key, {}), sort_keys=True, ensure_ascii=False),
            "status": row.status,
            "is_invalid": said is not None,
            "reason": said.note.reason if said else "",  # type: ignore[union-attr]  # it is an invalidation
            "record_id": row.record_id,
        }


def _rows(reads: Reads, instrument_id: str, year: Period) -> Iterator[QcRunRow]:
    before = Place(year.until, 0)
    while page := reads.qc_runs(instrument_id, before=before, limit=_AT_ONCE):
        for row in page:
            if row.captured_at < year.since:
                return
            yield row
        before = Place(page[-1].captured_at, page[-1].position)


def _acquisitions(reads: Reads, instrument_id: str, year: Period) -> Iterator[Told]:
    """Yield the acquisitions that began in the year, newest first."""
    before = Place(year.until, 0)
    while page := reads.acquisitions(instrument_id, before, _AT_ONCE):
        for row in page:
            if row.began_at < year.since:
                return
            yield {name: getattr(row, name) for name in _ACQUISITIONS}
        before = Place(page[-1].began_at, page[-1].position)


def _files(
    reads: Reads,
    instrument: Instrument,
    profile: Profile,
    year: Period,
    runs: list[Told],
    works: list[Signed],
    use: Utilisation,
) -> Iterator[tuple[str, bytes]]:
    of = instrument.instrument_id
    months = (
        {"month": f"{month.first:%Y-%m}", **{f"hours_{mode}": hours_of(hours.of(mode)) for mode in MODES}}
        for month, hours in use.by_month()
    )
    yield "qc-runs.csv", _csv(_RUNS, runs)
    yield "qc-figures.csv", _csv(_FIGURES, _figures(reads, of, year))
    yield "logbook.csv", _csv(_WORKS, map(_work, works))
    yield "utilisation.csv", _csv(_MONTHS, months)
    yield "acquisitions.csv", _csv(_ACQUISITIONS, _acquisitions(reads, of, year))
    text = json.dumps(pidinst(profile, of), indent=2, ensure_ascii=False, default=str)
    yield "instrument.json", text.encode("utf-8", "replace")


def _csv(columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(csv_of(columns, rows))


def _figures(reads: Reads, instrument_id: str, year: Period) -> Iterator[dict[str, Any]]:
    for series in reads.qc_series(instrument_id):
        for point in reads.qc_points(instrument_id, series.series_key, since=year.since):
            if point.captured_at < year.until:
                told = {name: getattr(point, name) for name in _FIGURES if hasattr(point, name)}
                yield {"run_record_id": point.record_id, "routine": series.routine, **told}


def _work(one: Signed) -> dict[str, Any]:
    note = one.note
    assert isinstance(note, Maintenance)
    told = {name: getattr(note, name) for name in ("work", "title", "text", "device")}
    return {"day": note.day.isoformat(), "n_minutes": note.minutes, **told}


# The metadata


def crate_of(
    instrument: Instrument,
    profile: Profile,
    year: Period,
    runs: list[Told],
    works: list[Signed],
    use: Utilisation,
    files: Mapping[str, bytes],
    now: datetime,
) -> Entity:
    """Return the content of ``ro-crate-metadata.json``."""
    graph = Graph()
    scope, software = _instrument(instrument, profile, graph), _software(graph)
    parts = [_file(graph, name, data) for name, data in files.items()]
    actions = [_check(graph, run, scope, software) for run in runs]
    actions += [_maintenance(graph, one, scope) for one in works]
    name = f"{profile.instrument.name or instrument.name}, {year.first.year}"
    days = f"{year.first} to {year.last}, days of {year.zone.key}"
    graph.add(
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        }
    )
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": f"A year of the microscope {profile.instrument.name or instrument.name} ({days}): {len(runs)} runs of "
        f"quality control, {len(works)} entries of maintenance, hours of use by month.",
        "datePublished": now.isoformat(),
        "temporalCoverage": f"{year.first}/{year.last}",
        "license": licence(profile, graph),
        "about": refs([scope]),
        "hasPart": refs(parts),
        "mentions": refs(actions),
        "publisher": publisher(profile, graph),
        "funder": refs(funders(profile, graph)),
        "funding": refs(funding(profile, graph)),
        "variableMeasured": refs(_hours(graph, use)),
        "identifier": f"urn:scopestamp:{instrument.instrument_id}:{year.first.year}",
    }
    graph.add(root)
    return {"@context": CONTEXT, "@graph": graph.entities()}


def _instrument(instrument: Instrument, profile: Profile, graph: Graph) -> str:
    plate = profile.instrument
    return graph.add(
        {
            "@id": plate.pid or f"urn:scopestamp:{instrument.instrument_id}",
            "@type": "IndividualProduct",
            "name": plate.name or instrument.name,
            "description": plate.description or "Light microscope",
            "serialNumber": plate.serial_number,
            "model": plate.model or instrument.model,
            "manufacturer": refs([agency_entity(maker, graph) for maker in plate.manufacturers]),
            "identifier": plate.pid or instrument.instrument_id,
            "url": plate.landing_page,
        }
    )


def _software(graph: Graph) -> str:
    ours = version("scopestamp")
    return graph.add(
        {
            "@id": f"https://pypi.org/project/scopestamp/{ours}/",
            "@type": "SoftwareApplication",
            "name": "scopestamp",
            "version": ours,
            "url": "https://pypi.org/project/scopestamp/",
        }
    )


def _file(graph: Graph, name: str, data: bytes) -> str:
    kind = "application/json" if name.endswith(".json") else "text/csv"
    return graph.add(
        {
            "@id": name,
            "@type": "File",
            "name": name,
            "description": _TOLD[name],
            "encodingFormat": kind,
            "contentSize": str(len(data)),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    )


def _check(graph: Graph, run: Told, scope: str, software: str) -> str:
    at = run["captured_at"].isoformat()
    verdict = property_value(
        graph,
        f"verdict-{run['run_id']}",
        "verdict",
        "invalid" if run["is_invalid"] else run["status"],
        description=f"Declared invalid: {run['reason']}"
        if run["is_invalid"]
        else "By the limits of the routine",
    )
    return graph.add(
        {
            "@id": f"#qc-{run['run_id']}",
            "@type": "CreateAction",
            "name": f"Quality control: {run['routine']}",
            "description": f"Light path {run['light_path']}; figures in qc-figures.csv under record {run['record_id']}.",
            "startTime": at,
            "endTime": at,
            "object": refs([scope]),
            "instrument": refs([scope, software]),
            "result": refs([verdict]),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
    )


def _maintenance(graph: Graph, one: Signed, scope: str) -> str:
    note = one.note
    assert isinstance(note, Maintenance)
    minutes = f" {note.minutes} minutes." if note.minutes else ""
    device = f" Device: {note.device}." if note.device else ""
    return graph.add(
        {
            "@id": f"#logbook-{one.entry_id}",
            "@type": "UpdateAction",
            "name": note.title,
            "description": f"{note.work}.{device}{minutes} {note.text}".strip(),
            "startTime": note.day.isoformat(),
            "endTime": note.day.isoformat(),
            "object": refs([scope]),
        }
    )


def _hours(graph: Graph, use: Utilisation) -> list[str]:
    total = use.total
    return [
        property_value(graph, f"hours-{mode}", f"hours: {mode}", hours_of(total.of(mode)), "h")
        for mode in MODES
    ]


def _zipped(files: Mapping[str, bytes], now: datetime) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, now.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()
