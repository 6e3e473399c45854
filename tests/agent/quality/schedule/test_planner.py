"""What becomes of every planned moment, whatever the clock does."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import Clock
from agent.due_dates import due_between
from agent.mint import Mint
from agent.quality.schedule.book import Entry
from agent.quality.schedule.journal import Journal, Occurrence
from agent.quality.schedule.planner import MOST_OPEN, Planner
from agent.records import ScheduleRun, ScheduleState
from agent.records.schedules import Schedule

MAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
NIGHT = timedelta(hours=15)


def entry(zone: str = "UTC", **more) -> Entry:
    one = Schedule(**({"schedule_id": "nightly", "routine": "dark_noise", "cron": "0 3 * * *"} | more))
    return Entry(one.schedule_id, "file", 0, one, ZoneInfo(zone))


class World:
    """A planner whose clock is in our hands, and somebody who runs what may start."""

    def __init__(self, folder: Path, *entries: Entry) -> None:
        self.folder, self.entries = folder, {one.schedule_id: one for one in entries}
        self.ran: list[tuple[str, datetime]] = []
        self.told: list[ScheduleRun] = []
        self.planner: Planner
        self.start()

    def start(self) -> None:
        """Start the agent, as after a kill."""
        self.journal = Journal(self.folder)
        self.planner = Planner(self.journal, Mint("scope-1", "agt-x", Clock()))
        self.planner.recover(self.entries)

    def look(self, now: datetime, may_run: Callable[[Occurrence], bool] = lambda one: True) -> None:
        for one in self.planner.look(now, self.entries):
            if may_run(one):
                running = self.planner.tell(one, ScheduleState.RUNNING, "")
                self.ran.append((one.schedule_id, one.planned_at))
                self.planner.tell(running, ScheduleState.DONE, "")
            else:
                self.planner.hindered(one, {"person": "Somebody is there."})
        self.collect()

    def collect(self) -> None:
        while untold := self.journal.untold():
            for position, record in untold:
                self.told.append(record)
                self.journal.told(position)

    def restart(self) -> None:
        self.journal.close()
        self.start()

    def ends(self) -> dict[datetime, ScheduleRun]:
        """Return the end of every occurrence that stands, after checking that there is one each."""
        taken_back = {record.supersedes for record in self.told}
        ends = [one for one in self.told if one.state.is_end and one.record_id not in taken_back]
        counted = Counter((one.schedule_id, one.planned_at) for one in ends)
        assert set(counted.values()) <= {1}, "more than one end"
        return {one.planned_at: one for one in ends}


@pytest.fixture
def world(tmp_path):
    made = []

    def make(*entries: Entry) -> World:
        made.append(World(tmp_path / f"w{len(made)}", *(entries or (entry(),))))
        return made[-1]

    yield make
    for one in made:
        one.journal.close()


def test_what_was_due_before_it_was_written_is_not_missed(world):
    one = world()
    one.look(MAY)
    one.look(MAY + timedelta(minutes=1))
    assert one.told == []


def test_due_and_free_is_run_once(world):
    one = world()
    for minutes in range(0, 24 * 60, 10):
        one.look(MAY + timedelta(minutes=minutes))
    assert one.ran == [("nightly", MAY + NIGHT)]
    assert [record.state for record in one.told] == ["running", "done"]


def test_skip_ends_at_the_deadline_with_the_last_reason(world):
    one = world(entry(missed="skip", deadline_min=60))
    for minutes in range(0, 18 * 60, 10):
        one.look(MAY + timedelta(minutes=minutes), lambda one: False)
    (end,) = one.ends().values()
    assert (end.state, end.reason) == ("skipped", "Somebody is there.")
    assert one.ran == []


def test_once_is_postponed_and_runs_when_it_can(world):
    one = world(entry(deadline_min=60))
    for minutes in range(0, 18 * 60, 10):
        one.look(MAY + timedelta(minutes=minutes), lambda one: False)
    one.look(MAY + timedelta(hours=19))
    assert one.ran == [("nightly", MAY + NIGHT)]
    assert [record.state for record in one.told] == ["waiting", "postponed", "running", "done"]


def test_once_gives_way_to_the_next(world):
    one = world()
    for hours in range(0, 24 * 3):
        one.look(MAY + timedelta(hours=hours), lambda one: False)
    ends = one.ends()
    assert [end.state for end in ends.values()] == ["skipped", "skipped"]
    assert all("Overtaken by" in end.reason and "Somebody is there" in end.reason for end in ends.values())


def test_week_away_runs_once_and_tells_of_the_others(world):
    one = world()
    one.look(MAY)
    one.look(MAY + timedelta(days=7))
    assert one.ran == [("nightly", MAY + NIGHT + timedelta(days=6))]
    assert Counter(end.state for end in one.ends().values()) == {"missed": 6, "done": 1}


def test_week_away_with_all_runs_all_but_not_without_bound(world):
    one = world(entry(missed="all"))
    one.look(MAY)
    one.look(MAY + timedelta(days=30))
    assert len(one.ran) == MOST_OPEN
    assert Counter(end.state for end in one.ends().values()) == {"missed": 30 - MOST_OPEN, "done": MOST_OPEN}


def test_week_away_with_skip_runs_nothing(world):
    one = world(entry(missed="skip"))
    one.look(MAY)
    one.look(MAY + timedelta(days=7))
    assert one.ran == []
    assert Counter(end.state for end in one.ends().values()) == {"missed": 7}


def test_window_keeps_what_was_missed_for_the_next_night(world):
    one = world(entry(cron="0 3 * * mon", window="01:00-05:00"))
    sunday = datetime(2026, 5, 3, 12, tzinfo=UTC)
    one.look(sunday)
    one.look(sunday + timedelta(days=1))  # Monday noon: the window is closed
    assert one.ran == []
    one.look(sunday + timedelta(days=1, hours=14))
    assert one.ran == [("nightly", datetime(2026, 5, 4, 3, tzinfo=UTC))]


def test_higher_priority_goes_first(world):
    one = world(entry(), entry(schedule_id="first", priority=5))
    one.look(MAY)
    one.look(MAY + NIGHT)
    assert [name for name, _ in one.ran] == ["first", "nightly"]


def test_schedule_that_is_taken_away_ends_what_waits(world):
    one = world()
    one.look(MAY)
    one.look(MAY + NIGHT, lambda one: False)
    one.entries = {}
    one.look(MAY + NIGHT + timedelta(minutes=10))
    (end,) = one.ends().values()
    assert end.state == "skipped" and "taken away" in end.reason


# ---- people


BEADS = {"slide": "beads", "asks_person": True, "ask_before_h": 12.0, "slot": 2, "n_slots": 4}


def test_person_is_asked_before_and_confirms(world):
    one = world(entry(**BEADS))
    one.look(MAY)
    one.look(MAY + timedelta(hours=4))
    (asked,) = one.told
    assert asked.state == "waiting_for_person"
    assert asked.task.slide == "beads" and asked.task.until == MAY + NIGHT + timedelta(hours=2)
    one.planner.confirm(one.journal.find(asked.run_id), "ada")
    one.look(MAY + timedelta(hours=5))
    assert one.ran == []  # not yet its time
    one.look(MAY + NIGHT)
    assert one.ran == [("nightly", MAY + NIGHT)]
    assert one.ends()[MAY + NIGHT].confirmed_by == "ada"


def test_task_nobody_confirms_expires(world):
    one = world(entry(**BEADS))
    one.look(MAY)
    for hours in range(4, 20):
        one.look(MAY + timedelta(hours=hours))
    assert one.ran == []
    assert "Nobody confirmed" in one.ends()[MAY + NIGHT].reason


# ---- crashes


def test_agent_that_was_killed_says_of_what_ran_that_it_failed(world):
    one = world()
    one.look(MAY)
    (due,) = one.planner.look(MAY + NIGHT, one.entries)
    one.planner.tell(due, ScheduleState.RUNNING, "")
    one.restart()
    one.look(MAY + NIGHT + timedelta(minutes=1))
    assert one.ran == []
    assert one.ends()[MAY + NIGHT].state == "failed"


def test_record_is_told_again_with_the_same_id_when_it_may_not_have_been(world):
    one = world()
    one.look(MAY)
    (due,) = one.planner.look(MAY + NIGHT, one.entries)
    one.planner.tell(due, ScheduleState.DONE, "")
    first = one.journal.untold()
    one.restart()
    assert one.journal.untold() == first and len(first) == 1


def test_damaged_journal_is_set_aside(world, tmp_path):
    one = world()
    one.look(MAY)
    one.journal.close()
    one.journal.path.write_bytes(os.urandom(8192))
    one.start()
    assert one.journal.was_damaged
    assert one.journal.path.with_name("journal.sqlite.bad").exists()
    one.look(MAY)
    one.look(MAY + NIGHT)
    assert len(one.ran) == 1


# ---- clocks


def test_clock_back_a_day_runs_nothing_twice(world):
    one = world()
    one.look(MAY)
    one.look(MAY + NIGHT)
    for hours in range(-24, 24):
        one.look(MAY + NIGHT + timedelta(hours=hours))
    assert one.ran == [("nightly", MAY + NIGHT)]


def test_clock_a_year_ahead_and_back_skips_no_night(world):
    one = world()
    one.look(MAY)
    for k in range(5):  # so many looks as it takes to enter a year
        one.look(MAY + timedelta(days=365, seconds=k), lambda one: False)
    assert len(one.told) > 300
    for hours in range(1, 24 * 10, 2):
        one.look(MAY + timedelta(hours=hours))
    nights = [MAY + NIGHT + timedelta(days=k) for k in range(10)]
    assert [at for _, at in one.ran] == nights
    ends = one.ends()
    assert all(ends[night].state == "done" and ends[night].supersedes for night in nights)


def test_year_asleep_enters_so_many_at_a_time(world):
    one = world(entry(cron="0 */6 * * *", missed="skip"))
    one.look(MAY)
    for k in range(4 * 365 // 200 + 2):
        one.look(MAY + timedelta(days=365, seconds=k))
    assert len(one.ends()) == 4 * 365


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("on"), st.integers(5, 600)),
        st.tuples(st.just("jump"), st.integers(-3 * 24 * 60, 3 * 24 * 60)),
        st.tuples(st.just("asleep"), st.integers(60, 5 * 24 * 60)),
        st.tuples(st.just("killed"), st.just(1)),
        st.tuples(st.just("away and back"), st.integers(1, 400 * 24 * 60)),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    derandomize=True,
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    zone=st.sampled_from(("Europe/London", "America/New_York")),
    cron=st.sampled_from(("30 1 * * *", "30 2 * * *", "0 */6 * * *", "15 1 * * sun")),
    missed=st.sampled_from(("once", "skip", "all")),
    begin=st.sampled_from(
        (datetime(2026, 3, 6), datetime(2026, 3, 28), datetime(2026, 10, 24), datetime(2026, 10, 30))
    ),
    steps=STEPS,
    is_free=st.lists(st.booleans(), min_size=1, max_size=7),
)
def test_whatever_the_clock_does_nothing_runs_twice_and_nothing_is_skipped_in_silence(
    tmp_path_factory, zone, cron, missed, begin, steps, is_free
):
    one = World(tmp_path_factory.mktemp("w"), entry(zone, cron=cron, missed=missed))
    try:
        now = first = latest = begin.replace(tzinfo=UTC)
        turn = 0

        def look(at: datetime) -> None:
            nonlocal turn, latest
            turn += 1
            latest = max(latest, at)
            one.look(at, lambda _: is_free[turn % len(is_free)])

        look(now)
        for what, minutes in steps:
            if what == "on":
                for _ in range(0, minutes, 30):
                    now += timedelta(minutes=30)
                    look(now)
            elif what == "killed":
                one.restart()
            elif what == "away and back":
                look(now + timedelta(minutes=minutes))
                now += timedelta(minutes=5)
            else:
                now = max(now + timedelta(minutes=minutes), first)
            look(now)
        for _ in range(12 * 6):  # some days of quiet, so that all that waits ends
            now += timedelta(hours=2)
            one.look(now)
        assert len(set(one.ran)) == len(one.ran), "something ran twice"
        ends = one.ends()
        schedule = one.entries["nightly"].schedule
        planned = due_between(schedule, ZoneInfo(zone), first, now - timedelta(days=1), 100_000)
        assert [at for at in planned if at not in ends] == [], "something ended in silence"
        done = {at for at, end in ends.items() if end.state is ScheduleState.DONE}
        assert done == {at for _, at in one.ran}
    finally:
        one.journal.close()
