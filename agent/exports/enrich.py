"""Metadata into a dataset that lies on disk: an OME-TIFF's comment, an OME-Zarr's attributes and METADATA.ome.xml.

Pixels are not touched. Every step either happens as a whole or leaves the dataset as it was, and a step that is done
is not done again, so that after a kill the same call finishes the work.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from agent.exports.errors import EnrichError
from agent.exports.tiff_comment import change_comment
from agent.exports.view import AcquisitionView
from agent.files import replace_file

ATTRIBUTE_KEY = "scopestamp"


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

    Raises
    ------
    EnrichError
        The file is no whole OME-TIFF, or somebody still writes it.
    """
    from agent.exports.ome_merge import merged_xml

    refuse_open_file(path)
    return change_comment(path, lambda old: merged_xml(old, view, path))


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
