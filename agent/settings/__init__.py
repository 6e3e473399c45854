"""The agent's settings: `load_settings` reads a TOML file, `print_settings` writes one with a comment on every key."""

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
from agent.settings._print import print_settings
from agent.settings._read import load_settings

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
