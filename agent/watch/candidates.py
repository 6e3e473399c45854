"""What in a folder is a dataset, told from names alone: nothing is opened.

A folder that is a dataset (OME-Zarr, Micro-Manager's stacks, NDTiff, an image sequence) is one dataset with all below it,
and nobody looks further into it. Every other image file is a dataset of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from agent.watch.errors import FolderAwayError

SIDECAR_MARK = ".scopestamp."
MMSTACK = re.compile(r"_MMStack(_.*)?\.ome\.tiff?$", re.IGNORECASE)
NDTIFF_INDEX = "NDTiff.index"
NDTIFF_FULL = "Full resolution"
SEQUENCE_MARKS = ("_frame_metadata.json", "_useq_MDASequence.json")
ZARR_MARKS = ("zarr.json", ".zattrs", ".zgroup")
VENDOR_SUFFIXES = frozenset(
    (
        *("czi", "zvi", "lsm", "nd2", "lif", "xlef", "oir", "oib", "oif", "vsi", "ims", "stk", "sld", "sldy"),
        *("dv", "r3d", "mrc", "ndpi", "svs", "scn", "flex", "spe", "sif", "pic"),
    )
)
_UNFINISHED_SUFFIXES = (".half", ".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A dataset as its name tells.

    Attributes
    ----------
    path : Path
        The file, or the folder with all below it.
    format : str
        ome-zarr, ome-tiff, mmstack, ndtiff, image-sequence, tiff, or the vendor's suffix.
    is_folder : bool
        Whether `path` is a folder.
    """

    path: Path
    format: str
    is_folder: bool = False

    @property
    def key(self) -> str:
        """The path as it is compared: Windows knows no upper case."""
        return os.path.normcase(self.path)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one folder holds: datasets, and folders to look into."""

    folder: Path
    datasets: tuple[Candidate, ...]
    subfolders: tuple[Path, ...]
    n_entries: int


def list_folder(folder: Path, exclude: Iterable[str] = ()) -> Listing:
    """Return what a folder holds.

    Raises
    ------
    FolderAwayError
        The folder cannot be read: it is gone, the share is away, or access is denied.
    """
    patterns = tuple(exclude)
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_excluded(entry.name, patterns):
                    continue
                (folders if _is_real_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise FolderAwayError(
            f"The folder {folder} cannot be read: {error.strerror or error}. Expected a folder the agent may read; "
            "see that the share is there and its account may open it."
        ) from error
    datasets, subfolders = _sorted_out(folder, sorted(files), sorted(folders))
    return Listing(folder, datasets, subfolders, len(files) + len(folders))


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether to look into it; links are not followed, because they can lead round in a circle."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_excluded(name: str, patterns: Iterable[str]) -> bool:
    """Return whether nobody wants to hear of a name: hidden, half written, ours, or excluded by the settings."""
    return (
        name.startswith((".", "~$"))
        or name.endswith(_UNFINISHED_SUFFIXES)
        or SIDECAR_MARK in name
        or any(fnmatch(name, pattern) for pattern in patterns)
    )


def _sorted_out(
    folder: Path, files: list[str], folders: list[str]
) -> tuple[tuple[Candidate, ...], tuple[Path, ...]]:
    whole = folder_format(folder, files)
    if whole is not None:
        return (whole,), ()
    datasets = [Candidate(folder / name, kind) for name in files if (kind := file_format(name)) is not None]
    zarrs = [name for name in folders if name.lower().endswith(".zarr")]
    datasets += [Candidate(folder / name, "ome-zarr", is_folder=True) for name in zarrs]
    return tuple(datasets), tuple(
        folder / name for name in folders if name not in zarrs and not _is_part(name)
    )


def _is_part(name: str) -> bool:
    """Return whether a folder belongs to a vendor's file beside it (Olympus: 'a.oif.files', '_a_' of 'a.vsi')."""
    return name.endswith(".oif.files")


def folder_format(folder: Path, names: Iterable[str]) -> Candidate | None:
    """Return the dataset that a folder is as a whole, by the names of the files in it; None when it is not one."""
    have = set(names)
    if folder.name.lower().endswith(".zarr") or have & set(ZARR_MARKS):
        return Candidate(folder, "ome-zarr", is_folder=True)
    if NDTIFF_INDEX in have:
        top = folder.parent if folder.name == NDTIFF_FULL else folder
        return Candidate(top, "ndtiff", is_folder=True)
    if any(MMSTACK.search(name) for name in have):
        return Candidate(folder, "mmstack", is_folder=True)
    if have & set(SEQUENCE_MARKS):
        return Candidate(folder, "image-sequence", is_folder=True)
    return None


def file_format(name: str) -> str | None:
    """Return the format of a file by its name; None when it is no image.

    >>> [file_format(name) for name in ("a.ome.tif", "b.TIFF", "c.czi", "d.txt")]
    ['ome-tiff', 'tiff', 'czi', None]
    """
    lower = name.lower()
    if lower.endswith((".ome.tif", ".ome.tiff", ".ome.tf2", ".ome.btf")):
        return "ome-tiff"
    suffix = lower.rpartition(".")[2]
    if suffix in ("tif", "tiff", "tf2", "tf8", "btf"):
        return "tiff"
    return suffix if suffix in VENDOR_SUFFIXES and "." in lower else None


def files_of(candidate: Candidate) -> Iterator[Path]:
    """Yield the files of a dataset, in no order; of a vendor's file also the folder that belongs to it."""
    if not candidate.is_folder:
        yield candidate.path
        part = candidate.path.with_name(candidate.path.name + ".files")
        if candidate.format == "oif" and part.is_dir():
            yield from (path for path in part.rglob("*") if path.is_file())
        return
    for folder, _, names in os.walk(candidate.path):
        yield from (Path(folder, name) for name in names)
