"""The four generic import names belong to us alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import agent.packages
from agent.errors import SettingsError
from agent.packages import refuse_foreign_packages


def test_this_environment_is_ours() -> None:
    refuse_foreign_packages()


def test_real_metadata_of_another_distribution_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "robot_agent-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: robot-agent\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("agent\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"'agent' \(robot-agent\).*environment of its own"):
        refuse_foreign_packages()


@pytest.mark.parametrize(
    "owners", [{}, {"agent": ["scopestamp", "scopestamp"]}, {"numpy": ["numpy"]}], ids=str
)
def test_own_or_no_distribution_is_fine(monkeypatch: pytest.MonkeyPatch, owners: dict) -> None:
    monkeypatch.setattr(agent.packages, "packages_distributions", lambda: owners)
    refuse_foreign_packages()


def test_every_foreign_owner_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {"agent": ["scopestamp", "b", "a"], "server": ["c"]}
    monkeypatch.setattr(agent.packages, "packages_distributions", lambda: owners)
    with pytest.raises(SettingsError, match=r"'agent' \(a, b\) and 'server' \(c\)"):
        refuse_foreign_packages()
