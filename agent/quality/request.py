"""What is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qc_routines.routine import Routine


@dataclass(frozen=True)
class Request:
    """What is to be run.

    Attributes
    ----------
    routine : Routine
        The routine.
    options : mapping
        Facts, arguments of the protocol and of the measurement, as stated by whoever runs it.
    channels : tuple of str
        Presets of the channel group; empty: the one that is set.
    properties : mapping
        (device, property) to value, set before the run and set back after it.
    slide : str
        What lies on the stage; empty: not stated.
    own_limits : Path or None
        Limits of this instrument.
    """

    routine: Routine
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    properties: Mapping[tuple[str, str], str] = field(default_factory=dict)
    slide: str = ""
    own_limits: Path | None = None
