"""Guards, the limits of a run, and what ends one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from threading import Event
from typing import Any

import pytest

from agent.errors import HardwareError, LimitError, PersonAtMicroscopeError, RunStoppedError
from agent.idle import Idle, logind_idle, macos_idle
from agent.quality.scene import Scene
from agent.quality.schedule.conditions import ConditionsGuard
from agent.quality.schedule.guards import (
    ActivityGuard,
    HardwareGuard,
    InputGuard,
    Interlock,
    OwnerGuard,
    Plan,
    TouchGuard,
)
from agent.quality.schedule.held import HeldHardware
from agent.quality.schedule.limits import Bounds, Limits
from agent.quality.schedule.person import STOP_FILE, PersonWatch
from agent.records import Objective
from agent.records.schedules import RunLimits, Schedule
from agent.settings import ScheduleSettings

NOW = datetime(2026, 5, 4, 3, tzinfo=UTC)
IDLE_STATUS = {"is_acquiring": False, "is_live": False, "touched": {}}


def plan(**more: Any) -> Plan:
    schedule = Schedule(schedule_id="s", routine="psf", cron="0 3 * * *", **({"quiet_min": 10} | more))
    return Plan(schedule, NOW, NOW + timedelta(hours=1))


class Hand:
    """A monotonic clock in our hands."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


# ---- guards


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        (HardwareGuard(lambda: None), "not up"),
        (HardwareGuard(lambda: IDLE_STATUS, is_owned=False), "another program has the microscope"),
        (HardwareGuard(lambda: IDLE_STATUS), ""),
        (ActivityGuard(lambda: {**IDLE_STATUS, "is_acquiring": True}), "acquisition is running"),
        (ActivityGuard(lambda: {**IDLE_STATUS, "is_live": True}), "Live mode"),
        (ActivityGuard(lambda: IDLE_STATUS), ""),
        (OwnerGuard(lambda: "Studio has it."), "Studio has it."),
        (InputGuard(lambda: Idle(599.0)), "10 min ago"),
        (InputGuard(lambda: Idle(601.0)), ""),
        (InputGuard(lambda: Idle(inf)), ""),
        (InputGuard(lambda: Idle(None, "no desktop")), "no desktop"),
        (InputGuard(lambda: Idle(None, "no desktop"), ignores_unknown=True), ""),
    ],
)
def test_guard_says_why_not(guard, said):
    told = guard.why_not(plan())
    assert said in told if said else told == ""


def test_device_moved_by_hand_stands_in_the_way_for_a_while():
    hand, status = Hand(), {**IDLE_STATUS, "touched": {"Nosepiece": 3}}
    guard = TouchGuard(lambda: status, hand)
    assert guard.why_not(plan()) == ""
    status["touched"] = {"Nosepiece": 4}
    assert "Nosepiece was moved by hand" in guard.why_not(plan())
    hand.s += 599
    assert "Nosepiece" in guard.why_not(plan())
    hand.s += 2
    assert guard.why_not(plan()) == ""
    status["touched"] = {"Nosepiece": 1}  # counted anew, by a hardware process that was started again
    assert "Nosepiece was moved by hand" in guard.why_not(plan())


def test_all_guards_must_hold_and_for_long_enough():
    hand, idle = Hand(), [Idle(inf)]
    lock = Interlock((ActivityGuard(lambda: IDLE_STATUS), InputGuard(lambda: idle[0])), hand, 60.0)
    assert set(lock.why_not(plan())) == {"quiet"}
    hand.s += 599
    assert set(lock.why_not(plan())) == {"quiet"}
    idle[0] = Idle(1.0)
    assert set(lock.why_not(plan())) == {"person"}
    idle[0] = Idle(inf)
    hand.s += 2
    assert set(lock.why_not(plan())) == {"quiet"}  # begins anew
    hand.s += 600
    assert lock.why_not(plan()) == {}
    assert lock.why_not(plan(quiet_min=0)) == {}
    lock.forget()
    assert set(lock.why_not(plan(quiet_min=0))) == {"quiet"}  # the PC's own least


