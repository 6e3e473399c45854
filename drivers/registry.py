"""Drivers by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drivers.base import OwningDriver
from drivers.errors import ConfigurationError


def open_driver(
    name: str,
    configuration: str | Path,
    adapter_paths: Sequence[str | Path] = (),
    log_file: Path | None = None,
) -> OwningDriver:
    """Load hardware and return its driver.

    Parameters
    ----------
    name : {"mmcore", "simulated"}
        Which back end.
    configuration : str or Path
        What the back end loads. Of the simulated microscope "simulated" and "demo" are its own.
    adapter_paths : sequence of path
        Where it finds device adapters.
    log_file : Path, optional
        Where the back end itself logs.

    Raises
    ------
    ConfigurationError
        There is no such back end, or the configuration does not load.
    """
    if name == "mmcore":
        return _open_mmcore(configuration, adapter_paths, log_file)
    if name == "simulated":
        return _open_simulated(configuration, adapter_paths, log_file)
    raise ConfigurationError(f"There is no driver '{name}'; there are: mmcore and simulated.")


def _open_mmcore(
    configuration: str | Path, adapter_paths: Sequence[str | Path], log_file: Path | None
) -> OwningDriver:
    from drivers.mmcore import OwningMMCoreDriver, load_core, release_callback_at_exit

    core = load_core(configuration, adapter_paths, log_file)
    release_callback_at_exit(core)
    return OwningMMCoreDriver(core)


def _open_simulated(
    configuration: str | Path, adapter_paths: Sequence[str | Path], log_file: Path | None
) -> OwningDriver:
    from drivers.simulated import CONFIGURATION, SimulatedDriver, SystemClock, open_simulated

    path = CONFIGURATION if str(configuration) in ("simulated", "demo") else configuration
    core, microscope = open_simulated(
        clock=SystemClock(), configuration=path, adapter_paths=adapter_paths, log_file=log_file
    )
    return SimulatedDriver(core, microscope)
