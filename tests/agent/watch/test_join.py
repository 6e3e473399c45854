"""Datasets find the acquisition that produced them, its state and its stamp; others stand alone and say so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.records import (
    Cause,
    Change,
    DatasetFound,
    DatasetStamp,
    Instant,
    Reading,
    SnapshotReason,
    StateChange,
    StateSnapshot,
    SystemState,
    decode,
)


def only(bench: Any) -> DatasetFound:
    (record,) = bench.shelf.of(DatasetFound)
    return record


def start(bench: Any, **parts: Any) -> None:
    bench.open(**parts)
    bench.pass_time(2)


def test_dataset_written_while_an_acquisition_ran_is_joined_to_it(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    _, finished = make_acquisition(bench, ago_s=20, lasted_s=30)
    path = write_tiff(bench.folder / "a.ome.tif", n_pages=2)
    bench.pass_time(100)
    record, (stamp,) = only(bench), bench.shelf.of(DatasetStamp)
    assert (record.joined_by, record.acquisition_id) == ("time", finished.acquisition_id)
    assert (stamp.acquisition_id, stamp.stamped_record_id) == (finished.acquisition_id, finished.record_id)
    assert decode(Path(str(path) + ".scopestamp.json").read_bytes()) == finished
    assert str(finished.record_id).encode() in path.read_bytes()


def test_dataset_written_at_another_time_is_not_joined(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    make_acquisition(bench, ago_s=4000, lasted_s=30)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    assert only(bench).joined_by == "nothing"


def test_more_frames_than_the_acquisition_took_are_not_its_own(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    make_acquisition(bench, ago_s=20, lasted_s=30, n_frames=2)
    write_tiff(bench.folder / "a.tif", n_pages=7)
    bench.pass_time(100)
    assert only(bench).joined_by == "nothing"


def test_two_acquisitions_at_that_time_are_one_too_many(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    for ago_s in (20, 21):
        make_acquisition(bench, ago_s=ago_s, lasted_s=30)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    assert only(bench).joined_by == "nothing"
    assert only(bench).problems == ("2 acquisitions ran while it was written.",)


def test_dataset_waits_for_the_end_of_the_acquisition(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    started, _ = make_acquisition(bench, ago_s=20, lasted_s=None)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(300)
    assert bench.shelf.records == []
    bench.open(is_open=lambda acquisition_id: acquisition_id != started.acquisition_id)
    bench.pass_time(100)
    assert only(bench).joined_by == "nothing"


def test_acquisition_that_announced_another_path_is_no_candidate(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench)
    make_acquisition(bench, ago_s=20, lasted_s=30, outputs=(str(bench.folder / "b.ome.zarr"),))
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    assert only(bench).joined_by == "nothing"


@pytest.mark.parametrize("announced", ["set", "set/a_p000.ome.tif"])
def test_dataset_that_was_announced_is_joined_by_its_path(
    bench: Any, write_tiff: Any, make_acquisition: Any, announced: str
) -> None:
    start(bench)
    _, finished = make_acquisition(bench, ago_s=20, outputs=(str(bench.folder / announced),))
    (bench.folder / "set").mkdir()
    write_tiff(bench.folder / "set" / "a_p000.ome.tif", n_pages=9)
    bench.pass_time(100)
    assert (only(bench).joined_by, only(bench).acquisition_id) == ("path", finished.acquisition_id)


def test_what_the_capture_has_stamped_itself_is_not_reported_again(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    from agent.capture.stamp import stamp_dataset
    from agent.records import sha256_of

    start(bench)
    path = write_tiff(bench.folder / "a.ome.tif")
    _, finished = make_acquisition(bench, ago_s=20, outputs=(str(path),))
    stamp = bench.mint.make(
        DatasetStamp,
        acquisition_id=finished.acquisition_id,
        stamped_record_id=finished.record_id,
        stamped_record_sha256=sha256_of(finished),
        files=(stamp_dataset(finished, path, None),),
    )
    bench.chronicle.note(stamp)
    bench.pass_time(200)
    assert bench.shelf.records == []
    assert bench.watcher.health().n_pending == 0


def test_on_a_share_the_number_of_frames_must_agree_too(
    bench: Any, write_tiff: Any, make_acquisition: Any
) -> None:
    start(bench, is_shared=lambda _: True)
    make_acquisition(bench, ago_s=20, lasted_s=30, n_frames=3)
    write_tiff(bench.folder / "mine.tif", n_pages=3)
    write_tiff(bench.folder / "of_another_computer.tif", n_pages=2)
    bench.pass_time(120)
    joined = {Path(record.path).name: record.joined_by for record in bench.shelf.of(DatasetFound)}
    assert joined == {"mine.tif": "time", "of_another_computer.tif": "nothing"}


# ---- the state that held


def reading(value: Any, at: Instant) -> Reading:
    return Reading(status="ok", value=value, how="hardware", observed_at=at.wall_at)


def test_dataset_without_an_acquisition_gets_the_state_that_held(bench: Any, write_tiff: Any) -> None:
    """A snapshot, a change before the data was written, and one after it: the middle one counts."""
    start(bench)

    def at(seconds: float) -> Instant:
        now = bench.clock.now()
        return now.model_copy(update={"wall_at": now.wall_at + timedelta(seconds=seconds)})

    def change(device: str, property: str, value: Any, moment: Instant) -> StateChange:
        told = Change(
            device=device,
            property=property,
            after=reading(value, moment),
            cause=Cause.COMMANDED,
            first_at=moment,
            last_at=moment,
        )
        return bench.mint.make(StateChange, changes=(told,))

    old = at(-100)
    state = SystemState(
        taken=old,
        duration_ms=1.0,
        devices={"Objective": {"Label": reading("10x", old)}, "Z": {"@position": reading(1.5, old)}},
        presets={"Channel": reading("DAPI", old)},
    )
    bench.chronicle.note(bench.mint.make(StateSnapshot, reason=SnapshotReason.KEY_FRAME, state=state))
    bench.chronicle.note(
        change("Objective", "Label", "60x", at(-50)), change("Core", "@preset Channel", "FITC", at(-40))
    )
    path = write_tiff(bench.folder / "a.tif")
    written_s = (bench.clock.wall_at() - timedelta(seconds=10)).timestamp()
    os.utime(path, (written_s, written_s))
    bench.chronicle.note(change("Objective", "Label", "100x", at(50)))
    bench.pass_time(100)
    held = only(bench).state
    assert held.devices["Objective"]["Label"].value == "60x"
    assert held.devices["Z"]["@position"].value == 1.5
    assert held.presets["Channel"].value == "FITC"


def test_real_acquisition_to_a_writer_of_its_own_is_joined_with_its_state(
    bench: Any, tmp_path: Path, run_writer: Callable[..., int]
) -> None:
    """A program captures itself with attach() and writes its images with tifffile, of which the core knows nothing."""
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    program = """
import os, sys, agent, useq, numpy as np, tifffile
from pymmcore_plus import CMMCorePlus
core = CMMCorePlus()
core.loadSystemConfiguration()
attachment = agent.attach(core, data_dir=sys.argv[1])
frames = []
core.mda.events.frameReady.connect(lambda image, *_: frames.append(image.copy()))
core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": 4})).join()
tifffile.imwrite(sys.argv[2], np.stack(frames), photometric="minisblack")
assert attachment.detach(60)
os._exit(0)
"""
    bench.open()
    bench.pass_time(2)
    path = bench.folder / "mine.tif"
    assert run_writer(program, bench.data_dir, path) == 0
    bench.pass_time(150)
    record, (stamp,) = only(bench), bench.shelf.of(DatasetStamp)
    beside = decode(Path(str(path) + ".scopestamp.json").read_bytes())
    assert (record.joined_by, record.n_frames) == ("time", 4)
    assert beside.acquisition_id == record.acquisition_id == stamp.acquisition_id
    assert beside.frames.seen == 4
    assert beside.before.devices["Camera"]
    assert json.loads(Path(stamp.files[0].sidecar).read_bytes())["record_id"] == str(beside.record_id)
