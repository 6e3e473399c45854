"""Which of several collectors on one store looks after it: alerts would be told twice if two did.

Whoever looks after it says so for two minutes at a time. When it dies, another takes over after that.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from server.collector import Collector
from server.errors import RefusedError
from server.store.base import Writes
from server.store.rows import Document

HELD = timedelta(minutes=2)
KIND, KEY = "lease", "chores"


class _Held(BaseModel):
    model_config = ConfigDict(frozen=True)

    holder: str
    until: AwareDatetime


class Lease:
    """One collector's part in it.

    Parameters
    ----------
    collector : Collector
        On the store; times are by its clock.
    holder : str
        Of this collector alone, and the same after a restart, which then need not wait.
    """

    def __init__(self, collector: Collector, holder: str) -> None:
        self._collector = collector
        self._holder = holder
        self._until = collector.now()

    @property
    def is_ours(self) -> bool:
        """Whether this collector has it."""
        return self._collector.now() < self._until

    def take(self) -> None:
        """Take it if nobody has it, or keep it if it is ours."""
        now = self._collector.now()
        if HELD / 2 < self._until - now <= HELD:
            return

        def job(writes: Writes) -> bool:
            there = writes.document(KIND, KEY)
            held = _held(there)
            # One that is held for longer than anybody may was written by a clock that was wrong.
            if held is not None and held.holder != self._holder and now < held.until <= now + 2 * HELD:
                return False
            body = _Held(holder=self._holder, until=now + HELD).model_dump_json()
            writes.put_document(KIND, KEY, body, now, self._holder, there.version if there else 0)
            return True

        try:
            has_it = self._collector.writer.do(job)
        except RefusedError as error:
            if error.refusal.error != "changed_meanwhile":
                raise
            has_it = False  # another took it in the same moment
        self._until = now + HELD if has_it else now

    def give_back(self) -> None:
        """Let another have it at once."""

        def job(writes: Writes) -> None:
            held = _held(writes.document(KIND, KEY))
            if held is not None and held.holder == self._holder:
                writes.remove_document(KIND, KEY)

        self._until = self._collector.now()
        self._collector.writer.do(job)


def _held(there: Document | None) -> _Held | None:
    try:
        return _Held.model_validate_json(there.body) if there else None
    except ValidationError:
        return None
