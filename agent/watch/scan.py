"""Looks through the watched folders, a bounded number of entries at a time, round after round."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.watch.candidates import Listing, is_excluded, list_folder
from agent.watch.errors import FolderAwayError

_log = logging.getLogger("scopestamp.watch")


@dataclass
class Scanner:
    """One round through all folders after the other.

    Attributes
    ----------
    roots : tuple of Path
        Where each round begins.
    exclude : tuple of str
        Names that are left alone.
    away : set of Path
        Roots that could not be read when they were looked at last.
    """

    roots: tuple[Path, ...]
    exclude: tuple[str, ...] = ()
    away: set[Path] = field(default_factory=set)
    _waiting: list[Path] = field(default_factory=list)

    def begin(self) -> None:
        """Begin a round; one that is not over yet goes on."""
        self._waiting = self._waiting or list(reversed(self.roots))

    @property
    def is_over(self) -> bool:
        """Whether the round is over."""
        return not self._waiting

    def some(self, most_entries: int) -> Iterator[Listing]:
        """Yield what the next folders hold, until about so many entries were seen."""
        n_seen = 0
        while self._waiting and n_seen < most_entries:
            folder = self._waiting.pop()
            listing = self.look(folder)
            if listing is not None:
                n_seen += listing.n_entries + 1
                self._waiting += reversed(listing.subfolders)
                yield listing

    def look(self, folder: Path) -> Listing | None:
        """Return what one folder holds; None when it cannot be read now."""
        try:
            listing = list_folder(folder, self.exclude)
        except FolderAwayError as error:
            if folder in self.roots:
                self.away.add(folder)
            else:
                _log.debug("%s", error)
            return None
        self.away.discard(folder)
        return listing

    def watched(self, folders: Iterable[Path]) -> Iterator[Path]:
        """Yield those folders that a round would look into, each with what of it is new."""
        for folder in folders:
            root = self.root_of(folder)
            if root is not None and not any(self._is_closed(part) for part in folder.relative_to(root).parts):
                yield folder

    def root_of(self, folder: Path) -> Path | None:
        """Return the watched folder that a folder is in."""
        return next((root for root in self.roots if folder.is_relative_to(root)), None)

    def _is_closed(self, name: str) -> bool:
        return name.lower().endswith(".zarr") or is_excluded(name, self.exclude)
