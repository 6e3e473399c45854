"""Read the hardware once, for a person to look at."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from agent.errors import HardwareError
from agent.hardware.order import ChildOrder
from agent.hardware.process import HardwareProcess
from agent.settings import AgentSettings


def read_hardware(settings: AgentSettings) -> list[dict[str, Any]]:
    """Load the configured hardware in a process of its own, read everything, and let it go.

    Raises
    ------
    HardwareError
        No hardware is configured, it does not load, or it does not answer in time.
    """
    section = settings.hardware
    if not section.is_set:
        raise HardwareError(
            "No hardware is configured. Set [hardware] config_file to a Micro-Manager .cfg, or to 'demo'; or set "
            "driver = 'mmstudio' to watch a running Micro-Manager Studio."
        )
    with tempfile.TemporaryDirectory(prefix="scopestamp-", ignore_cleanup_errors=True) as folder:
        process = HardwareProcess(ChildOrder(settings=settings, data_dir=Path(folder)))
        process.start(section.start_deadline_s)
        try:
            readings: list[dict[str, Any]] = process.call("read_all", section.call_deadline_s)
        finally:
            process.stop(section.call_deadline_s)
    return readings


def snapshot_table(readings: list[dict[str, Any]]) -> Table:
    """Return the readings as a table, device by device."""
    table = Table(title="State of the instrument", title_justify="left")
    for heading in ("Device", "Property", "Value", "Unit", "Status"):
        table.add_column(heading)
    last = None
    for reading in readings:
        if last is not None and reading["device"] != last:
            table.add_section()
        value = reading["error"] if reading["value"] is None else str(reading["value"])
        table.add_row(
            reading["device"] if reading["device"] != last else "",
            reading["property"],
            value,
            reading["unit"] or "",
            reading["status"],
        )
        last = reading["device"]
    return table
