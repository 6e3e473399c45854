"""Sessions of use: from touches to a record, with a clock of its own and over the real core."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agent.capture.usage import UsageOptions, UsageTracker
from agent.capture.usage_journal import UsageJournal, publish_left
from agent.errors import SettingsError
from agent.people import Login, Person, at_console
from agent.privacy import Privacy
from agent.records import UsageSession
from agent.settings import PrivacySettings
from drivers import How, ImageSnapped, Key, LiveToggled, Moment, PropertyMoved, PropertyReading, Status

ADA = Person("ada", datetime(2026, 1, 1, 8, tzinfo=UTC))
BOB = Person("bob")
GAP_S = 1800.0
START_WALL_NS = 1_780_000_000_000_000_000


class Desk:
    """A tracker over a day that a test plays, second by second."""

    def __init__(self, mint: Any, data_dir: Path, privacy: Privacy | None = None) -> None:
        self.records: list[UsageSession] = []
        self.person: Person | None = ADA
        self.is_full = False
        self.known: dict[Key, PropertyReading] = {}
        self.journal = UsageJournal(data_dir)
        options = UsageOptions(GAP_S, privacy or Privacy("plain"), lambda: self.person)
        self.tracker = UsageTracker(
            options, mint, self.publish, self.journal, lambda: self.known, lambda: frozenset({"Shutter"})
        )

    def publish(self, *records: UsageSession) -> bool:
        self.records += records
        return not self.is_full

    @staticmethod
    def at(seconds: float) -> Moment:
        return Moment(int(seconds * 1e9) + START_WALL_NS, int(seconds * 1e9))

    def know(self, device: str, name: str, value: Any) -> None:
        key = Key(device, name)
        self.known[key] = PropertyReading(key, Status.OK, How.HARDWARE, self.at(0), value)

    def move(self, seconds: float, device: str, name: str, value: Any, *, by_software: bool = True) -> None:
        reading = PropertyReading(Key(device, name), Status.OK, How.EVENT, self.at(seconds), value)
        self.tracker.take(PropertyMoved(reading, by_software))

    def live(self, seconds: float, is_live: bool) -> None:
        self.tracker.take(LiveToggled(self.at(seconds), is_live))

    def tick(self, seconds: float) -> None:
        self.tracker.tick(self.at(seconds))

    @property
    def one(self) -> UsageSession:
        assert len(self.records) == 1, f"expected one session; got {len(self.records)}"
        return self.records[0]


@pytest.fixture
def desk(mint: Any, tmp_path: Path) -> Any:
    made = Desk(mint, tmp_path / "data")
    yield made
    made.journal.close()


def test_session_lasts_from_the_first_touch_to_the_last_before_a_gap(desk: Any) -> None:
    desk.move(100, "Objective", "Label", "60x")
    desk.move(400, "Z", "Position", 3.0)
    desk.move(700, "Z", "Position", 4.0)
    desk.tick(700 + GAP_S)
    assert desk.records == []
    desk.tick(706 + GAP_S)
    assert (desk.one.ended_by, desk.one.duration_s) == ("idle", 600.0)
    assert desk.one.began.monotonic_ns == 100_000_000_000
    assert desk.one.devices == {"Objective": 1, "Z": 2}
    assert (desk.one.user, desk.one.user_name, desk.one.logged_in_at) == ("ada", "plain", ADA.since)


def test_touch_after_a_gap_begins_another_session_even_without_a_tick(desk: Any) -> None:
    desk.move(0, "Z", "Position", 1.0)
    desk.move(GAP_S + 1, "Z", "Position", 2.0)
    desk.tracker.stop(desk.at(GAP_S + 2))
    first, second = desk.records
    assert (first.ended_by, second.ended_by) == ("idle", "agent_stopped")
    assert (first.duration_s, second.duration_s) == (0.0, 0.0)


@pytest.mark.parametrize(("then", "why"), [(None, "logout"), (BOB, "other_user")])
def test_session_ends_when_its_person_is_gone(desk: Any, then: Person | None, why: str) -> None:
    desk.move(0, "Z", "Position", 1.0)
    desk.move(50, "Z", "Position", 2.0)
    desk.person = then
    desk.tick(60)
    assert (desk.one.ended_by, desk.one.duration_s) == (why, 50.0)


def test_touch_of_the_next_person_is_not_the_session_of_the_one_before(desk: Any) -> None:
    desk.move(0, "Z", "Position", 1.0)
    desk.person = BOB
    desk.move(30, "Z", "Position", 2.0)
    desk.tracker.stop(desk.at(31))
    assert [(record.user, record.devices) for record in desk.records] == [
        ("ada", {"Z": 1}),
        ("bob", {"Z": 1}),
    ]


def test_acquisition_overnight_is_use_by_whoever_started_it(desk: Any) -> None:
    run, hours = uuid4(), 3600
    desk.tracker.began(run, desk.at(0))
    desk.person = None
    for hour in range(1, 12):
        desk.tick(hour * hours)
    assert desk.records == []
    desk.tracker.ended(run, desk.at(12 * hours), n_frames=720, exposed_ms=72_000)
    desk.tick(12 * hours + 10)
    assert (desk.one.user, desk.one.ended_by) == ("ada", "logout")
    assert desk.one.duration_s == desk.one.acquiring_s == 12 * hours
    assert (desk.one.acquisition_ids, desk.one.n_acquisitions, desk.one.n_frames_acquired) == ((run,), 1, 720)
    assert desk.one.shutter_open_s == 72.0


def test_what_an_acquisition_moves_is_no_touch(desk: Any) -> None:
    run = uuid4()
    desk.tracker.began(run, desk.at(0))
    for second in range(10):
        desk.move(second, "Z", "Position", float(second))
    desk.tracker.ended(run, desk.at(10), n_frames=10, exposed_ms=100)
    desk.tracker.stop(desk.at(20))
    assert desk.one.devices == {}
    assert desk.one.duration_s == 10.0


def test_shutter_is_open_from_opening_to_closing(desk: Any) -> None:
    desk.know("Core", "AutoShutter", "0")
    desk.move(0, "Shutter", "State", 1)
    desk.move(2, "Z", "Position", 1.0)
    desk.move(5, "Shutter", "State", 0)
    desk.move(10, "Shutter", "State", 1)
    desk.tracker.stop(desk.at(60))  # it stands open; the session ended with the last touch, at 10 s
    assert desk.one.shutter_open_s == 5.0
    assert desk.one.devices == {"Shutter": 3, "Z": 1}


def test_snaps_and_live_mode_are_counted_and_light_is_on_meanwhile(desk: Any) -> None:
    desk.know("Core", "AutoShutter", "1")
    desk.know("Core", "Camera", "Camera")
    desk.know("Camera", "@exposure", 20.0)
    for second in (0, 1):
        desk.move(second, "Shutter", "State", 1)
        desk.move(second + 0.1, "Shutter", "State", 0)
        desk.tracker.take(ImageSnapped(desk.at(second + 0.1)))
    desk.live(10, True)
    desk.tick(10 + 2 * GAP_S)  # live mode is no gap
    desk.live(10 + 2 * GAP_S, False)
    desk.tracker.stop(desk.at(10 + 2 * GAP_S))
    assert (desk.one.n_snaps, desk.one.n_live, desk.one.live_s) == (2, 1, 2 * GAP_S)
    assert desk.one.shutter_open_s == pytest.approx(2 * GAP_S + 0.2)
    assert desk.one.n_frames_live_at_most == 2 * GAP_S / 0.020
    assert desk.one.devices == {}


def test_what_a_sensor_announces_is_no_touch(desk: Any) -> None:
    desk.move(0, "Camera", "CCDTemperature", -40.1, by_software=False)
    desk.tracker.stop(desk.at(10))
    assert desk.records == []


def test_stage_that_was_moved_by_hand_is_touched(desk: Any) -> None:
    desk.move(0, "Z", "@position", 3.0, by_software=False)
    desk.tracker.stop(desk.at(10))
    assert desk.one.devices == {"Z": 1}


# ---- what a crash leaves

DIES = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from uuid import uuid4
from agent.capture.usage import UsageOptions, UsageTracker
from agent.capture.usage_journal import UsageJournal
from agent.clock import Clock
from agent.mint import Mint
from agent.people import Person
from agent.privacy import Privacy
from drivers import ImageSnapped, Moment
journal = UsageJournal(Path(sys.argv[1]))
options = UsageOptions(1800.0, Privacy("plain"), lambda: Person("ada"))
tracker = UsageTracker(options, Mint("scope", "agent", Clock()), print, journal, dict, frozenset)
at = lambda s: Moment(1_780_000_000_000_000_000 + s * 10**9, s * 10**9)
tracker.take(ImageSnapped(at(100)))
tracker.tick(at(110))
tracker.take(ImageSnapped(at(115)))
tracker.tick(at(121))
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""


def test_session_of_a_process_that_died_is_closed_at_the_next_start(desk: Any, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "data"), str(root)], check=False, timeout=60)
    publish_left(desk.journal, desk.publish)
    assert (desk.one.user, desk.one.ended_by, desk.one.n_snaps) == ("ada", "interrupted", 2)
    assert desk.one.duration_s == 15.0
    publish_left(UsageJournal(tmp_path / "data"), desk.publish)
    assert len(desk.records) == 1


def test_session_of_a_living_process_is_left_alone(desk: Any, tmp_path: Path) -> None:
    desk.move(100, "Z", "Position", 1.0)
    desk.tick(111)
    others: list[UsageSession] = []
    publish_left(UsageJournal(tmp_path / "data"), lambda record: not others.append(record))
    assert others == []
    desk.tracker.stop(desk.at(120))
    assert list((tmp_path / "data" / "usage").glob("*.json")) == []


def test_session_that_could_not_be_published_is_published_by_the_next_start(
    desk: Any, tmp_path: Path
) -> None:
    desk.is_full = True
    desk.move(100, "Z", "Position", 1.0)
    desk.tracker.stop(desk.at(120))
    desk.journal.close()
    again: list[UsageSession] = []
    publish_left(UsageJournal(tmp_path / "data"), lambda record: not again.append(record))
    assert again == [desk.one]


# ---- what is published of people


def test_hash_is_the_same_for_the_same_person_at_one_site_only() -> None:
    here, there = Privacy("hashed", b"a" * 32), Privacy("hashed", b"b" * 32)
    assert here.publish("Ada").text == here.publish("ada").text != here.publish("bob").text
    assert here.publish("ada").text != there.publish("ada").text
    assert "ada" not in here.publish("ada").text


@pytest.mark.parametrize("mode", ["hashed", "omitted"])
def test_no_name_leaves_the_computer_unless_the_site_says_so(mint: Any, tmp_path: Path, mode: str) -> None:
    from agent.records import encode

    privacy = Privacy.of(PrivacySettings(user_names=mode), tmp_path / "data")
    desk = Desk(mint, tmp_path / "data", privacy)
    desk.person = Person("adalovelace", ADA.since)
    desk.move(0, "Z", "Position", 1.0)
    desk.tick(11)
    (kept,) = (tmp_path / "data" / "usage").glob("*.json")
    journal = kept.read_bytes()
    desk.tracker.stop(desk.at(20))
    assert b"adalovelace" not in journal + encode(desk.one)
    assert desk.one.user_name == mode
    assert (desk.one.logged_in_at is None) == (mode == "omitted")


def test_secret_of_this_computer_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    first = Privacy.of(PrivacySettings(), tmp_path).publish("ada")
    assert Privacy.of(PrivacySettings(), tmp_path).publish("ada") == first
    secret = tmp_path / "site.secret"
    if sys.platform != "win32":
        assert secret.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["site.secret"]


def test_two_computers_with_one_secret_know_one_person(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4 + "\n")
    settings = PrivacySettings(site_secret_file=str(secret))
    assert Privacy.of(settings, tmp_path / "a").publish("ada") == Privacy.of(
        settings, tmp_path / "b"
    ).publish("ada")
    assert not (tmp_path / "a").exists()


def test_secret_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    for name, message in (("secret", "expected at least 32"), ("none", "cannot be used")):
        with pytest.raises(SettingsError, match=message):
            Privacy.of(PrivacySettings(site_secret_file=str(tmp_path / name)), tmp_path)


def test_person_at_the_console_is_not_the_one_from_afar() -> None:
    far = Login("eve", "pts/0", "10.0.0.7", 5.0)
    assert at_console([far]) is None
    assert at_console([far, Login("bob", "tty2", "", 20.0), Login("ada", ":0", "", 10.0)]).name == "ada"
    assert at_console([Login("cy", "console", None, 1.0)]).name == "cy"
    assert at_console([Login("eve", "pts/1", "", 1.0)]) is None


# ---- over the real core


def test_real_session_of_snaps_live_mode_and_an_acquisition(
    make_capture: Callable[..., Any], core: Any, shelf: Any
) -> None:
    import useq

    capture = make_capture(core, usage=lambda _: UsageOptions(GAP_S, Privacy("plain"), lambda: ADA))
    core.setProperty("Objective", "Label", core.getAllowedPropertyValues("Objective", "Label")[1])
    for _ in range(3):
        core.snapImage()
    core.startContinuousSequenceAcquisition(0)
    core.stopSequenceAcquisition()
    core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": 5})).join()
    assert capture.settle(20)
    assert capture.stop(20)
    session = shelf.one(UsageSession)
    assert (session.user, session.ended_by) == ("ada", "agent_stopped")
    assert (session.n_snaps, session.n_live) == (3, 1)
    assert (session.n_acquisitions, session.n_frames_acquired) == (1, 5)
    assert session.devices["Objective"] >= 1
    assert 0 < session.shutter_open_s <= session.duration_s
    assert 0 < session.acquiring_s <= session.duration_s


def test_capture_publishes_no_session_when_it_is_switched_off(
    make_capture: Callable[..., Any], core: Any, shelf: Any
) -> None:
    capture = make_capture(core)
    core.snapImage()
    assert capture.stop(20)
    assert shelf.of(UsageSession) == []


def test_journal_is_the_record_itself(desk: Any, tmp_path: Path) -> None:
    desk.move(100, "Z", "Position", 1.0)
    desk.tick(111)
    (path,) = (tmp_path / "data" / "usage").glob("*.json")
    told = json.loads(path.read_bytes())
    assert (told["kind"], told["ended_by"], told["record_id"]) == (
        "usage_session",
        "interrupted",
        told["session_id"],
    )


def test_message_that_names_a_holder_of_the_hardware_is_published_without_the_name() -> None:
    from agent.hardware.holder import Holder

    holder = Holder("Studio", "has the camera", pid=7, user="LAB\\ada", since=ADA.since)
    message = f"The hardware is in use: {holder}."
    assert "LAB\\ada" in message
    assert "ada" not in Privacy("omitted").in_words(message)
    assert Privacy("hashed", b"k" * 32).publish("LAB\\ada").text in Privacy("hashed", b"k" * 32).in_words(
        message
    )
    assert Privacy("plain").in_words(message) == message
