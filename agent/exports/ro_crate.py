"""An acquisition as RO-Crate 1.2: a CreateAction whose instrument is the microscope.

The crate claims no run profile: Process Run Crate wants software alone as instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.exports.facts import Fact, channel_facts, facts_of, image_name, modality_of, text_of
from agent.exports.mapping import load_mapping
from agent.exports.methods import methods_paragraph
from agent.exports.qc_stamp import qc_texts
from agent.exports.quality import qc_of_light_paths, qc_that_held
from agent.exports.ro_crate_graph import (
    Entity,
    Graph,
    agency_entity,
    funders,
    funding,
    licence,
    named,
    organisation_entity,
    person_entity,
    property_value,
    publisher,
    refs,
)
from agent.exports.view import AcquisitionView
from agent.records import Agency, Part, QcFigure, sha256_of

CONTEXT = "https://w3id.org/ro/crate/1.2/context"
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
_UCUM = "https://ucum.org/ucum"
_FBBI = "http://purl.obolibrary.org/obo/"


def ro_crate(view: AcquisitionView, files: Mapping[str, bytes] | None = None) -> Entity:
    """Return the content of ``ro-crate-metadata.json``, to lie in the folder of the data.

    Parameters
    ----------
    view : AcquisitionView
        The acquisition.
    files : mapping, optional
        Further files of the crate by name, such as exports written beside the data.
    """
    graph = Graph()
    microscope = _microscope(view, graph)
    software = _software(view, graph)
    parts = [*_data_files(view, graph), *_further_files(graph, files or {})]
    action = _acquisition(view, graph, [microscope, software], parts)
    checks = _qc_actions(view, graph, software)
    people = [person_entity(view.bundle.profile, person, graph) for person in named(view.bundle.profile)]
    graph.add(
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        }
    )
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{image_name(view)}",
        "description": methods_paragraph(view),
        "datePublished": view.bundle.finished.finished.wall_at.isoformat(),
        "license": licence(view.bundle.profile, graph),
        "hasPart": refs(parts),
        "mentions": refs([action, *checks]),
        "author": refs(people),
        "publisher": publisher(view.bundle.profile, graph),
        "funder": refs(funders(view.bundle.profile, graph)),
        "funding": refs(funding(view.bundle.profile, graph)),
        "identifier": f"urn:uuid:{view.bundle.finished.acquisition_id}",
    }
    graph.add(root)
    return {"@context": CONTEXT, "@graph": graph.entities()}


# -- with what


def _microscope(view: AcquisitionView, graph: Graph) -> str:
    profile, finished = view.bundle.profile, view.bundle.finished
    plate = profile.instrument
    parts = [
        _part(graph, kind, part)
        for kind, part in (("objective", view.objective), *_numbered("camera", view.cameras))
        if part is not None
    ]
    makers = [agency_entity(maker, graph) for maker in plate.manufacturers]
    return graph.add(
        {
            "@id": plate.pid or f"urn:scopestamp:{finished.instrument_id}",
            "@type": "IndividualProduct",
            "name": plate.name or finished.instrument_id,
            "description": plate.description or "Light microscope",
            "serialNumber": plate.serial_number,
            "model": plate.model,
            "manufacturer": refs(makers),
            "identifier": plate.pid or finished.instrument_id,
            "url": plate.landing_page,
            "isRelatedTo": refs(parts),
        }
    )


def _numbered(kind: str, parts: Sequence[Part]) -> list[tuple[str, Part]]:
    return [(f"{kind}-{n}" if n > 1 else kind, part) for n, part in enumerate(parts, start=1)]


def _part(graph: Graph, kind: str, part: Any) -> str:
    values = [
        property_value(graph, f"{kind}-{field}", label, getattr(part, field), unit)
        for field, label, unit in (
            ("magnification", "nominal magnification", None),
            ("na", "numerical aperture", None),
            ("immersion", "immersion", None),
            ("detector_type", "detector type", None),
            ("pixel_width_um", "pixel pitch", "um"),
        )
        if getattr(part, field, None) is not None
    ]
    return graph.add(
        {
            "@id": part.pid or f"#{kind}",
            "@type": "IndividualProduct",
            "name": part.name,
            "serialNumber": part.serial_number,
            "model": part.model,
            "manufacturer": refs(
                [agency_entity(Agency(name=part.manufacturer), graph)] if part.manufacturer else []
            ),
            "additionalProperty": refs(values),
        }
    )


def _software(view: AcquisitionView, graph: Graph) -> str:
    producer = view.bundle.finished.producer
    return graph.add(
        {
            "@id": f"https://pypi.org/project/{producer.software}/{producer.version}/",
            "@type": "SoftwareApplication",
            "name": producer.software,
            "version": producer.version,
            "url": f"https://pypi.org/project/{producer.software}/",
        }
    )


# -- what


_FORMATS = {"ome-tiff": "image/tiff", "tiff": "image/tiff", "ome-zarr": "application/vnd+zarr"}


def _data_files(view: AcquisitionView, graph: Graph) -> list[str]:
    stamped = {item.path: item for item in view.bundle.stamp.files} if view.bundle.stamp else {}
    names = []
    for file in view.bundle.finished.files:
        name = file.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
        now = stamped.get(file.path)
        is_folder = file.n_files > 1 or file.format == "ome-zarr"
        names.append(
            graph.add(
                {
                    "@id": _path_of(name) + ("/" if is_folder else ""),
                    "@type": "Dataset" if is_folder else "File",
                    "name": name,
                    "description": f"Images as {file.format}, {file.n_files} file{'s' * (file.n_files > 1)}",
                    "encodingFormat": None if is_folder else _FORMATS.get(file.format),
                    "contentSize": str((now and now.size_bytes) or file.size_bytes),
                    "sha256": (now and now.sha256) or file.sha256,
                    "dateModified": view.bundle.finished.finished.wall_at.isoformat(),
                }
            )
        )
    return names


def _path_of(name: str) -> str:
    """Return a file name as a relative URI."""
    from urllib.parse import quote

    return quote(name)


def _further_files(graph: Graph, files: Mapping[str, bytes]) -> list[str]:
    import hashlib

    kinds = {
        "json": "application/json",
        "xml": "application/xml",
        "md": "text/markdown",
        "csv": "text/csv",
        "yaml": "application/yaml",
    }
    return [
        graph.add(
            {
                "@id": _path_of(name),
                "@type": "File",
                "name": name,
                "description": f"Export of the acquisition: {name}",
                "encodingFormat": kinds.get(name.rpartition(".")[2]),
                "contentSize": str(len(data)),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
        for name, data in files.items()
    ]


def _acquisition(view: AcquisitionView, graph: Graph, instruments: list[str], results: list[str]) -> str:
    finished = view.bundle.finished
    person = next((item for item in named(view.bundle.profile) if item.is_experimenter), None)
    agent = (
        person_entity(view.bundle.profile, person, graph)
        if person
        else organisation_entity(view.bundle.profile, graph)
    )
    state = "Completed" if finished.reason.value == "completed" else "Failed"
    return graph.add(
        {
            "@id": f"#acquisition-{finished.acquisition_id}",
            "@type": "CreateAction",
            "name": f"Acquisition of {image_name(view)}",
            "description": f"Ended: {finished.reason.value}. Record SHA-256 {sha256_of(finished)}.",
            "startTime": finished.started.wall_at.isoformat(),
            "endTime": finished.finished.wall_at.isoformat(),
            "agent": refs([agent]),
            "instrument": refs(instruments),
            "result": refs(results),
            "actionStatus": f"http://schema.org/{state}ActionStatus",
            "additionalProperty": refs([*_settings(view, graph), *_qc_statements(view, graph)]),
            "about": refs(_methods(view, graph)),
        }
    )


def _settings(view: AcquisitionView, graph: Graph) -> list[str]:
    facts: list[tuple[str, Fact]] = [
        (name, fact)
        for name, fact in facts_of(view).items()
        if name.startswith(("image.", "camera_settings.", "environment."))
    ]
    for channel in view.channels:
        own = channel_facts(view, channel)
        facts += [
            (f"{channel.name} {name}", fact)
            for name, fact in own.items()
            if name.startswith("channel.") and name != "channel.name"
        ]
    return [
        property_value(
            graph,
            "setting-" + "-".join(name.split()).replace(".", "-"),
            name,
            fact.value,
            fact.unit,
            description=f"Source: {fact.source.value}",
        )
        for name, fact in facts
    ]


def _methods(view: AcquisitionView, graph: Graph) -> list[str]:
    """Return the imaging methods as FBbi terms."""
    mapping, names = load_mapping(), []
    for modality in dict.fromkeys(modality_of(view, channel) for channel in view.channels):
        term = mapping.term("modality", modality, "fbbi") if modality else None
        if term:
            label = mapping.term("modality", modality, "label")
            entity = {"@id": f"{_FBBI}{term}", "@type": "DefinedTerm", "name": label, "termCode": term}
            names.append(graph.add(entity))
    return names


# -- how good


def _qc_actions(view: AcquisitionView, graph: Graph, software: str) -> list[str]:
    by_run: dict[str, list[QcFigure]] = {}
    for item in qc_that_held(view):
        by_run.setdefault(str(item.run_id), []).append(item)
    return [_qc_action(graph, run, items, software) for run, items in by_run.items()]


def _qc_action(graph: Graph, run: str, items: list[QcFigure], software: str) -> str:
    first = items[0]
    when = first.measured_at.isoformat()
    return graph.add(
        {
            "@id": f"#qc-{run}",
            "@type": "CreateAction",
            "name": f"Quality control: {first.routine}",
            "description": f"{'Valid' if first.is_valid else 'No longer valid'} when the images were taken; held until "
            f"{first.valid_until:%Y-%m-%d}. Record SHA-256 {first.record_sha256}.",
            "startTime": when,
            "endTime": when,
            "instrument": refs([software]),
            "result": refs([_qc_value(graph, run, item) for item in items]),
        }
    )


def _qc_value(graph: Graph, run: str, item: QcFigure) -> str:
    figure = item.figure
    assert figure.measured is not None
    note = f"{figure.status.value}: {figure.rule}. "
    note += f"{'Valid' if item.is_valid else 'No longer valid'}, {item.age_s / 86400:.0f} days old."
    for word, known in (("Theory", figure.expected), ("Time zero", figure.baseline)):
        note += f" {word}: {text_of(known.value)}." if known else ""
    return property_value(
        graph,
        f"qc-{run}-{figure.metric}",
        figure.metric,
        figure.measured.value,
        figure.measured.unit,
        measurementTechnique=f"{item.routine} {item.routine_version}",
        description=note,
    )


def _qc_statements(view: AcquisitionView, graph: Graph) -> list[str]:
    """Return for each light path whether quality control held; that there was none is said too."""
    if view.bundle.finished.qc is None:
        return [property_value(graph, "qc", "quality control", qc_texts(None)["QC"])]
    return [
        property_value(
            graph,
            f"qc-of-light-path-{number}",
            f"quality control of {path.light_path.get('channel', 'the light path')}",
            path.statement,
        )
        for number, path in enumerate(qc_of_light_paths(view), start=1)
    ]
