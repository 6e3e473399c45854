"""The calendar of scheduled quality control: what is to come, what became of it, what is booked; by the site's days."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from agent.clock import Clock
from agent.mint import Mint
from agent.records import Booked, OperatorTask, PlannedSchedule, SchedulePlan, ScheduleRun
from server.quality.calendar import calendar_of
from server.store.rows import Instrument

ZURICH = ZoneInfo("Europe/Zurich")
MONDAY = date(2026, 5, 4)
NASTY = "<script>alert(1)</script>"
NIGHTLY = {"schedule_id": "noise", "routine": "dark_noise", "cron": "0 3 * * *", "zone": "Europe/Zurich"}


class PcClock(Clock):
    """The PC's clock shows what the collector's shows."""

    def __init__(self, clock) -> None:
        super().__init__()
        self._clock = clock

    def wall_at(self) -> datetime:
        return self._clock()


class Told:
    """What an agent tells of its schedules."""

    def __init__(self, running, instrument_id: str = "scope-1") -> None:
        self.sender = running.sender(instrument_id)
        self._mint = Mint(instrument_id, self.sender.agent_id, PcClock(running.clock))

    def run(self, planned_at: datetime, *states: str, **more) -> None:
        fields = {
            "schedule_id": "noise",
            "source": "collector",
            "routine": "dark_noise",
            "zone": "Europe/Zurich",
        }
        fields |= {"run_id": uuid4(), "planned_at": planned_at} | more
        self._send([self._mint.make(ScheduleRun, **fields, state=state) for state in states])

    def plan(self, *schedules: PlannedSchedule, **more) -> None:
        self._send([self._mint.make(SchedulePlan, schedules=schedules, **more)])

    def _send(self, records) -> None:
        reply = self.sender.send(records, spool_id=f"spool-{records[0].record_id}")
        assert reply.status_code == 200 and reply.json()["flagged"] == []


@pytest.fixture
def agent(running):
    return Told(running)


@pytest.fixture
def write(running):
    """Return what keeps a schedule."""

    def write(*instruments: str, groups=(), **changed) -> None:
        schedule = NIGHTLY | changed
        body = {"schedule": schedule, "instruments": instruments or ("scope-1",), "groups": groups}
        path = f"/v1/qc/schedules/{schedule['schedule_id']}"
        assert running.client.put(path, json=body, headers=running.token("staff")).status_code == 200

    return write


@pytest.fixture
def week(running):
    """Return the days of one instrument, each item in a few words."""

    def week(
        monday: date = MONDAY, instrument_id: str = "scope-1", site: ZoneInfo = ZURICH
    ) -> list[list[str]]:
        with running.collector.store.reading() as reads:
            instrument = reads.instrument(instrument_id)
            calendar = calendar_of(reads, [instrument], monday, site, running.clock())
        (row,) = calendar.rows
        zone = calendar.week.zone

        def in_words(one) -> str:
            until = f"-{one.until.astimezone(zone):%H:%M}" if one.until else ""
            return " ".join(
                filter(
                    None, [f"{one.at.astimezone(zone):%H:%M}{until}", one.state, one.schedule_id, one.reason]
                )
            )

        return [[in_words(one) for one in items] for items in row.days]

    return week


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, day, hour, minute, tzinfo=UTC)


def test_what_is_to_come_stands_on_its_day_from_when_it_was_written(agent, write, week):
    write()  # Monday noon
    assert week() == [[], *[["03:00 planned noise"]] * 6]
    assert week(MONDAY + timedelta(days=7)) == [["03:00 planned noise"]] * 7
    assert week(MONDAY - timedelta(days=7)) == [[]] * 7


@pytest.mark.parametrize(
    ("monday", "cron", "sunday"),
    [
        (date(2026, 3, 23), "30 2 * * *", ["03:00 planned noise"]),  # left out: when the clocks have moved on
        (date(2026, 10, 19), "30 2 * * *", ["02:30 planned noise"]),  # comes twice: the first time
        (date(2026, 10, 19), "0 22 * * *", ["22:00 planned noise"]),  # of a day of 25 hours
    ],
)
def test_week_in_which_the_clocks_change_has_every_day_once(running, write, week, monday, cron, sunday):
    running.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    Told(running)
    write(cron=cron)
    days = week(monday)
    assert days[6] == sunday
    assert [len(items) for items in days] == [1] * 7


def test_days_are_those_of_the_zone_that_the_schedules_share(agent, write, week):
    write(cron="0 22 * * *", zone="America/Los_Angeles")
    assert week(site=ZURICH) == [["22:00 planned noise"]] * 7
    write(schedule_id="psf", routine="psf", cron="0 22 * * *", zone="Asia/Tokyo")
    assert week(site=ZURICH)[2] == [
        "07:00 planned noise",
        "15:00 planned psf",
    ]  # no zone is shared: the site's


def test_zone_that_only_the_pc_knows_is_the_one_its_agent_told(agent, write, week):
    write(zone="")
    planned = PlannedSchedule(
        schedule_id="noise", source="collector", version=1, routine="dark_noise", zone="Asia/Tokyo"
    )
    agent.plan(planned)
    assert week(site=ZoneInfo("UTC"))[1] == ["03:00 planned noise"]  # in Tokyo
    with_site = week(site=ZURICH, monday=MONDAY)
    assert with_site == week(site=ZoneInfo("UTC"))


def test_last_word_on_a_run_takes_the_place_of_what_was_planned(running, agent, write, week):
    write()
    for planned_at, states, reason in (
        (at(5, 1), ("waiting", "running", "done"), ""),
        (at(6, 1), ("waiting", "skipped"), "Booked from 03:00 to 05:00."),
        (at(7, 1), ("waiting", "postponed"), "Somebody used mouse or keyboard."),
    ):
        running.clock.at = planned_at
        agent.run(planned_at, *states, run_id=uuid4(), reason=reason)
    assert week()[1:5] == [
        ["03:00 done noise"],
        ["03:00 skipped noise Booked from 03:00 to 05:00."],
        ["03:00 postponed noise Somebody used mouse or keyboard."],
        ["03:00 planned noise"],
    ]


def test_what_was_due_and_nobody_spoke_of_is_said_to_be_so(running, agent, write, week):
    write()
    running.clock.at = at(6, 1, 5)
    assert week()[1:3] == [
        ["03:00 nothing heard noise"],
        ["03:00 planned noise"],
    ]  # five minutes late is not silent
    running.clock.at = at(6, 1, 20)
    assert week()[2] == ["03:00 nothing heard noise"]


def test_person_who_was_wanted_until_yesterday_is_wanted_no_more(running, agent, week):
    """The agent that asked has fallen silent: its last word is no news."""
    task = OperatorTask(slide="beads", steps=("Put it in.",), until=at(5, 3))
    agent.run(at(5, 1), "waiting_for_person", task=task)
    running.clock.at = at(5, 3, 10)
    assert week()[1] == ["03:00 waiting_for_person noise"]
    running.clock.at = at(5, 3, 20)
    assert week()[1] == ["03:00 nothing heard noise"]


def test_schedule_that_is_switched_off_or_for_another_is_not_there(agent, write, week):
    write(is_enabled=False)
    assert week() == [[]] * 7
    write()
    write("scope-1", schedule_id="psf", routine="psf", cron="0 4 * * mon")
    assert week()[0] == []
    assert week(MONDAY + timedelta(days=7))[0] == ["03:00 planned noise", "04:00 planned psf"]


def test_group_brings_its_schedules(running, agent, write, week):
    with running.browser(role="staff") as browser:
        token = re.search(r'name="form_token" value="(\w+)"', browser.get("/schedules").text)[1]
        browser.post(
            "/schedule-groups", data={"form_token": token, "name": "east", "instruments": ["scope-1"]}
        )
    path = "/v1/qc/schedules/noise"
    body = {"schedule": NIGHTLY, "instruments": [], "groups": ["east"]}
    running.client.put(path, json=body, headers=running.token("staff"))
    assert week()[1] == ["03:00 planned noise"]


def test_refusal_of_the_agent_stands_beside_what_it_will_not_run(agent, write, week):
    write()
    refused = PlannedSchedule(
        schedule_id="noise", source="collector", version=1, routine="dark_noise", refused="Not allowed."
    )
    agent.plan(refused)
    assert week()[1] == ["03:00 refused noise Not allowed."]


def test_schedule_in_a_file_of_the_pc_is_there_as_far_as_the_agent_told(running, agent, week):
    own = PlannedSchedule(
        schedule_id="own", source="file", routine="psf", zone="Europe/Zurich", next_at=(at(5, 1), at(12, 1))
    )
    agent.plan(own)
    assert week()[1] == ["03:00 planned own"]
    running.clock.at = at(5, 2)
    assert week()[1] == ["03:00 nothing heard own"]


def test_bookings_are_cut_at_midnight_and_name_nobody(agent, week):
    booked = (Booked(start=at(4, 7), end=at(4, 9)), Booked(start=at(5, 18), end=at(7, 5)))
    agent.plan(booked=booked, booked_until=at(19, 12))
    assert week() == [
        ["09:00-11:00 booked"],
        ["20:00-00:00 booked"],
        ["00:00-00:00 booked"],
        ["00:00-07:00 booked"],
        [],
        [],
        [],
    ]


def test_many_of_a_day_are_told_as_one(agent, write, week):
    write(cron="*/5 * * * *")
    assert week()[1] == ["00:00-23:55 planned noise"]


def test_run_told_long_after_and_before_others_is_found(running, agent, write, week):
    """An end may come weeks later; what other weeks hold is passed over."""
    write()
    run_id = uuid4()
    running.clock.at = at(5, 1)
    agent.run(at(5, 1), "postponed", run_id=run_id, reason="In use.")
    for day in range(6, 30):
        running.clock.at = at(day, 1)
        agent.run(at(day, 1), "done", run_id=uuid4())
    agent.run(at(5, 1), "skipped", run_id=run_id, reason="Overtaken.")
    assert week()[1] == ["03:00 skipped noise Overtaken."]


# ---- the page


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def add(running, *named: tuple[str, str]) -> None:
    def put(writes) -> None:
        for name, site in named:
            writes.put_instrument(Instrument(name.lower().replace(" ", "-"), name, site, running.clock()))

    running.collector.writer.do(put)


def names_on(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="[^"]*">([^<]*)</a>', page)


def test_page_tells_the_week_in_the_sites_time_and_goes_to_others(agent, write, running):
    write()
    with running.browser(role="viewer") as browser:
        page = browser.get("/calendar").text
        assert "Week 2026-W19. Times are those of Europe/Zurich." in text_of(page)
        assert '<time datetime="2026-05-05T01:00:00+00:00" title="2026-05-05 01:00 UTC">03:00</time>' in page
        assert 'aria-current="date">Mon, May 4</th>' in page
        later = browser.get(re.search(r'href="(/calendar\?week=[^"]+)">Week after', page)[1]).text
        assert "Week 2026-W20" in later and "This week" in later
        german = browser.get("/calendar", headers={"Accept-Language": "de"}).text
    assert "Di., 5. Mai" in german and "geplant" in german


@pytest.mark.parametrize("wrong", ["2026", "2026-W54", "2026-W00", "W19", "1999-W01", "2026-W19x"])
def test_week_that_is_none_is_refused(running, wrong):
    assert running.get(f"/calendar?week={wrong}").status_code == 400


def test_task_for_a_person_leads_to_it_and_nothing_becomes_markup(agent, write, running):
    task = OperatorTask(slide=NASTY, steps=("Put it in.",), until=at(5, 4))
    agent.run(at(5, 1), "waiting_for_person", task=task, reason=NASTY)
    agent.run(at(6, 1), "missed", reason=NASTY, routine=NASTY, schedule_id=NASTY)
    page = running.get("/calendar").text
    assert "<script>alert" not in page and "waiting for person" in page
    assert re.search(r'href="/tasks\?q=scope-1">dark noise</a>', page)


def test_instruments_with_schedules_come_first_and_may_be_chosen(running, agent, write):
    add(running, ("Alpha", "Bern"), ("Beta", "Basel / East"), ("Zeta", "Basel"))
    write("zeta")
    with running.browser() as browser:
        assert names_on(browser.get("/calendar").text) == ["Zeta", "Alpha", "Beta", "Spinning disk 2"]
        assert names_on(browser.get("/calendar?site=Basel").text) == ["Zeta", "Beta", "Spinning disk 2"]
        assert names_on(browser.get("/calendar?q=ALPH").text) == ["Alpha"]
        assert "No instrument is like that." in browser.get("/calendar?group=none").text
        assert names_on(browser.get("/calendar?site=Bern").text) == ["Alpha"]


def test_page_of_many_instruments_is_small_and_every_one_is_on_a_page(running, write):
    """At most 150 kB by gzip, with twenty instruments and three schedules each."""
    ids = [f"scope-{number:03d}" for number in range(45)]
    add(running, *[(name, "Basel") for name in ids])
    for name in ("noise", "psf", "stage"):
        write(*ids, schedule_id=name, cron="0 */8 * * *")
    found, path = [], "/calendar"
    with running.browser() as browser:
        while path:
            page = browser.get(path).text
            found += names_on(page)
            assert len(gzip.compress(page.encode())) < 150_000
            following = re.search(r'href="([^"]+)">Next page', page)
            path = unescape(following[1]) if following else ""
    assert found == ids


def test_lists_of_schedules_are_of_the_chosen_instruments(running, agent, write):
    other = Told(running, "scope-2")
    for one, reason in ((agent, "first"), (other, "second")):
        one.run(at(5, 1), "missed", reason=f"The {reason} was off.")
        one.plan(
            PlannedSchedule(schedule_id=f"{reason}-plan", source="file", routine="psf", rule="0 3 * * *")
        )
    with running.browser() as browser:
        both, one = browser.get("/schedules").text, browser.get("/schedules?q=scope-2").text
    assert "The first was off." in both and "second-plan" in both
    assert "The second was off." in one and "first" not in text_of(one)
