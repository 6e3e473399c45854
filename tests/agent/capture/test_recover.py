"""A process dies in the middle of an acquisition, and the next start closes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import tifffile

from agent.capture import recover_open_acquisitions
from agent.capture.close import Stamping
from agent.capture.journal import FrameRow, Journal, JournalSession, left_journals, read_journal
from agent.capture.ledger import ledger_record
from agent.capture.publish import Publisher
from agent.capture.stamp import ledger_path, sidecar_path
from agent.records import (
    AcquisitionFinished,
    AcquisitionPlan,
    AcquisitionStarted,
    AgentEvent,
    DatasetStamp,
    FinishReason,
    FrameLedger,
    Severity,
    decode,
    encode,
    sha256_of,
)

ROOT = Path(__file__).parents[3]

DYING = """
import os, sys
import agent
from drivers.mmcore import load_core
from useq import MDASequence

data, output, n_frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
core = load_core("demo")
core.mda.engine.use_hardware_sequencing = False
attachment = agent.attach(core, data_dir=data)
def on_frame(image, event):
    if event.index["t"] + 1 == n_frames:
        attachment.settle(20)          # what was seen so far is in the journal
        print("seen", flush=True)
        sys.stdin.readline()           # and here the test kills us
core.mda.events.frameReady.connect(on_frame)
core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 60}, channels=["DAPI"]), output=output or None)
attachment.detach()
"""


@pytest.fixture
def die(tmp_path: Path, core: Any) -> Iterator[Callable[..., None]]:
    """Run an acquisition in a process of its own and kill that after some frames."""
    started: list[subprocess.Popen[str]] = []

    def die(output: Path | None, n_frames: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", DYING, str(tmp_path / "data"), str(output or ""), str(n_frames)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        started.append(process)
        assert process.stdout.readline() == "seen\n"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGKILL

    yield die
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def recover(tmp_path: Path, mint: Any, publisher: Any) -> Callable[..., list[AcquisitionFinished]]:
    return lambda **stamping: recover_open_acquisitions(
        tmp_path / "data", mint, publisher, Stamping(**stamping)
    )


def frames_in(records: list[Any]) -> list[int]:
    return sorted(frame for record in records for frame in record.columns.frame)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("name", ["a.ome.zarr", "Probe µ 1.ome.tiff", None])
def test_killed_run_is_closed_with_every_frame_it_had_seen(
    die: Any, recover: Any, shelf: Any, tmp_path: Path, name: str | None
) -> None:
    output = tmp_path / name if name else None
    die(output, 25)
    left = output.read_bytes() if output and output.is_file() else b""
    (record,) = recover()
    assert record == shelf.one(AcquisitionFinished)
    assert record.reason is FinishReason.INTERRUPTED
    assert frames_in(shelf.of(FrameLedger)) == list(range(25))
    assert (record.frames.seen, record.frames.expected) == (25, 60)
    assert record.after is None and record.before is not None
    assert record.finished.monotonic_ns == shelf.frames()[-1]["seen_monotonic_ns"]
    assert "ended before the acquisition did" in record.problems[0]
    if output is None:
        assert record.files == () and shelf.of(DatasetStamp) == []
        return
    assert record.files[0].path == str(output) and record.files[0].size_bytes > 0
    (stamped,) = shelf.one(DatasetStamp).files
    assert Path(stamped.sidecar).read_bytes() == encode(record)
    assert ledger_path(output).is_file()
    assert stamped.is_stamped_inside and stamped.error is None
    if left:  # the pixels that the writer left are untouched, those too that no tool finds without its index
        with tifffile.TiffFile(output) as tiff:
            first = tiff.pages[0].dataoffsets[0]
        assert output.read_bytes()[first : len(left)] == left[first:]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_recovery_is_done_once(die: Any, recover: Any, shelf: Any, tmp_path: Path) -> None:
    die(None, 5)
    assert len(recover()) == 1
    assert recover() == []
    assert len(shelf.of(AcquisitionFinished)) == 1
    assert [path for path in (tmp_path / "data" / "open").iterdir() if path.is_dir()] == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_next_attach_recovers(die: Any, core: Any, make_capture: Any, shelf: Any) -> None:
    die(None, 7)
    make_capture(core)
    assert shelf.one(AcquisitionFinished).frames.seen == 7


# ---- journals made by hand


@pytest.fixture
def started(mint: Any) -> AcquisitionStarted:
    return mint.make(
        AcquisitionStarted,
        acquisition_id=uuid4(),
        started=mint.clock.now(),
        plan=AcquisitionPlan(axes={"t": 2000}, n_frames_expected=2000),
    )


def row(number: int, state: int = 0) -> FrameRow:
    return FrameRow(
        number, 1000 + number, 1.0, {"t": number}, "Camera", "DAPI", 10.0, 0.0, 0.0, 0.0, "hardware", state
    )


@pytest.fixture
def dead(tmp_path: Path, started: AcquisitionStarted) -> Callable[..., Journal]:
    """Write a journal as a process leaves it that dies there; locks die with their process."""

    def dead(n_frames: int = 3, *, is_ended: bool = False) -> Journal:
        session = JournalSession(tmp_path / "data")
        journal = session.open(started.acquisition_id, started)
        for number in range(n_frames):
            journal.add_frame(row(number))
        if is_ended:
            journal.end("completed", started.started.wall_at.isoformat(), started.started.monotonic_ns + 1)
        journal.close()
        session.close()
        return journal

    return dead


def test_run_that_had_ended_is_closed_as_it_ended(dead: Any, recover: Any, shelf: Any) -> None:
    dead(is_ended=True)
    (record,) = recover()
    assert record.reason is FinishReason.COMPLETED
    assert "before the state after it was read" in record.problems[0]


def test_record_minted_before_the_crash_is_published_and_no_other(
    dead: Any, recover: Any, shelf: Any, started: Any, mint: Any, tmp_path: Path
) -> None:
    from agent.capture.acquisition import finished_record
    from agent.capture.journal import keep_finished

    journal = dead(is_ended=True)
    minted = finished_record(mint, started, FinishReason.COMPLETED, 3, finished=mint.clock.now())
    keep_finished(journal.folder, minted)
    assert recover() == [minted]
    assert shelf.one(AcquisitionFinished) == minted


def test_what_a_crash_after_publishing_has_told_again_is_the_same_byte_by_byte(
    dead: Any, recover: Any, shelf: Any, tmp_path: Path, started: Any, monkeypatch: Any
) -> None:
    dataset = tmp_path / "a.ome.zarr"
    dataset.mkdir()
    (dataset / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    object.__setattr__(started, "outputs", (str(dataset),))
    dead(is_ended=True)
    monkeypatch.setattr(
        "agent.capture.recover.remove_folder", lambda folder: None
    )  # dies before it is removed
    recover()
    first = {encode(record) for record in shelf.records}
    monkeypatch.undo()
    shelf.clear()
    recover()
    assert {encode(record) for record in shelf.records} == first
    assert {record.kind for record in shelf.records} == {
        "acquisition_started",
        "frame_ledger",
        "acquisition_finished",
        "dataset_stamp",
    }
    recover()
    assert len(shelf.of(AcquisitionFinished)) == 1


def test_batches_published_before_the_crash_are_made_again_as_they_were(
    recover: Any, shelf: Any, tmp_path: Path, started: Any
) -> None:
    """Else the collector would know the id of a short batch, and pass over the longer one made from its journal."""
    session = JournalSession(tmp_path / "data")
    journal = session.open(started.acquisition_id, started)
    published = []
    for first, last in ((0, 38), (38, 90)):
        rows = [row(number) for number in range(first, last)]
        for each in rows:
            journal.add_frame(each)
        journal.end_batch(last)
        published.append(ledger_record(started, rows, {}))
    for number in range(90, 1200):
        journal.add_frame(row(number))
    journal.close()
    session.close()
    recover()
    ledgers = shelf.of(FrameLedger)
    assert [len(ledger.columns.frame) for ledger in ledgers] == [38, 52, 1000, 110]
    for made, again in zip(published, ledgers, strict=False):
        assert encode(made) == encode(again)
    assert frames_in(ledgers) == list(range(1200))


def test_line_that_was_being_written_is_left_out(dead: Any, recover: Any, shelf: Any) -> None:
    journal = dead(5)
    frames = journal.folder / "frames.jsonl"
    frames.write_bytes(frames.read_bytes()[:-20])
    recover()
    assert frames_in(shelf.of(FrameLedger)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "line",
    ["[1,2]", "7", "null", '{"state": 1}', '{"what": 1}', '"text"', "\0\0\0", '{"batch": "x"}'],
    ids=repr,
)
def test_journal_is_read_up_to_a_line_that_is_not_ours(
    dead: Any, recover: Any, shelf: Any, line: str
) -> None:
    journal = dead(3)
    with (journal.folder / "frames.jsonl").open("a") as file:
        file.write(line + "\n" + json.dumps(row(3)) + "\n")
    (record,) = recover()
    assert record.frames.seen == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", "other kind", None], ids=repr)
def test_unreadable_start_is_set_aside_and_the_others_are_closed(
    dead: Any, recover: Any, shelf: Any, mint: Any, tmp_path: Path, content: Any
) -> None:
    broken = dead().folder / "started.json"
    dead()
    if content == "other kind":
        content = encode(mint.make(AgentEvent, severity=Severity.INFO, event="x", message="y"))
    broken.unlink() if content is None else broken.write_bytes(content)
    assert len(recover()) == 1
    kept = tmp_path / "data" / "unreadable" / broken.parent.name / "frames.jsonl"
    assert kept.is_file()
    assert recover() == []


def test_unreadable_minted_record_is_minted_anew(dead: Any, recover: Any, shelf: Any) -> None:
    (dead(is_ended=True).folder / "finished.json").write_bytes(b"{")
    (record,) = recover()
    assert (record.reason, record.frames.seen) == (FinishReason.COMPLETED, 3)


def test_journals_of_a_living_process_are_left_alone(
    recover: Any, shelf: Any, tmp_path: Path, started: Any
) -> None:
    session = JournalSession(tmp_path / "data")
    journal = session.open(started.acquisition_id, started)
    journal.add_frame(row(0))
    assert recover() == [] and shelf.records == []
    assert journal.folder.is_dir()
    journal.close()
    session.close()
    assert len(recover()) == 1


def test_stray_files_beside_the_journals_are_harmless(dead: Any, recover: Any, tmp_path: Path) -> None:
    dead()
    (tmp_path / "data" / "open" / ".DS_Store").write_bytes(b"")
    (tmp_path / "data" / "open" / "empty").mkdir()
    assert len(recover()) == 1


def test_sessions_that_begin_while_others_recover_are_not_taken(tmp_path: Path) -> None:
    """A session that has no journal yet is not a dead one's."""
    import threading

    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            list(left_journals(tmp_path))

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(50):
            session = JournalSession(tmp_path)
            assert session._folder.is_dir() and session._lock.is_locked
            session.close()
    finally:
        done.set()
        cleaner.join()


