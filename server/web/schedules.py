"""Pages of scheduled quality control: schedules, what is next and what became of it, and what people are asked to do."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

import tomlkit
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from agent.records.schedules import Schedule
from server.access.people import Person
from server.collector import Collector
from server.dependencies import TheAddress, TheCollector, TheOperator, ThePerson, TheStaff, found
from server.errors import RefusedError
from server.order import by_name
from server.quality.schedules import (
    Kept,
    confirm_task,
    groups,
    kept_schedules,
    open_tasks,
    plan_told,
    put_group,
    put_schedule,
    remove_schedule,
    runs_told,
    schedule_from,
)
from server.store.base import Reads
from server.store.rows import Instrument
from server.web.choice import Asked, TheChoice, choice_of, whole_choice
from server.web.render import render

MOST_SHOWN = 30
IN_TOML = ("channels", "options", "properties", "conditions", "limits")
"""Fields of a schedule that the form takes as TOML."""

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Form(max_length=200)]
Long = Annotated[str, Form(max_length=8000)]
Names = Annotated[list[str] | None, Form()]


@router.get("/schedules")
def schedules(request: Request, collector: TheCollector, person: ThePerson, asked: TheChoice) -> Response:
    """Show schedules, what comes next, and what became of the last runs."""
    return _page(request, collector, person, asked, None)


@router.get("/schedules/{schedule_id}")
def schedule(request: Request, schedule_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show the form of one schedule."""
    with collector.store.reading() as reads:
        one = next((one for one in kept_schedules(reads) if one.schedule.schedule_id == schedule_id), None)
    return _page(request, collector, person, Asked(), found(one, "schedule"))


@router.post("/schedules")
def write(
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    schedule_id: Short,
    routine: Short,
    form_token: Short = "",
    replaces: Annotated[int, Form(ge=0)] = 0,
    is_enabled: Short = "",
    cron: Short = "",
    every_days: Short = "",
    window: Short = "",
    zone: Short = "",
    deadline_min: Short = "",
    missed: Short = "once",
    priority: Short = "0",
    max_duration_min: Short = "",
    on_person: Short = "wait",
    quiet_min: Short = "",
    slide: Short = "",
    slot: Short = "1",
    n_slots: Short = "1",
    asks_person: Short = "",
    ask_before_h: Short = "",
    further: Long = "",
    instruments: Names = None,
    group_names: Names = None,
) -> Response:
    """Keep a schedule."""
    person.must_have_sent(form_token)
    texts = dict(
        cron=cron, every_days=every_days, window=window, zone=zone, deadline_min=deadline_min, missed=missed,
        priority=priority, max_duration_min=max_duration_min, on_person=on_person, quiet_min=quiet_min, slide=slide,
        slot=slot, n_slots=n_slots, ask_before_h=ask_before_h,
    )  # fmt: skip
    table = {name: text.strip() for name, text in texts.items() if text.strip()}
    table |= {"schedule_id": schedule_id.strip(), "routine": routine.strip(), "is_enabled": bool(is_enabled),
              "asks_person": bool(asks_person), **_further(further)}  # fmt: skip
    placed = schedule_from(
        {"schedule": table, "instruments": tuple(instruments or ()), "groups": tuple(group_names or ())}
    )
    put_schedule(collector, placed, person, address, replaces)
    return RedirectResponse("/schedules", status_code=303)


@router.post("/schedules/{schedule_id}/remove")
def remove(
    schedule_id: str, collector: TheCollector, person: TheStaff, address: TheAddress, form_token: Short = ""
) -> Response:
    """Take a schedule away."""
    person.must_have_sent(form_token)
    found(remove_schedule(collector, schedule_id, person, address) or None, "schedule")
    return RedirectResponse("/schedules", status_code=303)


@router.post("/schedule-groups")
def write_group(
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    name: Annotated[str, Form(min_length=1, max_length=64)],
    form_token: Short = "",
    instruments: Names = None,
) -> Response:
    """Keep a group of instruments; without instruments it is removed."""
    person.must_have_sent(form_token)
    put_group(collector, name.strip(), instruments or (), person, address)
    return RedirectResponse("/schedules#groups", status_code=303)


@router.get("/tasks")
def tasks(request: Request, collector: TheCollector, person: ThePerson, asked: TheChoice) -> Response:
    """Show what people are asked to do, then what they have done already."""
    with collector.store.reading() as reads:
        choice = whole_choice(reads, asked)
        everything = open_tasks(reads, collector.asked, collector.now())
    wanted = choice.ids
    told = [(task, by) for task, by in everything if task.instrument_id in wanted]
    return render(
        request,
        "tasks.html",
        person,
        choice=choice,
        waiting=[task for task, by in told if by is None],
        confirmed=[(task, by) for task, by in told if by is not None],
        sites={one.instrument_id: one.site for one in choice.instruments},
        n_elsewhere=len(everything) - len(told),
        confirm_at=lambda run_id: asked.link_on(f"/tasks/{run_id}/confirm")(),
    )


@router.post("/tasks/{run_id}/confirm")
def confirm(
    run_id: UUID,
    collector: TheCollector,
    person: TheOperator,
    address: TheAddress,
    asked: TheChoice,
    form_token: Short = "",
) -> Response:
    """Note that a slide is in place."""
    person.must_have_sent(form_token)
    confirm_task(collector, run_id, person, address)
    return RedirectResponse(asked.link_on("/tasks")(), status_code=303)


def _page(
    request: Request, collector: Collector, person: Person, asked: Asked, chosen: Kept | None
) -> Response:
    with collector.store.reading() as reads:
        choice, instruments = choice_of(reads, asked), by_name(reads.instruments())
        return render(
            request,
            "schedules.html",
            person,
            kept=kept_schedules(reads),
            groups=groups(reads),
            instruments=instruments,
            names={one.instrument_id: one.name for one in instruments},
            choice=choice,
            link=asked.link_on("/schedules"),
            plans=_plans(reads, choice.instruments),
            runs=runs_told(reads, {one.instrument_id for one in choice.instruments}, MOST_SHOWN)[:MOST_SHOWN],
            chosen=chosen,
            form=chosen.schedule if chosen else Schedule(schedule_id="x", routine="x", cron="0 3 * * *"),
            further=_as_toml(chosen.schedule) if chosen else "",
        )


def _plans(reads: Reads, instruments: Iterable[Instrument]) -> list[dict[str, Any]]:
    """Return what the agents of these instruments go by."""
    told = ((instrument, plan_told(reads, instrument.instrument_id)) for instrument in instruments)
    return [{"instrument": instrument, "plan": plan} for instrument, plan in told if plan is not None]


def _further(text: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RefusedError(400, "malformed_request", f"Further settings are not TOML: {error}.") from error
    if strange := sorted(table.keys() - set(IN_TOML)):
        raise RefusedError(
            400, "malformed_request", f"Further settings know {', '.join(IN_TOML)}; got {strange[0]!r}."
        )
    return table


def _as_toml(schedule: Schedule) -> str:
    told = schedule.model_dump(mode="json", include=set(IN_TOML), exclude_none=True, exclude_defaults=True)
    return tomlkit.dumps({name: value for name, value in told.items() if value})
