"""Zones and rules of schedules that are none are refused in words."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from agent.errors import SettingsError
from agent.quality.schedule.dates import check_rule, zone_named
from agent.records.schedules import Schedule


@pytest.mark.parametrize("cron", ["61 * * * *", "0 3 * * someday", "0 0 30 2 *", "0 0 31 4 *"])
def test_rule_that_never_falls_due_is_refused(cron):
    with pytest.raises(SettingsError):
        check_rule(Schedule(schedule_id="s", routine="dark_noise", cron=cron), ZoneInfo("UTC"))


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../../etc/passwd", "/etc/localtime"])
def test_zone_that_is_none_is_refused(name):
    with pytest.raises(SettingsError, match="is no time zone"):
        zone_named(name)
