"""Whether a dataset is complete, by the test that its own format allows. Files are opened here, for reading only."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from agent.records import Scalar
from agent.watch.candidates import Candidate
from agent.watch.errors import ChangedError
from agent.watch.mmstack import judge_mmstack
from agent.watch.ndtiff import judge_ndtiff
from agent.watch.opening import open_shared
from agent.watch.vendor import judge_vendor_file
from agent.watch.verdict import Verdict, by_count

_MOST_POSITIONS = 1000
_PYMMCORE = 'Namespace="pymmcore_plus"'
_BROKEN = (SyntaxError, ValueError, LookupError, TypeError, AttributeError, struct.error)


def judge(candidate: Candidate) -> Verdict:
    """Return how complete a dataset is.

    Raises
    ------
    ChangedError
        It went, or cannot be opened now.
    """
    test = {
        "ome-zarr": _judge_zarr,
        "ome-tiff": _judge_ome_tiff,
        "mmstack": judge_mmstack,
        "ndtiff": judge_ndtiff,
        "image-sequence": _judge_sequence,
        "tiff": _judge_tiff,
        "lsm": _judge_tiff,
        "stk": _judge_tiff,
    }.get(candidate.format, partial(judge_vendor_file, format=candidate.format))
    try:
        return test(candidate.path)
    except OSError as error:
        raise ChangedError(f"{candidate.path} cannot be read: {error.strerror or error}.") from error
    except _BROKEN as error:  # a file that its writer left unfinished can be wrong in any way
        return Verdict("incomplete", f"it cannot be read to its end: {' '.join(str(error).split())[:300]}")


# ---- OME-Zarr


def _judge_zarr(folder: Path) -> Verdict:
    """Count the frame metadata that pymmcore-plus writes at the end; a Zarr of another writer can only settle."""
    counts, expected, marked = [], [], 0
    facts: dict[str, Scalar] = {}
    for group, attributes in _images(folder, depth=3):
        n_expected = _planes(group, attributes, facts)
        expected.append(n_expected)
        stamps = attributes.get("ome_writers", {}).get("frame_metadata")
        if "pymmcore_plus" in attributes or stamps:
            marked += 1
            counts.append(len(stamps or ()))
    if not expected:
        return Verdict("incomplete", "it holds no image (multiscales) yet", 0)
    n_expected = None if None in expected else sum(expected)
    if marked:
        verdict = by_count(
            sum(counts), n_expected, "the frame metadata", is_closed=all(counts) and marked == len(expected)
        )
        if not any(counts):
            note = "the frame metadata is missing, which its writer writes at the end"
            return Verdict("incomplete", note, None, n_expected, facts=facts)
        return _with_facts(verdict, facts)
    note = "its writer leaves no mark of completeness, and nothing changes any more"
    return Verdict("settled", note, None, n_expected, facts=facts)


def _images(folder: Path, depth: int) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the groups with an image, down to the wells of a plate."""
    attributes = _attributes(folder)
    ome = attributes.get("ome", attributes)
    if "multiscales" in ome:
        yield folder, attributes
        return
    if not depth:
        return
    below = sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "OME")
    for child in below[:_MOST_POSITIONS]:
        yield from _images(child, depth - 1)


def _attributes(folder: Path) -> Mapping[str, Any]:
    if (folder / "zarr.json").is_file():
        return _json(folder / "zarr.json").get("attributes", {})
    return _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}


def _planes(group: Path, attributes: Mapping[str, Any], facts: dict[str, Scalar]) -> int | None:
    multiscales = attributes.get("ome", attributes)["multiscales"][0]
    array = group / multiscales["datasets"][0]["path"]
    document = array / "zarr.json" if (array / "zarr.json").is_file() else array / ".zarray"
    if not document.is_file():
        return None
    shape = _json(document)["shape"]
    axes = [axis["name"] if isinstance(axis, dict) else axis for axis in multiscales.get("axes", "tczyx")]
    sizes = dict(zip(axes, shape, strict=False))
    facts.update({f"size_{axis}": int(size) for axis, size in sizes.items()})
    return prod(size for axis, size in sizes.items() if axis not in ("x", "y"))


# ---- TIFF


