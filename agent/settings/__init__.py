"""The agent's settings: `load_settings` reads a TOML file, `print_settings` writes one with a comment on every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.settings._models import (
    DATA_DIR_VARIABLE,
    DEMO_CONFIG,
    SIMULATED_CONFIG,
    AgentSettings,
    CaptureSettings,
    CollectorSettings,
    HardwareSettings,
    InstrumentSettings,
    LogSettings,
    PrivacySettings,
    ScheduleSettings,
    Section,
    SpoolSettings,
    StatedFact,
    UsageSettings,
    WatchSettings,
    default_data_path,
)
from agent.settings._read import load_settings

if TYPE_CHECKING:
    from agent.settings._print import print_settings

__all__ = [
    "DATA_DIR_VARIABLE",
    "DEMO_CONFIG",
    "SIMULATED_CONFIG",
    "AgentSettings",
    "CaptureSettings",
    "CollectorSettings",
    "HardwareSettings",
    "InstrumentSettings",
    "LogSettings",
    "PrivacySettings",
    "ScheduleSettings",
    "Section",
    "SpoolSettings",
    "StatedFact",
    "UsageSettings",
    "WatchSettings",
    "default_data_path",
    "load_settings",
    "print_settings",
]


def __getattr__(name: str) -> Any:  # lazy: an agent that runs prints no settings, and needs no TOML writer
    if name == "print_settings":
        from agent.settings._print import print_settings

        return print_settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