# ---- start conditions


class Readings:
    """Hardware that can be read."""

    def __init__(self, **values: Any) -> None:
        self.values, self.is_down = values, False

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        if self.is_down:
            raise HardwareError("gone")
        return [
            {"device": "Lamp", "property": name, "status": "ok", "value": value}
            for name, value in self.values.items()
        ]


@pytest.mark.parametrize(
    ("condition", "value", "said"),
    [
        ({"equals": "On"}, "On", ""),
        ({"equals": "On"}, "Off", "Lamp X is Off; wanted is On."),
        ({"equals": 1}, "1", ""),
        ({"at_least": 30.0}, "31.5", ""),
        ({"at_least": 30.0}, 29, "at least 30"),
        ({"at_most": 38.0}, 39, "at most 38"),
        ({"at_most": 38.0}, "warm", "no number"),
        ({"at_least": 1.0}, float("nan"), "at least 1"),
    ],
)
def test_condition_is_held_against_the_hardware(condition, value, said):
    guard = ConditionsGuard(Readings(X=value), Hand())
    told = guard.why_not(plan(conditions=[{"device": "Lamp", "property": "X", **condition}]))
    assert said in told if said else told == ""


def test_lamp_must_have_been_on_for_long_enough():
    hand, lamp = Hand(), Readings(State="On")
    guard = ConditionsGuard(lamp, hand)
    wanted = plan(conditions=[{"device": "Lamp", "property": "State", "equals": "On", "for_min": 10}])
    for minute in range(10):
        assert f"for {minute} min of 10" in guard.why_not(wanted)
        hand.s += 60
    assert guard.why_not(wanted) == ""
    lamp.values["State"] = "Off"
    hand.s += 60
    assert "is Off" in guard.why_not(wanted)
    lamp.values["State"] = "On"
    hand.s += 60
    assert "for 0 min of 10" in guard.why_not(wanted)


def test_temperature_must_be_steady():
    hand, lamp = Hand(), Readings(T=37.0)
    guard = ConditionsGuard(lamp, hand)
    wanted = plan(conditions=[{"device": "Lamp", "property": "T", "steady_within": 0.2, "for_min": 5}])
    for minute in range(12):
        lamp.values["T"] = 37.0 + 0.1 * min(minute, 6)
        told = guard.why_not(wanted)
        hand.s += 60
    assert told == ""
    lamp.values["T"] = 38.5
    assert "moved by" in guard.why_not(wanted)


def test_hardware_that_cannot_be_read_stands_in_the_way():
    lamp = Readings(State="On")
    lamp.is_down = True
    wanted = plan(conditions=[{"device": "Lamp", "property": "State", "equals": "On"}])
    assert "cannot be read" in ConditionsGuard(lamp, Hand()).why_not(wanted)
    wanted = plan(conditions=[{"device": "Lamp", "property": "Other", "equals": "On"}])
    assert "cannot be read" in ConditionsGuard(Readings(State="On"), Hand()).why_not(wanted)


# ---- limits

HOME = {
    ("Core", "Camera"): "Cam", ("Core", "Shutter"): "Sh", ("Core", "Focus"): "Z", ("Core", "XYStage"): "XY",
    ("Core", "AutoShutter"): "1", ("Sh", "State"): "0", ("Cam", "@exposure"): 10.0, ("XY", "@x"): 100.0,
    ("XY", "@y"): 200.0, ("Z", "@position"): 50.0, ("Nose", "Label"): "oil",
}  # fmt: skip
PLACE = {"x": 100.0, "y": 200.0, "z": 50.0}
CHANNEL = [{"config": "FITC", "exposure": 500.0}]


def limits(objectives: tuple[Objective, ...] = (), **bounds: float) -> Limits:
    return Limits(Bounds(**bounds), Scene(HOME), objectives)


