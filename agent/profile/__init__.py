"""The instrument profile as a file: read, checked, pre-filled, imported, joined to live devices."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent.profile.errors import ProfileError, ProfileProblem
from agent.profile.join import misfits, nameplate_of, publishable, stated_of
from agent.profile.load import load_profile, read_profile

if TYPE_CHECKING:
    from agent.profile.check import Finding, check_profile
    from agent.profile.prefill import prefilled
    from agent.profile.schema import profile_schema
    from agent.profile.write import profile_toml

__all__ = [
    "Finding",
    "ProfileError",
    "ProfileProblem",
    "check_profile",
    "load_profile",
    "misfits",
    "nameplate_of",
    "prefilled",
    "profile_schema",
    "profile_toml",
    "publishable",
    "read_profile",
    "stated_of",
]

# Lazy, because an agent that runs reads a profile; it neither judges nor writes one.
_HOME_OF = {
    "Finding": "agent.profile.check",
    "check_profile": "agent.profile.check",
    "prefilled": "agent.profile.prefill",
    "profile_schema": "agent.profile.schema",
    "profile_toml": "agent.profile.write",
}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
