"""NDTiff datasets: ``NDTiff.index`` and the stacks it points into.

There is no mark of completeness. The index of the Java engine grows with the images; that of the Python engine is written
mostly at the end, and its stack is allocated at 4 GB until it is closed (NDTiff specification, v3).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.watch.candidates import NDTIFF_FULL, NDTIFF_INDEX
from agent.watch.opening import open_shared
from agent.watch.verdict import Verdict

_TAIL = struct.Struct(
    "=8I"
)  # pixel offset, width, height, type, compression, metadata offset, length, compression
_BYTES_PER_PIXEL = {0: 1, 2: 3}  # 8 bit and RGB; every other type is 2 bytes
_SLACK_BYTES = 1 << 20  # directories and summary behind the last image


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Where one image is."""

    axes: dict[str, Any]
    file: str
    width_px: int
    height_px: int
    end: int


def read_index(path: Path) -> tuple[list[IndexEntry], bool]:
    """Return the whole entries of an index, and whether it ends after one; raise OSError when it cannot be opened."""
    with open_shared(path) as file:
        data = file.read()
    entries: list[IndexEntry] = []
    position = 0
    while position < len(data):
        try:
            entry, position = _entry(data, position)
        except (struct.error, ValueError):
            return entries, not data[position:].strip(b"\0")
        entries.append(entry)
    return entries, True


def _entry(data: bytes, position: int) -> tuple[IndexEntry, int]:
    axes, position = _text(data, position)
    file, position = _text(data, position)
    offset, width, height, kind, _, metadata, length, _ = _TAIL.unpack_from(data, position)
    end = max(offset + width * height * _BYTES_PER_PIXEL.get(kind, 2), metadata + length)
    told = json.loads(axes)
    if not isinstance(told, dict):
        raise ValueError("axes are an object")
    return IndexEntry(told, file, width, height, end), position + _TAIL.size


def _text(data: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("=I", data, position)
    start = position + 4
    if not length or start + length > len(data):
        raise ValueError("the index is cut off")
    return data[start : start + length].decode("utf-8"), start + length


def judge_ndtiff(folder: Path) -> Verdict:
    """Return how complete an NDTiff dataset is; raise OSError when it cannot be read."""
    full = folder / NDTIFF_FULL
    home = full if (full / NDTIFF_INDEX).is_file() else folder
    entries, is_whole = read_index(home / NDTIFF_INDEX)
    missing = [] if is_whole else ["NDTiff.index ends inside an entry"]
    missing += [] if entries else ["NDTiff.index is empty"]
    missing += _stacks_that_do_not_fit(home, entries)
    facts = {"axes": " ".join(sorted({axis for entry in entries for axis in entry.axes}))} if entries else {}
    facts |= {"size_x": entries[0].width_px, "size_y": entries[0].height_px} if entries else {}
    if missing:
        note = f"{'; '.join(missing)}; {len(entries)} frames are known"
        return Verdict("incomplete", note, len(entries), facts=facts, reader="scopestamp (NDTiff.index)")
    note = f"the index holds {len(entries)} frames, all within their stacks, and has stopped growing"
    return Verdict("settled", note, len(entries), facts=facts, reader="scopestamp (NDTiff.index)")


def _stacks_that_do_not_fit(home: Path, entries: list[IndexEntry]) -> list[str]:
    ends: dict[str, int] = {}
    for entry in entries:
        ends[entry.file] = max(ends.get(entry.file, 0), entry.end)
    found = []
    for name, end in ends.items():
        path = home / Path(name).name
        size = path.stat().st_size if path.is_file() else 0
        if size < end:
            found.append(f"{name} is shorter than the index says")
        elif size > end + _SLACK_BYTES:
            found.append(f"{name} is still as long as its writer allocated it")
    return found
