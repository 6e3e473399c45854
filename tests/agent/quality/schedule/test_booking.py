"""Booking calendars: events that repeat, addresses that are not to be trusted, calendars that are old or no calendars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from agent.errors import CalendarError
from agent.quality.schedule.booking import BookingGuard, bookings
from agent.quality.schedule.feed import MOST_BYTES, Feed, kept_feed, read_feed
from agent.quality.schedule.guards import Plan
from agent.records.schedules import Schedule

ZURICH = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 5, 4, 1, tzinfo=UTC)


def calendar(*events: str) -> bytes:
    body = "\n".join(f"BEGIN:VEVENT\nUID:{k}\n{event}\nEND:VEVENT" for k, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test\n{body}\nEND:VCALENDAR\n".replace(
        "\n", "\r\n"
    ).encode()


def booked(*events: str, since: datetime = NOW, days: float = 14) -> list[str]:
    found = bookings(calendar(*events), since, since + timedelta(days=days), ZURICH)
    return [f"{one.start:%d %H:%M}-{one.end:%d %H:%M}" for one in found]


WEEKLY = "DTSTART;TZID=Europe/Zurich:20260105T090000\nDTEND;TZID=Europe/Zurich:20260105T110000\nRRULE:FREQ=WEEKLY;BYDAY=MO"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART:20260505T080000Z\nDTEND:20260505T093000Z", ["05 08:00-05 09:30"]),
        ("DTSTART:20260505T080000\nDURATION:PT2H", ["05 06:00-05 08:00"]),  # no zone: the site's
        ("DTSTART;VALUE=DATE:20260506", ["05 22:00-06 22:00"]),
        ("DTSTART;VALUE=DATE:20260506\nDTEND;VALUE=DATE:20260508", ["05 22:00-07 22:00"]),
        (WEEKLY, ["04 07:00-04 09:00", "11 07:00-11 09:00"]),
        (WEEKLY + ";UNTIL=20260504T220000Z", ["04 07:00-04 09:00"]),
        (WEEKLY + ";COUNT=3", []),
        (WEEKLY + "\nEXDATE;TZID=Europe/Zurich:20260504T090000", ["11 07:00-11 09:00"]),
        (WEEKLY + "\nRDATE;TZID=Europe/Zurich:20260506T200000", ["04 07:00-04 09:00", "06 18:00-06 20:00", "11 07:00-11 09:00"]),
        (WEEKLY + "\nTRANSP:TRANSPARENT", []),
        (WEEKLY + "\nSTATUS:CANCELLED", []),
        ("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=MONTHLY;BYMONTHDAY=6", ["05 22:00-06 22:00"]),
        ("DTSTART:20200505T080000Z\nDTEND:20200505T090000Z\nRRULE:FREQ=YEARLY", ["05 08:00-05 09:00"]),
        ("DTSTART:20260503T000000Z\nDTEND:20260510T000000Z", ["03 00:00-10 00:00"]),  # began before
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_event_takes_its_time(event, expected):
    assert booked(event) == expected


def test_repeated_event_keeps_its_hour_over_the_clock_change():
    found = booked(WEEKLY, since=datetime(2026, 3, 22, tzinfo=UTC), days=10)
    assert found == ["23 08:00-23 10:00", "30 07:00-30 09:00"]


def test_moved_instance_takes_its_new_time_alone():
    moved = (
        "RECURRENCE-ID;TZID=Europe/Zurich:20260504T090000\nDTSTART:20260504T120000Z\nDTEND:20260504T130000Z"
    )
    both = calendar(WEEKLY, moved).replace(b"UID:1", b"UID:0")
    found = bookings(both, NOW, NOW + timedelta(days=8), ZURICH)
    assert [f"{one.start:%d %H:%M}" for one in found] == ["04 12:00", "11 07:00"]
    cancelled = calendar(WEEKLY, moved + "\nSTATUS:CANCELLED").replace(b"UID:1", b"UID:0")
    assert [one.start.day for one in bookings(cancelled, NOW, NOW + timedelta(days=8), ZURICH)] == [11]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>Sign in</html>",
        b"BEGIN:VCALENDAR\r\n",
        calendar("SUMMARY:without a time"),
        calendar("DTSTART:20260505T0800"),
        calendar("DTSTART:20260505T080000Z\nRRULE:FREQ=SECONDLY"),
        calendar("DTSTART:20260505T080000Z\nRRULE:FREQ=SOMETIMES"),
    ],
    ids=range(7),
)
def test_calendar_that_is_not_clear_is_an_error(text):
    with pytest.raises(CalendarError):
        bookings(text, NOW, NOW + timedelta(days=7), ZURICH)


# ---- the guard


def plan(now: datetime = NOW, minutes: float = 60) -> Plan:
    schedule = Schedule(schedule_id="s", routine="psf", cron="0 3 * * *")
    return Plan(schedule, now, now + timedelta(minutes=minutes))


class Reader:
    """A calendar that can be read, or not."""

    def __init__(self, *events: str) -> None:
        self.text, self.is_away, self.n_asked = calendar(*events), False, 0

    def __call__(self, place: str, cache: Path, now: datetime) -> Feed:
        self.n_asked += 1
        if self.is_away:
            raise CalendarError("The server is away.")
        return Feed(self.text, now)


def guard(reader: Reader, tmp_path: Path) -> BookingGuard:
    return BookingGuard(
        "https://example.org/a.ics", tmp_path / "c.ics", ZURICH, refresh=timedelta(minutes=10),
        stale=timedelta(hours=2), margin=timedelta(minutes=5), read=reader,
    )  # fmt: skip


def test_free_until_the_expected_end_and_a_margin(tmp_path):
    one = guard(Reader("DTSTART:20260504T020400Z\nDTEND:20260504T030000Z"), tmp_path)
    assert one.why_not(plan(minutes=30)) == ""
    assert "Booked from 2026-05-04 04:04" in one.why_not(plan(minutes=60))
    assert one.why_not(plan(NOW + timedelta(hours=2))) == ""


def test_calendar_that_cannot_be_read_holds_for_two_hours(tmp_path):
    reader = Reader()
    one = guard(reader, tmp_path)
    assert one.why_not(plan()) == ""
    reader.is_away = True
    assert one.why_not(plan(NOW + timedelta(minutes=119))) == ""
    assert "h old" in one.why_not(plan(NOW + timedelta(minutes=121)))
    assert "could not be read" in one.why_not(plan(NOW - timedelta(days=1)))  # read in the future: no telling


def test_calendar_that_was_never_read_counts_as_booked(tmp_path):
    reader = Reader()
    reader.is_away = True
    assert "The server is away" in guard(reader, tmp_path).why_not(plan())


def test_calendar_is_read_every_so_often(tmp_path):
    reader = Reader()
    one = guard(reader, tmp_path)
    for minutes in range(0, 30, 1):
        one.why_not(plan(NOW + timedelta(minutes=minutes)))
    assert reader.n_asked == 3


# ---- fetching


def answer(status: int = 200, text: bytes = b"BEGIN:VCALENDAR", **more) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, content=text, **more))


def fetch(tmp_path: Path, place: str = "https://cal.example.org/secret-token.ics", **more) -> Feed:
    given = {"fetch": answer(), "resolve": lambda host, port: ["93.184.216.34"]} | more
    return read_feed(place, tmp_path / "c.ics", NOW, **given)


def test_fetched_calendar_is_kept_without_its_secret(tmp_path):
    assert fetch(tmp_path) == kept_feed("https://cal.example.org/secret-token.ics", tmp_path / "c.ics")
    assert b"secret-token" not in (tmp_path / "c.ics").read_bytes()
    assert kept_feed("https://other.example.org/", tmp_path / "c.ics") is None


def test_request_goes_to_the_address_that_was_checked(tmp_path):
    seen = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        return httpx.Response(200, content=b"x")

    fetch(tmp_path, fetch=httpx.MockTransport(take))
    assert seen == [("93.184.216.34", "cal.example.org", "cal.example.org")]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.7", "169.254.169.254", "::1", "fd00::1", "fe80::1%eth0"]
)
def test_private_address_is_refused_unless_the_settings_name_the_host(tmp_path, address):
    for addresses in ([address], ["93.184.216.34", address]):
        with pytest.raises(CalendarError, match="private network"):
            fetch(tmp_path, resolve=lambda host, port, found=addresses: found)
    assert fetch(tmp_path, resolve=lambda host, port: ["10.1.2.3"], private_hosts=("cal.example.org",))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"fetch": answer(302, headers={"Location": "https://127.0.0.1/"})}, "answered 302"),
        ({"fetch": answer(500)}, "answered 500"),
        ({"fetch": answer(text=bytes(MOST_BYTES + 1))}, "more than 8 MB"),
        ({"place": "http://cal.example.org/a.ics"}, "must begin with https"),
        ({"place": "file:///etc/passwd"}, "must begin with https"),
        ({"resolve": lambda host, port: []}, "has no address"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_calendar_is_refused_and_the_last_one_stays(tmp_path, more, said):
    before = fetch(tmp_path)
    with pytest.raises(CalendarError, match=said) as refused:
        fetch(tmp_path, **more)
    assert "secret-token" not in str(refused.value)
    assert kept_feed("https://cal.example.org/secret-token.ics", tmp_path / "c.ics") == before


def test_file_is_read(tmp_path):
    (tmp_path / "a.ics").write_bytes(calendar())
    assert read_feed(str(tmp_path / "a.ics"), tmp_path / "c.ics", NOW).text == calendar()
    with pytest.raises(CalendarError, match="cannot be read"):
        read_feed(str(tmp_path / "b.ics"), tmp_path / "c.ics", NOW)
