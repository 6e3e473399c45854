"""Roles: default deny, and each page asks for no more than it needs."""

from __future__ import annotations

import pytest

from server.access.people import Person
from server.access.roles import PERMISSIONS, ROLES, Permission
from server.errors import RefusedError


def test_every_role_has_permissions_and_every_permission_somebody():
    assert set(PERMISSIONS) == set(ROLES)
    assert frozenset().union(*PERMISSIONS.values()) == frozenset(Permission)


@pytest.mark.parametrize("role", ["vendor", "upstream"])
def test_outsiders_see_no_people_samples_or_files(role):
    assert not Person("eve", role).may(Permission.VIEW)


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"admin"}))
def test_only_an_administrator_administers(role):
    with pytest.raises(RefusedError, match=rf"roles admin; yours is {role}"):
        Person("eve", role).must(Permission.ADMINISTER)


def test_who_answers_for_an_instrument_may_not_read_the_audit_log():
    assert Person("ada", "staff").may(Permission.MAINTAIN)
    assert not Person("ada", "staff").may(Permission.AUDIT)
