"""Open the core that a vendor's configuration needs, without anything that would speak in the adapter's place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.settings import AgentSettings
from drivers import DriverError
from drivers.errors import DEVICE_ERRORS
from drivers.mmcore import load_core, release_callback_at_exit
from drivers.mmcore.loading import fenced_import

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

PYTHON_DEVICE = "#py "


def open_core(settings: AgentSettings, log_file: Path) -> CMMCorePlus:
    """Return a core with the configured devices loaded.

    A configuration with ``#py`` lines is loaded into pymmcore-plus' core for Python devices; the simulated microscope
    into its own; everything else into the ordinary core.

    Raises
    ------
    DriverError
        The configuration does not load.
    """
    hardware = settings.hardware
    if hardware.driver == "simulated":
        return _simulated(hardware.config_file, hardware.adapter_paths, log_file)
    path = Path(hardware.config_file)
    if path.is_file() and PYTHON_DEVICE in path.read_text(encoding="utf-8", errors="replace"):
        return _with_python_devices(path, [str(folder) for folder in hardware.adapter_paths], log_file)
    core = load_core(hardware.config_file, hardware.adapter_paths, log_file)
    release_callback_at_exit(core)
    return core


def _simulated(configuration: str, adapter_paths: Any, log_file: Path) -> CMMCorePlus:
    from drivers.simulated import CONFIGURATION, SystemClock, open_simulated

    path = CONFIGURATION if configuration in ("simulated", "demo") else configuration
    core, _ = open_simulated(
        clock=SystemClock(), configuration=path, adapter_paths=adapter_paths, log_file=log_file
    )
    return core


def _with_python_devices(path: Path, folders: list[str], log_file: Path) -> CMMCorePlus:
    with fenced_import(log_file):
        from pymmcore_plus import find_micromanager
        from pymmcore_plus.experimental.unicore import UniMMCore

    core = UniMMCore(adapter_paths=folders or [found for found in [find_micromanager()] if found])
    try:
        core.loadSystemConfiguration(str(path))
    except (*DEVICE_ERRORS, ImportError) as error:
        raise DriverError(f"{path} did not load: {' '.join(str(error).split())}") from error
    release_callback_at_exit(core)
    return core
