"""What a run acquired, and all that measuring it must know: enough for a process that never saw the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Taken(BaseModel):
    """A run between its last frame and its first number. Images are told by the files that they are in.

    Attributes
    ----------
    routine : str
        Its name.
    options : dict
        Facts and arguments as stated by whoever ran it.
    datasets : dict
        Role to datasets.
    columns : dict
        Name to readings; NaN where one failed.
    light_path : dict
        What the result holds for.
    facts : dict
        Name to value and source: what the hardware and the plan say.
    parameters, remarks : dict, tuple of str
        To be kept with the result: `planned` unless the measurement says otherwise, `parameters` in any case.
    every_days : float
        The routine is due again after that.
    own_limits : Path or None
        Limits of this instrument.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    routine: str
    options: dict[str, Any] = {}
    datasets: dict[str, list[Path]] = {}
    columns: dict[str, list[float]] = {}
    light_path: dict[str, str] = {}
    facts: dict[str, tuple[Any, str]] = {}
    planned: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    remarks: tuple[str, ...] = ()
    every_days: float
    own_limits: Path | None = None

    @field_validator("options")
    @classmethod
    def _with_tuples(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Return options as they are stated in a program, where they have been through JSON too."""
        return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
