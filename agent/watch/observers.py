"""Hints from the operating system that something happened in a folder. The rescan is the truth; this only makes it early.

At most `MOST_WATCHED` folders are observed, each by itself and not what is below it: the watched roots, and where something
was found lately. So nothing inside a ``.zarr`` is ever observed, and a hundred thousand folders cost nothing.

Observers die in silence, overflow in silence, and go deaf when a share was away. So `tend` looks whether every thread is
alive, and the rescan tells what it found in an observed folder without a hint (`found_unannounced`); both start anew.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

MOST_WATCHED = 16
_POLL_S = 5.0
_JOIN_S = 5.0
_log = logging.getLogger("scopestamp.watch")
Kind = Literal["native", "polling"]


def make_observer(kind: Kind) -> BaseObserver:
    """Return an observer of watchdog, not yet started; polling never looks into a ``.zarr``."""
    if kind == "polling":
        return PollingObserverVFS(stat=os.stat, listdir=_list_outside_zarr, polling_interval=_POLL_S)
    return Observer()


def _list_outside_zarr(folder: str | None) -> Iterator[os.DirEntry[str]]:
    if folder is not None and ".zarr" in folder.lower():
        return iter(())
    with os.scandir(folder) as entries:
        return iter(list(entries))


class _Handler(FileSystemEventHandler):
    """Notes the folder of an event; runs on the observer's thread."""

    def __init__(self, hint: Callable[[Path], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return  # reading is no news
        for path in (event.src_path, event.dest_path):
            if path:
                self._hint(Path(os.fsdecode(path)))


class Hints:
    """Observers over a few folders, and the folders in which they saw something.

    Parameters
    ----------
    wake : callable
        Called on an observer's thread when there is a hint.
    make : callable, optional
        Makes an observer; tests pass their own.
    """

    def __init__(
        self, wake: Callable[[], object] = lambda: None, make: Callable[[Kind], BaseObserver] = make_observer
    ) -> None:
        self._wake, self._make = wake, make
        self._lock = threading.Lock()
        self._hinted: set[Path] = set()
        self._heard: set[Path] = set()  # since the folder was last looked through
        self._observers: dict[Kind, BaseObserver] = {}
        self._watched: OrderedDict[Path, tuple[Kind, Any]] = OrderedDict()
        self._kept: set[Path] = set()
        self.n_restarts = 0

    @property
    def kinds(self) -> set[Kind]:
        """Kinds of observers at work."""
        return set(self._observers)

    def is_watching(self, folder: Path) -> bool:
        """Return whether a folder is observed now."""
        return folder in self._watched

    def watch(self, folder: Path, kind: Kind, *, is_root: bool = False) -> None:
        """Observe a folder, instead of the one in which nothing was found for longest."""
        if is_root:
            self._kept.add(folder)
        if folder in self._watched:
            self._watched.move_to_end(folder)
            return
        if len(self._watched) >= MOST_WATCHED:
            spare = next((path for path in self._watched if path not in self._kept), None)
            if spare is None:
                return
            self.leave(spare)
        try:
            observer = self._observers.get(kind) or self._start(kind)
            told = observer.schedule(_Handler(self._note), str(folder), recursive=False)
        except OSError as error:  # gone meanwhile, or the system has no watch left: the rescan finds it
            _log.warning("The folder %s cannot be observed, only rescanned: %s", folder, error)
            return
        self._watched[folder] = (kind, told)

    def leave(self, folder: Path) -> None:
        """Observe a folder no longer."""
        kind, told = self._watched.pop(folder, (None, None))
        observer = self._observers.get(kind) if kind else None
        if observer is not None:
            try:
                observer.unschedule(told)
            except KeyError:  # its emitter is dead and gone
                return

    def take(self) -> set[Path]:
        """Return the folders in which something happened since the last call."""
        with self._lock:
            hinted, self._hinted = self._hinted, set()
        return hinted

    def looked_through(self, folder: Path) -> bool:
        """Return whether an event came from a folder since it was looked through last, and begin anew."""
        with self._lock:
            was_heard = folder in self._heard
            self._heard.discard(folder)
        return was_heard

    def tend(self) -> list[str]:
        """Start dead observers anew; return what died, in words."""
        for folder in [path for path in self._watched if path not in self._kept and not path.is_dir()]:
            self.leave(folder)  # somebody deleted it
        dead = [kind for kind, observer in self._observers.items() if not _is_alive(observer)]
        for kind in dead:
            self.restart(kind)
        return [f"the {kind} observer had died" for kind in dead]

    def found_unannounced(self, folder: Path) -> str:
        """Start the observer of a folder anew, because something was found there of which it said nothing."""
        kind, _ = self._watched.get(folder, ("native", None))
        self.restart(kind)
        return f"the {kind} observer had said nothing of a change in {folder}"

    def restart(self, kind: Kind) -> None:
        """Start one observer anew over the same folders."""
        self.n_restarts += 1
        self._stop(kind)
        again = [folder for folder, (its, _) in self._watched.items() if its == kind]
        for folder in again:
            del self._watched[folder]
        for folder in again:
            self.watch(folder, kind)

    def stop(self) -> None:
        """Stop every observer."""
        for kind in list(self._observers):
            self._stop(kind)
        self._watched.clear()

    def _start(self, kind: Kind) -> BaseObserver:
        observer = self._make(kind)
        observer.name = f"scopestamp-observer-{kind}"
        observer.start()
        self._observers[kind] = observer
        return observer

    def _stop(self, kind: Kind) -> None:
        observer = self._observers.pop(kind, None)
        if observer is None:
            return
        observer.stop()
        if observer.ident is not None:
            observer.join(_JOIN_S)

    def _note(self, path: Path) -> None:
        if ".zarr" in path.parent.as_posix().lower():
            return
        with self._lock:
            self._hinted.update((path.parent, path))
            self._heard.update((path.parent, path))
        self._wake()


def _is_alive(observer: BaseObserver) -> bool:
    return observer.is_alive() and all(emitter.is_alive() for emitter in observer.emitters)
