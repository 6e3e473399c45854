"""The comment of a TIFF, changed in place: a kill or a power cut leaves the old one or the new one, never half of either.

The new comment is appended to the file, and once that is on disk the one entry that says where the comment is and how
long is written in one go. Pixels are never read or moved.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.exports.errors import EnrichError


def change_comment(path: Path, change: Callable[[str], str]) -> bool:
    """Replace a TIFF's comment by what `change` makes of it; return whether it differs.

    Raises
    ------
    EnrichError
        The file is no whole TIFF with a comment, or has no room left.
    OSError
        It cannot be read or written.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            old = tiff.pages.first.tags["ImageDescription"].value  # type: ignore[union-attr]
            place = _DescriptionPlace.of(tiff)
            _refuse_short_file(path, tiff)
    except (tifffile.TiffFileError, KeyError, IndexError, struct.error, ValueError) as error:
        raise EnrichError(
            f"expected a whole OME-TIFF at {path}, came: {error}. It was left as it is."
        ) from error
    new = change(str(old))
    if new == str(old):
        return False
    place.put(path, new.encode() + b"\0")
    return True


def _refuse_short_file(path: Path, tiff: Any) -> None:
    """Raise for a file that ends before its pages or pixels do: it was cut short, or is still being written."""
    size = path.stat().st_size
    end = _end_of_chain(tiff, size)
    for page in (tiff.pages[0], tiff.pages[-1]):
        end = max(end, *(at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)), 0)
    if end > size:
        raise EnrichError(
            f"expected a whole OME-TIFF at {path}, came one of {size} bytes that goes on to byte {end} or beyond: it "
            "was cut short, or is still being written. It was left as it is."
        )


def _end_of_chain(tiff: Any, size: int) -> int:
    """Walk from page to page; return where the last one ends, or the first offset that lies beyond the file."""
    n_letter, entry, letter, width = ("Q", 20, "Q", 8) if tiff.is_bigtiff else ("H", 12, "I", 4)
    file, at = tiff.filehandle, tiff.pages.first.offset
    head = struct.calcsize(n_letter)
    while True:
        if at + head > size:
            return int(at + head)
        file.seek(at)
        (n_entries,) = struct.unpack(tiff.byteorder + n_letter, file.read(head))
        end = at + head + n_entries * entry + width
        if end > size:
            return int(end)
        file.seek(end - width)
        (at,) = struct.unpack(tiff.byteorder + letter, file.read(width))
        if at == 0:
            return int(end)


class _DescriptionPlace:
    """Where the first page's entry for its ImageDescription is, and how it is written."""

    def __init__(self, offset: int, layout: str, limit: int) -> None:
        self._offset, self._layout, self._limit = offset, layout, limit

    @classmethod
    def of(cls, tiff: Any) -> _DescriptionPlace:
        """Return the place in an open file. An entry is code, type, count, offset: 2, 2, 4, 4 bytes or 2, 2, 8, 8."""
        tag = tiff.pages.first.tags["ImageDescription"]
        letters = "QQ" if tiff.is_bigtiff else "II"
        return cls(tag.offset + 4, tiff.byteorder + letters, 2**64 if tiff.is_bigtiff else 2**32)

    def put(self, path: Path, text: bytes) -> None:
        """Append a text and let the entry point to it."""
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            end += end % 2  # TIFF wants even offsets
            if end + len(text) >= self._limit:
                raise EnrichError(
                    f"{path} has no room left: a TIFF of 4 GiB that is no BigTIFF. It was left as it is."
                )
            file.seek(end)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            file.seek(self._offset)
            file.write(struct.pack(self._layout, len(text), end))
            file.flush()
            os.fsync(file.fileno())
