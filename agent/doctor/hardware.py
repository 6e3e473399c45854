"""The hardware: its configuration, its adapters, and who has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import Finding, Level, Place
from agent.hardware.owner import other_owner
from agent.service.announce import announced
from agent.settings import DEMO_CONFIG, SIMULATED_CONFIG, HardwareSettings

_TOPIC = "hardware"
_ADAPTER = re.compile(r"(?:lib)?mmgr_dal_([^.]+)")


def hardware(place: Place) -> Iterator[Finding]:
    """Tell whether the configured hardware could be loaded; loads nothing."""
    section = place.settings.hardware
    if not section.is_set:
        yield Finding(
            _TOPIC,
            "configuration",
            Level.NOTE,
            "none: only programs that call agent.attach are captured, and watched folders",
            "If the agent is to own the microscope, set [hardware] config_file.",
        )
        return
    if section.driver == "mmcore":
        yield from _adapters(section)
    yield _owner(place)


def _adapters(section: HardwareSettings) -> Iterator[Finding]:
    missing = [folder for folder in section.adapter_paths if not Path(folder).is_dir()]
    for folder in missing:
        yield Finding(
            _TOPIC, "adapters", Level.PROBLEM, f"{folder} is no folder", "Correct [hardware] adapter_paths."
        )
    if section.config_file in (DEMO_CONFIG, SIMULATED_CONFIG):
        yield Finding(_TOPIC, "configuration", Level.GOOD, f"the {section.config_file} configuration")
        return
    path = Path(section.config_file)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        yield Finding(
            _TOPIC,
            "configuration",
            Level.PROBLEM,
            f"{path} cannot be read: {error.strerror}",
            "Correct [hardware] config_file, or let the agent's account read it.",
        )
        return
    wanted = {
        parts[2].strip() for line in lines if len(parts := line.split(",")) >= 4 and parts[0] == "Device"
    }
    yield Finding(_TOPIC, "configuration", Level.GOOD, f"{path}, {len(wanted)} device adapters")
    if section.adapter_paths and not missing:
        yield _installed(section, wanted)


def _installed(section: HardwareSettings, wanted: set[str]) -> Finding:
    files = (file.name for folder in section.adapter_paths for file in Path(folder).glob("*mmgr_dal_*"))
    there = {match[1] for file in files if (match := _ADAPTER.match(file))}
    if absent := sorted(wanted - there - {""}):
        return Finding(
            _TOPIC,
            "adapters",
            Level.PROBLEM,
            f"not installed: {', '.join(absent)}",
            f"Install them into {', '.join(section.adapter_paths)}, or correct [hardware] adapter_paths.",
        )
    return Finding(_TOPIC, "adapters", Level.GOOD, f"all {len(wanted)} are installed, of {len(there)} there")


def _owner(place: Place) -> Finding:
    words = other_owner(place.settings.hardware)
    is_ours = announced(place.data_dir) is not None
    if words is None:
        return Finding(_TOPIC, "owner", Level.GOOD, "nobody else has it" if is_ours else "nobody has it")
    if is_ours and "scopestamp" in words.lower() and "studio" not in words.lower():
        return Finding(_TOPIC, "owner", Level.GOOD, "the agent has it")
    return Finding(
        _TOPIC,
        "owner",
        Level.WARNING,
        words.split(". End that first")[0] + ".",
        "End that program; the agent loads the hardware as soon as it is free.",
    )
