"""Watches folders: finds datasets, waits until they are written, and has them reported, each once.

    observers (hints) ─┐
    rescan (truth) ────┴─► register ─► settling ─► reporter ─► outbox, stamp

Everything happens on one thread, in `step`; a test calls that itself, with a clock of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from agent.pulse import Pulse
from agent.records import Severity, WatchHealth
from agent.settings import WatchSettings
from agent.supervise import shielded
from agent.watch.candidates import Candidate, Listing
from agent.watch.extent import glance
from agent.watch.hashing import Throttle
from agent.watch.observers import Hints, Kind
from agent.watch.opening import is_held_by_writer
from agent.watch.report import Reporter, Reporting
from agent.watch.scan import Scanner
from agent.watch.settling import Settled, Settling
from agent.watch.shares import is_on_share

BUSY_STEP_S = 0.1
LEAST_PAUSE_S = 0.1
MOST_IDLE_S = 5.0
DEAD_AFTER_S = 50.0  # no step for so long: the watcher hangs
_DEAF_AFTER = timedelta(seconds=5)
_DEAF_PAUSE_S = 60.0
_OLD_BATCH = 5000


class TellsTime(Protocol):
    """What the watcher asks of a clock: an `agent.clock.Clock`."""

    def wall_at(self) -> datetime:
        """Return the wall-clock time."""

    def monotonic_ns(self) -> int:
        """Return the monotonic time."""


class Watcher:
    """Watches the folders of the settings.

    Parameters
    ----------
    settings : WatchSettings
        Which folders, and how patiently.
    reporting : Reporting
        How datasets are reported.
    clock : TellsTime
        Tells the time.
    tell : callable
        Takes what is to be said of the watching: severity, event, message, details.
    is_busy : callable
        Says whether an acquisition runs: then nothing is hashed.
    hints, is_share : optional
        Observers, and what tells a share; tests pass their own.
    """

    def __init__(
        self,
        settings: WatchSettings,
        reporting: Reporting,
        clock: TellsTime,
        tell: Callable[..., Any] = lambda *_, **__: None,
        is_busy: Callable[[], bool] = lambda: False,
        hints: Hints | None = None,
        is_share: Callable[[Path], bool] = is_on_share,
    ) -> None:
        self.settings, self._clock, self._tell, self._is_busy = settings, clock, tell, is_busy
        self._register, self._chronicle = reporting.register, reporting.chronicle
        self._wake = threading.Event()
        self._hints = hints or Hints(self._wake.set)
        self._is_share = is_share
        self.roots = tuple(Path(folder) for folder in settings.folders)
        self._scanner = Scanner(self.roots, settings.exclude)
        self._settling = Settling(settings.settle_s, settings.incomplete_after_s, self._is_held)
        self._reporter = Reporter(reporting, Throttle(settings.hash_mb_per_s * 1e6), self._give_back)
        self._shares: dict[Path, bool] = {}
        self._were_away: set[Path] = set()
        self._new_roots = {root for root in self.roots if not self._register.is_known(root)}
        self._empty_roots: set[Path] = set()
        self._watched_since: dict[Path, datetime] = {}
        self._began_at = clock.wall_at()
        self._next_scan_s = self._deaf_until_s = float("-inf")
        self._stepped_s: float | None = None
        self.pulse = Pulse()
        self.last_scan_at: datetime | None = None

    # -- as a part of the agent

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set, then stop the observers; whoever sets it calls `wake`."""
        try:
            while not stop.is_set():
                self.pulse.beat(DEAD_AFTER_S)
                pause_s = shielded(self.step, "watching folders")
                self.pulse.beat(DEAD_AFTER_S)
                self._wake.wait(MOST_IDLE_S if pause_s is None else pause_s)
                self._wake.clear()
                stop.wait(LEAST_PAUSE_S)  # while a file grows, hints come without end
        finally:
            self._hints.stop()

    def stop_observing(self) -> None:
        """Stop the observers, should `run` have died before it could."""
        self._hints.stop()

    def wake(self) -> None:
        """Have `run` look at once."""
        self._wake.set()

    def health(self) -> WatchHealth:
        """Return how the watching fares; safe on any thread."""
        kinds = self._hints.kinds
        stepped_s = self._stepped_s
        return WatchHealth(
            is_alive=stepped_s is not None and self._now_s() - stepped_s < DEAD_AFTER_S,
            observer="mixed" if len(kinds) > 1 else next(iter(kinds), "none"),
            last_scan_at=self.last_scan_at,
            n_pending=self._n_pending,
            n_reported=self._reporter.n_reported,
            n_restarts=self._hints.n_restarts,
            away=tuple(str(root) for root in sorted(self._scanner.away)),
        )

    _n_pending = 0

    # -- one step

    def step(self) -> float:
        """Do what is due, and return after how many seconds something may be due again."""
        now_s = self._now_s()
        self._look_at_hints()
        self._scan(now_s)
        self._tell_of_roots()
        self._tend()
        self._settle(now_s)
        self._reporter.advance(now_s, is_paused=self._is_busy())
        self._stepped_s = self._now_s()
        if self._reporter.n_waiting or not self._scanner.is_over:
            return BUSY_STEP_S
        due_s = self._settling.next_s(default_s=self._next_scan_s)
        return min(max(min(due_s, self._next_scan_s) - self._now_s(), BUSY_STEP_S), MOST_IDLE_S)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    # -- finding

    def _look_at_hints(self) -> None:
        for folder in self._scanner.watched(sorted(self._hints.take())):
            if folder.is_dir() and (listing := self._scanner.look(folder)) is not None:
                self._meet(listing, is_hinted=True)

    def _scan(self, now_s: float) -> None:
        if self._scanner.is_over and now_s >= self._next_scan_s:
            self._scanner.begin()
        if self._scanner.is_over:
            return
        for listing in self._scanner.some(self.settings.rescan_entries):
            self._meet(listing, is_hinted=False)
        if self._scanner.is_over:
            self._end_round(now_s)

    def _end_round(self, now_s: float) -> None:
        self.last_scan_at = self._clock.wall_at()
        self._next_scan_s = now_s + self.settings.rescan_s
        known = {root for root in self._new_roots - self._scanner.away if root not in self._empty_roots}
        for root in known:
            self._register.know(root, self.last_scan_at)
        self._new_roots -= known
        self._chronicle.forget_old(self.last_scan_at)

    def _meet(self, listing: Listing, *, is_hinted: bool) -> None:
        """Take in what a folder holds."""
        known = self._register.glances(listing.folder)
        root = self._scanner.root_of(listing.folder)
        if listing.folder == root:  # an empty one may be the place of a share that is not there yet
            (self._empty_roots.discard if listing.n_entries else self._empty_roots.add)(root)
        is_first = root in self._new_roots and not self.settings.report_existing
        now, old, news = self._clock.wall_at(), [], []
        for candidate in listing.datasets:
            status, before = known.get(candidate.key, (None, None))
            if status == "pending" or (told := glance(candidate)) is None or (status and told == before):
                continue
            if status is None and is_first and not self._is_recent(told):
                old.append((listing.folder, candidate, told))
            else:
                news.append((candidate, told))
        self._register.add_old(old, now)
        for candidate, _ in news:
            self._register.add_pending(listing.folder, candidate, now)
        self._observe(listing, news, root, is_hinted=is_hinted)

    def _is_recent(self, told: str) -> bool:
        """Return whether a dataset that is met on the first round was written since the agent started."""
        return _newest(told) >= self._began_at - timedelta(seconds=self.settings.settle_s)

    # -- observers

    def _observe(
        self, listing: Listing, news: list[tuple[Candidate, str]], root: Path | None, *, is_hinted: bool
    ) -> None:
        """Observe the roots and folders with news; when news came to an observed one without a hint, it is deaf."""
        folder = listing.folder
        was_heard = self._hints.looked_through(folder)
        if news and not is_hinted and not was_heard and self._hints.is_watching(folder):
            self._suspect(folder, [told for _, told in news])
        if root is None or self.settings.observer == "none" or not (news or is_hinted or folder == root):
            return
        if not self._hints.is_watching(folder):
            self._watched_since[folder] = self._clock.wall_at()
        self._hints.watch(folder, self._kind(root), is_root=folder == root)

    def _suspect(self, folder: Path, told: Iterable[str]) -> None:
        since = self._watched_since.get(folder, self._began_at)
        now = self._clock.wall_at()
        missed = [at for at in map(_newest, told) if since < at < now - _DEAF_AFTER]
        if missed and self._now_s() >= self._deaf_until_s:
            self._deaf_until_s = self._now_s() + _DEAF_PAUSE_S
            self._restarted(self._hints.found_unannounced(folder))

    def _kind(self, root: Path) -> Kind:
        forced = self.settings.observer
        if forced == "native" or forced == "polling":
            return forced
        return "polling" if self._is_on_share(root) else "native"

    def _is_on_share(self, root: Path) -> bool:
        if root not in self._shares:
            self._shares[root] = self._is_share(root)
        return self._shares[root]

    def _is_held(self, path: Path) -> bool | None:
        root = self._scanner.root_of(path)
        return is_held_by_writer(path, is_on_share=root is not None and self._is_on_share(root))

    def _tend(self) -> None:
        for what in self._hints.tend():
            self._restarted(what)

    def _restarted(self, what: str) -> None:
        self._next_scan_s = float("-inf")  # what it missed meanwhile is found now
        self._tell(
            Severity.WARNING,
            "watch_observer_restarted",
            f"An observer of folders was started anew: {what}. Nothing is lost: the rescan finds what it missed.",
        )

    def _tell_of_roots(self) -> None:
        """Tell of folders that went away and came back."""
        away = set(self._scanner.away)
        for root in sorted(away - self._were_away):
            self._hints.leave(root)
            self._tell(
                Severity.WARNING,
                "watch_folder_away",
                f"The watched folder {root} cannot be reached. See that it exists, that its share is there and that "
                "the agent's account may read it; it is tried again every round.",
            )
        for root in sorted(self._were_away - away):
            self._tell(Severity.INFO, "watch_folder_back", f"The watched folder {root} can be reached again.")
        self._were_away = away

    # -- settling and reporting

    def _settle(self, now_s: float) -> None:
        entries = [
            entry
            for entry in self._register.pending()
            if not self._is_under_way(entry.candidate) and not self._is_away(entry.candidate)
        ]
        for settled in self._settling.look(self._register, entries, now_s, self._clock.wall_at()):
            self._reporter.add(settled)
        self._n_pending = len(entries) + self._reporter.n_waiting

    def _is_under_way(self, candidate: Candidate) -> bool:
        return self._reporter.is_reporting(candidate.key)

    def _is_away(self, candidate: Candidate) -> bool:
        """Return whether a dataset's folder cannot be reached, so that nothing follows from its absence."""
        return self._scanner.root_of(candidate.path) in self._scanner.away

    def _give_back(self, settled: Settled) -> None:
        self._settling.again(settled.entry.candidate)


def _newest(told: str) -> datetime:
    """Return the newest time in a glance."""
    newest_ns = max(int(part.rpartition(":")[2].rpartition("=")[2]) for part in told.split(" "))
    return datetime.fromtimestamp(newest_ns / 1e9, UTC)
