"""What a step from one version of the schema to the next consists of."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """Statements, or one statement that is run for each range of numbers, with the first and the last as its values."""

    does: str
    """What whoever waits is told."""
    sql: str
    numbers: str = ""
    """Asks for the first and the last number there is; nothing when the statements are to be run once."""
    n_at_once: int = 0
    """Numbers in a range."""
    writes_anew: tuple[str, ...] = ()
    """Tables of which every row is written anew while the old ones still take their room."""
