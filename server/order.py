"""The order in which people look for names: number 9 stands before number 10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from server.store.rows import Instrument

_DIGITS = re.compile(r"([0-9]{1,18})")


@lru_cache(maxsize=16_384)
def natural(name: str) -> tuple[str | int, ...]:
    """Return a key that sorts names as people do; text and numbers in it take turns, text first.

    >>> sorted(["Live cell 22", "live cell 9", "TIRF"], key=natural)
    ['live cell 9', 'Live cell 22', 'TIRF']
    """
    return tuple(int(part) if n % 2 else part for n, part in enumerate(_DIGITS.split(name.casefold())))


def by_name(instruments: Iterable[Instrument]) -> list[Instrument]:
    """Return instruments in the order of their names."""
    return sorted(instruments, key=lambda one: (natural(one.name), one.instrument_id))
