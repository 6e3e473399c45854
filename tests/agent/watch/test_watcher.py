"""Datasets are found, waited for, and reported once, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.records import DatasetFound, DatasetStamp, decode, encode, sha256_of


def found(bench: Any) -> list[DatasetFound]:
    return bench.shelf.of(DatasetFound)


def names(bench: Any) -> list[str]:
    return [Path(record.path).name for record in found(bench)]


def test_file_is_reported_once_it_has_settled(bench: Any, write_tiff: Callable[..., Path]) -> None:
    bench.open()
    bench.pass_time(5)
    path = write_tiff(bench.folder / "a.tif", n_pages=3)
    size, sha256 = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    bench.pass_time(60)
    assert found(bench) == []
    bench.pass_time(15)
    (record,) = found(bench)
    assert (record.format, record.size_bytes, record.sha256, record.n_frames) == ("tiff", size, sha256, 3)
    assert (record.completeness, record.joined_by, record.acquisition_id) == ("settled", "nothing", None)
    bench.pass_time(300)
    assert len(found(bench)) == 1


def test_record_lies_beside_the_data_and_the_stamp_names_it(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(5)
    path = write_tiff(bench.folder / "a.ome.tif")
    bench.pass_time(90)
    (record,), (stamp,) = found(bench), bench.shelf.of(DatasetStamp)
    beside = Path(str(path) + ".scopestamp.json").read_bytes()
    assert decode(beside) == record
    assert (stamp.stamped_record_id, stamp.acquisition_id) == (record.record_id, None)
    assert stamp.stamped_record_sha256 == sha256_of(record) == hashlib.sha256(beside).hexdigest()
    (file,) = stamp.files
    assert file.is_stamped_inside
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != record.sha256
    assert str(record.record_id).encode() in path.read_bytes()


def test_what_was_there_before_is_neither_read_nor_reported(bench: Any, write_tiff: Any) -> None:
    path = write_tiff(bench.folder / "old.tif")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    bench.open()
    bench.pass_time(200)
    assert found(bench) == []
    assert not Path(str(path) + ".scopestamp.json").exists()


def test_what_was_there_before_is_reported_when_asked(bench: Any, write_tiff: Any) -> None:
    os.utime(write_tiff(bench.folder / "old.tif"), (1_700_000_000, 1_700_000_000))
    bench.open(report_existing=True)
    bench.pass_time(30)
    assert names(bench) == ["old.tif"]
    assert found(bench)[0].last_written_at.timestamp() == 1_700_000_000


def test_restart_reports_what_came_meanwhile_and_nothing_twice(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(2)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    assert names(bench) == ["a.tif"]
    bench.close()
    os.utime(write_tiff(bench.folder / "b.tif", seed=1), (1_700_000_000, 1_700_000_000))
    bench.open()
    bench.pass_time(100)
    assert names(bench) == ["a.tif", "b.tif"]


def test_restart_in_the_middle_of_a_report_publishes_the_same_record(bench: Any, write_tiff: Any) -> None:
    watcher = bench.open(inside=True)
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.ome.tif")
    done = watcher._register.done
    watcher._register.done = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # dies before it is noted
    with pytest.raises(KeyboardInterrupt):
        bench.pass_time(120)
    watcher._register.done = done
    bench.open()
    bench.pass_time(120)
    first, second = found(bench)
    assert first == second
    *_, last = bench.shelf.of(DatasetStamp)
    assert last.files[0].size_bytes == path.stat().st_size
    assert len({stamp.record_id for stamp in bench.shelf.of(DatasetStamp)}) == len(
        {encode(stamp) for stamp in bench.shelf.of(DatasetStamp)}
    )
    bench.pass_time(200)
    assert len(found(bench)) == 2


def test_dataset_written_anew_supersedes_what_stood_there(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    write_tiff(path, n_pages=5, seed=3)
    bench.pass_time(100)
    first, second = found(bench)
    assert second.supersedes == first.record_id
    assert (first.n_frames, second.n_frames) == (2, 5)


def test_moved_dataset_is_not_reported_again(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    (bench.folder / "sorted").mkdir()
    path.rename(bench.folder / "sorted" / "cells.tif")
    bench.pass_time(150)
    assert names(bench) == ["a.tif"]


def test_slow_copy_is_reported_when_it_is_over(bench: Any, write_tiff: Any, tmp_path: Path) -> None:
    """A copy over a share: it pauses for longer than a look takes, truncates, rewrites, and renames at the end."""
    source = write_tiff(tmp_path / "source.tif", n_pages=40).read_bytes()
    bench.open()
    bench.pass_time(2)
    half = bench.folder / "copy.tif"
    for n_bytes in (1000, 5000, 5000, 9000):
        half.write_bytes(source[:n_bytes])
        bench.pass_time(8)
    os.truncate(half, 100)
    bench.pass_time(8)
    half.write_bytes(source)
    bench.pass_time(8)
    assert found(bench) == []
    final = half.rename(bench.folder / "final.tif")
    bench.pass_time(200)
    (record,) = found(bench)
    assert record.path == str(final)
    assert record.sha256 == hashlib.sha256(source).hexdigest()
    assert record.n_frames == 40


def test_copy_that_pauses_for_long_is_not_taken_for_complete(
    bench: Any, write_tiff: Any, tmp_path: Path
) -> None:
    source = write_tiff(tmp_path / "source.ome.tif", n_pages=40).read_bytes()
    bench.open()
    bench.pass_time(2)
    path = bench.folder / "copy.ome.tif"
    path.write_bytes(source[: len(source) // 2])
    bench.pass_time(1800, step_s=10)
    assert found(bench) == []
    path.write_bytes(source)
    bench.pass_time(120)
    (record,) = found(bench)
    assert (record.completeness, record.n_frames) == ("complete", 40)


def test_copy_that_never_ends_is_reported_as_incomplete(bench: Any, write_tiff: Any, tmp_path: Path) -> None:
    source = write_tiff(tmp_path / "source.ome.tif", n_pages=40).read_bytes()
    bench.open()
    bench.pass_time(2)
    path = bench.folder / "copy.ome.tif"
    path.write_bytes(source[:-5000])
    bench.pass_time(3500, step_s=20)
    assert found(bench) == []
    bench.pass_time(400, step_s=20)
    (record,) = found(bench)
    assert record.completeness == "incomplete"
    assert record.n_frames < 40
    assert not bench.shelf.of(DatasetStamp)[0].files[0].is_stamped_inside


def test_dataset_that_changes_while_it_is_hashed_is_hashed_again(bench: Any, write_tiff: Any) -> None:
    bench.open(hash_mb_per_s=0.01)  # 10 kB a second: hashing takes steps
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif", n_pages=200)
    bench.pass_time(80)
    changed = write_tiff(path, n_pages=210, seed=9).read_bytes()
    bench.pass_time(400)
    (record,) = found(bench)
    assert record.sha256 == hashlib.sha256(changed).hexdigest()


def test_nothing_is_hashed_while_an_acquisition_runs(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(2)
    bench.is_busy = True
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(300)
    assert found(bench) == []
    bench.is_busy = False
    bench.pass_time(5)
    assert names(bench) == ["a.tif"]


def test_file_that_a_writer_holds_is_not_opened(bench: Any, write_tiff: Any) -> None:
    from agent.watch.opening import is_held_by_writer

    path = write_tiff(bench.folder / "a.tif")
    with path.open("ab"):
        if is_held_by_writer(path) is None:
            pytest.skip("this system does not tell who holds a file")
        bench.open()
        bench.pass_time(300)
        assert found(bench) == []
    bench.pass_time(60)
    assert names(bench) == ["a.tif"]


def test_dataset_that_goes_before_it_settles_is_forgotten(bench: Any, write_tiff: Any) -> None:
    bench.open()
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif")
    bench.pass_time(65)
    path.unlink()
    bench.pass_time(100)
    assert found(bench) == []
    assert bench.watcher.health().n_pending == 0


def test_folder_that_goes_away_is_told_and_comes_back(bench: Any, write_tiff: Any, tmp_path: Path) -> None:
    bench.open()
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    bench.folder.rename(tmp_path / "unplugged")
    bench.pass_time(100)
    assert bench.told == ["watch_folder_away"]
    assert bench.watcher.health().away == (str(bench.folder),)
    (tmp_path / "unplugged").rename(bench.folder)
    write_tiff(bench.folder / "b.tif", seed=2)
    bench.pass_time(100)
    assert bench.told == ["watch_folder_away", "watch_folder_back"]
    assert names(bench) == ["a.tif", "b.tif"]


def test_folder_that_is_empty_at_first_may_be_a_share_that_is_not_there_yet(
    bench: Any, write_tiff: Any
) -> None:
    bench.open()
    bench.pass_time(100)
    for name in ("x.tif", "y.tif"):
        os.utime(write_tiff(bench.folder / name), (1_700_000_000, 1_700_000_000))
    bench.pass_time(200)
    assert found(bench) == []


def test_excluded_names_are_left_alone(bench: Any, write_tiff: Any) -> None:
    bench.open(exclude=("tmp*", "*.lock"))
    (bench.folder / "tmp1").mkdir()
    write_tiff(bench.folder / "tmp1" / "a.tif")
    write_tiff(bench.folder / ".hidden.tif")
    write_tiff(bench.folder / "b.tif")
    bench.pass_time(100)
    assert names(bench) == ["b.tif"]


def test_links_in_a_circle_are_not_followed(bench: Any, write_tiff: Any) -> None:
    (bench.folder / "loop").symlink_to(bench.folder, target_is_directory=True)
    write_tiff(bench.folder / "b.tif")
    bench.open()
    bench.pass_time(100)
    assert names(bench) == ["b.tif"]


def test_copied_dataset_keeps_the_acquisition_whose_record_came_with_it(
    bench: Any, write_tiff: Any, make_acquisition: Any, tmp_path: Path
) -> None:
    from agent.records import encode

    _, finished = make_acquisition(bench)
    elsewhere = write_tiff(tmp_path / "a.tif")
    bench.open()
    bench.pass_time(2)
    beside = bench.folder / "a.tif.scopestamp.json"
    beside.write_bytes(encode(finished))
    shutil.copy2(elsewhere, bench.folder)
    bench.pass_time(100)
    (record,) = found(bench)
    assert (record.joined_by, record.acquisition_id) == ("stamp", finished.acquisition_id)
    assert beside.read_bytes() == encode(finished)


ZARR = """
import os, sys, useq
from pathlib import Path
from pymmcore_plus import CMMCorePlus
core = CMMCorePlus()
core.loadSystemConfiguration()
if len(sys.argv) > 2:
    import agent
    attachment = agent.attach(core, data_dir=sys.argv[2])
