"""The record beside the data and inside it.

Beside: ``<dataset>.scopestamp.json``, the AcquisitionFinished record in its canonical bytes, and
``<dataset>.scopestamp.frames.jsonl``, the frame ledger. Inside: the record's id and SHA-256, in a Zarr attribute
key `scopestamp` or an OME MapAnnotation with the namespace `STAMP_NAMESPACE`; and with them the quality control that
held.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid5

from agent.errors import CaptureError
from agent.exports.errors import EnrichError
from agent.exports.qc_stamp import qc_texts
from agent.exports.tiff_comment import change_comment
from agent.files import replace_file
from agent.records import (
    AcquisitionFinished,
    DatasetFound,
    DatasetStamp,
    OutputFile,
    StampedFile,
    canonical_json,
    encode,
    sha256_of,
)

STAMP_NAMESPACE = "https://scopestamp.org/stamp/v1"
ATTRIBUTE_KEY = "scopestamp"
_CHUNK_BYTES = 1 << 20


def stamp_record(
    told: AcquisitionFinished | DatasetFound,
    stamped: AcquisitionFinished | DatasetFound,
    files: Sequence[StampedFile],
) -> DatasetStamp:
    """Return the record of where `stamped` was stamped onto the data that `told` tells of.

    All of it follows from these, so that it is the same byte by byte when it is made again after a crash; files that are
    others by then make another record.
    """
    found = hashlib.sha256(canonical_json([file.model_dump(mode="json") for file in files])).hexdigest()
    return DatasetStamp(
        record_id=uuid5(told.record_id, f"dataset_stamp {found}"),
        captured=told.captured,
        instrument_id=told.instrument_id,
        producer=told.producer,
        acquisition_id=told.acquisition_id,
        stamped_record_id=stamped.record_id,
        stamped_record_sha256=sha256_of(stamped),
        files=tuple(files),
    )


def sidecar_path(dataset: Path) -> Path:
    """Return where the record of a dataset lies.

    >>> sidecar_path(Path("a.ome.zarr")).name
    'a.ome.zarr.scopestamp.json'
    """
    return dataset.with_name(dataset.name + ".scopestamp.json")


def ledger_path(dataset: Path) -> Path:
    """Return where the frame ledger of a dataset lies."""
    return dataset.with_name(dataset.name + ".scopestamp.frames.jsonl")


def describe_output(path: Path) -> OutputFile:
    """Return size and SHA-256 of a dataset.

    Raises
    ------
    CaptureError
        The dataset is not there or cannot be read.
    """
    try:
        if path.is_dir():
            size, n_files, sha256 = _hash_folder(path)
        else:
            size, n_files, sha256 = path.stat().st_size, 1, _hash_file(path)
    except OSError as error:
        raise CaptureError(f"The dataset {path} cannot be read: {error.strerror or error}") from error
    return OutputFile(
        path=str(path), format=_format_of(path), size_bytes=size, n_files=n_files, sha256=sha256
    )


def _format_of(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".zarr"):
        return "ome-zarr"
    if name.endswith((".ome.tif", ".ome.tiff")) or (path.is_dir() and any(_ome_tiffs(path))):
        return "ome-tiff"
    return "tiff" if name.endswith((".tif", ".tiff")) else "other"


def _ome_tiffs(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for pattern in ("*.ome.tif", "*.ome.tiff") for file in path.glob(pattern))
    return [path]


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _hash_folder(path: Path) -> tuple[int, int, str]:
    size, n_files, digest = 0, 0, hashlib.sha256()
    for relative, file in sorted(_files_below(path)):
        size += file.stat().st_size
        n_files += 1
        digest.update(f"{_hash_file(file)}  {relative}\n".encode())
    if not n_files:
        raise CaptureError(f"The dataset {path} is an empty folder.")
    return size, n_files, digest.hexdigest()


def _files_below(path: Path) -> Iterator[tuple[str, Path]]:
    for file in path.rglob("*"):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def stamp_dataset(
    record: AcquisitionFinished, path: Path, ledger: Path | None, *, beside: bool = True, inside: bool = True
) -> StampedFile:
    """Write the stamp of `record` beside and inside the dataset at `path`; what fails is in the result."""
    stamped = write_stamp(record, path, ledger, beside=beside, inside=inside)
    try:
        now = describe_output(path)
    except CaptureError as error:
        return stamped.model_copy(update={"error": "; ".join(filter(None, (stamped.error, str(error))))})
    return stamped.model_copy(update={"size_bytes": now.size_bytes, "sha256": now.sha256})


def write_stamp(
    record: AcquisitionFinished | DatasetFound,
    path: Path,
    ledger: Path | None,
    *,
    beside: bool = True,
    inside: bool = True,
) -> StampedFile:
    """Write a stamp without reading the dataset again: size and SHA-256 with the stamp are left to the caller."""
    errors: list[str] = []
    sidecar = _write_beside(record, path, ledger, errors) if beside else None
    is_inside = _write_inside(record, path, errors) if inside else False
    return StampedFile(
        path=str(path),
        sidecar=str(sidecar) if sidecar else None,
        is_stamped_inside=is_inside,
        error="; ".join(errors) or None,
    )


def _write_beside(
    record: AcquisitionFinished | DatasetFound, path: Path, ledger: Path | None, errors: list[str]
) -> Path | None:
    sidecar = sidecar_path(path)
    try:
        replace_file(sidecar, encode(record))
        if ledger is not None and ledger.is_file():
            shutil.copyfile(ledger, ledger_path(path))
    except OSError as error:
        errors.append(f"the record could not be written beside the data: {error.strerror or error}")
        return None
    return sidecar


def _write_inside(record: AcquisitionFinished | DatasetFound, path: Path, errors: list[str]) -> bool:
    stamp: dict[str, Any] = {
        "record_id": str(record.record_id),
        "record_sha256": sha256_of(record),
        **({"acquisition_id": str(record.acquisition_id)} if record.acquisition_id else {}),
        "instrument_id": record.instrument_id,
        "sidecar": sidecar_path(path).name,
        "qc": qc_texts(record.qc),
    }
    try:
        if path.is_dir() and ((path / "zarr.json").is_file() or (path / ".zattrs").is_file()):
            _stamp_zarr(path, stamp)
        elif _format_of(path) == "ome-tiff":
            for file in _ome_tiffs(path):
                _stamp_ome_tiff(file, stamp)
        else:
            return False
    except (
        EnrichError, OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, struct.error
    ) as error:  # fmt: skip
        # a file that its writer left unfinished can be wrong in any way; XML's errors are SyntaxErrors
        errors.append(f"the stamp could not be written inside: {' '.join(str(error).split())}")
        return False
    return True


def _stamp_zarr(path: Path, stamp: dict[str, Any]) -> None:
    """Add our key to the group's attributes; of Zarr format 3, or 2 where that is what lies there."""
    document = path / "zarr.json"
    if document.is_file():
        group: dict[str, Any] = json.loads(document.read_bytes())
        group.setdefault("attributes", {})[ATTRIBUTE_KEY] = stamp
    else:
        document = path / ".zattrs"
        group = json.loads(document.read_bytes())
        group[ATTRIBUTE_KEY] = stamp
    replace_file(document, json.dumps(group, indent=2, ensure_ascii=False).encode())


def _stamp_ome_tiff(path: Path, stamp: dict[str, Any]) -> None:
    change_comment(path, lambda comment: _stamped_xml(comment, stamp))


def _stamped_xml(comment: str, stamp: dict[str, Any]) -> str:
    import ome_types
    from ome_types.model import AnnotationRef, MapAnnotation, StructuredAnnotations

    ome = ome_types.from_xml(comment)
    annotations = ome.structured_annotations or StructuredAnnotations()
    ours = [item for item in annotations.map_annotations if item.namespace == STAMP_NAMESPACE]
    for item in ours:
        annotations.map_annotations.remove(item)
    pairs = {key: value for key, value in stamp.items() if isinstance(value, str)} | stamp["qc"]
    annotation = MapAnnotation(id="Annotation:scopestamp", namespace=STAMP_NAMESPACE, value=pairs)
    annotations.map_annotations.append(annotation)
    ome.structured_annotations = annotations
    for image in ome.images:
        if all(reference.id != annotation.id for reference in image.annotation_refs):
            image.annotation_refs.append(AnnotationRef(id=annotation.id))
    return ome_types.to_xml(ome)
