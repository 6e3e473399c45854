"""Metadata into a dataset that lies on disk: an OME-TIFF's comment, an OME-Zarr's attributes and METADATA.ome.xml.

Pixels are not touched. Every step either happens as a whole or leaves the dataset as it was, and a step that is done
is not done again, so that after a kill the same call finishes the work.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

from agent.exports.errors import EnrichError
from agent.exports.view import AcquisitionView

ATTRIBUTE_KEY = "scopestamp"
_TRIES, _PAUSE_S = 20, 0.05


def enrich_dataset(path: Path, view: AcquisitionView) -> list[Path]:
    """Write an acquisition's full metadata into its dataset; return the files that were changed.

    Raises
    ------
    EnrichError
        The dataset is missing, cut short, read-only, still being written, or of another acquisition.
    """
    try:
        if (path / "zarr.json").is_file() or (path / ".zattrs").is_file():
            return enrich_ome_zarr(path, view)
        files = _ome_tiffs(path)
        if not files:
            raise EnrichError(f"expected an OME-TIFF, a folder of them, or an OME-Zarr at {path}; came none.")
        return [file for file in files if enrich_ome_tiff(file, view)]
    except OSError as error:
        raise EnrichError(
            f"{path} cannot be changed: {error.strerror or error}. Is it on read-only media? "
            "The export 'ome-xml' writes the same metadata to a file of its own."
        ) from error


def _ome_tiffs(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for pattern in ("*.ome.tif", "*.ome.tiff") for file in path.glob(pattern))
    return [path] if path.is_file() else []


# -- OME-TIFF


def enrich_ome_tiff(path: Path, view: AcquisitionView) -> bool:
    """Merge an acquisition's metadata into the comment of an OME-TIFF; return whether it changed.

    The new comment is appended to the file, and then the one entry that says where the comment is and how long is
    written in one go: a kill before that leaves the old comment, and pixels are never read or moved.

    Raises
    ------
    EnrichError
        The file is no whole OME-TIFF, or somebody still writes it.
    """
    import tifffile

    from agent.exports.ome_merge import merged_xml

    refuse_open_file(path)
    try:
        with tifffile.TiffFile(path) as tiff:
            old = tiff.pages.first.tags["ImageDescription"].value  # type: ignore[union-attr]
            place = _DescriptionPlace.of(tiff)
            _refuse_short_file(path, tiff)
    except (tifffile.TiffFileError, KeyError, IndexError, struct.error, ValueError) as error:
        raise EnrichError(
            f"expected a whole OME-TIFF at {path}, came: {error}. It was left as it is."
        ) from error
    new = merged_xml(str(old), view, path)
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


# -- OME-Zarr


def enrich_ome_zarr(path: Path, view: AcquisitionView) -> list[Path]:
    """Write our key into an OME-Zarr's attributes, and ``OME/METADATA.ome.xml``; return what was changed.

    Raises
    ------
    EnrichError
        The group's document is no JSON, or somebody still writes below it.
    """
    from agent.exports.ome_merge import zarr_xml

    refuse_open_file(path)
    document = path / "zarr.json" if (path / "zarr.json").is_file() else path / ".zattrs"
    try:
        group = json.loads(document.read_bytes())
        attributes = group["attributes"] if document.name == "zarr.json" else group
    except (ValueError, KeyError, TypeError) as error:
        raise EnrichError(f"expected the attributes of a Zarr group in {document}, came: {error}.") from error
    changed = []
    xml, target = zarr_xml(path, view), path / "OME" / "METADATA.ome.xml"
    if not target.is_file() or target.read_bytes() != xml:
        target.parent.mkdir(exist_ok=True)
        replace_file(target, xml)
        changed.append(target)
    ours = _zarr_values(view)
    have = attributes.get(ATTRIBUTE_KEY)
    merged = (have if isinstance(have, dict) else {}) | ours
    if merged != have:
        attributes[ATTRIBUTE_KEY] = merged
        replace_file(document, json.dumps(group, indent=2, ensure_ascii=False).encode("utf-8", "replace"))
        changed.append(document)
    return changed


def _zarr_values(view: AcquisitionView) -> dict[str, Any]:
    from agent.exports.catalogue_texts import fbbi_terms, key_values
    from agent.exports.ome_notes import stamp_values

    return {
        **stamp_values(view),
        "profile_sha256": view.bundle.profile.sha256,
        "imaging_methods": fbbi_terms(view),
        "metadata": key_values(view),
    }


# -- files


def refuse_open_file(path: Path) -> None:
    """Raise when another program has a file, or one below a folder, open for writing.

    On Windows a file that is open cannot be renamed, which is the test; elsewhere the open files of all processes
    that we may look into are searched.
    """
    if sys.platform == "win32":
        try:
            path.replace(path)
        except PermissionError as error:
            raise EnrichError(_OPEN.format(path=path, who="another program")) from error
        return
    import psutil

    wanted = str(path.resolve())
    for process in psutil.process_iter():
        try:
            held = process.open_files()
        except (psutil.Error, OSError):
            continue
        if any(_is_in(file.path, wanted) and getattr(file, "mode", "w") != "r" for file in held):
            raise EnrichError(_OPEN.format(path=path, who=f"process {process.pid}"))


def _is_in(path: str, wanted: str) -> bool:
    return path == wanted or path.startswith(wanted + os.sep)


_OPEN = "{path} is open for writing in {who}. Wait until the acquisition has closed it; it was left as it is."


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step; tries again while a virus scanner holds the file (Windows)."""
    half = path.with_name(path.name + ".half")
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for left in reversed(range(_TRIES)):
            try:
                half.replace(path)
                return
            except PermissionError:
                if not left:
                    raise
                time.sleep(_PAUSE_S)
    finally:
        half.unlink(missing_ok=True)
