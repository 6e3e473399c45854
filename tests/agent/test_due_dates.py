"""When schedules fall due, against the clocks of the zones themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.due_dates import due_between, is_open
from agent.records.schedules import Schedule, Window

ZONES = ("Europe/London", "America/New_York", "UTC", "Australia/Lord_Howe")
SPRING = {"Europe/London": (2026, 3, 29), "America/New_York": (2026, 3, 8)}
AUTUMN = {"Europe/London": (2026, 10, 25), "America/New_York": (2026, 11, 1)}


def schedule(**more) -> Schedule:
    rule = {} if "every_days" in more else {"cron": "30 1 * * *"}
    return Schedule(schedule_id="s", routine="dark_noise", **(rule | more))


def due(one: Schedule, zone: str, begin: datetime, days: float) -> list[datetime]:
    return due_between(one, ZoneInfo(zone), begin, begin + timedelta(days=days), 100_000)


@pytest.mark.parametrize("zone", SPRING)
def test_time_left_out_in_spring_falls_due_when_the_clocks_have_moved_on(zone):
    missing = "30 1 * * *" if zone == "Europe/London" else "30 2 * * *"
    year, month, day = SPRING[zone]
    found = due(schedule(cron=missing), zone, datetime(year, month, day, tzinfo=ZoneInfo(zone)), 0.9)
    assert [moment.astimezone(ZoneInfo(zone)).strftime("%H:%M") for moment in found] == [
        "02:00" if zone == "Europe/London" else "03:00"
    ]


@pytest.mark.parametrize("zone", AUTUMN)
def test_time_that_comes_twice_in_autumn_falls_due_the_first_time(zone):
    year, month, day = AUTUMN[zone]
    found = due(schedule(), zone, datetime(year, month, day, tzinfo=ZoneInfo(zone)), 0.9)
    assert [moment.astimezone(ZoneInfo(zone)).fold for moment in found] == [0]
    assert [moment.astimezone(ZoneInfo(zone)).strftime("%H:%M") for moment in found] == ["01:30"]


def test_every_hour_is_an_hour_whatever_the_clocks_do():
    found = due(schedule(cron="0 * * * *"), "Europe/London", datetime(2026, 10, 24, 12, tzinfo=UTC), 1)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_weekday_one_is_monday():
    (found,) = due(schedule(cron="0 3 * * 1"), "UTC", datetime(2026, 5, 5, tzinfo=UTC), 7)
    assert found == datetime(2026, 5, 11, 3, tzinfo=UTC)


@settings(derandomize=True, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(("30 1 * * *", "0,30 1,2 * * *", "*/20 * * * *", "0 2 * * sun", "15 */3 1-20 * *")),
    begin=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),
    cuts=st.lists(st.floats(0, 10), max_size=5),
)
def test_piece_by_piece_is_the_same_as_at_once(zone, cron, begin, cuts):
    start = begin.replace(tzinfo=UTC)
    one, name = schedule(cron=cron), ZoneInfo(zone)
    edges = [start, *sorted(start + timedelta(days=cut) for cut in cuts), start + timedelta(days=10)]
    pieces = [at for left, right in pairwise(edges) for at in due_between(one, name, left, right, 9999)]
    assert pieces == due_between(one, name, start, edges[-1], 9999)
    assert len(set(pieces)) == len(pieces)


@pytest.mark.parametrize("every_days", [1, 2, 7, 30])
def test_interval_opens_with_a_window_and_comes_as_often_as_it_says(every_days):
    one = schedule(every_days=every_days, window="weekdays 01:00-05:00")
    found = due(one, "Europe/London", datetime(2026, 1, 1, tzinfo=UTC), 360)
    local = [moment.astimezone(ZoneInfo("Europe/London")) for moment in found]
    assert all(moment.weekday() < 5 for moment in local)
    assert {moment.strftime("%H:%M") for moment in local} <= {"01:00", "02:00"}  # 02:00: the clocks moved on
    days = [moment.date().toordinal() for moment in local]
    gaps = {later - earlier for earlier, later in pairwise(days)}
    assert (
        every_days - 3 <= min(gaps) <= max(gaps) <= every_days + 3
    )  # what falls on a weekend waits for Monday


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("weekdays 01:00-05:00", datetime(2026, 5, 4, 1, 0), True),
        ("weekdays 01:00-05:00", datetime(2026, 5, 4, 5, 0), False),
        ("weekdays 01:00-05:00", datetime(2026, 5, 3, 2, 0), False),
        ("fri 22:00-04:00", datetime(2026, 5, 8, 23, 0), True),
        ("fri 22:00-04:00", datetime(2026, 5, 9, 3, 59), True),
        ("fri 22:00-04:00", datetime(2026, 5, 8, 3, 0), False),
        ("sat-mon 00:30–02:00", datetime(2026, 5, 4, 1, 0), True),
        ("20:00-21:00", datetime(2026, 5, 4, 20, 30), True),
    ],
)
def test_window_is_open(text, at, expected):
    zone = ZoneInfo("America/New_York")
    assert is_open(Window.parse(text), zone, at.replace(tzinfo=zone).astimezone(UTC)) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "0 3 * *"},
        {"cron": "0 3 * * * *"},
        {"cron": None},
        {"every_days": 2},
        {"cron": "0 3 * * *", "window": "someday 01:00-02:00"},
        {"cron": "0 3 * * *", "window": "01:00-01:00"},
        {"cron": "0 3 * * *", "window": "25:00-26:00"},
        {"cron": "0 3 * * *", "asks_person": True},
        {"cron": "0 3 * * *", "slot": 3, "n_slots": 2},
        {"cron": "0 3 * * *", "properties": {"Laser": 1}},
        {"cron": "0 3 * * *", "conditions": [{"device": "Lamp", "property": "Hours"}]},
    ],
    ids=str,
)
def test_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        Schedule(schedule_id="s", routine="psf", **wrong)
