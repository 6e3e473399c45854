"""All files of an acquisition's crate: every export, and the metadata file that lists them."""

from __future__ import annotations

import json
from dataclasses import replace

from agent.exports.errors import ExportError
from agent.exports.facts import image_name
from agent.exports.formats import FORMATS, Format
from agent.exports.ro_crate import ro_crate
from agent.exports.view import AcquisitionView

METADATA = "ro-crate-metadata.json"


def all_files(view: AcquisitionView, language: str = "en") -> tuple[dict[str, bytes], dict[str, str]]:
    """Return every export by file name, and for the formats that refuse this acquisition the reason.

    An export that has nothing to say, such as QC where there is none, is left out.
    """
    files: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for name, item in FORMATS.items():
        if name == "ro-crate":
            continue
        try:
            for suffix, position in _suffixes(view, item):
                if data := item.write(replace(view, position=position), language):
                    files[image_name(view) + suffix] = data
        except ExportError as error:
            refused[name] = str(error)
    crate = json.dumps(ro_crate(view, files), indent=2, ensure_ascii=False)
    return files | {METADATA: crate.encode("utf-8", "replace")}, refused


def _suffixes(view: AcquisitionView, item: Format) -> list[tuple[str, int]]:
    """Return the end of each file of a format, and the position it is of."""
    if not item.is_of_one_position or len(view.positions) < 2:
        return [(item.suffix, 0)]
    return [(f".p{place.index:03d}{item.suffix}", place.index) for place in view.positions]
