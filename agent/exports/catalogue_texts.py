"""Exports for archives and image databases: REMBI fields, FBbi terms, OMERO key-value pairs."""

from __future__ import annotations

import csv
import io
from typing import Any

from agent.exports.facts import channel_facts, facts_of, image_name, modality_of, text_of
from agent.exports.mapping import load_mapping
from agent.exports.methods import methods_paragraph
from agent.exports.qc_stamp import qc_texts
from agent.exports.view import AcquisitionView
from agent.records import sha256_of

_FBBI = "http://purl.obolibrary.org/obo/"


def fbbi_terms(view: AcquisitionView) -> list[dict[str, str]]:
    """Return the imaging methods of the channels as terms of FBbi; methods that it has no term for are left out."""
    mapping, terms = load_mapping(), {}
    for channel in view.channels:
        modality = modality_of(view, channel)
        for standard in ("fbbi", "fbbi_also"):
            term = mapping.term("modality", modality, standard) if modality else None
            if term:
                label = (
                    mapping.term("modality", modality, "label")
                    if standard == "fbbi"
                    else "widefield illumination"
                )
                terms[term] = {"id": term, "iri": f"{_FBBI}{term}", "label": str(label)}
    return list(terms.values())


def rembi(view: AcquisitionView) -> dict[str, Any]:
    """Return what REMBI's module Image acquisition holds, and the modules that somebody else must fill."""
    terms = fbbi_terms(view)
    modality = next((modality_of(view, channel) for channel in view.channels), None) or "not stated"
    plate = view.bundle.profile.instrument
    name = plate.name or view.bundle.finished.instrument_id
    return {
        "id": str(view.bundle.finished.acquisition_id),
        "name": f"Acquisition of {image_name(view)}",
        "imaging_instrument": f"{name}{f' ({plate.pid})' if plate.pid else ''}: {_instrument(view)}",
        "image_acquisition_parameters": methods_paragraph(view),
        "imaging_method": {
            "value": terms[0]["label"] if terms else modality,
            "ontology_name": "FBbi" if terms else "not stated",
            "ontology_id": terms[0]["id"] if terms else "not stated",
        },
    }


def _instrument(view: AcquisitionView) -> str:
    facts = facts_of(view)
    keys = ("stand.manufacturer", "stand.model", "objective.name", "camera.manufacturer", "camera.model")
    texts = [text_of(facts[key].value) for key in keys if key in facts]
    return ", ".join(texts) or "not stated"


def key_values(view: AcquisitionView) -> dict[str, str]:
    """Return an acquisition as flat key-value pairs, each with unit and source."""
    finished = view.bundle.finished
    pairs = {
        "Acquisition": str(finished.acquisition_id),
        "Record": str(finished.record_id),
        "Record SHA-256": sha256_of(finished),
        "Instrument": finished.instrument_id,
    }
    for name, fact in facts_of(view).items():
        pairs[name] = f"{text_of(fact.value)}{f' {fact.unit}' if fact.unit else ''} [{fact.source.value}]"
    for channel in view.channels:
        for name, fact in channel_facts(view, channel).items():
            unit = f" {fact.unit}" if fact.unit else ""
            pairs[f"{channel.name}: {name}"] = f"{text_of(fact.value)}{unit} [{fact.source.value}]"
    return pairs | qc_texts(finished.qc)


def omero_csv(view: AcquisitionView) -> bytes:
    """Return the pairs as CSV for OMERO: one row per image, one column per key, as omero-metadata reads it.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    pairs = key_values(view)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(["Image Name", *(_cell(key) for key in pairs)])
    names = [
        f"{image_name(view)} {place.name}" if len(view.positions) > 1 else image_name(view)
        for place in view.positions
    ]
    for name in names or [image_name(view)]:
        writer.writerow([_cell(name), *(_cell(text) for text in pairs.values())])
    return stream.getvalue().encode("utf-8-sig")


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
