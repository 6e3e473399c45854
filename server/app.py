"""The web application, built from a collector given to it."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from server.access.limits import RequestLimits
from server.answers import refusal_answer
from server.api import (
    agents,
    alerts,
    forwarding,
    ingest,
    live,
    metrics,
    query,
    reference,
    reports,
    schedules,
    tables,
)
from server.api.described import DescribedApi
from server.collector import Collector
from server.dependencies import address_of, collector_of
from server.errors import NotSignedInError, RefusedError, StoreError, unavailable
from server.etags import ETags
from server.headers import HEADERS, SecurityHeaders
from server.languages import Speaking
from server.web import pages, refusals

_log = logging.getLogger(__name__)


class _Api(DescribedApi):
    """The application behind the one that takes batches."""

    def __init__(self, collector: Collector, **described: Any) -> None:
        super().__init__(**described)
        self.state.collector = collector
        self._ingest_first = ingest.IngestFirst(super().__call__, collector)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._ingest_first(scope, receive, send)


def create_app(collector: Collector) -> FastAPI:
    """Return the application; whoever calls this closes the collector."""
    app = _Api(
        collector,
        title="Scopestamp collector",
        version=version("scopestamp"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.listeners = live.Listeners()
    app.add_middleware(Speaking)
    app.add_middleware(ETags)
    app.add_middleware(RequestLimits, limits=collector.settings.limits, now=collector.now)
    app.add_middleware(SecurityHeaders)
    for router in (
        agents.router,
        ingest.router,
        forwarding.router,
        query.router,
        metrics.router,
        tables.router,
        reports.router,
        live.router,
        schedules.router,
        alerts.router,
        reference.router,
        *pages.routers,
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(packages=[("server.web", "static")]), name="static")
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreError, _store_error)
    app.add_exception_handler(Exception, _last_handler)
    return app


def _healthz(request: Request) -> JSONResponse:
    """Say whether the store answers; tells strangers nothing else."""
    with request.app.state.collector.store.reading() as reads:
        reads.user("")
    return JSONResponse({"status": "ok"})


def _answer(request: Request, refused: RefusedError) -> Response:
    if not _is_program(request):
        return refusals.page(request, refused)
    return refusal_answer(refused)


def _is_program(request: Request) -> bool:
    return request.url.path.startswith("/v1/") or request.url.path in (
        "/openapi.json",
        "/healthz",
        "/metrics",
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    _note_refusal(request, error)
    return _answer(request, error)


_NOTED = ("not_allowed", "foreign_form", "tokens_only")


def _note_refusal(request: Request, refused: RefusedError) -> None:
    """Audit who was refused what, and every bad token; of a flood only the first (ASVS 5.0 16.3.1, 16.3.2)."""
    is_bad_token = isinstance(refused, NotSignedInError) and "authorization" in request.headers
    if refused.refusal.error not in _NOTED and not is_bad_token:
        return
    collector, address = collector_of(request), address_of(request)
    if collector.attempts.failed(address, "refused"):
        who = getattr(request.state, "person_name", "nobody")
        what = f"{request.method} {request.url.path}: {refused.refusal.error}"
        collector.note(who, "refusal", what[:400], address=address, refused=True)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(request, RefusedError(400, "malformed_request", f"{where}: {first['msg']}."))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    names = {404: "not_found", 405: "method_not_allowed"}
    is_nowhere = error.detail == "Not Found" and _is_program(request)
    message = (
        "There is nothing at this address; /openapi.json lists what there is" if is_nowhere else error.detail
    )
    refused = RefusedError(error.status_code, names.get(error.status_code, "http_error"), f"{message}.")
    return _answer(request, refused)


def _store_error(request: Request, error: Exception) -> Response:
    _log.error("%s", error)
    return _answer(request, unavailable())


def _last_handler(request: Request, error: Exception) -> Response:
    """Answer a bug of ours without telling its inside; Starlette re-raises it afterwards, which logs it."""
    message = "The collector failed at this request; its log says how. Please report it."
    response = _answer(request, RefusedError(500, "internal_error", message))
    response.headers.update(HEADERS)  # this answer passes outside the middleware
    return response
