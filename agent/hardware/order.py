"""What the daemon tells the hardware process at its start."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import BaseModel, Field

from agent.settings import AgentSettings


def _command() -> str:
    """Return the command that this process carries out, such as "scopestamp qc run"."""
    words = [word for word in sys.argv[1:3] if word.isidentifier() or word.replace("-", "").isidentifier()]
    return " ".join([Path(sys.argv[0]).stem or "scopestamp", *words])


class ChildOrder(BaseModel):
    """The first line on the hardware process' standard input."""

    settings: AgentSettings
    data_dir: Path
    left_alone: list[tuple[str, str]] = []
    purpose: str = Field(default_factory=_command)  # what the lease on the hardware says of its holder
    deadline_s: float | None = None  # when it means to be done, for those who wait

    @property
    def log_file(self) -> Path:
        """Where the process and the libraries in it print."""
        return self.data_dir / "logs" / "hardware-output.log"
