"""The JSON Schema of the profile file, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from agent.records import Profile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def profile_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile, as its model is now."""
    head = {"$schema": DIALECT, "$id": "urn:scopestamp:instrument-profile:v1"}
    return head | Profile.model_json_schema()
