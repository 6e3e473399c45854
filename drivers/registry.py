"""Drivers by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.base import Driver, OwningDriver
from drivers.errors import ConfigurationError


def open_driver(
    name: str,
    configuration: str | Path,
    adapter_paths: Sequence[str | Path] = (),
    log_file: Path | None = None,
    studio: Mapping[str, Any] | None = None,
) -> Driver:
    """Load hardware and return its driver, which owns it; or, of Studio, one that watches what Studio has loaded.

    Parameters
    ----------
    name : {"mmcore", "simulated", "mmstudio"}
        Which back end.
    configuration : str or Path
        What the back end loads. Of the simulated microscope "simulated" and "demo" are its own.
    adapter_paths : sequence of path
        Where it finds device adapters.
    log_file : Path, optional
        Where the back end itself logs.
    studio : mapping, optional
        How to watch a Studio: the fields of `drivers.mmstudio.StudioOptions`.

    Raises
    ------
    ConfigurationError
        There is no such back end, or the configuration does not load.
    """
    if name == "mmcore":
        return _open_mmcore(configuration, adapter_paths, log_file)
    if name == "simulated":
        return _open_simulated(configuration, adapter_paths, log_file)
    if name == "mmstudio":
        return _open_mmstudio(studio or {})
    raise ConfigurationError(f"There is no driver '{name}'; there are: mmcore, simulated and mmstudio.")


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


def _open_mmstudio(options: Mapping[str, Any]) -> Driver:
    from drivers.mmstudio import StudioDriver, StudioOptions

    return StudioDriver(StudioOptions(**options))
