"""What a series of quality-control runs is: one routine on one light path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def series_key(routine: str, light_path: Mapping[str, str]) -> str:
    """Return a short name for addresses, the same for every run of one routine on one light path."""
    told = json.dumps([routine, sorted(light_path.items())])
    return hashlib.sha256(told.encode()).hexdigest()[:12]
