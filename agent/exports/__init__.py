"""Records to the standards' files: pure functions of what was published."""

from agent.exports.bundle import Bundle, bundle_of, read_bundle
from agent.exports.completeness import Completeness, Missing, completeness
from agent.exports.errors import EnrichError, ExportError
from agent.exports.formats import FORMATS, Format, export
from agent.exports.mapping import Mapping, load_mapping
from agent.exports.view import AcquisitionView, view_of

__all__ = [
    "FORMATS",
    "AcquisitionView",
    "Bundle",
    "Completeness",
    "EnrichError",
    "ExportError",
    "Format",
    "Mapping",
    "Missing",
    "bundle_of",
    "completeness",
    "export",
    "load_mapping",
    "read_bundle",
    "view_of",
]
