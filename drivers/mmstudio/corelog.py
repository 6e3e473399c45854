"""Micro-Manager's log file as a source: read to its end, in small pieces, and never held open.

With debug logging on, every commanded change stands there with its device, property and value; without it only errors. What
it tells is what software commanded, whoever did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from drivers.events import HardwareEvent, PresetSet, PropertyMoved
from drivers.readings import Hardware, How, Key, Moment, PropertyReading, Status

MOST_BYTES = 1 << 20
"""So much is read at a time; of a log that grew by more, the oldest is passed over."""

LINE = re.compile(r"(?P<at>\S+) tid\S+ \[(?P<level>\w+),(?P<who>[^\]]*)\] (?P<text>.*)")
SET = re.compile(r'Did set property "(?P<name>[^"]*)" to "(?P<value>.*)"')
APPLIED = re.compile(r"Config group (?P<group>.*): did apply preset (?P<preset>.*)")
EXPOSED = re.compile(r"Did set camera (?P<camera>.*) exposure to (?P<ms>[\d.]+) ms")
DEVICE = "Core:dev:"


class LogTail:
    """The lines that are added to a log from now on, through rotation and truncation.

    Parameters
    ----------
    path : str or Path
        A file, or the folder of log files whose newest is followed.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file: Path | None = None
        self._file = self._newest()
        self._known = set(self._files())  # of these only what is added from now on is news
        self._offset = self._size(self._file)
        self._rest = b""

    def lines(self) -> list[str]:
        """Return the whole lines that came since the last time."""
        lines = self._read_on()
        newest = self._newest()
        if newest != self._file:
            self._file, self._rest = newest, b""
            self._offset = self._size(newest) if newest in self._known else 0
            lines += self._read_on()
            self._known |= {newest} if newest else set()
        return lines

    def _read_on(self) -> list[str]:
        size = self._size(self._file)
        if self._file is None or size == self._offset:
            return []
        if size < self._offset:  # begun anew under the same name
            self._offset, self._rest = 0, b""
        if size - self._offset > MOST_BYTES:
            self._offset, self._rest = size - MOST_BYTES, b""
        try:
            with self._file.open("rb") as log:
                log.seek(self._offset)
                added = log.read(size - self._offset)
        except OSError:
            return []
        self._offset += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def _files(self) -> list[Path]:
        return sorted(self._path.glob("*.txt")) if self._path.is_dir() else [self._path]

    def _newest(self) -> Path | None:
        try:
            return max(self._files(), key=lambda file: (_modified_ns(file), file.name), default=None)
        except OSError:  # it is taken away meanwhile
            return self._file

    @staticmethod
    def _size(file: Path | None) -> int:
        try:
            return file.stat().st_size if file else 0
        except OSError:
            return 0


def _modified_ns(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


class CoreLog:
    """What a core's log tells, as hardware events."""

    def __init__(self, path: str | Path) -> None:
        self._tail = LogTail(path)

    def events(self, hardware: Hardware) -> Iterator[HardwareEvent]:
        """Yield the commands that came since the last time."""
        for line in self._tail.lines():
            if (found := LINE.match(line)) and (event := event_of(found, hardware)) is not None:
                yield event


def event_of(line: re.Match[str], hardware: Hardware) -> HardwareEvent | None:
    """Return the command that a line of the log tells of, or None."""
    who, text, moment = line["who"], line["text"], _moment(line["at"])
    if moment is None:
        return None
    if who.startswith(DEVICE) and (told := SET.fullmatch(text)):
        key = Key(who.removeprefix(DEVICE), told["name"])
        return _moved(key, hardware.typed(key, told["value"]), moment, None)
    if told := APPLIED.fullmatch(text):
        return PresetSet(moment, told["group"], told["preset"])
    if told := EXPOSED.fullmatch(text):
        return _moved(Key(told["camera"], "@exposure"), float(told["ms"]), moment, "ms")
    return None


def _moved(key: Key, value: str | float | None, moment: Moment, unit: str | None) -> PropertyMoved | None:
    if value is None:
        return None
    return PropertyMoved(
        PropertyReading(key, Status.OK, How.COMMANDED, moment, value, unit), is_commanded=True
    )


def _moment(text: str) -> Moment | None:
    """Return when a line was written; the log has local time."""
    try:
        wall_ns = int(datetime.fromisoformat(text).timestamp() * 1e6) * 1000
    except ValueError:
        return None
    now = Moment.now()
    return Moment(wall_ns, now.monotonic_ns - max(0, now.wall_ns - wall_ns))