def acquire(limits: Limits, **sequence: Any) -> None:
    limits.check("acquire", {"sequence": {"channels": CHANNEL, "stage_positions": [PLACE], **sequence}})


def test_light_adds_up_over_the_run_and_every_frame_counts():
    one = limits(light_s=10.0)
    acquire(one, time_plan={"interval": 0.001, "loops": 19})
    assert one.light_s == pytest.approx(9.5)
    one.check("snap", {"exposure_ms": 500.0})
    with pytest.raises(LimitError, match=r"10\.5 s of light"):
        one.check("snap", {"exposure_ms": 500.0})


def test_dark_frames_are_no_light():
    one = limits(light_s=0.1)
    one.check("set_property", {"device": "Core", "property": "AutoShutter", "value": "0"})
    acquire(one, time_plan={"interval": 0, "loops": 1000})
    one.check("set_property", {"device": "Sh", "property": "State", "value": "1"})
    with pytest.raises(LimitError):
        acquire(one)


@pytest.mark.parametrize(
    ("more", "axis"),
    [
        ({"stage_positions": [PLACE, {**PLACE, "x": 201.0}]}, "stage"),
        ({"stage_positions": [{**PLACE, "y": 99.0}]}, "stage"),
        ({"z_plan": {"range": 22.0, "step": 1.0}}, "focus"),
        ({"z_plan": {"top": 61.0, "bottom": 40.0, "step": 1.0}}, "focus"),
        ({"stage_positions": [{"x": 100.0, "y": 200.0}], "z_plan": {"range": 22.0, "step": 1.0}}, "focus"),
        ({"stage_positions": (), "z_plan": {"range": 22.0, "step": 1.0}}, "focus"),
    ],
    ids=str,
)
def test_sequence_that_goes_too_far_is_refused_whole(more, axis):
    with pytest.raises(LimitError, match=f"move the {axis}"):
        acquire(limits(travel_um=100.0, focus_um=10.0), **more)


def test_sequence_within_bounds_passes():
    acquire(limits(travel_um=100.0, focus_um=10.0), z_plan={"range": 20.0, "step": 1.0}, stage_positions=[{**PLACE, "x": 200.0}])  # fmt: skip


def test_moves_are_bounded():
    one = limits(travel_um=10.0, focus_um=5.0)
    one.check("move", {"position_um": {"z": 55.0}})
    for place in ({"z": 55.1}, {"x": 110.5}, {"y": 189.0}):
        with pytest.raises(LimitError):
            one.check("move", {"position_um": place})
    with pytest.raises(LimitError):
        one.check("set_property", {"device": "Z", "property": "Position", "value": "44"})


OIL = Objective(name="60x oil", device="Nose", state="oil", safe_z_max_um=60.0)
AIR = Objective(name="10x", device="Nose", state="air", safe_z_min_um=0.0, safe_z_max_um=1000.0)
LONG = Objective(name="long", device="Nose", state="long", safe_z_max_um=40.0)


def test_objective_is_never_driven_beyond_its_safe_focus():
    one = limits((OIL, AIR, LONG))
    one.check("move", {"position_um": {"z": 60.0}})
    with pytest.raises(LimitError, match="60x oil"):
        one.check("move", {"position_um": {"z": 60.5}})
    one.check("move", {"position_um": {"z": 50.0}})
    one.check("set_property", {"device": "Nose", "property": "Label", "value": "air"})
    one.check("move", {"position_um": {"z": 900.0}})
    with pytest.raises(LimitError, match="long"):
        one.check("set_property", {"device": "Nose", "property": "Label", "value": "long"})


def test_objective_that_nobody_can_tell_may_be_any():
    unknown = Objective(name="some", device="Other", state="x", safe_z_max_um=55.0)
    with pytest.raises(LimitError, match="some"):
        limits((unknown,)).check("move", {"position_um": {"z": 56.0}})