def test_journal_stays_while_records_wait_in_memory(
    dead: Any, recover: Any, shelf: Any, publisher: Any, mint: Any, tmp_path: Path
) -> None:
    dead()
    shelf.is_full = True
    recover()
    assert publisher.n_held > 0
    held = {record.record_id for record in publisher._held}
    shelf.is_full = False
    recover_open_acquisitions(tmp_path / "data", mint, Publisher(shelf), Stamping())  # the next start
    assert {record.record_id for record in shelf.records} == held  # again, and as the same records
    assert frames_in(shelf.of(FrameLedger)) == [0, 1, 2]


def test_disk_that_is_full_costs_the_journal_and_not_the_capture(
    core: Any, make_capture: Any, shelf: Any, monkeypatch: Any
) -> None:
    from useq import MDASequence

    from agent.capture import journal

    real = journal._write_synced

    def full(path: Path, data: bytes) -> None:
        if path.name == "started.json":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(journal, "_write_synced", full)
    capture = make_capture(core)
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 4}))
    assert capture.settle(20)
    record = shelf.one(AcquisitionFinished)
    assert record.frames.seen == 4 and frames_in(shelf.of(FrameLedger)) == [0, 1, 2, 3]
    assert "No space left on device" in record.problems[0]


def test_journal_reads_back_what_was_written(tmp_path: Path, started: AcquisitionStarted) -> None:
    journal = Journal(tmp_path / "j", started)
    journal.add_state(1, {"Dichroic": {"Label": "Q505LP µ"}})
    journal.add_frame(row(0, state=1))
    journal.end_batch(1)
    journal.end("canceled", "2026-01-01T00:00:00+00:00", 5)
    journal.close()
    read = read_journal(tmp_path / "j")
    assert read.started == decode(encode(started)) == started
    assert read.rows == [row(0, state=1)] and read.batch_ends == [1]
    assert read.states == {1: {"Dichroic": {"Label": "Q505LP µ"}}}
    assert read.ended["ended"] == "canceled"
    assert sidecar_path(tmp_path).name.endswith(".scopestamp.json") and sha256_of(started)
