"""Who may do what. Default deny: a role may exactly what stands here.

Roles follow the people of a facility: who looks, who stands at the microscope, who answers for it, who runs the
collector, who services one instrument, who reads the books.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

Role = Literal["viewer", "operator", "staff", "admin", "vendor", "auditor", "upstream"]


class Permission(StrEnum):
    """One thing that may be allowed."""

    VIEW = "view"
    """See instruments, their state, quality control and acquisitions."""

    VIEW_HEALTH = "view_health"
    """See an instrument's health and logs, without people, samples and files."""

    OPERATE = "operate"
    """Confirm tasks at the microscope, acknowledge alerts, enter what was done."""

    MAINTAIN = "maintain"
    """Answer for an instrument: schedules, limits, baselines, sign-off, invalidation, enrolment."""

    ADMINISTER = "administer"
    """People and roles, alert routes, retention, tokens."""

    AUDIT = "audit"
    """Read who did what."""

    FORWARD = "forward"
    """Send records that other collectors have signed for."""


_VIEWER = frozenset({Permission.VIEW, Permission.VIEW_HEALTH})
_OPERATOR = _VIEWER | {Permission.OPERATE}
_STAFF = _OPERATOR | {Permission.MAINTAIN}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "staff": _STAFF,
    "admin": _STAFF | {Permission.ADMINISTER, Permission.AUDIT},
    "vendor": frozenset({Permission.VIEW_HEALTH}),
    "auditor": _VIEWER | {Permission.AUDIT},
    "upstream": frozenset({Permission.FORWARD}),
}

ROLES: tuple[Role, ...] = get_args(Role)