def test_bounds_are_the_narrower_of_schedule_and_settings():
    schedule = plan(limits=RunLimits(light_s=9999.0, focus_um=3.0)).schedule
    found = Bounds.of(schedule, ScheduleSettings(max_light_s=60.0, max_travel_um=500.0, max_focus_um=50.0))
    assert found == Bounds(light_s=60.0, travel_um=500.0, focus_um=3.0)


# ---- on a leash


class Orders:
    """Hardware that notes what it is told to do."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.status = dict(IDLE_STATUS)

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        self.given.append(name)
        return self.status if name == "ping" else None

    @property
    def but_pings(self) -> list[str]:
        return [name for name in self.given if name != "ping"]


def watch(tmp_path, idle=lambda: Idle(inf), hand=None, **more: Any) -> PersonWatch:
    return PersonWatch(idle, hand or Hand(), 60.0, tmp_path, more.pop("ends", Event()), **more)


def held(orders: Orders, one: PersonWatch) -> HeldHardware:
    return HeldHardware(orders, Limits(Bounds(focus_um=5), Scene(HOME)), one.why_stop)


def test_nothing_more_is_passed_on_once_stopped(tmp_path):
    orders, ends = Orders(), Event()
    leash = held(orders, watch(tmp_path, ends=ends))
    leash.call("set_preset", 1.0, group="a", preset="b")
    ends.set()
    for _ in range(2):
        with pytest.raises(RunStoppedError, match="told to end"):
            leash.call("ping", 1.0)
    leash.call("cancel", 1.0)
    assert orders.but_pings == [
        "set_preset",
        "cancel",
        "set_property",
        "cancel",
    ]  # camera ended, shutter closed


def test_wait_between_two_steps_is_watched(tmp_path):
    orders, hand = Orders(), Hand()

    def wait(for_s: float) -> None:
        hand.s += for_s
        if hand.s > 1003.0:
            orders.status["is_live"] = True

    leash = HeldHardware(orders, Limits(Bounds(), Scene(HOME)), watch(tmp_path).why_stop, wait, hand)
    leash.sleep(2.0)
    assert hand.s == pytest.approx(1002.0)
    with pytest.raises(PersonAtMicroscopeError):
        leash.sleep(600.0)
    assert hand.s < 1004.0


class SlowOrders(Orders):
    """Hardware that is at an order until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = Event()

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        if name == "cancel" and "cancel" in self.given:  # the first comes before the order has begun
            self.ended.set()
        told = super().call(name, deadline_s, **args)
        if name == "move":
            self.status["is_live"] = True
            assert self.ended.wait(60)
            raise HardwareError("The stage was told to stop on its way.")
        return told


def test_order_that_takes_its_time_is_broken_off_for_a_person(tmp_path):
    orders = SlowOrders()
    with pytest.raises(PersonAtMicroscopeError, match="live mode"):
        held(orders, watch(tmp_path)).call("move", 150.0, position_um={"z": 51.0})
    assert orders.ended.is_set()
    assert orders.but_pings[:3] == ["move", "cancel", "set_property"]  # the shutter is closed at once


def test_order_beyond_the_limits_stops_the_run(tmp_path):
    orders = Orders()
    leash = held(orders, watch(tmp_path))
    with pytest.raises(LimitError):
        leash.call("move", 1.0, position_um={"z": 56.0})
    assert isinstance(leash.stopped, LimitError) and "move" not in orders.given


@pytest.mark.parametrize(
    ("status", "said"),
    [({"is_live": True}, "live mode"), ({"touched": {"Nose": 2}}, "Nose moved by hand")],
    ids=["live", "touch"],
)
def test_answer_to_a_ping_tells_of_a_person(tmp_path, status, said):
    orders = Orders()
    orders.status["touched"] = {"Nose": 1}
    one = watch(tmp_path)
    leash = held(orders, one)
    leash.call("ping", 1.0)
    orders.status |= status
    with pytest.raises(PersonAtMicroscopeError, match=said):
        leash.call("ping", 1.0)
    assert one.by_hand == ({"Nose"} if "touched" in status else frozenset())


