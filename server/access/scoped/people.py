"""What somebody may see of people."""

from __future__ import annotations

from server.access.scope import Scope
from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedPeople(ScopedReads):
    """Without what is out of scope."""

    def user(self, name: str) -> rows.User | None:
        user = self._reads.user(name)
        return user if user is not None and self._scope.covers(Scope.kept(user.scope)) else None

    def users(self) -> list[rows.User]:
        return [one for one in self._reads.users() if self._scope.covers(Scope.kept(one.scope))]

    def grant(self, secret_sha256: str) -> rows.Grant | None:
        grant = self._reads.grant(secret_sha256)
        return grant if grant is not None and self._scope.covers(Scope.kept(grant.scope)) else None

    def tokens(self) -> list[rows.Grant]:
        return [one for one in self._reads.tokens() if self._scope.covers(Scope.kept(one.scope))]

    def audit(self, limit: int = 100, before: int | None = None, search: str = "") -> list[rows.AuditEntry]:
        return []
