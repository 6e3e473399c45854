"""Schedules for programs: agents fetch theirs, staff's programs write them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response

from agent.records.schedules import SCHEDULES_PATH, SchedulesReply
from agent.records.wire import Refusal
from server.api.agents import authenticated
from server.api.models import KeptAnswer, RunsAnswer
from server.dependencies import TheAddress, TheCollector, ThePerson, TheStaff, WholeCollector, found
from server.errors import RefusedError
from server.quality.schedules import (
    PlacedSchedule,
    kept_schedules,
    put_schedule,
    remove_schedule,
    reply_for,
    runs_told,
    schedule_from,
)

router = APIRouter(
    tags=["schedules"],
    responses={status: {"model": Refusal} for status in (400, 401, 403, 404, 409)},
)
ScheduleId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


@router.get(SCHEDULES_PATH, response_model=SchedulesReply)
def schedules_of_agent(
    request: Request, collector: WholeCollector, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Give the signing agent the schedules of its instrument and what people said of its runs, or 304 when it has them."""
    agent = authenticated(collector, request, b"")
    with collector.store.reading() as reads:
        reply, etag = reply_for(reads, agent.instrument_id, collector.now())
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    body = reply.model_dump_json(exclude_none=True)
    return Response(body, media_type="application/json", headers={"ETag": etag})


@router.get("/v1/qc/schedules")
def all_schedules(collector: TheCollector, person: ThePerson) -> list[KeptAnswer]:
    """All schedules, by id."""
    with collector.store.reading() as reads:
        return [_answer(one.placed, one.version) for one in kept_schedules(reads)]


@router.put("/v1/qc/schedules/{schedule_id}")
def write_schedule(
    schedule_id: ScheduleId,
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    body: Annotated[dict, Body()],
    replaces: Annotated[
        int | None, Query(ge=0, description="The version it replaces; 0: there is none yet.")
    ] = None,
) -> KeptAnswer:
    """Keep a schedule. Agents fetch it within a minute or so."""
    person.must_be_a_program("/schedules")
    placed = schedule_from(body)
    if placed.schedule.schedule_id != schedule_id:
        raise RefusedError(400, "malformed_request", "schedule_id: not the one in the address.")
    return _answer(placed, put_schedule(collector, placed, person, address, replaces))


@router.delete("/v1/qc/schedules/{schedule_id}", status_code=204)
def delete_schedule(
    schedule_id: ScheduleId, collector: TheCollector, person: TheStaff, address: TheAddress
) -> Response:
    """Take a schedule away; what waits of it ends as skipped."""
    person.must_be_a_program("/schedules")
    found(remove_schedule(collector, schedule_id, person, address) or None, "schedule")
    return Response(status_code=204)


@router.get("/v1/instruments/{instrument_id}/schedule-runs")
def schedule_runs(instrument_id: str, collector: TheCollector, person: ThePerson) -> RunsAnswer:
    """The last word on every planned run of an instrument, missed ones with their reason."""
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
        return RunsAnswer(runs=[one.record for one in runs_told(reads, [instrument_id])])


def _answer(placed: PlacedSchedule, version: int) -> KeptAnswer:
    return KeptAnswer(
        schedule=placed.schedule, instruments=placed.instruments, groups=placed.groups, version=version
    )