def test_input_since_the_run_began_ends_it(tmp_path):
    hand, idle = Hand(), [Idle(5.0)]
    one = watch(tmp_path, lambda: idle[0], hand)
    hand.s += 4.0
    idle[0] = Idle(9.0)
    assert one.why_stop(None) is None
    hand.s += 4.0
    idle[0] = Idle(0.2)
    assert isinstance(one.why_stop(None), PersonAtMicroscopeError)


def test_not_knowing_any_more_ends_it_after_a_few_looks(tmp_path):
    hand = Hand()
    one = watch(tmp_path, lambda: Idle(None, "it broke"), hand)
    told = []
    for _ in range(20):
        hand.s += 1.0
        told.append(one.why_stop(None) is not None)
    assert told == [False] * 9 + [True] * 11
    lenient = watch(tmp_path, lambda: Idle(None, "it broke"), hand, ignores_unknown=True)
    for _ in range(20):
        hand.s += 1.0
        assert lenient.why_stop(None) is None


def test_stop_file_other_program_and_time_end_it(tmp_path):
    hand = Hand()
    (tmp_path / STOP_FILE).touch()
    assert "schedule stop" in str(watch(tmp_path).why_stop(None))
    (tmp_path / STOP_FILE).unlink()
    one = watch(tmp_path, hand=hand, others=lambda: "Studio wants it.")
    hand.s += 4.0
    assert one.why_stop(None) is None
    hand.s += 2.0
    assert "Studio wants it" in str(one.why_stop(None))
    hand.s += 60.0
    slow = watch(tmp_path, hand=hand)
    hand.s += 61.0
    assert "took longer" in str(slow.why_stop(None))


# ---- idle time

SESSIONS = "2 1000 ada seat0 tty2\n c1 42 gdm seat0 tty1\n"


def loginctl(*sessions: dict[str, str]):
    told = iter(sessions)
    listed = "\n".join(f"{k} 1000 ada seat0" for k in range(len(sessions)))

    def run(command: list[str]) -> str:
        if "list-sessions" in command:
            return listed
        return "\n".join(f"{name}={value}" for name, value in next(told).items())

    return run


@pytest.mark.parametrize(
    ("sessions", "idle_s"),
    [
        ([], inf),
        ([{"Class": "greeter", "IdleHint": "no"}], inf),
        ([{"Class": "user", "State": "active", "IdleHint": "no", "IdleSinceHintMonotonic": "0"}], 0.0),
        ([{"Class": "user", "State": "online", "IdleHint": "yes", "IdleSinceHintMonotonic": "400000000"}], 600.0),
        ([{"Class": "user", "State": "closing", "IdleHint": "no"}], inf),
        ([{"Class": "user", "IdleHint": "yes", "IdleSinceHintMonotonic": "100000000"},
          {"Class": "user", "IdleHint": "yes", "IdleSinceHintMonotonic": "900000000"}], 100.0),
    ],
)  # fmt: skip
def test_logind_tells_the_least_idle_of_peoples_sessions(sessions, idle_s):
    assert logind_idle(loginctl(*sessions), lambda: 1_000_000_000_000).for_s == pytest.approx(idle_s)


def test_macos_tells_idle_time_or_that_it_does_not_know():
    assert macos_idle(lambda command: '  | "HIDIdleTime" = 90500000000\n').for_s == 90.5
    assert macos_idle(lambda command: "nothing").for_s is None

    def fails(command: list[str]) -> str:
        raise FileNotFoundError("no ioreg")

    assert "no ioreg" in macos_idle(fails).why
    assert "no ioreg" in logind_idle(fails, lambda: 0).why
