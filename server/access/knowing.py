"""People an identity provider vouches for: added when they first come, their role that of their groups each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from server.access.letting_in import NAME
from server.access.oidc import Told
from server.access.people import has_ended, start_session
from server.access.roles import Role
from server.access.scope import EVERYTHING, Scope
from server.collector import Collector
from server.errors import RefusedError
from server.store.base import Writes
from server.store.rows import AuditEntry, User

STRONGEST_FIRST: tuple[Role, ...] = ("admin", "staff", "operator", "auditor", "viewer", "vendor")


def role_of(groups: Iterable[str], roles: Mapping[str, Role]) -> Role | None:
    """Return the strongest role that the groups give, None when they give none.

    >>> role_of(["users", "core"], {"core": "staff", "users": "viewer"})
    'staff'
    """
    given = {roles[group] for group in groups if group in roles}
    return next((role for role in STRONGEST_FIRST if role in given), None)


def let_in(collector: Collector, told: Told) -> tuple[str, str]:
    """Return name and session's secret of somebody the provider vouches for.

    Raises
    ------
    RefusedError
        403 when no group gives a role, the name is somebody else's or none that anybody could have, or access has ended.
    """
    oidc, now = collector.settings.oidc, collector.now()
    if not NAME.fullmatch(told.name):
        raise _refused("Your name at the provider has characters that no name has here.")
    role = role_of(told.groups, oidc.roles)
    if role is None:
        raise _refused("None of your groups has a role here.")
    sites = [oidc.sites[group] for group in told.groups if group in oidc.sites]
    scope = Scope.of(sites) if sites or role == "vendor" else EVERYTHING

    def job(writes: Writes) -> str:
        there = writes.user(told.name)
        if there is not None and there.subject != told.subject:
            raise _refused("Somebody else here has your name.")
        if there is not None and has_ended(there, now):
            raise _refused("Your access has ended.")
        if there is None or (there.role, there.scope) != (role, scope.text):
            added_at = there.added_at if there else now
            ends_at = there.ends_at if there else None
            writes.put_user(User(told.name, role, None, added_at, scope.text, ends_at, told.subject))
            said = f"{told.name} as {role} for {scope}"
            writes.add_audit(AuditEntry(now, "single sign-on", "person put", "done", said))
        return start_session(collector, writes, told.name)

    return told.name, collector.writer.do(job)


def _refused(message: str) -> RefusedError:
    return RefusedError(403, "not_allowed", f"{message} Ask an administrator of the collector.")
