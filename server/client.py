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

import json
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from server.api import models
from server.errors import CollectorError

M = TypeVar("M", bound=BaseModel)

TIMEOUT_S = 30.0


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

    def export(self, acquisition_id: str, format_name: str, language: str = "en") -> bytes:
        """Return an acquisition as a file of a standard's format."""
        path = f"/v1/acquisitions/{_part(acquisition_id)}/export/{_part(format_name)}"
        return self._ask(path, {"language": language}).content

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
        with self._http.stream(
            "GET", "/v1/live", params=_given(instrument=instrument_id), headers=headers, timeout=timeout
        ) as reply:
            if not reply.is_success:
                reply.read()
                raise _refused(reply)
            for line in reply.iter_lines():
                if line.startswith("data: "):
                    yield models.RecordEntry.model_validate_json(line.removeprefix("data: "))

    def figures_csv(self, instrument_id: str) -> str:
        """Return every figure of every quality-control run as CSV."""
        return self._ask(f"/v1/instruments/{_part(instrument_id)}/qc/figures", {}).text

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

    def _ask(self, path: str, params: dict[str, Any]) -> httpx.Response:
        try:
            reply = self._http.get(path, params=params)
        except httpx.HTTPError as error:
            raise CollectorError(f"The collector could not be reached: {error}.") from error
        if not reply.is_success:
            raise _refused(reply)
        return reply


def _given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _part(text: str) -> str:
    """Return one part of a path; an id with a slash stays one part."""
    return quote(text, safe="")


def _refused(reply: httpx.Response) -> RefusedAnswerError:
    try:
        told = reply.json()
        return RefusedAnswerError(reply.status_code, str(told["error"]), str(told["message"]))
    except (json.JSONDecodeError, KeyError, TypeError):
        words = f"Expected an answer of a collector; {reply.url} answered {reply.status_code} with something else."
        return RefusedAnswerError(reply.status_code, "no_collector", words)
