"""What is in scope, and pages of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

from server.access.scope import Scope
from server.store.base import Reads


class _OfAnInstrument(Protocol):
    @property
    def instrument_id(self) -> str | None: ...


T = TypeVar("T")
R = TypeVar("R", bound=_OfAnInstrument)
_AT_ONCE = 500


class ScopedReads(Reads):
    """What all topics rest on."""

    def __init__(self, reads: Reads, scope: Scope) -> None:
        self._reads = reads
        self._scope = scope

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(one.instrument_id for one in self._reads.instruments() if self._scope.has(one))

    def _has(self, instrument_id: str | None) -> bool:
        return instrument_id in self._ids

    def _is_mine(self, row: _OfAnInstrument) -> bool:
        return self._has(row.instrument_id)

    def _mine(self, row: R | None) -> R | None:
        return row if row is not None and self._is_mine(row) else None

    def _has_agent(self, agent_id: str) -> bool:
        return self.agent(agent_id) is not None

    def _among(self, among: Sequence[str] | None) -> list[str]:
        return sorted(self._ids) if among is None else [one for one in among if self._has(one)]

    def _filled(
        self,
        page: Callable[[Any, int], list[T]],
        place_of: Callable[[T], Any],
        before: Any,
        limit: int,
        is_mine: Callable[[T], bool],
    ) -> list[T]:
        """Return `limit` rows in scope, asking on from the last place until there are no more."""
        found: list[T] = []
        n_asked = max(limit, _AT_ONCE)
        while len(found) < limit:
            some = page(before, n_asked)
            found += [one for one in some if is_mine(one)]
            if len(some) < n_asked:
                break
            before = place_of(some[-1])
        return found[:limit]
