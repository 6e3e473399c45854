"""Measure files that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.capture.stamp import describe_output
from agent.clock import Clock
from agent.errors import SettingsError
from agent.local import Local
from agent.mint import Mint
from agent.outbox import Identity, Outbox
from agent.quality.assess import assess
from agent.quality.facts import Facts
from agent.quality.given import BRIGHT, DARK, MAIN, Given
from agent.quality.history import History, figures_of
from agent.quality.keeping import keep_and_send
from agent.quality.options import read_columns
from agent.quality.results import qc_result
from agent.quality.stacks import Stack, read_stack
from agent.records import QcInput, QcResult
from agent.settings import AgentSettings
from qc_routines.results import Measurement
from qc_routines.routine import Routine

ANALYSED = "analysed_from_files"
"""Parameter of a result that no run of ours acquired."""
UNKNOWN_INSTRUMENT = "unknown"
"""Stands in a result that was measured where no agent has an identity; such a result is shown and not published."""


@dataclass(frozen=True)
class Analysis:
    """What came out of files."""

    measurement: Measurement
    result: QcResult


def analyse_files(
    routine: Routine, files: Sequence[Path], options: Mapping[str, Any], **more: Any
) -> QcResult:
    """Return the result of a routine on files, see `analysis_of`. It is neither kept nor published."""
    return analysis_of(routine, files, options, **more).result


def analysis_of(
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
) -> Analysis:
    """Return what a routine finds in files.

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
    light_path = {"channel": channel} if channel else {}
    history = History(data_dir) if data_dir else None
    others = history.facts(routine.name, light_path) if history else {}
    given = _given(files, options, dark, bright, channel, position, others)
    zero = history.baseline(routine.name, light_path) if history else None
    verdict = assess(
        routine, given, extra=options, baseline=figures_of(zero) if zero else None, own_limits=own_limits
    )
    beside = [file for file in (dark, bright) if file]
    result = qc_result(
        _mint(data_dir), routine, verdict, light_path=light_path, files=hashed([*files, *beside])
    )
    marked = {**result.parameters, ANALYSED: True}
    return Analysis(verdict.measurement, result.model_copy(update={"parameters": marked}))


def keep(
    analysis: Analysis, data_dir: Path, say: Callable[[str], None], publisher: AgentSettings | None = None
) -> QcResult:
    """Keep a result on this computer like that of a run, and put it into the outbox when there is a publisher.

    Parameters
    ----------
    analysis : Analysis
        What was found.
    data_dir : Path
        Where it is kept.
    say : callable
        Gets a sentence: as which run it was kept, or why not.
    publisher : AgentSettings, optional
        Settings of the agent in whose name it is published.

    Returns
    -------
    QcResult
        As it was kept: in the agent's name when it was published.
    """
    result = analysis.result
    if publisher is None:
        _kept(result, analysis, data_dir, None, say)
        return result
    local = Local.open(publisher, data_dir)
    try:
        producer = result.producer.model_copy(update={"agent_id": local.identity.agent_id})
        named = {"instrument_id": local.identity.instrument_id, "producer": producer}
        result = result.model_copy(update=named)
        _kept(result, analysis, data_dir, local.outbox, say)
    finally:
        local.outbox.close()
    return result


def _kept(
    result: QcResult, analysis: Analysis, data_dir: Path, outbox: Outbox | None, say: Callable[[str], None]
) -> None:
    if keep_and_send(History(data_dir), outbox, result, say, analysis.measurement):
        say(f"Kept as run {str(result.run_id)[:8]}.")


def hashed(files: Sequence[Path]) -> list[QcInput]:
    """Return files by name with their SHA-256; that of a folder is over its files."""
    return [QcInput(name=file.name, sha256=describe_output(file).sha256 or "") for file in files]


def _given(
    files: Sequence[Path],
    options: Mapping[str, Any],
    dark: Path | None,
    bright: Path | None,
    channel: str | None,
    position: int | None,
    others: Mapping[str, tuple[Any, str]],
) -> Given:
    tables = [file for file in files if file.suffix.lower() == ".csv"]
    if tables and len(files) > 1:
        raise SettingsError("One table is measured at a time, and no images beside it.")
    if tables:
        return Given({}, Facts(options, others=others), columns=read_columns(tables[0]))
    stacks: dict[str, list[Stack]] = {MAIN: [read_stack(file) for file in files]}
    stacks |= {role: [read_stack(file)] for role, file in ((DARK, dark), (BRIGHT, bright)) if file}
    return Given(stacks, Facts(options, stacks[MAIN][0], others), channel, position)


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
