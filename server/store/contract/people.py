"""What a store is asked and told of who may come in, and who did what."""

from __future__ import annotations

from abc import ABC, abstractmethod

from server.store import rows


class ReadsPeople(ABC):
    """Questions about who may come in, and who did what."""

    @abstractmethod
    def user(self, name: str) -> rows.User | None: ...
    @abstractmethod
    def users(self) -> list[rows.User]: ...
    @abstractmethod
    def grant(self, secret_sha256: str) -> rows.Grant | None:
        """The grant with that hash, expired or not: whether it still counts is the caller's question."""

    @abstractmethod
    def tokens(self) -> list[rows.Grant]:
        """All API tokens by name."""

    @abstractmethod
    def audit(self, limit: int = 100, before: int | None = None, search: str = "") -> list[rows.AuditEntry]:
        """Entries with a `position` below `before` that hold every word of `search`, the last written first."""


class WritesPeople(ABC):
    """Changes of who may come in, and who did what."""

    @abstractmethod
    def put_user(self, user: rows.User) -> None: ...
    @abstractmethod
    def remove_user(self, name: str) -> bool:
        """Remove the person with all sessions and links; return whether there was one."""

    @abstractmethod
    def remove_tokens(self, name: str) -> int:
        """Remove the API tokens of that name; return how many there were."""

    @abstractmethod
    def add_grant(self, grant: rows.Grant) -> None:
        """Add it, and drop grants that expired before it was made."""

    @abstractmethod
    def remove_grant(self, secret_sha256: str) -> None: ...
    @abstractmethod
    def add_audit(self, entry: rows.AuditEntry) -> None:
        """Add it at the end of the chain (`server.store.audit_chain`), without characters that could forge a line."""
