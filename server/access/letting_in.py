"""Letting people and programs in: who may give which role, for which instruments, and until when.

An administrator of some sites lets people into those sites only. Nobody changes their own role, so the last administrator
cannot be lost by a slip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

from server.access.people import Person, link_job
from server.access.roles import Role
from server.access.scope import EVERYTHING, Scope, checked_scope
from server.access.secrets import hash_of, new_secret
from server.access.seeing import ReadsInScope
from server.collector import Collector
from server.errors import RefusedError, SettingsError
from server.store.base import Writes
from server.store.rows import AuditEntry, Grant, User

NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,99}")


@dataclass(frozen=True, slots=True)
class Admission:
    """Who is let in, as what, for which instruments, and until when."""

    name: str
    role: Role
    scope: Scope = EVERYTHING
    ends_at: datetime | None = None

    def __str__(self) -> str:
        until = f" until {self.ends_at:%Y-%m-%d}" if self.ends_at else ""
        return f"{self.name} as {self.role} for {self.scope}{until}"


def put_person(
    collector: Collector, by: Person, wanted: Admission, address: str, password: str | None = None
) -> None:
    """Add a person, or give somebody another role, scope and end.

    Parameters
    ----------
    collector : Collector
        Into which they are let.
    by : Person
        Who lets them in, from `address`.
    wanted : Admission
        What they are to have.
    password : str, optional
        Hash of a new password; without one the old one stays.

    Raises
    ------
    RefusedError
        400 for a name, scope or end that cannot be; 403 beyond the scope of `by`, or for one's own account.
    """
    name, now = wanted.name, collector.now()
    if not NAME.fullmatch(name):
        raise _wrong("A name has 1 to 100 characters without slashes.")
    _check(by, wanted, now)
    if name == by.name:
        raise RefusedError(403, "not_allowed", "Nobody changes their own role; ask another administrator.")

    def job(writes: Writes) -> None:
        there = writes.user(name)
        if there is not None:
            _check_theirs(writes, by, name)
        there = there or User(name, wanted.role, None, now)
        writes.put_user(
            replace(
                there,
                role=wanted.role,
                scope=wanted.scope.text,
                ends_at=wanted.ends_at,
                password=password or there.password,
            )
        )
        writes.add_audit(AuditEntry(now, by.name, "person put", "done", str(wanted), address))

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


def new_token(collector: Collector, by: Person, wanted: Admission, address: str) -> str:
    """Return the secret of a new API token; it is kept only as a hash."""
    if not NAME.fullmatch(wanted.name):
        raise _wrong("A token needs a name of 1 to 100 characters without slashes.")
    now = collector.now()
    _check(by, wanted, now)
    secret = new_secret()
    grant = Grant(hash_of(secret), "token", wanted.name, wanted.role, now, wanted.ends_at, wanted.scope.text)

    def job(writes: Writes) -> None:
        writes.add_grant(grant)
        writes.add_audit(AuditEntry(now, by.name, "token made", "done", str(wanted), address))

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


def end_of(last_day: str) -> datetime | None:
    """Return when access ends: after the last day, in UTC; None without one.

    Raises
    ------
    RefusedError
        400 when it is no day.
    """
    if not last_day.strip():
        return None
    try:
        return datetime.combine(date.fromisoformat(last_day.strip()), time.max, UTC)
    except ValueError as error:
        raise _wrong("The last day looks like 2026-12-31.") from error


def _check(by: Person, wanted: Admission, now: datetime) -> None:
    if not by.scope.covers(wanted.scope) or (wanted.role == "upstream" and by.scope.is_limited):
        raise RefusedError(
            403,
            "not_allowed",
            f"You may let people in for {by.scope} only; name sites or instruments of these.",
        )
    if wanted.role == "vendor" and wanted.ends_at is None:
        raise _wrong("A vendor needs a day on which access ends.")
    if wanted.ends_at is not None and wanted.ends_at <= now:
        raise _wrong("The end of access lies in the past.")


def _check_theirs(writes: Writes, by: Person, name: str) -> None:
    if writes.user(name) is not None and ReadsInScope(writes, by.scope).user(name) is None:
        raise RefusedError(
            403, "not_allowed", "This person also has to do with instruments that are not yours."
        )


def _wrong(message: str) -> RefusedError:
    return RefusedError(400, "malformed_request", message)
