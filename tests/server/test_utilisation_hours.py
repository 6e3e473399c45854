"""Hours: against a count of minutes one by one, on days of 23 and 25 hours, with everything overlapping everything."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from server.errors import RefusedError
from server.logbook import Maintenance, write
from server.store.rows import Instrument
from server.use.intervals import length, minus, union, within
from server.use.periods import Period, period_of, usual
from server.use.utilisation import MODES, utilisation

ZURICH = ZoneInfo("Europe/Zurich")


def slow(spans) -> set[int]:
    return {second for begin, end in spans for second in range(begin, end)}


@pytest.mark.parametrize("seed", range(20))
def test_sets_of_moments_are_those_of_counting_one_by_one(seed):
    dice = random.Random(seed)

    def some():
        return [(at, at + dice.randint(0, 30)) for at in (dice.randint(0, 200) for _ in range(12))]

    one, other = some(), some()
    begin, end = sorted(dice.sample(range(230), 2))
    assert slow(union(one)) == slow(one)
    assert slow(minus(union(one), union(other))) == slow(one) - slow(other)
    assert slow(within(union(one), begin, end)) == slow(one) & set(range(begin, end))
    assert length(union(one)) == len(slow(one))


@pytest.mark.parametrize(
    ("month", "hours"), [(3, 31 * 24 - 1), (4, 30 * 24), (10, 31 * 24 + 1), (2, 28 * 24)]
)
def test_month_has_the_hours_it_has(month, hours):
    first = date(2026, month, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    period = Period(first, last, ZURICH)
    assert (period.until - period.since) / timedelta(hours=1) == hours
    assert [part.text for part in period.months()] == [period.text]


def test_months_and_days_of_a_period_cover_it_without_gap():
    period = Period(date(2025, 11, 17), date(2026, 4, 2), ZURICH)
    for parts in (list(period.months()), list(period.days())):
        assert (parts[0].since, parts[-1].until) == (period.since, period.until)
        assert all(one.until == other.since for one, other in pairwise(parts))
    assert [one.first for one in period.months()][1:3] == [date(2025, 12, 1), date(2026, 1, 1)]


NOW = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
"""In Zurich it is April already."""


def test_current_month_is_that_of_the_zone():
    assert period_of(None, None, ZURICH, NOW) == Period(date(2026, 4, 1), date(2026, 4, 1), ZURICH)
    assert usual(ZURICH, NOW)["last month"] == Period(date(2026, 3, 1), date(2026, 3, 31), ZURICH)


@pytest.mark.parametrize(
    ("first", "last"), [("2026-02-02", "2026-02-01"), ("1990-01-01", "2026-01-01"), ("0001-01-01", "0001-01-02")]
)  # fmt: skip
def test_impossible_period_is_refused(first, last):
    with pytest.raises(RefusedError):
        period_of(date.fromisoformat(first), date.fromisoformat(last), ZURICH, NOW)


# Utilisation


@pytest.fixture
def filled(running, tools):
    """An instrument over the spring clock change: sessions, acquisitions and quality control on top of each other."""
    sender = running.sender()
    start = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)  # clocks go forward at 01:00 UTC in the night after
    dice, records, spans = random.Random(3), [], {"session": [], "acquisition": [], "qc": []}
    for number in range(40):
        scope = tools.Scope(
            sender, boot_id=f"boot-{number}", start_at=start + timedelta(minutes=dice.randint(0, 5000))
        )
        began, minutes = scope.wall_at, dice.randint(1, 200)
        if number % 2:
            who = {"user": dice.choice(["ada", "bob"]), "user_name": "plain"}
            records.append(scope.session(60 * minutes, n_acquisitions=1, n_frames_acquired=10, **who))
            spans["session"].append((began, scope.wall_at))
        else:
            made = list(scope.acquisition(2))
            ended = began + timedelta(minutes=minutes)
            finished = made[-2].finished.model_copy(update={"wall_at": ended})
            made[-2] = made[-2].model_copy(update={"finished": finished})
            records += made
            is_qc = number % 4 == 0
            if is_qc:
                records.append(scope.qc(acquisition_id=made[0].acquisition_id))
            spans["qc" if is_qc else "acquisition"].append((began, ended))
    assert sender.send(records).json()["flagged"] == []
    running.clock.at = start + timedelta(days=30)
    return running, spans


def told(running, period):
    with running.collector.store.reading() as reads:
        instruments = reads.instruments()
        return utilisation(reads, period, instruments, running.clock())


MARCH = Period(date(2026, 3, 1), date(2026, 3, 31), ZURICH)
LATE_MARCH = Period(date(2026, 3, 29), date(2026, 3, 29), ZURICH)


@pytest.mark.parametrize(
    "period", [MARCH, LATE_MARCH, Period(date(2026, 3, 28), date(2026, 4, 2), ZURICH)], ids=str
)
def test_hours_are_those_of_counting_minutes_one_by_one(filled, period):
    running, spans = filled
    counted = dict.fromkeys(MODES, 0)
    n_minutes = int((period.until - period.since) / timedelta(minutes=1))
    first = min(begin for some in spans.values() for begin, _ in some)
    for number in range(n_minutes):
        at = period.since + timedelta(minutes=number)
        if at < first:
            continue
        holds = {name: any(begin <= at < end for begin, end in some) for name, some in spans.items()}
        mode = (
            "qc"
            if holds["qc"]
            else "acquiring"
            if holds["acquisition"]
            else "manual"
            if holds["session"]
            else "idle"
        )
        counted[mode] += 1

    total = told(running, period).total

    assert {mode: round(total.of(mode) / 60) for mode in MODES} == counted
    assert counted["qc"] and counted["acquiring"] and counted["manual"]


def test_people_share_no_hour(filled):
    running, spans = filled
    period = Period(date(2026, 3, 1), date(2026, 4, 30), ZURICH)
    use = told(running, period)
    seconds = [(begin.timestamp(), end.timestamp()) for begin, end in spans["session"]]
    assert sum(one.seconds for one in use.people) == pytest.approx(length(union(seconds)))
    assert {one.person for one in use.people} == {"ada", "bob"} and use.n_people == 2


def maintain(running, **more):
    note = Maintenance(**{"work": "service", "title": "yearly", "day": date(2026, 3, 10), **more})

    def job(writes):
        write(writes, note, "scope-1", "ada", running.clock())

    running.collector.writer.do(job)


def test_maintenance_is_taken_from_idle_hours_of_its_day_and_no_more(running):
    running.sender()
    with running.collector.store.reading() as reads:
        (instrument,) = reads.instruments()
    old = Instrument("scope-1", instrument.name, "Basel", datetime(2026, 1, 1, tzinfo=UTC))
    running.clock.at = datetime(2026, 5, 1, tzinfo=UTC)
    maintain(running, minutes=120)
    maintain(running, minutes=30)
    maintain(running, minutes=40 * 60, day=date(2026, 3, 29))  # in a day of 23 hours
    maintain(running, minutes=500, day=date(2026, 4, 1))

    with running.collector.store.reading() as reads:
        hours = utilisation(reads, MARCH, [old], running.clock()).total

    assert hours.maintenance_told_s == 3600 * 42.5
    assert hours.maintenance_s == 3600 * (2.5 + 23)
    assert hours.all_s == 3600 * (31 * 24 - 1)


def test_hours_to_come_and_before_the_instrument_are_not_idle(running):
    running.sender()  # on 4 May, 12:00 UTC
    running.clock.later(hours=5)
    may = Period(date(2026, 5, 1), date(2026, 5, 31), ZURICH)
    assert told(running, may).total.idle_s == 5 * 3600
    assert told(running, Period(date(2026, 6, 1), date(2026, 6, 30), ZURICH)).total.all_s == 0