frames = []
core.mda.engine.use_hardware_sequencing = False
core.mda.events.frameReady.connect(frames.append)
core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": 4}), output=sys.argv[1]).join()
assert len(frames) == 4, frames
if len(sys.argv) > 2:
    assert attachment.detach(60)
os._exit(0)
"""


def test_real_zarr_is_stamped_inside_once_and_only_its_changed_file_is_hashed_again(
    bench: Any, run_writer: Any
) -> None:
    from agent.capture.stamp import describe_output

    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    bench.open()
    bench.pass_time(2)
    path = bench.folder / "a.ome.zarr"
    run_writer(ZARR, path)
    before = describe_output(path)
    bench.pass_time(150)
    (record,), (stamp,) = found(bench), bench.shelf.of(DatasetStamp)
    assert (record.completeness, record.n_frames) == ("complete", 4)
    assert (record.sha256, record.size_bytes, record.n_files) == (
        before.sha256,
        before.size_bytes,
        before.n_files,
    )
    after = describe_output(path)
    assert stamp.files[0].is_stamped_inside
    assert (stamp.files[0].sha256, stamp.files[0].size_bytes) == (after.sha256, after.size_bytes)
    assert after.sha256 != before.sha256
    bench.pass_time(200)
    assert len(found(bench)) == 1


def test_real_acquisition_that_the_capture_stamps_itself_is_not_reported_by_the_watcher(
    bench: Any, run_writer: Any
) -> None:
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    bench.open()
    bench.pass_time(2)
    path = bench.folder / "a.ome.zarr"
    run_writer(ZARR, path, bench.data_dir)
    assert Path(str(path) + ".scopestamp.json").is_file()
    bench.pass_time(200)
    assert bench.shelf.records == []
    assert bench.watcher.health().n_pending == 0


def test_hashing_keeps_to_its_rate() -> None:
    from agent.watch.hashing import Throttle

    throttle, n_read = Throttle(1000.0), 0
    for tenth in range(101):
        allowed = throttle.allow(tenth / 10, is_paused=30 <= tenth < 60)
        throttle.spend(allowed)
        n_read += allowed
    assert n_read == pytest.approx(7000, abs=100)  # ten seconds, three of them paused
    assert Throttle(0).allow(0.0, is_paused=False) > 1 << 40


def test_writer_on_a_share_is_judged_by_time_alone(bench: Any, write_tiff: Any, monkeypatch: Any) -> None:
    """Linux refuses leases on NFS and SMB whoever holds a file; that must not hold a dataset back for ever."""
    import agent.watch.watcher as module

    asked: list[bool] = []
    monkeypatch.setattr(
        module, "is_held_by_writer", lambda path, *, is_on_share: asked.append(is_on_share) or None
    )
    bench.open(is_share=lambda _: True)
    bench.pass_time(2)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(100)
    assert asked == [True]
    assert names(bench) == ["a.tif"]


def test_more_datasets_than_fit_into_one_look_are_all_reported(bench: Any) -> None:
    bench.open(hash_files=False, beside=False, inside=False)
    for number in range(1100):
        (bench.folder / f"{number:04}.ims").write_bytes(b"x")
    bench.pass_time(100)
    assert len(names(bench)) == len(set(names(bench))) == 1100
