"""Who may come in, and who did what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from server.access.roles import Role


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in; without a password only by a one-time link."""

    name: str
    role: Role
    password: str | None
    added_at: datetime
    scope: str = ""
    """As `server.access.scope.Scope.text` writes it; empty for everything."""
    ends_at: datetime | None = None
    """From then on nobody signs in with it."""
    subject: str = ""
    """Issuer and subject at the identity provider; empty for people added here."""


GrantPurpose = Literal["session", "token", "link"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A secret that stands for a person: a session, an API token or a one-time sign-in link. Only its hash is kept."""

    secret_sha256: str
    purpose: GrantPurpose
    name: str
    role: Role
    made_at: datetime
    expires_at: datetime | None
    scope: str = ""
    """Of an API token; a session has that of its person."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, from where, and how it ended."""

    at: datetime
    who: str
    action: str
    outcome: Literal["done", "refused"]
    detail: str = ""
    address: str = ""
    chain: str = field(default="", compare=False)
    """Hash over this entry and the one before, given by the store."""
    position: int = field(default=0, compare=False)
