"""Every export by name: what the command line, the collector's pages and its API offer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.exports.errors import ExportError
from agent.exports.view import AcquisitionView
from agent.records import encode


@dataclass(frozen=True)
class Format:
    """One export.

    Attributes
    ----------
    name : str
        For commands and addresses.
    title : str
        For people.
    suffix : str
        What the file's name ends in.
    media_type : str
        For HTTP.
    write : callable
        A joined acquisition and a language to the bytes of the file.
    is_of_one_position : bool
        The file holds one position on the sample: `AcquisitionView.position`.
    lacks : callable
        A joined acquisition to what the format cannot do without and is not there, in a word: ``doi`` and
        ``registered_year`` of the instrument, ``qc`` results that held. Empty when it can be written.
    """

    name: str
    title: str
    suffix: str
    media_type: str
    write: Callable[[AcquisitionView, str], bytes]
    is_of_one_position: bool = False
    lacks: Callable[[AcquisitionView], str] = lambda view: ""


def export(name: str, view: AcquisitionView, language: str = "en", position: int = 0) -> bytes:
    """Return an acquisition in a format.

    Parameters
    ----------
    name : str
        One of `FORMATS`.
    view : AcquisitionView
        The acquisition.
    language : str
        Of texts.
    position : int
        The place on the sample, from 0; for formats that hold a single one.

    Raises
    ------
    ExportError
        There is no such format, language or position, or the format cannot hold this instrument.
    """
    if name not in FORMATS:
        raise ExportError(f"expected a format out of {', '.join(FORMATS)}; came '{name}'.")
    n_positions = len(view.positions)
    if not 0 <= position < max(n_positions, 1):
        raise ExportError(f"expected a position from 0 to {n_positions - 1}, came {position}.")
    return FORMATS[name].write(replace(view, position=position), language)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _ome_xml(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.ome_xml import ome_xml  # ome-types takes a second to import

    return ome_xml(view)


def _microscope(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.micro_meta import microscope
    from agent.exports.quality import profile_as_measured

    return _json(microscope(profile_as_measured(view.bundle), view.bundle.finished.instrument_id))


def _settings(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.micro_meta_settings import image_settings

    return _json(image_settings(view, view.position))


def _ro_crate(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.ro_crate import ro_crate

    return _json(ro_crate(view))


def _pidinst(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.pidinst import pidinst

    return _json(pidinst(view.bundle.profile, view.bundle.finished.instrument_id))


def _datacite(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.datacite import datacite

    return _json(datacite(view.bundle.profile, view.bundle.finished.instrument_id))


def _datacite_xml(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.datacite import datacite_xml

    return datacite_xml(view.bundle.profile, view.bundle.finished.instrument_id)


def _lacks_for_datacite(view: AcquisitionView) -> str:
    from agent.exports.datacite import lacking

    return lacking(view.bundle.profile)


def _lacks_for_datacite_xml(view: AcquisitionView) -> str:
    from agent.exports.datacite import lacking_in_xml

    return lacking_in_xml(view.bundle.profile)


def _lacks_for_microscopemetrics(view: AcquisitionView) -> str:
    from agent.exports.calibration import microscopemetrics_yaml

    return "" if microscopemetrics_yaml(view) else "qc"


def _methods(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.methods import methods_document

    return methods_document(view, language)


def _microscopemetrics(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.calibration import microscopemetrics_yaml

    return microscopemetrics_yaml(view)


def _calibration(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.calibration import calibration

    return _json(calibration(view))


def _rembi(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.catalogue_texts import rembi

    return _json(rembi(view))


def _fbbi(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.catalogue_texts import fbbi_terms

    return _json(fbbi_terms(view))


def _omero(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.catalogue_texts import omero_csv

    return omero_csv(view)


def _nexus(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.nexus import nexus

    return _json(nexus(view))


def _nexus_hdf5(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.nexus import nexus_hdf5

    return nexus_hdf5(view)


def _completeness(view: AcquisitionView, language: str) -> bytes:
    from agent.exports.completeness import completeness

    return _json(completeness(view).as_dict())


def _record(view: AcquisitionView, language: str) -> bytes:
    return encode(view.bundle.finished)


_JSON, _XML = "application/json", "application/xml"

FORMATS: Mapping[str, Format] = {
    item.name: item
    for item in (
        Format("ome-xml", "OME-XML 2016-06", ".ome.xml", _XML, _ome_xml),
        Format("micro-meta-microscope", "Micro-Meta App microscope", ".microscope.json", _JSON, _microscope),
        Format(
            "micro-meta-settings",
            "Micro-Meta App settings",
            ".settings.json",
            _JSON,
            _settings,
            is_of_one_position=True,
        ),
        Format("ro-crate", "RO-Crate 1.2", ".ro-crate-metadata.json", "application/ld+json", _ro_crate),
        Format("pidinst", "PIDINST 1.0", ".pidinst.json", _JSON, _pidinst),
        Format(
            "datacite", "DataCite 4.5, JSON", ".datacite.json", _JSON, _datacite, lacks=_lacks_for_datacite
        ),
        Format(
            "datacite-xml",
            "DataCite 4.7, XML",
            ".datacite.xml",
            _XML,
            _datacite_xml,
            lacks=_lacks_for_datacite_xml,
        ),
        Format(
            "microscopemetrics",
            "microscopemetrics 0.0.5",
            ".metrics.yaml",
            "application/yaml",
            _microscopemetrics,
            lacks=_lacks_for_microscopemetrics,
        ),
        Format("calibration", "NBO calibration and performance", ".calibration.json", _JSON, _calibration),
        Format("methods", "Methods and acknowledgement", ".methods.md", "text/markdown", _methods),
        Format("rembi", "REMBI image acquisition", ".rembi.json", _JSON, _rembi),
        Format("fbbi", "FBbi terms", ".fbbi.json", _JSON, _fbbi),
        Format("omero-csv", "OMERO key-value pairs", ".omero.csv", "text/csv", _omero),
        Format("nexus", "NeXus groups, JSON", ".nexus.json", _JSON, _nexus),
        Format("nexus-hdf5", "NeXus groups, HDF5", ".nxs", "application/x-hdf5", _nexus_hdf5),
        Format("completeness", "Completeness report", ".completeness.json", _JSON, _completeness),
        Format("record", "Our own record", ".record.json", _JSON, _record),
    )
}
"""Every export by its name."""
