"""Who is asking: sessions, API tokens and one-time links to a person with a role."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.access.roles import PERMISSIONS, ROLES, Permission, Role
from server.access.scope import EVERYTHING, Scope
from server.access.secrets import form_token, hash_of, is_password, new_secret
from server.collector import Collector
from server.errors import NotSignedInError, RefusedError
from server.store.base import Job, Reads, Writes
from server.store.rows import Grant, GrantPurpose, User

LINK_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone signed in; `form_token` is empty for an API token, which cannot send forms."""

    name: str
    role: Role
    form_token: str = ""
    scope: Scope = EVERYTHING

    def may(self, permission: Permission) -> bool:
        """Return whether the role allows it."""
        return permission in PERMISSIONS[self.role]

    def must(self, permission: Permission) -> None:
        """Refuse with 403 who may not."""
        if not self.may(permission):
            who = ", ".join(role for role in ROLES if permission in PERMISSIONS[role])
            raise RefusedError(
                403,
                "not_allowed",
                f"This needs one of the roles {who}; yours is {self.role}. Ask an administrator.",
            )

    def must_see_everything(self) -> None:
        """Refuse with 403 whose scope is limited."""
        if self.scope.is_limited:
            raise RefusedError(
                403,
                "not_allowed",
                f"This concerns all instruments; yours are: {self.scope}. Ask an administrator of the collector.",
            )

    def must_have_sent(self, token: str) -> None:
        """Refuse a form that did not come from one of our pages."""
        if not self.form_token or not hmac.compare_digest(self.form_token.encode(), token.encode()):
            raise RefusedError(
                403, "foreign_form", "This form did not come from this session's page; reload the page."
            )

    def must_be_a_program(self, page: str) -> None:
        """Refuse a browser's session: forms of our pages are how people write."""
        if self.form_token:
            raise RefusedError(
                403, "tokens_only", f"Programs write with an API token; people on the page {page}."
            )


def person_of(reads: Reads, secret: str, purpose: GrantPurpose, now: datetime) -> Person:
    """Return whom a session or token stands for, or raise `NotSignedInError`."""
    grant = reads.grant(hash_of(secret))
    if (
        grant is None
        or grant.purpose != purpose
        or (grant.expires_at is not None and grant.expires_at <= now)
    ):
        raise NotSignedInError
    if purpose == "token":
        return Person(grant.name, grant.role, scope=Scope.kept(grant.scope))
    user = reads.user(grant.name)
    if user is None or has_ended(user, now):
        raise NotSignedInError
    return Person(user.name, user.role, form_token(secret), Scope.kept(user.scope))


def has_ended(user: User, now: datetime) -> bool:
    """Return whether the person was let in until a time that is over."""
    return user.ends_at is not None and user.ends_at <= now


def sign_in(collector: Collector, name: str, password: str, address: str) -> str:
    """Return the secret of a new session, or refuse alike for a wrong name and a wrong password.

    Raises
    ------
    RefusedError
        401; 429 when the address has tried too often; 503 when too many passwords are checked at once.
    """
    with collector.attempts.counted_first(address), collector.password_checks.one():
        with collector.store.reading_newest() as reads:
            user = reads.user(name)
        is_over = user is not None and has_ended(user, collector.now())
        if not is_password(password, user.password if user else None) or is_over:
            collector.note(name[:64], "sign-in", "wrong name or password", address=address, refused=True)
            raise RefusedError(401, "wrong_password", "Name or password is wrong.")
    return collector.writer.do(lambda writes: start_session(collector, writes, name))


def sign_in_by_link(collector: Collector, secret: str, address: str) -> tuple[str, str]:
    """Return name and secret of a new session in exchange for a one-time link."""
    collector.attempts.check(address)
    now = collector.now()

    def exchange(writes: Writes) -> tuple[str, str]:
        grant = writes.grant(hash_of(secret))
        if grant is None or grant.purpose != "link" or grant.expires_at is None or grant.expires_at <= now:
            raise RefusedError(
                401,
                "bad_link",
                "This sign-in link was used or has expired; make another with `sign-in-link`.",
            )
        writes.remove_grant(grant.secret_sha256)
        user = writes.user(grant.name)
        if user is None or has_ended(user, now):
            raise RefusedError(401, "bad_link", "Whom this link is for may no longer sign in.")
        return grant.name, start_session(collector, writes, grant.name)

    try:
        return collector.writer.do(exchange)
    except RefusedError:
        if collector.attempts.failed(address):
            collector.note("nobody", "sign-in", "bad one-time link", address=address, refused=True)
        raise


def sign_out(collector: Collector, secret: str) -> None:
    """End a session."""
    collector.writer.do(lambda writes: writes.remove_grant(hash_of(secret)))


def start_session(collector: Collector, writes: Writes, name: str) -> str:
    """Return the secret of a new session; inside a transaction of the store."""
    secret = new_secret()
    now = collector.now()
    life = timedelta(hours=collector.settings.sessions.hours)
    writes.add_grant(Grant(hash_of(secret), "session", name, "viewer", now, now + life))
    return secret


def link_job(secret: str, name: str, role: Role, now: datetime) -> Job:
    """Return the job that makes a one-time sign-in link, and its user when there is none of that name."""

    def make(writes: Writes) -> None:
        if writes.user(name) is None:
            writes.put_user(User(name=name, role=role, password=None, added_at=now))
        writes.add_grant(Grant(hash_of(secret), "link", name, role, now, now + LINK_LIFE))

    return make
