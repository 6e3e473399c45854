"""Measure files that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.errors import SettingsError
from agent.mint import Mint
from agent.outbox import Identity
from agent.quality.assess import assess
from agent.quality.facts import Facts
from agent.quality.given import BRIGHT, DARK, MAIN, Given
from agent.quality.history import History, figures_of
from agent.quality.options import read_columns
from agent.quality.results import qc_result
from agent.quality.stacks import Stack, read_stack
from agent.records import QcResult
from qc_routines.routine import Routine

UNKNOWN_INSTRUMENT = "unknown"
"""Stands in a result that was measured where no agent has an identity; such a result is shown and not published."""


def analyse_files(
    routine: Routine,
    files: Sequence[Path],
    options: Mapping[str, Any],
    *,
    dark: Path | None = None,
    bright: Path | None = None,
    channel: str | None = None,
    position: int | None = None,
    own_limits: Path | None = None,
    data_dir: Path | None = None,
) -> QcResult:
    """Return the result of a routine on files. It is neither kept nor published.

    Parameters
    ----------
    routine : Routine
        What to measure.
    files : sequence of Path
        Images, or one table of numbers.
    options : mapping
        Facts and further arguments that were stated.
    dark, bright : Path, optional
        Images beside them.
    channel, position : optional
        Which of a file with several.
    own_limits : Path, optional
        Limits of this instrument.
    data_dir : Path, optional
        Whose time zero to compare with.

    Raises
    ------
    StackError, MissingFactError, MeasureError, SettingsError
        The message says what is wrong or missing.
    """
    if channel is not None:
        options = _of_one_channel(options)
    given = _given(files, options, dark, bright, channel, position)
    light_path = {"channel": channel} if channel else {}
    zero = History(data_dir).baseline(routine.name, light_path) if data_dir else None
    verdict = assess(
        routine, given, extra=options, baseline=figures_of(zero) if zero else None, own_limits=own_limits
    )
    return qc_result(_mint(data_dir), routine, verdict, light_path=light_path)


def _given(
    files: Sequence[Path],
    options: Mapping[str, Any],
    dark: Path | None,
    bright: Path | None,
    channel: str | None,
    position: int | None,
) -> Given:
    tables = [file for file in files if file.suffix.lower() == ".csv"]
    if tables and len(files) > 1:
        raise SettingsError("One table is measured at a time, and no images beside it.")
    if tables:
        return Given({}, Facts(options), columns=read_columns(tables[0]))
    stacks: dict[str, list[Stack]] = {MAIN: [read_stack(file) for file in files]}
    stacks |= {role: [read_stack(file)] for role, file in ((DARK, dark), (BRIGHT, bright)) if file}
    return Given(stacks, Facts(options, stacks[MAIN][0]), channel, position)


def _of_one_channel(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts such that a single wavelength is that of the channel that is meant, whichever it is."""
    return {
        name: value[0] if name in ("emission_nm", "excitation_nm") and len(value) == 1 else value
        for name, value in options.items()
    }


def _mint(data_dir: Path | None) -> Mint:
    """Return a mint in the name of this computer's agent, if there is one; none is created."""
    clock = Clock()
    if data_dir is not None and (data_dir / "identity.json").is_file():
        identity = Identity.load_or_create(data_dir)
        return Mint(identity.instrument_id, identity.agent_id, clock)
    return Mint(UNKNOWN_INSTRUMENT, UNKNOWN_INSTRUMENT, clock)
