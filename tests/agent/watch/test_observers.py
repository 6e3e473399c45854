"""Observers are a hint: they make it early, and their death, deafness and silence cost nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watchdog.events import FileCreatedEvent
from watchdog.observers.api import BaseObserver, EventEmitter

from agent.records import DatasetFound
from agent.watch.observers import MOST_WATCHED, Hints

WAIT_S = 30.0


class Obedient(EventEmitter):
    """Tells only what it is told to tell, so that a test decides when and whether an event comes."""

    def queue_events(self, timeout: float) -> None:
        self.stopped_event.wait(timeout)


class Played:
    """Makes observers whose events a test plays."""

    def __init__(self) -> None:
        self.made: list[BaseObserver] = []
        self.kinds: list[str] = []

    def __call__(self, kind: str) -> BaseObserver:
        self.kinds.append(kind)
        self.made.append(BaseObserver(Obedient, timeout=0.01))
        return self.made[-1]


@pytest.fixture
def played(bench: Any) -> Iterator[Any]:
    maker = Played()
    maker.hints = Hints(make=maker)
    yield maker
    maker.hints.stop()


def found(bench: Any) -> list[str]:
    return [Path(record.path).name for record in bench.shelf.of(DatasetFound)]


@pytest.mark.parametrize("kind", ["native", "polling"])
def test_real_observer_hints_at_a_new_file(tmp_path: Path, kind: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("agent.watch.observers._POLL_S", 0.05)
    woken = threading.Event()
    hints = Hints(woken.set)
    try:
        hints.watch(tmp_path, kind)
        for number in range(600):  # the first snapshot of a poll may come after the first file
            (tmp_path / f"{number}.tif").write_bytes(b"x")
            if woken.wait(WAIT_S / 600):
                break
        assert tmp_path in hints.take()
        assert hints.looked_through(tmp_path)
        assert not hints.looked_through(tmp_path)
    finally:
        hints.stop()


def test_hint_makes_it_early(bench: Any, played: Any, write_tiff: Any) -> None:
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(5)
    path = write_tiff(bench.folder / "a.tif")
    played.hints._note(path)
    bench.pass_time(15)
    assert found(bench) == ["a.tif"]  # the next rescan would come after a minute


@pytest.mark.parametrize(
    ("setting", "on_share", "kind"),
    [
        ("auto", False, "native"),
        ("auto", True, "polling"),
        ("polling", False, "polling"),
        ("native", True, "native"),
    ],
)
def test_shares_are_polled_and_the_settings_can_force_it(
    bench: Any, played: Any, setting: str, on_share: bool, kind: str
) -> None:
    bench.open(observer=setting, hints=played.hints, is_share=lambda _: on_share)
    bench.pass_time(2)
    assert played.kinds == [kind]
    assert bench.watcher.health().observer == kind


def test_dead_observer_is_started_anew_and_what_it_missed_is_found(
    bench: Any, played: Any, write_tiff: Any
) -> None:
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(2)
    (emitter,) = played.made[0].emitters
    emitter.stop()
    emitter.join(WAIT_S)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(20)
    assert bench.told == ["watch_observer_restarted"]
    assert len(played.made) == 2
    assert bench.watcher.health().n_restarts == 1
    assert found(bench) == ["a.tif"]  # the restart brings the rescan forward


def test_whole_observer_that_died_is_started_anew(bench: Any, played: Any) -> None:
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(2)
    played.made[0].stop()
    played.made[0].join(WAIT_S)
    bench.pass_time(2)
    assert len(played.made) == 2
    assert played.hints.is_watching(bench.folder)


def test_observer_that_has_gone_deaf_is_noticed_by_the_rescan(
    bench: Any, played: Any, write_tiff: Any
) -> None:
    """An overflow, or a share that was away: the threads live, and no event comes."""
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif")
    written_s = bench.clock.wall_at().timestamp() + 10
    os.utime(path, (written_s, written_s))
    bench.pass_time(150)
    assert found(bench) == ["a.tif"]
    assert bench.told == ["watch_observer_restarted"]
    assert bench.watcher.health().n_restarts == 1


def test_observer_that_hears_is_left_alone(bench: Any, played: Any, write_tiff: Any) -> None:
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(2)
    path = write_tiff(bench.folder / "a.tif")
    played.hints._note(path)
    bench.pass_time(300)
    assert found(bench) == ["a.tif"]
    assert bench.told == []
    assert len(played.made) == 1


def test_share_that_goes_away_and_comes_back_is_observed_again(
    bench: Any, played: Any, write_tiff: Any, tmp_path: Path
) -> None:
    bench.open(observer="polling", hints=played.hints)
    bench.pass_time(2)
    bench.folder.rename(tmp_path / "away")
    bench.pass_time(100)
    assert not played.hints.is_watching(bench.folder)
    assert bench.told == ["watch_folder_away"]
    (tmp_path / "away").rename(bench.folder)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(120)
    assert played.hints.is_watching(bench.folder)
    assert found(bench) == ["a.tif"]


def test_real_polling_survives_a_folder_that_goes(
    bench: Any, write_tiff: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("agent.watch.observers._POLL_S", 0.05)
    bench.open(observer="polling")
    bench.pass_time(2)
    observer = next(iter(bench.watcher._hints._observers.values()))
    (emitter,) = observer.emitters
    bench.folder.rename(tmp_path / "away")
    emitter.join(WAIT_S)  # watchdog's emitter ends for good when the folder is not there
    assert not emitter.is_alive()
    bench.pass_time(100)
    (tmp_path / "away").rename(bench.folder)
    write_tiff(bench.folder / "a.tif")
    bench.pass_time(150)
    assert found(bench) == ["a.tif"]
    assert bench.watcher._hints.is_watching(bench.folder)


def test_nothing_inside_a_zarr_is_observed(bench: Any, played: Any) -> None:
    group = bench.folder / "a.ome.zarr"
    (group / "0" / "c").mkdir(parents=True)
    (group / "zarr.json").write_text("{}")
    bench.open(observer="native", hints=played.hints)
    played.hints._note(group / "0" / "c" / "0")
    bench.pass_time(100)
    watched = {Path(emitter.watch.path) for emitter in played.made[0].emitters}
    assert watched == {bench.folder}
    assert {emitter.watch.is_recursive for emitter in played.made[0].emitters} == {False}


def test_only_a_few_folders_are_observed_and_always_the_roots(
    bench: Any, played: Any, write_tiff: Any
) -> None:
    bench.open(observer="native", hints=played.hints)
    bench.pass_time(2)
    for number in range(MOST_WATCHED + 10):
        (bench.folder / f"day{number:02}").mkdir()
        write_tiff(bench.folder / f"day{number:02}" / "a.tif")
    bench.pass_time(100)
    watched = {Path(emitter.watch.path) for emitter in played.made[0].emitters}
    assert len(watched) == MOST_WATCHED
    assert bench.folder in watched
    assert len(found(bench)) == MOST_WATCHED + 10


def test_events_of_reading_are_no_hint(tmp_path: Path) -> None:
    from watchdog.events import FileOpenedEvent

    from agent.watch.observers import _Handler

    hints = Hints()
    handler = _Handler(hints._note)
    handler.on_any_event(FileOpenedEvent(str(tmp_path / "a.tif")))
    assert hints.take() == set()
    handler.on_any_event(FileCreatedEvent(str(tmp_path / "a.tif")))
    assert tmp_path in hints.take()


# ---- what tells a share


@pytest.mark.parametrize("kind", ["cifs", "nfs4", "smbfs", "fuse.sshfs", "ext4", "apfs"])
def test_file_system_type_tells_a_share(monkeypatch: Any, tmp_path: Path, kind: str) -> None:
    from types import SimpleNamespace

    from agent.watch import shares

    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(tmp_path), fstype=kind),
    ]
    monkeypatch.setattr(shares.psutil, "disk_partitions", lambda all: mounts)
    monkeypatch.setattr(shares.sys, "platform", "linux")
    assert shares.is_on_share(tmp_path / "images") == (kind not in ("ext4", "apfs"))


def test_unplanned_error_costs_one_step(bench: Any, monkeypatch: Any, caplog: Any) -> None:
    """A bug anywhere in the watcher is logged, and the next step comes all the same."""
    watcher, stop = bench.open(), threading.Event()
    calls: list[int] = []

    def step() -> Callable[..., Any]:
        calls.append(1)
        if len(calls) == 2:
            stop.set()
        watcher.wake()
        raise RuntimeError("a bug")

    monkeypatch.setattr(watcher, "step", step)
    watcher.run(stop)
    assert len(calls) == 2
    assert "watching folders failed" in caplog.text
