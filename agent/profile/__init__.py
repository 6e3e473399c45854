"""The instrument profile as a file: read, checked, pre-filled, imported, joined to live devices."""

from agent.profile.check import Finding, check_profile
from agent.profile.errors import ProfileError, ProfileProblem
from agent.profile.join import misfits, nameplate_of, publishable, stated_of
from agent.profile.load import load_profile, read_profile
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
