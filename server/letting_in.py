"""Letting people and programs in: who may give which role, for which instruments, and until when.

An administrator of some sites lets people into those sites only. Nobody changes their own role, so the last administrator
cannot be lost by a slip.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from server.collector import Collector
from server.errors import RefusedError, SettingsError
from server.people import Person, link_job
from server.roles import Role
from server.scope import Scope, checked_scope
from server.secrets import hash_of, new_secret
from server.seeing import ReadsInScope
from server.store.base import Writes
from server.store.rows import AuditEntry, Grant, User

NAME = re.compile(r"[^\s/\\][^/\\\x00-\x1f\x7f]{0,99}")


def put_person(
    collector: Collector,
    by: Person,
    name: str,
    role: Role,
    scope: Scope,
    ends_at: datetime | None,
    address: str,
) -> None:
    """Add a person, or give somebody another role, scope and end; passwords stay.

    Raises
    ------
    RefusedError
        400 for a name, scope or end that cannot be; 403 beyond the scope of `by`, or for one's own account.
    """
    name = name.strip()
    if not NAME.fullmatch(name):
        raise _wrong("A name has 1 to 100 characters without slashes.")
    _check(by, role, scope, ends_at, collector.now())
    if name == by.name:
        raise RefusedError(403, "not_allowed", "Nobody changes their own role; ask another administrator.")
    now = collector.now()
    user = User(name, role, None, now, scope.text, ends_at)

    def job(writes: Writes) -> None:
        there = writes.user(name)
        if there is not None:
            _check_theirs(writes, by, name)
            writes.put_user(replace(there, role=role, scope=scope.text, ends_at=ends_at))
        else:
            writes.put_user(user)
        said = f"{name} as {role} for {scope}" + (f" until {ends_at:%Y-%m-%d}" if ends_at else "")
        writes.add_audit(AuditEntry(now, by.name, "person put", "done", said, address))

    collector.writer.do(job)


def remove_person(collector: Collector, by: Person, name: str, address: str) -> bool:
    """Remove a person with all sessions; return whether there was one."""
    if name == by.name:
        raise RefusedError(403, "not_allowed", "Nobody removes themselves; ask another administrator.")

    def job(writes: Writes) -> bool:
        _check_theirs(writes, by, name)
        writes.add_audit(AuditEntry(collector.now(), by.name, "person removed", "done", name, address))
        return writes.remove_user(name)

    is_gone: bool = collector.writer.do(job)
    return is_gone


def sign_in_link_for(collector: Collector, by: Person, name: str, address: str) -> str:
    """Return the secret of a new one-time link for somebody there is."""
    secret = new_secret()
    now = collector.now()

    def job(writes: Writes) -> None:
        _check_theirs(writes, by, name)
        user = writes.user(name)
        if user is None:
            raise RefusedError(404, "not_found", "There is no such person.")
        link_job(secret, name, user.role, now)(writes)
        writes.add_audit(AuditEntry(now, by.name, "sign-in link made", "done", f"for {name}", address))

    collector.writer.do(job)
    return secret


def new_token(
    collector: Collector,
    by: Person,
    name: str,
    role: Role,
    scope: Scope,
    ends_at: datetime | None,
    address: str,
) -> str:
    """Return the secret of a new API token; it is kept only as a hash."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise _wrong("A token needs a name of 1 to 100 characters without slashes.")
    now = collector.now()
    _check(by, role, scope, ends_at, now)
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", name, role, now, ends_at, scope.text)

    def job(writes: Writes) -> None:
        writes.add_grant(grant)
        said = f"{name} as {role} for {scope}"
        writes.add_audit(AuditEntry(now, by.name, "token made", "done", said, address))

    collector.writer.do(job)
    return secret


def remove_token(collector: Collector, by: Person, secret_sha256: str, address: str) -> bool:
    """Remove an API token; return whether there was one."""

    def job(writes: Writes) -> bool:
        seen = ReadsInScope(writes, by.scope)
        token = next((one for one in seen.tokens() if one.secret_sha256 == secret_sha256), None)
        if token is None:
            return False
        writes.remove_grant(secret_sha256)
        writes.add_audit(AuditEntry(collector.now(), by.name, "token removed", "done", token.name, address))
        return True

    is_gone: bool = collector.writer.do(job)
    return is_gone


def scope_told(sites: str, instruments: str, role: str) -> Scope:
    """Return the scope in two fields of a form, names separated by commas or lines.

    Raises
    ------
    RefusedError
        400 for a vendor without instruments.
    """
    try:
        return checked_scope(_names(sites), _names(instruments), role)
    except SettingsError as error:
        raise _wrong(str(error)) from error


def _names(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"[,\n]", text) if one.strip()]


def _check(by: Person, role: Role, scope: Scope, ends_at: datetime | None, now: datetime) -> None:
    if not by.scope.covers(scope) or (role == "upstream" and by.scope.is_limited):
        raise RefusedError(
            403,
            "not_allowed",
            f"You may let people in for {by.scope} only; name sites or instruments of these.",
        )
    if role == "vendor" and ends_at is None:
        raise _wrong("A vendor needs a day on which access ends.")
    if ends_at is not None and ends_at <= now:
        raise _wrong("The end of access lies in the past.")


def _check_theirs(writes: Writes, by: Person, name: str) -> None:
    if writes.user(name) is not None and ReadsInScope(writes, by.scope).user(name) is None:
        raise RefusedError(
            403, "not_allowed", "This person also has to do with instruments that are not yours."
        )


def _wrong(message: str) -> RefusedError:
    return RefusedError(400, "malformed_request", message)
