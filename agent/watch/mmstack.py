"""Micro-Manager Studio's image stacks: ``<name>_MMStack_<position>.ome.tif`` with ``…_metadata.txt`` and ``comments.txt``.

Studio appends the metadata of each frame to the text as the frame comes, and closes the JSON at the end; ``comments.txt``
is written last of all. The text of a run that died ends anywhere, even inside a string, so it is read line by line.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from agent.records import Scalar
from agent.watch.opening import open_shared
from agent.watch.verdict import Verdict, by_count

COMMENTS = "comments.txt"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_KEY = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*:')
_FRAME_KEYS = ("FrameKey-", "Metadata-")
_MOST_BYTES = 8 << 20  # one frame's metadata is some 10 kB
_FACTS = {"Objective-Label": "objective", "PixelSizeUm": "pixel_size_um", "Camera": "camera"}


@dataclass(frozen=True, slots=True)
class MetadataText:
    """What a metadata.txt says, as far as it goes.

    Attributes
    ----------
    summary : dict
        Its "Summary" object; empty when even that is cut off.
    first_frame : dict
        The metadata of the first whole frame.
    n_frames : int
        Frames whose metadata is whole.
    is_whole : bool
        The JSON is closed.
    """

    summary: dict[str, Any]
    first_frame: dict[str, Any]
    n_frames: int
    is_whole: bool


def read_metadata(path: Path) -> MetadataText:
    """Return what a metadata text says, up to its last whole object; raise OSError when it cannot be opened."""
    summary: dict[str, Any] = {}
    first: dict[str, Any] = {}
    n_frames, is_whole = 0, False
    with (
        open_shared(path) as file,
        io.TextIOWrapper(file, encoding="utf-8", errors="replace") as lines,
    ):
        for key, text in _members(lines):
            if key is None:
                is_whole = True
            elif key == "Summary":
                summary = _object(text)
            elif key.startswith(_FRAME_KEYS):
                n_frames += 1
                first = first or _object(text)
    return MetadataText(summary, first, n_frames, is_whole)


def _members(lines: Iterator[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each whole member of the outermost object as (key, text), and (None, "") when that object is closed."""
    depth, key, kept, n_kept = 0, "", [], 0
    for line in lines:
        if depth == 1 and (found := _KEY.match(line)):
            key, kept, n_kept = found[1], [], 0
        bare = _STRING.sub("", line)
        depth += bare.count("{") + bare.count("[") - bare.count("}") - bare.count("]")
        n_kept += len(line)
        if n_kept <= _MOST_BYTES:
            kept.append(line)
        if depth == 0 and ("}" in bare):
            yield None, ""
            return
        if depth == 1 and key and ("}" in bare or "]" in bare):
            yield key, "".join(kept)
            key = ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads("{" + text.strip().rstrip(",") + "}")
    except ValueError:  # an object that closes on a line with something else
        return {}
    inner = next(iter(value.values()), None)
    return inner if isinstance(inner, dict) else {}


def judge_mmstack(folder: Path) -> Verdict:
    """Return how complete a folder of stacks is; raise OSError when it cannot be read."""
    texts = [read_metadata(path) for path in sorted(folder.glob("*_metadata.txt"))]
    n_frames = sum(text.n_frames for text in texts)
    promised = [n for text in texts if (n := _promised(text.summary)) is not None]
    n_expected = max(promised, default=None)
    missing = [] if (folder / COMMENTS).is_file() else [f"{COMMENTS} is missing"]
    if not texts:
        missing.append("there is no metadata text")
    missing += ["a metadata text ends inside a frame"] * any(not text.is_whole for text in texts)
    verdict = by_count(n_frames, n_expected, COMMENTS, is_closed=not missing)
    note = "; ".join([*missing, verdict.note]) if missing else verdict.note
    return Verdict(
        verdict.completeness,
        note,
        n_frames,
        n_expected,
        verdict.is_final,
        facts=_facts(texts),
        reader="scopestamp (metadata.txt)",
    )


def _promised(summary: dict[str, Any]) -> int | None:
    """Return how many frames were intended, over all positions."""
    intended = summary.get("IntendedDimensions")
    if isinstance(intended, dict):
        sizes = [size for size in intended.values() if isinstance(size, int) and size > 0]
        return prod(sizes) if sizes else None
    sizes = [summary.get(name) for name in ("Frames", "Slices", "Channels", "Positions")]
    return prod(sizes) if all(isinstance(size, int) and size > 0 for size in sizes) else None  # type: ignore[arg-type]


def _facts(texts: list[MetadataText]) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {}
    for text in texts:
        for name, known_as in _FACTS.items():
            value = _plain(text.first_frame.get(name)) or _plain(
                (text.first_frame.get("UserData") or {}).get(name)
            )
            if value not in (None, ""):
                facts.setdefault(known_as, value)  # type: ignore[arg-type]
        for name, known_as in (
            ("Width", "size_x"),
            ("Height", "size_y"),
            ("MicroManagerVersion", "software"),
        ):
            value = _plain(text.first_frame.get(name, text.summary.get(name)))
            if value is not None:
                facts.setdefault(known_as, value)
    return facts


def _plain(value: Any) -> Scalar | None:
    """Return a value, taken out of the {"PropVal": …} in which Studio 2 wraps it."""
    if isinstance(value, dict):
        value = value.get("PropVal", value.get("scalar"))
    return value if isinstance(value, bool | int | float | str) else None
