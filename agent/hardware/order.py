"""What the daemon tells the hardware process at its start."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from agent.settings import AgentSettings


class ChildOrder(BaseModel):
    """The first line on the hardware process' standard input."""

    settings: AgentSettings
    data_dir: Path
    left_alone: list[tuple[str, str]] = []

    @property
    def log_file(self) -> Path:
        """Where the process and the libraries in it print."""
        return self.data_dir / "logs" / "hardware-output.log"
