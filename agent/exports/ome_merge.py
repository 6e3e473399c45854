"""Our OME-XML merged into what a writer wrote: its pixels and ids stay, ours is added."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ome_types
from ome_types import model as ome

from agent.exports.errors import EnrichError
from agent.exports.ome_notes import STAMP_NAMESPACE
from agent.exports.ome_xml import ome_document
from agent.exports.view import AcquisitionView

_OURS = "Annotation:scopestamp-"


def merged_xml(old: str, view: AcquisitionView, path: Path) -> str:
    """Return a writer's OME-XML with everything of ours in it; merging twice changes nothing.

    Raises
    ------
    EnrichError
        It is no OME-XML, describes an instrument of somebody else, or has other images than the acquisition.
    """
    try:
        theirs = ome_types.from_xml(old)
    except (ValueError, TypeError, KeyError, SyntaxError) as error:
        raise EnrichError(f"expected OME-XML in {path}, came: {error}. It was left as it is.") from error
    ours = ome_document(view)
    _refuse_foreign(theirs, ours, path)
    _drop_ours(theirs)
    for their_image, our_image in _pairs(theirs, ours, path):
        _merge_image(their_image, our_image)
    theirs.creator = ours.creator
    theirs.instruments = ours.instruments
    theirs.experimenters = ours.experimenters
    theirs.rights = ours.rights or theirs.rights
    _merge_annotations(theirs, ours)
    return ome_types.to_xml(theirs).rstrip()


def _refuse_foreign(theirs: ome.OME, ours: ome.OME, path: Path) -> None:
    stranger = [
        item
        for item in (*theirs.instruments, *theirs.experimenters)
        if not any(reference.id.startswith(_OURS) for reference in item.annotation_refs)
    ]
    if stranger:
        raise EnrichError(
            f"expected no instrument or person in the OME-XML of {path}, came {stranger[0].id} of another program. "
            "What it says would be lost; it was left as it is. The export 'ome-xml' writes a file of its own."
        )


def _drop_ours(document: ome.OME) -> None:
    """Take out what an earlier call put in."""
    if document.structured_annotations:
        maps = document.structured_annotations.map_annotations
        maps[:] = [item for item in maps if not item.id.startswith(_OURS)]
    for image in document.images:
        image.annotation_refs[:] = [ref for ref in image.annotation_refs if not ref.id.startswith(_OURS)]
        image.experimenter_ref = image.instrument_ref = image.objective_settings = None
        if document.instruments:  # ours: those of others were refused
            image.imaging_environment = None


def _pairs(theirs: ome.OME, ours: ome.OME, path: Path) -> list[tuple[ome.Image, ome.Image]]:
    """Return their images with ours: in order, or for a file of a single position by its number or name."""
    if len(theirs.images) == len(ours.images):
        return list(zip(theirs.images, ours.images, strict=True))
    if len(theirs.images) == 1:
        number = re.search(r"[_-]p(?:os)?(\d+)", path.name, re.IGNORECASE)
        if number and int(number[1]) < len(ours.images):
            return [(theirs.images[0], ours.images[int(number[1])])]
        named = [
            item
            for item in ours.images
            if item.stage_label and item.stage_label.name == theirs.images[0].name
        ]
        if len(named) == 1:
            return [(theirs.images[0], named[0])]
    raise EnrichError(
        f"expected {len(ours.images)} images in {path}, as the acquisition has positions; came {len(theirs.images)}. "
        "Is it the dataset of this record? It was left as it is."
    )


def _merge_image(theirs: ome.Image, ours: ome.Image) -> None:
    """Give their image ours but for name, size and pixels."""
    for field in (
        "acquisition_date",
        "experimenter_ref",
        "instrument_ref",
        "objective_settings",
        "imaging_environment",
        "stage_label",
    ):
        if (value := getattr(ours, field)) is not None:
            setattr(theirs, field, value)
    theirs.annotation_refs += ours.annotation_refs
    _merge_pixels(theirs.pixels, ours.pixels)


def _merge_pixels(theirs: ome.Pixels, ours: ome.Pixels) -> None:
    for axis in "xyz":
        if getattr(theirs, f"physical_size_{axis}") is None:
            for field in (f"physical_size_{axis}", f"physical_size_{axis}_unit"):
                setattr(theirs, field, getattr(ours, field))
    for field in ("time_increment", "time_increment_unit", "significant_bits"):
        if getattr(theirs, field) is None:
            setattr(theirs, field, getattr(ours, field))
    if len(theirs.channels) == len(ours.channels):
        for their_channel, our_channel in zip(theirs.channels, ours.channels, strict=True):
            our_channel.id = their_channel.id
            our_channel.color = their_channel.color
        theirs.channels = ours.channels
    inside = [
        plane
        for plane in ours.planes
        if plane.the_z < theirs.size_z and plane.the_c < theirs.size_c and plane.the_t < theirs.size_t
    ]
    if inside:
        theirs.planes = inside


def _merge_annotations(theirs: ome.OME, ours: ome.OME) -> None:
    """Add our annotations; of two stamps of one record the writer's stays."""
    assert ours.structured_annotations is not None
    have = theirs.structured_annotations or ome.StructuredAnnotations()
    stamps = [item for item in have.map_annotations if item.namespace == STAMP_NAMESPACE]
    doubles = {
        item.id
        for item in ours.structured_annotations.map_annotations
        if item.namespace == STAMP_NAMESPACE and stamps
    }
    have.map_annotations += [
        item for item in ours.structured_annotations.map_annotations if item.id not in doubles
    ]
    for image in theirs.images:
        image.annotation_refs[:] = [ref for ref in image.annotation_refs if ref.id not in doubles]
    theirs.structured_annotations = have


def zarr_xml(path: Path, view: AcquisitionView) -> bytes:
    """Return the OME-XML for an OME-Zarr: images in the order of its series, with ``<MetadataOnly/>``."""
    document = ome_document(view)
    series = _series(path)
    by_name = {
        image.stage_label.name: image
        for image in document.images
        if image.stage_label and image.stage_label.name
    }
    if series and set(series) == set(by_name) and len(series) == len(document.images):
        document.images = [by_name[name] for name in series]
    elif series and len(series) != len(document.images):
        raise EnrichError(
            f"expected {len(document.images)} images in {path}, as the acquisition has positions; came {len(series)}. "
            "Is it the dataset of this record? It was left as it is."
        )
    return ome_types.to_xml(document).encode()


def _series(path: Path) -> list[str]:
    """Return the names of the images of a Zarr with several (bioformats2raw layout)."""
    for name, keys in (("zarr.json", ("attributes", "ome", "series")), (".zattrs", ("series",))):
        document = path / "OME" / name
        if document.is_file():
            value: Any = json.loads(document.read_bytes())
            for key in keys:
                value = value.get(key, {}) if isinstance(value, dict) else {}
            return [str(item) for item in value] if isinstance(value, list) else []
    return []