def _judge_ome_tiff(path: Path) -> Verdict:
    """Compare the pages with the planes that the OME-XML promises of this very file."""
    n_pages, _, xml, facts = _pages(path)
    if not xml:
        return Verdict(
            "incomplete", f"it has no OME-XML yet; {n_pages} frames are known", n_pages, facts=facts
        )
    n_promised = _promised_planes(xml, path.name)
    is_ours = _PYMMCORE in xml
    mark = "pymmcore-plus' annotation" if is_ours else "OME-XML"
    is_closed = is_ours or n_pages >= (n_promised or 1)
    verdict = by_count(
        n_pages, n_promised, mark if is_closed else "a page for every plane", is_closed=is_closed
    )
    return _with_facts(verdict, facts)


def _judge_tiff(path: Path) -> Verdict:
    n_pages, is_torn, _, facts = _pages(path)
    if is_torn or not n_pages:
        return Verdict("incomplete", f"it ends inside a page; {n_pages} can be read", n_pages, facts=facts)
    note = (
        f"a TIFF has no mark of completeness; its {n_pages} pages can be read, and nothing changes any more"
    )
    return Verdict("settled", note, n_pages, facts=facts)


def _pages(path: Path) -> tuple[int, bool, str | None, dict[str, Scalar]]:
    """Return the number of whole pages, whether a torn one follows, the OME-XML, and the facts of the first page."""
    import tifffile

    with open_shared(path) as file, tifffile.TiffFile(file, name=path.name) as tiff:
        first = tiff.pages[0]
        facts: dict[str, Scalar] = {
            "size_x": first.imagewidth,
            "size_y": first.imagelength,
            "dtype": str(first.dtype),
        }
        n_pages, is_torn = _whole_pages(tiff)
        return n_pages, is_torn, tiff.ome_metadata, facts


def _whole_pages(tiff: Any) -> tuple[int, bool]:
    size, n_pages = tiff.filehandle.size, 0
    try:
        for page in tiff.pages:
            if not _is_within(page, size):
                return n_pages, True
            n_pages += 1
    except _BROKEN:
        return n_pages, True
    return n_pages, False


def _is_within(page: Any, size: int) -> bool:
    offsets, lengths = page.dataoffsets, page.databytecounts
    return all(offset + length <= size for offset, length in zip(offsets, lengths, strict=False))


def _promised_planes(xml: str, name: str) -> int | None:
    """Return how many planes OME-XML puts into the file `name`; None when it does not say."""
    root = ElementTree.fromstring(xml)
    total, is_told = 0, False
    for pixels in root.findall(".//{*}Pixels"):
        blocks = pixels.findall("{*}TiffData")
        if not blocks:
            continue
        is_told = True
        whole = prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT") // _samples(pixels)
        for block in blocks:
            uuid = block.find("{*}UUID")
            if uuid is None or uuid.get("FileName") in (None, name):
                total += int(block.get("PlaneCount", 1 if block.get("IFD") else whole))
    return total if is_told else None


def _samples(pixels: ElementTree.Element) -> int:
    channel = pixels.find("{*}Channel")
    return max(int(channel.get("SamplesPerPixel", 1)) if channel is not None else 1, 1)


# ---- image sequences of pymmcore-plus


def _judge_sequence(folder: Path) -> Verdict:
    """Compare the files with the frame metadata, which is whole only when the run has ended."""
    names = {
        path.name for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff", ".png", ".jpg")
    }
    document = folder / "_frame_metadata.json"
    told = set(_json(document)) if document.is_file() else set()
    n_expected = _frames_of(folder / "_useq_MDASequence.json")
    verdict = by_count(
        len(names), n_expected, "the metadata of every frame", is_closed=bool(told) and told >= names
    )
    if verdict.completeness == "incomplete" and told >= names:  # metadata is written every tenth frame too
        return Verdict("incomplete", verdict.note, len(names), n_expected)
    return verdict


def _frames_of(document: Path) -> int | None:
    """Return how many frames a useq sequence plans; None when it is not there or has no end."""
    if not document.is_file():
        return None
    import useq

    sizes = useq.MDASequence.model_validate_json(document.read_bytes()).sizes
    return prod(size for size in sizes.values() if size) or None


def _json(path: Path) -> Any:
    with open_shared(path) as file:
        return json.loads(file.read())


def _with_facts(verdict: Verdict, facts: dict[str, Scalar]) -> Verdict:
    return Verdict(
        verdict.completeness,
        verdict.note,
        verdict.n_frames,
        verdict.n_frames_expected,
        verdict.is_final,
        facts,
    )
