"""Days of use that are rolled up, against the same worked out from the records, whatever comes in and whenever it does."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from agent import records as r
from agent.records.wire import CHAIN_START
from server.access.scope import Scope
from server.access.seeing import ReadsInScope
from server.ingest import file_lines
from server.logbook import Maintenance, write
from server.store import Failed
from server.store.rows import Agent, Batch, Instrument
from server.use.days import rolling_job, to_roll_up
from server.use.periods import Period
from server.use.utilisation import utilisation

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 4, 20, 13, 37, tzinfo=UTC)
N_DAYS = 75
"""Before now; the spring clock change is among them."""
ADDED_AT = NOW - timedelta(days=N_DAYS - 10)
PERIODS = [
    Period(date(2026, 1, 1), date(2026, 12, 31), ZURICH),
    Period(date(2026, 3, 1), date(2026, 3, 31), ZURICH),
    Period(date(2026, 3, 29), date(2026, 3, 29), ZURICH),
    Period(date(2026, 2, 11), date(2026, 4, 19), ZURICH),
    Period(date(2026, 4, 20), date(2026, 4, 20), ZURICH),
]


class Unrolled:
    """Reads that know of nothing rolled up."""

    def __init__(self, reads) -> None:
        self._reads = reads

    def __getattr__(self, name):
        return getattr(self._reads, name)

    def days_rolled_up(self, zone, among=None):
        return []


class Site:
    """Two instruments and what happens on them, by chance."""

    def __init__(self, store, tools, dice) -> None:
        self.store, self.tools, self.dice = store, tools, dice
        self.senders = [tools.Sender(client=None, instrument_id=name) for name in ("scope-1", "scope-2")]
        self.instruments = []
        for sender, place in zip(self.senders, ("Basel", "Bern"), strict=True):
            instrument = Instrument(sender.instrument_id, sender.instrument_id, place, ADDED_AT)
            self.instruments.append(instrument)
            self.do(lambda w, one=instrument: w.put_instrument(one))
            agent = agent_of(sender)
            self.do(lambda w, one=agent: w.put_agent(one))
        self.told = []
        self.numbers = count()

    def do(self, job):
        (outcome,) = self.store.write([job])
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value

    def append(self, sender, records):
        body = b"".join(r.encode(record) + b"\n" for record in records)
        lines = file_lines(body, 1, len(records), CHAIN_START, agent_of(sender))
        assert [line.flag for line in lines] == [None] * len(lines)
        headers = {"scopestamp-spool": "spool"}
        batch = Batch(
            sender.agent_id, str(uuid4()), 1, CHAIN_START, None, lines, "/v1/ingest", headers, body, NOW
        )
        self.do(lambda writes: writes.append(batch))

    def happen(self, n: int, since_days: float = N_DAYS) -> None:
        """Let something happen, told in whatever order."""
        for _ in range(n):
            number = next(self.numbers)
            sender = self.dice.choice(self.senders)
            at = NOW - timedelta(days=self.dice.uniform(0, since_days))
            scope = self.tools.Scope(sender, boot_id=f"boot-{number}", start_at=at)
            what = self.dice.choice(
                [self.session, self.session, self.again, self.acquisition, self.measured, self.planned]
            )
            self.append(sender, what(scope, sender))

    def length_s(self) -> float:
        return self.dice.choice([0, 600, 7200, 20 * 3600, 60 * 3600])

    def session(self, scope, sender):
        who = self.dice.choice(
            [{"user": "ada", "user_name": "plain"}, {"user": "bob", "user_name": "plain"}, {}]
        )
        told = scope.session(self.length_s(), n_acquisitions=1, n_frames_acquired=10, **who)
        self.told.append((sender, told))
        return [told]

    def again(self, scope, sender):
        """A session told before is told again, with another length."""
        mine = [told for of, told in self.told if of is sender]
        if not mine:
            return self.session(scope, sender)
        seconds = self.dice.choice([60.0, 90_000.0])
        return [self.dice.choice(mine).model_copy(update={"record_id": uuid4(), "duration_s": seconds})]

    def acquisition(self, scope, sender):
        made = list(scope.acquisition(2))
        ended = made[0].started.wall_at + timedelta(seconds=self.length_s())
        finished = made[-2].finished.model_copy(update={"wall_at": ended})
        made[-2] = made[-2].model_copy(update={"finished": finished})
        self.told.append((None, (sender, made[0].acquisition_id)))
        return made

    def measured(self, scope, sender):
        """Some acquisition turns out to have been quality control."""
        mine = [told[1] for of, told in self.told if of is None and told[0] is sender]
        return [scope.qc(acquisition_id=self.dice.choice(mine))] if mine else self.acquisition(scope, sender)

    def planned(self, scope, sender):
        return [
            r.ScheduleRun(
                captured=scope.now(), **scope.common, schedule_id="nightly", source="file", routine="camera",
                planned_at=scope.wall_at, zone="Europe/Zurich", state=r.ScheduleState.DONE, started_at=scope.wall_at,
                ended_at=scope.wall_at + timedelta(minutes=30), run_id=uuid4(),
            )
        ]  # fmt: skip

    def roll_up(self, n_jobs: int = 1000, now: datetime = NOW, zone: ZoneInfo = ZURICH) -> None:
        for _ in range(n_jobs):
            with self.store.reading() as reads:
                left = to_roll_up(reads, zone, now)
            if not left:
                return
            assert self.do(rolling_job(left[0], zone, now)) > 0


def agent_of(sender) -> Agent:
    return Agent(sender.agent_id, sender.public_key, sender.instrument_id, "pc", "Linux", "0.1", NOW)


@pytest.fixture
def site(open_store, tools, request):
    return Site(open_store(), tools, random.Random(getattr(request, "param", 1)))


def same(site, now: datetime = NOW, zone: ZoneInfo = ZURICH) -> None:
    """Hold what is read against what the records say."""
    with site.store.reading() as reads:
        for period in PERIODS:
            asked = Period(period.first, period.last, zone)
            ours = utilisation(reads, asked, site.instruments, now)
            theirs = utilisation(Unrolled(reads), asked, site.instruments, now)
            for one, other in zip(ours.months, theirs.months, strict=True):
                assert (one.instrument, one.month) == (other.instrument, other.month)
                numbers = [getattr(other.hours, name) for name in other.hours.__slots__]
                assert [getattr(one.hours, name) for name in one.hours.__slots__] == pytest.approx(
                    numbers, abs=1e-3
                )
            assert (ours.made, ours.served) == (theirs.made, theirs.served)
            people = [{(p.person, p.how): p for p in use.people} for use in (ours, theirs)]
            assert people[0].keys() == people[1].keys()
            for who, mine in people[0].items():
                other = people[1][who]
                assert mine.seconds == pytest.approx(other.seconds, abs=1e-3)
                assert (mine.n_sessions, mine.n_acquisitions, mine.n_frames, mine.instruments) == (
                    other.n_sessions, other.n_acquisitions, other.n_frames, other.instruments,
                )  # fmt: skip


@pytest.mark.parametrize("site", range(4), indirect=True)
def test_days_rolled_up_say_what_the_records_say_whatever_comes_in_later(site):
    for day in (date(2026, 3, 3), date(2026, 3, 29), date(2026, 4, 19)):
        note = Maintenance(work="service", title="yearly", day=day, minutes=site.dice.randrange(2000))
        site.do(lambda writes, note=note: write(writes, note, "scope-1", "ada", NOW))
    site.happen(25)
    same(site)
    for _ in range(6):
        site.roll_up(site.dice.randint(0, 4))
        same(site)
        site.happen(site.dice.randint(1, 4), site.dice.choice([2, N_DAYS]))
        same(site)
    site.roll_up()
    same(site)
    same(site, NOW + timedelta(days=3))


def test_everything_that_is_over_is_rolled_up_and_then_nothing_is_left(site):
    site.happen(10)
    site.roll_up()
    with site.store.reading() as reads:
        rolled = {one.instrument_id: one for one in reads.days_rolled_up(ZURICH.key)}
        assert to_roll_up(reads, ZURICH, NOW) == []
        assert to_roll_up(reads, ZURICH, NOW + timedelta(days=1)) == site.instruments
    assert {one.last_day for one in rolled.values()} == {"2026-04-19"}
    assert site.do(rolling_job(site.instruments[0], ZURICH, NOW)) == 0


def test_days_rolled_up_are_read_and_not_worked_out(site):
    """Otherwise the comparison above would hold whatever was rolled up."""
    site.happen(20)
    site.roll_up()
    site.do(
        lambda writes: writes._connection.do(
            "UPDATE usage_days SET acquiring_s = 36000 WHERE day = '2026-03-03'"
        )
    )
    with site.store.reading() as reads:
        day = Period(date(2026, 3, 3), date(2026, 3, 3), ZURICH)
        assert utilisation(reads, day, site.instruments, NOW).total.acquiring_s == 72_000


def test_another_calendar_is_rolled_up_anew(site):
    site.happen(20)
    site.roll_up()
    tokyo = ZoneInfo("Asia/Tokyo")
    same(site, zone=tokyo)
    site.roll_up(2, zone=tokyo)
    same(site, zone=tokyo)
    same(site, zone=ZURICH)
    site.roll_up(zone=tokyo)
    same(site, zone=tokyo)


def test_person_who_is_given_up_is_in_no_sum_any_more(site):
    sender = site.senders[0]
    scope = site.tools.Scope(sender, start_at=NOW - timedelta(days=20))
    site.append(sender, [scope.session(600, user="ada", user_name="plain"), scope.session(600)])
    site.roll_up()
    with site.store.reading() as reads:
        old = reads.old_records("usage_session", NOW + timedelta(days=1))
    assert site.do(lambda writes: writes.prune(old[:1])) == 1
    same(site)
    with site.store.reading() as reads:
        assert utilisation(reads, PERIODS[0], site.instruments, NOW).n_people == 0
        assert "ada" not in repr(reads.use_by_person("", "9"))


def test_scope_limits_what_is_rolled_up_too(site):
    site.happen(20)
    site.roll_up()
    with site.store.reading() as reads:
        limited = ReadsInScope(reads, Scope.of(["Bern"]))
        told = [
            limited.use_by_month("", "9"),
            limited.use_by_day(["2026-03-03"]),
            limited.use_by_person("", "9"),
        ]
        assert {row[0] for rows in told for row in rows} == {"scope-2"}
        assert [one.instrument_id for one in limited.days_rolled_up(ZURICH.key)] == ["scope-2"]
        assert limited.first_use("scope-1") is None and limited.first_use("scope-2") is not None
