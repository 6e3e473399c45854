"""Vendors' files: registered as they are, with what a permissive reader says where one is installed.

Readers are an extra (``pip install "scopestamp[vendor]"``) and are imported only when such a file comes: nd2 (BSD-3), and
czifile, liffile and oiffile (BSD-3, C. Gohlke). Pixels are never converted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

from agent.records import Scalar
from agent.watch.verdict import Verdict

_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    RuntimeError,
)


def _sizes(sizes: Mapping[str, int]) -> dict[str, Scalar]:
    return {f"size_{axis.lower()}": int(size) for axis, size in sizes.items()}


def _nd2(module: Any, path: Path) -> tuple[dict[str, Scalar], int]:
    with module.ND2File(path) as file:
        facts = _sizes(file.sizes) | {"dtype": str(file.dtype)}
        return facts, prod(size for axis, size in file.sizes.items() if axis not in "XYS")


def _czi(module: Any, path: Path) -> tuple[dict[str, Scalar], int]:
    with module.CziFile(path) as file:
        axes = file.axes if isinstance(file.axes, str) else "".join(file.axes)
        sizes = dict(zip(axes, file.shape, strict=False))
        return _sizes(sizes), prod(size for axis, size in sizes.items() if axis not in "XY0S")


def _lif(module: Any, path: Path) -> tuple[dict[str, Scalar], int]:
    with module.LifFile(path) as file:
        counts = [prod(n for axis, n in image.sizes.items() if axis not in "XYS") for image in file.images]
        first = _sizes(file.images[0].sizes) if counts else {}
        return {**first, "n_images": len(counts)}, sum(counts)


def _oif(module: Any, path: Path) -> tuple[dict[str, Scalar], int]:
    with module.OifFile(path) as file:
        sizes = dict(zip(file.axes, file.shape, strict=False))
        return _sizes(sizes), prod(size for axis, size in sizes.items() if axis not in "XY")


_READERS: dict[str, tuple[str, Callable[[Any, Path], tuple[dict[str, Scalar], int]]]] = {
    "nd2": ("nd2", _nd2),
    "czi": ("czifile", _czi),
    "lif": ("liffile", _lif),
    "oif": ("oiffile", _oif),
    "oib": ("oiffile", _oif),
}


def judge_vendor_file(path: Path, *, format: str) -> Verdict:
    """Return what is known of a vendor's file: that nobody writes it any more, and what a reader says."""
    note = "a vendor's file has no mark of completeness; nothing changes any more"
    if format not in _READERS:
        return Verdict("settled", note)
    name, read = _READERS[format]
    try:
        module = import_module(name)
    except ImportError:
        return Verdict(
            "settled",
            note,
            problems=(f'No reader for .{format} is installed: pip install "scopestamp[vendor]".',),
        )
    reader = f"{name} {version(name)}"
    try:
        facts, n_frames = read(module, path)
    except _UNREADABLE as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return Verdict("settled", note, reader=reader, problems=(f"{name} cannot read it: {said}",))
    return Verdict("settled", f"{note}, and {name} can read it", n_frames, facts=facts, reader=reader)
