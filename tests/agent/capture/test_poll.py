"""The poller: it reads hardware, but never into an exposure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from useq import MDASequence

from agent.capture.poll import Poller, Readings
from agent.records import AcquisitionFinished, AgentEvent, ReadingStatus, StateSnapshot
from drivers import Driver, Hardware, How, Key, Moment, PropertyReading, Status

KEYS = tuple(Key("Device", name) for name in "abcde")


class Scripted(Driver):
    """Hardware that does what a test says."""

    def __init__(self) -> None:
        self.busy = False
        self.reads: list[tuple[Key, How]] = []
        self.on_read: Callable[[Key, How], None] = lambda key, how: None

    def describe(self) -> Hardware:
        return Hardware(devices={})

    def keys(self) -> tuple[Key, ...]:
        return KEYS

    def read(self, key: Key, how: How) -> PropertyReading:
        self.reads.append((key, how))
        self.on_read(key, how)
        return PropertyReading(key, Status.OK, how, Moment.now(), 1)

    def is_busy(self) -> bool:
        return self.busy

    def listen(self, listener: Any) -> None: ...

    def stop_listening(self) -> None: ...


class Delivered:
    def __init__(self) -> None:
        self.all: list[Readings] = []
        self._came = threading.Condition()

    def __call__(self, readings: Readings) -> None:
        with self._came:
            self.all.append(readings)
            self._came.notify_all()

    def wait_for(self, n: int) -> list[Readings]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.all) >= n, 10), f"{len(self.all)} of {n} came"
        return self.all


@pytest.fixture
def driver() -> Scripted:
    return Scripted()


@pytest.fixture
def delivered() -> Delivered:
    return Delivered()


@pytest.fixture
def poll(driver: Scripted, delivered: Delivered) -> Iterator[Callable[..., Poller]]:
    pollers = []

    def poll(interval_s: float = 3600.0, pause_s: float = 0.0, **fields: Any) -> Poller:
        pollers.append(Poller(driver, delivered, interval_s, pause_s, **fields))
        pollers[-1].start()
        return pollers[-1]

    yield poll
    for poller in pollers:
        assert poller.stop(10)


def test_round_reads_every_key_once(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    poll(interval_s=0.01)
    for readings in delivered.wait_for(3)[:3]:
        assert tuple(reading.key for reading in readings.readings) == KEYS
        assert readings.is_complete and readings.request is None
    assert {how for _, how in driver.reads} == {How.HARDWARE}


def test_round_is_not_begun_while_busy(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    driver.busy = True
    poller = poll(interval_s=0.001)
    for n in range(1, 6):  # each answer shows that the poller's loop went round
        poller.ask(n, ())
        delivered.wait_for(n)
    assert driver.reads == []


def test_round_is_abandoned_when_frames_begin(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    driver.on_read = lambda key, how: setattr(driver, "busy", key.property == "b")
    poll(interval_s=0.001)
    (readings, *_) = delivered.wait_for(1)
    assert [reading.key.property for reading in readings.readings] == ["a", "b"]
    assert not readings.is_complete
    assert driver.reads == [(KEYS[0], How.HARDWARE), (KEYS[1], How.HARDWARE)]


def test_request_goes_on_from_the_cache_when_frames_begin(
    poll: Any, driver: Scripted, delivered: Delivered
) -> None:
    driver.on_read = lambda key, how: setattr(driver, "busy", key.property >= "b")
    poll().ask("now")
    (readings,) = delivered.wait_for(1)
    assert [reading.how for reading in readings.readings] == [How.HARDWARE] * 2 + [How.CACHE] * 3
    assert not readings.is_complete


def test_request_does_not_wait_for_the_round(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    def ask_once(key: Key, how: How) -> None:
        if key.property == "b" and len(driver.reads) == 2:
            poller.ask("now", KEYS[4:])

    driver.on_read = ask_once
    poller = poll(interval_s=0.05)
    first, second = delivered.wait_for(2)[:2]
    assert (first.request, second.request) == ("now", None)
    assert [key.property for key, _ in driver.reads[:6]] == ["a", "b", "e", "c", "d", "e"]


def test_requests_are_answered_in_order(poll: Any, delivered: Delivered) -> None:
    poller = poll()
    for n in range(20):
        poller.ask(n, KEYS[:1])
    assert [readings.request for readings in delivered.wait_for(20)] == list(range(20))


def test_pause_lies_between_reads_of_a_round_only(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    poller = poll(interval_s=0.01, pause_s=0.02)
    readings = delivered.wait_for(1)[0]
    assert readings.duration_ms >= 5 * 20
    poller.interval_s = 3600.0
    poller.ask("now")
    assert next(r for r in delivered.wait_for(2) if r.request == "now").duration_ms < 20


def test_slow_reading_is_polled_less_often(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    waits = threading.Event()
    driver.on_read = lambda key, how: key.property == "c" and waits.wait(0.025)
    poll(interval_s=0.001)
    delivered.wait_for(8)
    counts = {key.property: sum(read == key for read, _ in driver.reads) for key in KEYS}
    assert counts["a"] >= 8
    assert counts["c"] <= counts["a"] / 2 + 1


def test_what_hung_before_is_left_alone(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    poll(left_alone=frozenset({KEYS[2]})).ask("now")
    (readings,) = delivered.wait_for(1)
    assert [reading.status for reading in readings.readings] == [Status.OK] * 2 + [Status.TIMEOUT] + [
        Status.OK
    ] * 2
    assert "left alone" in readings.readings[2].error
    assert KEYS[2] not in {key for key, _ in driver.reads}


def test_driver_that_raises_costs_one_reading(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    class UnknownToAll(Exception):
        pass

    def fail(key: Key, how: How) -> None:
        if key.property == "b":
            raise UnknownToAll

    driver.on_read = fail
    poll().ask("now")
    (readings,) = delivered.wait_for(1)
    assert [reading.status for reading in readings.readings] == [Status.OK, Status.FAILED, *[Status.OK] * 3]


def test_poller_tells_which_read_is_under_way(poll: Any, driver: Scripted, delivered: Delivered) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def hang(key: Key, how: How) -> None:
        reading.set()
        assert go_on.wait(10)

    driver.on_read = hang
    before = time.monotonic_ns()
    poller = poll()
    poller.ask("now", KEYS[:1])
    assert reading.wait(10)
    assert poller.call.key == KEYS[0] and before < poller.call.since_monotonic_ns <= time.monotonic_ns()
    assert not poller.stop(0.01)  # a hung device can hold it
    go_on.set()
    delivered.wait_for(1)
    assert poller.call is None


# ---- over the real core


def test_hardware_is_not_read_during_a_run(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core, poll_interval_s=0.0)
    reads: list[tuple[str, How]] = []
    running = threading.Event()
    real = capture._driver.read

    def read(key: Key, how: How) -> PropertyReading:
        phase = str(core.mda.status.phase)
        if running.is_set():
            reads.append((phase, how))
        return real(key, how)

    capture._driver.read = read
    core.mda.engine.use_hardware_sequencing = False
    core.mda.events.sequenceStarted.connect(running.set)
    core.mda.events.sequenceFinished.connect(running.clear, priority=1000)
    core.mda.events.frameReady.connect(lambda image, event: event.index["t"] % 10 == 0 and capture.snapshot())
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 50}))
    capture.poller.interval_s = 3600.0
    assert capture.settle(20)
    n_hardware = sum(how is How.HARDWARE for _, how in reads)
    assert n_hardware <= 1, "one read may have begun before the run"
    assert sum(how is How.CACHE for _, how in reads) > 50
    assert shelf.one(AcquisitionFinished).frames.seen == 50


def test_hardware_is_not_read_in_live_mode(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core)
    shelf.clear()
    core.startContinuousSequenceAcquisition(1)
    core.setProperty("Camera", "Gain", "2")
    n_before = capture.poller._cycle
    capture.snapshot()
    assert capture.settle(20)
    state = shelf.one(StateSnapshot).state
    hows = {reading.how for readings in state.devices.values() for reading in readings.values()}
    assert hows == {"cache"}
    assert state.devices["Z"]["@position"].status is ReadingStatus.UNSUPPORTED
    assert capture.is_live and capture.poller._cycle == n_before
    core.stopSequenceAcquisition()
    assert capture.settle(20)
    assert not capture.is_live


def test_live_mode_does_not_make_the_poller_spin(core: Any, make_capture: Any) -> None:
    capture = make_capture(core)
    delivered = []
    real = capture.poller.deliver
    capture.poller.deliver = lambda readings: (delivered.append(readings), real(readings))
    core.startContinuousSequenceAcquisition(1)
    core.setProperty("Camera", "Gain", "3")
    assert capture.settle(20)
    for _ in range(5):
        core.setProperty("Camera", "Gain", "2")
        core.setProperty("Camera", "Gain", "3")
        assert capture.settle(20)
    core.stopSequenceAcquisition()
    assert len([r for r in delivered if r.request is not None and r.readings]) <= 6


def test_slow_getter_of_a_real_device_is_polled_less_often(make_core: Any, make_capture: Any) -> None:
    from drivers.mmcore.loading import fenced_import

    with fenced_import():
        from pymmcore_plus.experimental.unicore import GenericDevice, pymm_property

    class Serial(GenericDevice):
        @pymm_property(property_type=float)
        def Slow(self) -> float:
            threading.Event().wait(0.02)
            return 1.0

    capture = make_capture(make_core(Serial=Serial()))
    assert capture.poller._period[Key("Serial", "Slow")] == 2
    assert capture.poller._period[Key("Camera", "Gain")] == 1


def test_rounds_that_fail_inside_are_told(make_capture, shelf, monkeypatch):
    monkeypatch.setattr("agent.capture.worker._IDLE_WAIT_S", 0.05)

    class Broken(Scripted):
        def look_around(self) -> None:
            raise ZeroDivisionError

    make_capture(Broken(), poll_interval_s=0.02)
    told = shelf.wait_for(lambda record: getattr(record, "event", "") == "failed_inside", timeout_s=60.0)
    assert told.severity == "error" and "a round of hardware polling failed" in told.message


def test_read_that_hangs_in_somebodys_program_is_told_once(make_capture, shelf, monkeypatch):
    monkeypatch.setattr("agent.capture.worker._IDLE_WAIT_S", 0.05)
    hangs, free = threading.Event(), threading.Event()
    driver = Scripted()
    capture = make_capture(driver, stall_s=2.0)

    def hang(key: Key, how: How) -> None:
        hangs.set()
        free.wait(60)

    driver.on_read = hang
    capture.snapshot()
    assert hangs.wait(60)
    told = shelf.wait_for(lambda record: getattr(record, "event", "") == "capture_part_stopped", timeout_s=60)
    assert "reading Device-a came to a halt" in told.message
    driver.on_read = lambda key, how: None
    free.set()
    assert capture.settle(60)
    assert sum("reading Device-a" in getattr(record, "message", "") for record in shelf.records) == 1


def test_threads_that_end_with_the_capture_did_not_come_to_a_halt(make_capture, shelf):
    capture = make_capture(Scripted())
    assert capture.settle(60) and capture.stop(60)
    assert "capture_part_stopped" not in {told.event for told in shelf.of(AgentEvent)}
