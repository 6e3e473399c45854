"""What can go wrong in an export.

ExportError
└── EnrichError     a dataset could not be enriched in place; it is as it was
"""

from __future__ import annotations


class ExportError(Exception):
    """Records that cannot be exported; the message says what was expected, what came, what to do."""


class EnrichError(ExportError):
    """A dataset that could not be enriched in place; it is as it was."""
