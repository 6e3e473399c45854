"""A client of the collector for people's own programs.

::

    from server.client import CollectorClient

    with CollectorClient("https://scopes.example.org", token) as collector:
        for instrument in collector.instruments():
            print(instrument.name, instrument.presence)
        for record in collector.records(kind="qc_result"):
            ...

Answers are the same typed models that the collector's API describes. Lists come as generators that ask for the next page when
it is needed. What the collector declines raises `RefusedAnswerError` with its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from agent.records import ScheduleRun
from server.alerts.desk import SilenceAsked
from server.alerts.routes import Silence
from server.alerts.rules import Severity
from server.api import models
from server.errors import CollectorError
from server.quality.schedules import PlacedSchedule

M = TypeVar("M", bound=BaseModel)
Form = Literal["csv", "jsonl", "parquet"]
"""How a table is written."""

TIMEOUT_S = 30.0


class Which(TypedDict, total=False):
    """Which days, and which instruments, a report is about; the current month and all instruments without."""

    since: date
    until: date
    site: str
    group: str
    instrument: str


class RefusedAnswerError(CollectorError):
    """The collector declined; `error` is its stable name for that, such as ``not_found``."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class CollectorClient:
    """Asks a collector.

    Parameters
    ----------
    url : str
        Where it is, such as ``https://scopes.example.org``.
    token : str
        Of ``scopestamp-server token new``.
    verify : bool or str
        False to trust any certificate, or a PEM file with the authority to trust.
    """

    def __init__(self, url: str, token: str, verify: bool | str = True) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            verify=verify,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def instruments(self) -> list[models.InstrumentAnswer]:
        """Return all instruments and how they fare."""
        return [models.InstrumentAnswer.model_validate(one) for one in self._get("/v1/instruments")]

    def instrument(self, instrument_id: str) -> models.InstrumentDetail:
        """Return one instrument."""
        return models.InstrumentDetail.model_validate(self._get(f"/v1/instruments/{_part(instrument_id)}"))

    def acquisitions(self, instrument_id: str) -> Iterator[models.AcquisitionAnswer]:
        """Give the acquisitions of an instrument, newest first."""
        path = f"/v1/instruments/{_part(instrument_id)}/acquisitions"
        return self._pages(path, models.AcquisitionsAnswer, lambda page: page.acquisitions)

    def changes(self, instrument_id: str, device: str | None = None) -> Iterator[models.ChangeAnswer]:
        """Give the change log of an instrument, newest first."""
        path = f"/v1/instruments/{_part(instrument_id)}/changes"
        return self._pages(path, models.ChangesAnswer, lambda page: page.changes, device=device)

    def quality(self, instrument_id: str) -> Iterator[models.QcRunAnswer]:
        """Give the quality-control runs of an instrument, last to arrive first."""
        path = f"/v1/instruments/{_part(instrument_id)}/qc"
        return self._pages(path, models.QualityAnswer, lambda page: page.runs)

    def acquisition(self, acquisition_id: str) -> models.AcquisitionDetail:
        """Return one acquisition and the records that hold it."""
        return models.AcquisitionDetail.model_validate(self._get(f"/v1/acquisitions/{_part(acquisition_id)}"))

    def export(
        self, acquisition_id: str, format_name: str, language: str = "en", position: int | None = None
    ) -> bytes:
        """Return an acquisition as a file of a standard's format; where it has several positions, of one."""
        path = f"/v1/acquisitions/{_part(acquisition_id)}/export/{_part(format_name)}"
        return self._file(path, language=language, position=position)

    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0
    ) -> Iterator[models.RecordEntry]:
        """Give records in order of arrival from a position on; remember the last `position` to go on later."""
        while True:
            told = self._get("/v1/records", instrument=instrument_id, kind=kind, after=after, limit=500)
            page = models.RecordsAnswer.model_validate(told)
            yield from page.records
            if not page.records:
                return
            after = page.after

    def record(self, record_id: str) -> models.RecordAnswer:
        """Return one record, parsed, and whether its signature holds."""
        return models.RecordAnswer.model_validate(self._get(f"/v1/records/{_part(record_id)}"))

    def live(
        self, instrument_id: str | None = None, after: int | None = None
    ) -> Iterator[models.RecordEntry]:
        """Give records as they arrive, without end; close the client to stop."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        timeout = httpx.Timeout(TIMEOUT_S, read=60.0)
        try:
            with self._http.stream(
                "GET", "/v1/live", params=_given(instrument=instrument_id), headers=headers, timeout=timeout
            ) as reply:
                if not reply.is_success:
                    reply.read()
                    raise _refused(reply)
                for line in reply.iter_lines():
                    if line.startswith("data: "):
                        yield models.RecordEntry.model_validate_json(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            raise _away(error) from error

    def raw(self, record_id: str) -> bytes:
        """Return a record exactly as it was received."""
        return self._file(f"/v1/records/{_part(record_id)}/raw")

    # Who sends, and what was not understood

    def agents(self) -> list[models.AgentAnswer]:
        """Return all agents."""
        return [models.AgentAnswer.model_validate(one) for one in self._get("/v1/agents")]

    def spools(self) -> list[models.SpoolAnswer]:
        """Return how far each spool has come."""
        return [models.SpoolAnswer.model_validate(one) for one in self._get("/v1/spools")]

    def quarantine(self) -> Iterator[models.QuarantineEntry]:
        """Give what was received and not understood, newest first."""
        return self._pages("/v1/quarantine", models.QuarantineAnswer, lambda page: page.quarantine)

    def quarantined_raw(self, position: int) -> bytes:
        """Return a line that was not understood, exactly as it was received."""
        return self._file(f"/v1/quarantine/{position}/raw")

    # Schedules

    def schedules(self) -> list[models.KeptAnswer]:
        """Return all schedules of quality control."""
        return [models.KeptAnswer.model_validate(one) for one in self._get("/v1/qc/schedules")]

    def put_schedule(self, placed: PlacedSchedule, replaces: int | None = None) -> models.KeptAnswer:
        """Keep a schedule under its id; `replaces` is the version it was made from, 0 for none yet."""
        path = f"/v1/qc/schedules/{_part(placed.schedule.schedule_id)}"
        body = placed.model_dump(mode="json", include=set(PlacedSchedule.model_fields), exclude_none=True)
        return models.KeptAnswer.model_validate(
            self._ask(path, _given(replaces=replaces), "PUT", body).json()
        )

    def remove_schedule(self, schedule_id: str) -> None:
        """Take a schedule away."""
        self._ask(f"/v1/qc/schedules/{_part(schedule_id)}", {}, "DELETE")

    def schedule_runs(self, instrument_id: str) -> list[ScheduleRun]:
        """Return the last word on every planned run of an instrument, the latest planned first."""
        told = self._get(f"/v1/instruments/{_part(instrument_id)}/schedule-runs")
        return models.RunsAnswer.model_validate(told).runs

    # Alerts

    def alerts(
        self, instrument_id: str | None = None, rule: str | None = None, severity: Severity | None = None
    ) -> Iterator[models.AlertAnswer]:
        """Give what fires now, the last found first; from a severity on."""
        asked = _given(instrument=instrument_id, rule=rule, severity=severity)
        return self._pages("/v1/alerts", models.AlertsAnswer, lambda page: page.alerts, **asked)

    def past_alerts(
        self, instrument_id: str | None = None, rule: str | None = None
    ) -> Iterator[models.AlertAnswer]:
        """Give what fired and is over, the last to end first."""
        asked = _given(instrument=instrument_id, rule=rule)
        return self._pages("/v1/alerts/past", models.PastAlertsAnswer, lambda page: page.alerts, **asked)

    def look_after(self, key: str, comment: str = "") -> models.AlertAnswer:
        """Say that somebody looks after an alert: it escalates no further."""
        body = {"key": key, "comment": comment}
        return models.AlertAnswer.model_validate(self._ask("/v1/alerts/acknowledge", {}, "POST", body).json())

    def silences(self) -> list[Silence]:
        """Return what nobody is told of, and until when."""
        return [Silence.model_validate(one) for one in self._get("/v1/alerts/silences")]

    def silence(self, asked: SilenceAsked) -> Silence:
        """Have nobody told of some alerts for a while."""
        body = asked.model_dump(mode="json")
        return Silence.model_validate(self._ask("/v1/alerts/silences", {}, "POST", body).json())

    def end_silence(self, key: str) -> None:
        """Tell people again."""
        self._ask(f"/v1/alerts/silences/{_part(key)}", {}, "DELETE")

    # Tables and reports, as files

    def figures(self, instrument_id: str, form: Form = "csv", since: datetime | None = None) -> bytes:
        """Return every figure of every quality-control run of an instrument."""
        return self._file(f"/v1/instruments/{_part(instrument_id)}/qc/figures", format=form, since=since)

    def acquisitions_table(self, instrument_id: str, form: Form = "csv") -> bytes:
        """Return every acquisition of an instrument."""
        return self._file(f"/v1/instruments/{_part(instrument_id)}/acquisitions/table", format=form)

    def changes_table(self, instrument_id: str, form: Form = "csv") -> bytes:
        """Return the whole change log of an instrument."""
        return self._file(f"/v1/instruments/{_part(instrument_id)}/changes/table", format=form)

    def utilisation(self, form: Form = "csv", **which: Unpack[Which]) -> bytes:
        """Return hours in each mode, a row for every instrument and month."""
        return self._file("/v1/utilisation", format=form, **which)

    def utilisation_of_people(self, form: Form = "csv", **which: Unpack[Which]) -> bytes:
        """Return hours by person, as the agents publish people; for staff."""
        return self._file("/v1/utilisation/people", format=form, **which)

    def recognition(self, form: Literal["csv", "pdf"] = "csv", **which: Unpack[Which]) -> bytes:
        """Return the figures that facilities are asked for."""
        return self._file("/v1/reports/recognition", format=form, **which)

    def logbook(
        self,
        form: Form = "csv",
        *,
        instrument: str = "",
        kind: str = "",
        device: str = "",
        who: str = "",
        words: str = "",
        since: date | None = None,
        until: date | None = None,
    ) -> bytes:
        """Return what people wrote into the logbooks and has all that is asked for, the last written first."""
        asked = dict(instrument=instrument, kind=kind, device=device, who=who, q=words)
        return self._file("/v1/logbook", format=form, since=since, until=until, **asked)

    def acknowledgement(self, instrument_id: str, language: str = "en") -> models.AcknowledgementAnswer:
        """Return the sentence to put into a paper, with its identifiers."""
        path = f"/v1/instruments/{_part(instrument_id)}/acknowledgement"
        return models.AcknowledgementAnswer.model_validate(self._get(path, language=language))

    def crate(self, instrument_id: str, year: int | None = None) -> bytes:
        """Return an instrument's year as an RO-Crate (zip); the current year without one."""
        return self._file(f"/v1/instruments/{_part(instrument_id)}/crate", year=year)

    def _pages(
        self, path: str, model: type[Any], items: Callable[[Any], list[M]], **params: Any
    ) -> Iterator[M]:
        before = None
        while True:
            page = model.model_validate(self._get(path, before=before, limit=500, **params))
            yield from items(page)
            before = page.before
            if before is None:
                return

    def _get(self, path: str, **params: Any) -> Any:
        return self._ask(path, _given(**params)).json()

    def _file(self, path: str, **params: Any) -> bytes:
        return self._ask(path, _given(**params)).content

    def _ask(
        self, path: str, params: dict[str, Any], method: str = "GET", body: object = None
    ) -> httpx.Response:
        try:
            reply = self._http.request(method, path, params=params, json=body)
        except httpx.HTTPError as error:
            raise _away(error) from error
        if not reply.is_success:
            raise _refused(reply)
        return reply


def _given(**params: Any) -> dict[str, Any]:
    told = ((name, value) for name, value in params.items() if value is not None)
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in told}


def _part(text: str) -> str:
    """Return one part of a path; an id with a slash stays one part."""
    return quote(text, safe="")


def _away(error: httpx.HTTPError) -> CollectorError:
    return CollectorError(f"The collector could not be reached: {error}.")


def _refused(reply: httpx.Response) -> RefusedAnswerError:
    try:
        told = reply.json()
        return RefusedAnswerError(reply.status_code, str(told["error"]), str(told["message"]))
    except (ValueError, KeyError, TypeError):  # no JSON, or not even UTF-8
        words = f"Expected an answer of a collector; {reply.url} answered {reply.status_code} with something else."
        return RefusedAnswerError(reply.status_code, "no_collector", words)
