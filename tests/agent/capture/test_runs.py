"""Acquisitions of every kind, over the real engine."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from useq import MDAEvent, MDASequence

from agent.capture import Capture
from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    AgentEvent,
    FinishReason,
    FrameLedger,
    Gap,
    How,
    ReadingStatus,
    StateChange,
)

PLAN = MDASequence(
    channels=[{"config": "DAPI", "exposure": 1}, {"config": "FITC", "exposure": 2}],
    z_plan={"range": 2, "step": 1},
    time_plan={"interval": 0, "loops": 2},
    stage_positions=[(0, 0, 0), (100, 50, 10)],
    axis_order="tpcz",
)


def timelapse(n_frames: int, exposure_ms: float = 1) -> MDASequence:
    return MDASequence(
        time_plan={"interval": 0, "loops": n_frames}, channels=[{"config": "DAPI", "exposure": exposure_ms}]
    )


@pytest.fixture
def run(core: Any, make_capture: Callable[..., Capture]) -> Callable[..., Capture]:
    def run(sequence: Any, output: Any = None, **options: Any) -> Capture:
        capture = make_capture(core, **options)
        core.mda.run(sequence, output=output)
        assert capture.settle(20)
        return capture

    return run


def test_ledger_tells_what_the_engine_told(core: Any, run: Any, shelf: Any) -> None:
    told: list[tuple[MDAEvent, dict[str, Any]]] = []
    core.mda.events.frameReady.connect(lambda image, event, meta: told.append((event, dict(meta))))
    run(PLAN)
    frames = shelf.frames()
    assert len(frames) == len(told) == 24
    for frame, (event, meta) in zip(frames, told, strict=True):
        assert frame["index"] == dict(event.index)
        assert frame["channel"] == event.channel.config
        assert frame["exposure_ms"] == meta["exposure_ms"] == event.exposure
        assert frame["runner_time_ms"] == meta["runner_time_ms"]
        assert frame["camera"] == meta["camera_device"]
        assert (frame["x_um"], frame["y_um"], frame["z_um"]) == tuple(meta["position"][a] for a in "xyz")
        assert frame["z_um"] == pytest.approx(event.z_pos)
        assert frame["x_um"] == pytest.approx(
            event.x_pos, abs=0.02
        )  # a demo stage moves in steps of 0.015 um
        assert frame["position_how"] == How.HARDWARE
    assert [frame["frame"] for frame in frames] == list(range(24))
    seen = [frame["seen_monotonic_ns"] for frame in frames]
    assert seen == sorted(set(seen))


def test_state_column_points_to_the_light_path_of_the_frame(core: Any, run: Any, shelf: Any) -> None:
    labels: list[str] = []
    core.mda.events.frameReady.connect(lambda image, event: labels.append(core.getStateLabel("Dichroic")))
    run(PLAN)
    started = shelf.one(AcquisitionStarted)
    before = started.before.devices["Dichroic"]["Label"].value
    stamped = [frame["values"].get("Dichroic", {}).get("Label") for frame in shelf.frames()]
    assert set(labels) == {"400DCLP", "Q505LP"}
    # a batch's states are differences, each to the one before it: follow them
    held, followed = {}, []
    for ledger in shelf.of(FrameLedger):
        for state in ledger.columns.state:
            if not followed or state != followed[-1][1]:
                held.update(ledger.states[state].values.get("Dichroic", {}))
            followed.append((held.get("Label", before), state))
    assert [label for label, _ in followed] == labels
    assert any(stamped)


def test_start_and_end_tell_plan_images_and_counts(run: Any, shelf: Any) -> None:
    run(PLAN)
    started, finished = shelf.one(AcquisitionStarted), shelf.one(AcquisitionFinished)
    assert started.acquisition_id == finished.acquisition_id
    assert started.plan.axes == {"t": 2, "p": 2, "c": 2, "z": 3}
    assert started.plan.n_frames_expected == 24
    assert [channel.preset for channel in started.plan.channels] == ["DAPI", "FITC"]
    assert started.plan.channels[0].settings["Dichroic-Label"] == "400DCLP"
    assert started.images[0].camera == "Camera" and started.images[0].dtype == "uint16"
    assert finished.reason is FinishReason.COMPLETED
    assert finished.frames.model_dump() == {"expected": 24, "seen": 24, "unstamped": 0, "dropped": 0}
    assert finished.problems == () and finished.capture_overflow == 0
    assert finished.finished.monotonic_ns > finished.started.monotonic_ns


def test_states_before_and_after_are_the_hardwares(core: Any, run: Any, shelf: Any) -> None:
    core.setPosition("Z", 33)
    core.waitForDevice("Z")
    assert core.getPropertyFromCache("Z", "Position") != "33.0000", (
        "the cache tells the truth; this test is void"
    )
    run(timelapse(3))
    record = shelf.one(AcquisitionFinished)
    for state in (record.before, record.after):
        assert state.devices["Z"]["@position"].value == 33
        assert state.devices["Z"]["@position"].how is How.HARDWARE
    assert record.after.devices["Dichroic"]["State"].value == core.getState("Dichroic")
    assert record.after.devices["Z"]["Position"].value == 33
    assert {r.how for readings in record.after.devices.values() for r in readings.values()} == {How.HARDWARE}


def test_what_a_run_moves_is_in_its_record_alone(core: Any, run: Any, shelf: Any) -> None:
    core.mda.engine.restore_initial_state = False
    run(MDASequence(channels=["FITC"], z_plan={"range": 4, "step": 2}))
    assert shelf.of(StateChange) == []
    changed = {(change.device, change.property): change for change in shelf.one(AcquisitionFinished).changed}
    label = changed["Dichroic", "Label"]
    assert (label.before.value, label.after.value, label.cause) == ("400DCLP", "Q505LP", "commanded")
    assert changed["Core", "@preset Channel"].cause == "commanded"
    assert changed["Z", "@position"].after.value == 2
    assert "drifted" not in {change.cause for change in changed.values()}


def test_canceled_acquisition_counts_what_never_came(core: Any, run: Any, shelf: Any) -> None:
    core.mda.events.frameReady.connect(lambda image, event: event.index["t"] == 4 and core.mda.cancel())
    run(timelapse(50))
    record = shelf.one(AcquisitionFinished)
    assert record.reason is FinishReason.CANCELED
    assert record.frames.seen == len(shelf.frames())
    assert record.frames.dropped == 50 - record.frames.seen > 0


def test_errored_acquisition_keeps_its_frames(core: Any, make_capture: Any, shelf: Any) -> None:
    from pymmcore_plus.mda import MDAEngine

    class Failing(MDAEngine):
        def exec_event(self, event: MDAEvent) -> Any:
            if event.index["t"] == 2:
                raise RuntimeError("the camera was unplugged")
            return super().exec_event(event)

    core.mda.set_engine(Failing(core, use_hardware_sequencing=False))
    capture = make_capture(core)
    with pytest.raises(RuntimeError, match="unplugged"):
        core.mda.run(timelapse(5))
    assert capture.settle(20)
    record = shelf.one(AcquisitionFinished)
    assert record.reason is FinishReason.ERRORED
    assert [frame["index"]["t"] for frame in shelf.frames()] == [0, 1]
    assert (record.frames.expected, record.frames.dropped) == (5, 3)


def test_acquisition_that_fails_before_its_first_frame_is_told(
    core: Any, make_capture: Any, shelf: Any
) -> None:
    capture = make_capture(core)
    core.setCameraDevice("")
    with pytest.raises((RuntimeError, ValueError)):
        core.mda.run(timelapse(3))
    assert capture.settle(20)
    ended = [event for event in shelf.of(AgentEvent) if event.event == "acquisition_did_not_start"]
    finished = shelf.of(AcquisitionFinished)
    assert len(ended) + len(finished) == 1
    assert all(record.frames.seen == 0 and record.reason is FinishReason.ERRORED for record in finished)


def test_skipped_events_are_dropped_frames(core: Any, make_capture: Any, shelf: Any) -> None:
    from pymmcore_plus.mda import MDAEngine, SkipEvent

    class Skipping(MDAEngine):
        def setup_event(self, event: MDAEvent) -> None:
            if event.index.get("t") == 1:
                raise SkipEvent(reason="not this one")
            super().setup_event(event)

    core.mda.set_engine(Skipping(core, use_hardware_sequencing=False))
    capture = make_capture(core)
    core.mda.run(timelapse(3))
    assert capture.settle(20)
    counts = shelf.one(AcquisitionFinished).frames
    assert (counts.expected, counts.seen, counts.dropped) == (3, 2, 1)


def test_two_acquisitions_back_to_back_stay_apart(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core)
    sequence = timelapse(5)
    core.mda.run(sequence)
    core.mda.run(sequence)  # the same object again
    core.mda.run(timelapse(7))
    assert capture.settle(20)
    finished = shelf.of(AcquisitionFinished)
    assert [record.frames.seen for record in finished] == [5, 5, 7]
    assert len({record.acquisition_id for record in finished}) == 3
    ledgers = {ledger.acquisition_id: len(ledger.columns.frame) for ledger in shelf.of(FrameLedger)}
    assert [ledgers[record.acquisition_id] for record in finished] == [5, 5, 7]


def test_hardware_sequence_is_stamped_with_commanded_positions(core: Any, run: Any, shelf: Any) -> None:
    core.setProperty("Z", "UseSequences", "Yes")
    run(MDASequence(z_plan={"range": 10, "step": 1}, channels=[{"config": "DAPI", "exposure": 1}]))
    frames = shelf.frames()
    assert [frame["z_um"] for frame in frames] == pytest.approx(range(-5, 6))
    assert {frame["position_how"] for frame in frames} == {How.COMMANDED}
    times = [frame["runner_time_ms"] for frame in frames]
    assert times == sorted(times)


def test_sequence_without_an_end_has_no_expected_count(run: Any, shelf: Any) -> None:
    run(MDAEvent(index={"t": t}, exposure=1) for t in range(5))
    record = shelf.one(AcquisitionFinished)
    assert (record.frames.expected, record.frames.seen, record.frames.dropped) == (None, 5, None)
    assert record.plan.axes == {}
    assert record.reason is FinishReason.COMPLETED


@pytest.mark.parametrize(
    ("plan", "n_frames"),
    [
        ({"channels": ["DAPI", {"config": "FITC", "do_stack": False}], "z_plan": {"range": 4, "step": 1}}, 6),
        (
            {
                "channels": ["DAPI", {"config": "FITC", "acquire_every": 2}],
                "time_plan": {"interval": 0, "loops": 4},
            },
            6,
        ),
        ({"stage_positions": [{"x": 0, "sequence": {"z_plan": {"range": 2, "step": 1}}}, {"x": 1}]}, 4),
        ({"grid_plan": {"rows": 2, "columns": 3}, "channels": ["DAPI"]}, 6),
        ({"time_plan": [{"interval": 0, "loops": 2}, {"interval": 0.001, "loops": 3}]}, 4),
    ],
    ids=["no stack", "every other", "sub-sequence", "grid", "two phases"],
)
def test_expected_frames_are_counted_for_uneven_plans(run: Any, shelf: Any, plan: Any, n_frames: int) -> None:
    run(MDASequence.model_validate(plan))
    counts = shelf.one(AcquisitionFinished).frames
    assert (counts.expected, counts.seen, counts.dropped) == (n_frames, n_frames, 0)


def test_capture_that_comes_in_the_middle_stamps_the_rest(core: Any, make_capture: Any, shelf: Any) -> None:
    from pymmcore_plus.mda import MDAEngine

    held, go_on = threading.Event(), threading.Event()

    class Holding(MDAEngine):
        def exec_event(self, event: MDAEvent) -> Any:
            if event.index["t"] == 4:
                held.set()
                assert go_on.wait(20)
            return super().exec_event(event)

    core.mda.set_engine(Holding(core, use_hardware_sequencing=False))
    thread = core.run_mda(timelapse(10))
    assert held.wait(20)
    capture = make_capture(core)
    go_on.set()
    thread.join()
    assert capture.settle(20)
    record = shelf.one(AcquisitionFinished)
    assert record.frames.seen == 6 and record.frames.expected is None
    assert [frame["index"]["t"] for frame in shelf.frames()] == [4, 5, 6, 7, 8, 9]
    assert "came after the start" in record.problems[0]


def test_capture_that_is_stopped_in_the_middle_leaves_a_journal(
    core: Any, make_capture: Any, shelf: Any, tmp_path: Any
) -> None:
    stopped, seen = threading.Event(), []
    capture = make_capture(core)

    def stop(image: Any, event: MDAEvent) -> None:
        if event.index["t"] == 3:
            capture.stop(20)
            stopped.set()

    core.mda.events.frameReady.connect(stop)
    core.mda.engine.use_hardware_sequencing = False
    core.mda.run(timelapse(6))
    assert stopped.is_set()
    seen = [path for path in (tmp_path / "data" / "open").rglob("frames.jsonl")]
    assert len(seen) == 1 and len(seen[0].read_text().splitlines()) >= 4
    # its data is still being written by this process: whoever starts now must not touch it
    shelf.clear()
    make_capture(core)
    assert shelf.of(AcquisitionFinished) == []


def test_lost_events_are_counted_where_they_were_lost(core: Any, make_capture: Any, shelf: Any) -> None:
    capture = make_capture(core, queue_size=10)
    real, gate = capture.queue.take, threading.Event()
    capture.queue.take = lambda timeout_s: real(timeout_s) if gate.wait(20) else []
    core.mda.engine.use_hardware_sequencing = False
    core.mda.run(timelapse(40))
    n_gone = capture.queue.n_lost
    core.mda.run(timelapse(3))  # all of it lost but the start and the end
    gate.set()
    assert capture.settle(20)
    first, second = shelf.of(AcquisitionFinished)
    assert first.frames.unstamped == 40 - first.frames.seen > 0
    assert first.frames.dropped == 0
    assert first.capture_overflow == n_gone >= first.frames.unstamped
    assert (second.frames.seen, second.frames.unstamped) == (0, 3)
    assert sum(gap.n_records for gap in shelf.of(Gap)) == capture.queue.n_lost
    assert {gap.cause for gap in shelf.of(Gap)} == {"queue_overflow"}


def test_run_whose_end_is_lost_is_closed_by_the_next(core: Any, make_capture: Any, shelf: Any) -> None:
    from drivers import SequenceFinished

    capture = make_capture(core)
    real = capture.queue.put
    capture._driver.listen(lambda event: True if isinstance(event, SequenceFinished) else real(event))
    core.mda.run(timelapse(3))
    capture._driver.listen(real)
    core.mda.run(timelapse(4))
    assert capture.settle(20)
    lost, whole = shelf.of(AcquisitionFinished)
    assert (lost.reason, lost.frames.seen) == (FinishReason.INTERRUPTED, 3)
    assert "end was not seen" in lost.problems[0]
    assert (whole.reason, whole.frames.seen) == (FinishReason.COMPLETED, 4)


def test_no_image_is_kept(core: Any, make_capture: Any, shelf: Any) -> None:
    images: list[weakref.ref[Any]] = []
    capture = make_capture(core)
    real, gate = capture.queue.take, threading.Event()
    capture.queue.get = lambda timeout_s: (
        real(timeout_s) if gate.wait(20) else None
    )  # nothing is taken meanwhile
    core.mda.events.frameReady.connect(lambda image: images.append(weakref.ref(image)))
    core.mda.run(timelapse(20))
    gc.collect()
    n_alive = sum(image() is not None for image in images)
    gate.set()
    assert len(images) == 20
    assert n_alive <= 1  # the engine's own last one
    assert capture.settle(20)


def test_failing_device_leaves_the_rest_of_the_record(
    make_core: Any, faulty_probe: Any, make_capture: Any, shelf: Any
) -> None:
    core = make_core(Probe=faulty_probe)
    capture = make_capture(core)
    core.mda.run(timelapse(3))
    assert capture.settle(20)
    after = shelf.one(AcquisitionFinished).after.devices
    broken = after["Probe"]["Broken"]
    assert (broken.status, broken.error) == (ReadingStatus.FAILED, "the probe does not answer")
    statuses = {
        (device, name): reading.status
        for device, readings in after.items()
        for name, reading in readings.items()
        if reading.status is not ReadingStatus.OK
    }
    assert statuses == {("Probe", "Broken"): ReadingStatus.FAILED}
    assert shelf.one(AcquisitionFinished).frames.seen == 3


def test_user_objects_as_outputs_cannot_end_the_run(core: Any, make_capture: Any, shelf: Any) -> None:
    class Odd:
        _filename = 7

        @property
        def group(self) -> Any:
            raise OSError("the share is away")

        def frameReady(self, image: Any) -> None:
            pass

    capture = make_capture(core)
    core.mda.run(timelapse(2), output=Odd())
    assert capture.settle(20)
    assert shelf.one(AcquisitionStarted).outputs == ()
    assert shelf.one(AcquisitionFinished).reason is FinishReason.COMPLETED


def test_ledger_is_batched_in_a_long_run(
    core: Any, run: Any, shelf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.capture.acquisition.BATCH_FRAMES", 10)
    run(timelapse(25))
    assert [(ledger.first_frame, len(ledger.columns.frame)) for ledger in shelf.of(FrameLedger)] == [
        (0, 10),
        (10, 10),
        (20, 5),
    ]
    assert [frame["frame"] for frame in shelf.frames()] == list(range(25))
