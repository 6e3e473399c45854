"""Open the simulated microscope: as a core for tests, or as a driver."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import ConfigurationError
from drivers.mmcore import OwningMMCoreDriver, release_callback_at_exit
from drivers.mmcore.loading import fenced_import
from drivers.simulated.bench import laid_ready
from drivers.simulated.clock import Clock, JumpingClock, SystemClock
from drivers.simulated.microscope import SimulatedMicroscope
from drivers.simulated.truth import Truth

if TYPE_CHECKING:
    from drivers.simulated.core import SimulatedCore

SIMULATED = "simulated"
CONFIGURATION = Path(str(files("drivers.simulated") / "simulated.cfg"))
"""The configuration that comes with the package."""


class SimulatedDriver(OwningMMCoreDriver):
    """Drives a simulated microscope; `microscope` holds what is true of it."""

    def __init__(self, core: SimulatedCore, microscope: SimulatedMicroscope) -> None:
        super().__init__(core)
        self.microscope = microscope


def open_simulated(
    seed: int = 0,
    *,
    truth: Truth | None = None,
    clock: Clock | None = None,
    configuration: str | Path = CONFIGURATION,
    adapter_paths: Sequence[str | Path] = (),
    log_file: Path | None = None,
) -> tuple[SimulatedCore, SimulatedMicroscope]:
    """Return a core with a simulated microscope loaded, and the microscope.

    Parameters
    ----------
    seed : int
        What all chance follows from; of no effect when `truth` is given.
    truth : Truth, optional
        What is true of the microscope.
    clock : Clock, optional
        Its time; one that jumps when omitted, so that nothing waits.
    configuration : str or Path
        A .cfg whose `#py` lines load devices of `drivers.simulated.devices`.
    adapter_paths : sequence of path
        Folders with device adapters; empty: where pymmcore-plus finds them.
    log_file : Path, optional
        Where the core logs; nowhere when omitted.

    Raises
    ------
    ConfigurationError
        The configuration is missing or does not load.
    """
    microscope = SimulatedMicroscope(truth or Truth(seed=seed), clock or JumpingClock())
    core = _empty_core(adapter_paths, log_file)
    with laid_ready(microscope):
        _load(core, Path(configuration))
    release_callback_at_exit(core)
    return core, microscope


def open_simulated_driver(
    configuration: str | Path = SIMULATED,
    adapter_paths: Sequence[str | Path] = (),
    log_file: Path | None = None,
    *,
    truth: Truth | None = None,
    clock: Clock | None = None,
) -> SimulatedDriver:
    """Return a driver of a simulated microscope.

    Parameters
    ----------
    configuration : str or Path
        A .cfg, or "simulated" for the one that comes with the package.
    adapter_paths, log_file, truth, clock
        As in `open_simulated`; the computer's own clock when `clock` is omitted.
    """
    path = CONFIGURATION if str(configuration) == SIMULATED else Path(configuration).expanduser()
    core, microscope = open_simulated(
        truth=truth,
        clock=clock or SystemClock(),
        configuration=path,
        adapter_paths=adapter_paths,
        log_file=log_file,
    )
    return SimulatedDriver(core, microscope)


def _empty_core(adapter_paths: Sequence[str | Path], log_file: Path | None) -> SimulatedCore:
    with fenced_import(log_file):
        from pymmcore_plus import find_micromanager
    from drivers.simulated.core import SimulatedCore

    folders = [str(path) for path in adapter_paths] or [path for path in [find_micromanager()] if path]
    core = SimulatedCore(adapter_paths=folders)
    if log_file:
        core.setPrimaryLogFile(str(log_file))
    return core


def _load(core: SimulatedCore, path: Path) -> None:
    try:
        core.loadSystemConfiguration(str(path))
    except (RuntimeError, OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"{path} did not load. Micro-Manager said: {' '.join(str(error).split())}"
        ) from error
