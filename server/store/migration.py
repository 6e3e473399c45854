"""Bringing a store forward, in one transaction: whenever it ends, the store is as it was or as it is to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.errors import SettingsError
from server.store.connection import Connection
from server.store.parts import Part

Tell = Callable[[str, int, int], None]
"""Takes what is being done, and how much of how much of it is."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a migration takes for itself beside what is there, and what there is."""

    n_bytes_needed: int
    n_bytes_free: int | None
    """None where it cannot be seen: on another computer's disk."""
    where: str


class Migration(ABC):
    """A store, and the parts of what is to be done to it. `hold` it before it is `run`.

    Attributes
    ----------
    before : int
        The version of its schema.
    parts : list of Part
        What leads to the newest; nothing when it has that.
    """

    connection: Connection
    before: int
    parts: list[Part]

    @abstractmethod
    def room(self) -> Room:
        """Return what room is wanted and what there is."""

    @abstractmethod
    def hold(self) -> None:
        """Have the store alone until it is closed.

        Raises
        ------
        SettingsError
            Somebody else uses it, or another program has brought it forward meanwhile.
        """

    @abstractmethod
    def run(self, tell: Tell) -> None:
        """Do all of it, and commit.

        Raises
        ------
        StoreError
            A part failed; nothing was changed.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the store back; what was not committed is undone."""

    @abstractmethod
    def _do(self, statements: str) -> None:
        """Run statements that take no values."""

    def _do_parts(self, tell: Tell) -> None:
        for part in self.parts:
            tell(part.does, 0, 1)
            if part.numbers:
                for n_done, n_all in self._by_ranges(part):
                    tell(part.does, n_done, n_all)
            else:
                self._do(part.sql)
                tell(part.does, 1, 1)

    def _by_ranges(self, part: Part) -> Iterator[tuple[int, int]]:
        first, last = self.connection.fetch(part.numbers)[0]
        if first is None:
            yield 1, 1
            return
        for start in range(first, last + 1, part.n_at_once):
            end = min(start + part.n_at_once - 1, last)
            self.connection.do(part.sql, start, end)
            yield end - first + 1, last - first + 1


def check_still(before: int, version: int, where: str) -> None:
    """Refuse to go on from another version than the one that was looked at."""
    if version != before:
        raise SettingsError(f"Another program brought {where} to schema {version} meanwhile; run it again.")


def check_room(room: Room) -> None:
    """Refuse to begin what would fill the disk.

    Raises
    ------
    SettingsError
        There is less than is needed.
    """
    if room.n_bytes_free is not None and room.n_bytes_free < room.n_bytes_needed:
        raise SettingsError(
            f"This needs {gigabytes(room.n_bytes_needed)} free in {room.where}, where {gigabytes(room.n_bytes_free)} are. "
            "Make room and run it again; nothing was changed."
        )


def gigabytes(n_bytes: int) -> str:
    """Return a size for a person who compares it with a disk.

    >>> gigabytes(12_345_678_901), gigabytes(1)
    ('12.35 GB', '0.01 GB')
    """
    return f"{max(n_bytes / 1e9, 0.01):,.2f} GB"
