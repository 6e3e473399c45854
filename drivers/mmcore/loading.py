"""Load Micro-Manager's core and a configuration, with errors a person can act on."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import ConfigurationError

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

DEMO = "demo"
DEMO_CONFIGURATION = "MMConfig_demo.cfg"


@contextmanager
def fenced_import(log_file: Path | None = None) -> Iterator[None]:
    """Import pymmcore-plus inside this, and its import leaves no traces.

    On import it sets the root logger to DEBUG and opens a log file that all processes of the user share. Here
    the file is the caller's (none when `log_file` is None), and the root logger is as it was afterwards.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    # 0.18.1 opens its default file even where PYMM_LOG_FILE is documented to say none; PYTEST_RUNNING it heeds
    name, value = ("PYMM_LOG_FILE", str(log_file)) if log_file else ("PYTEST_RUNNING", "1")
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def load_core(
    configuration: str | Path, adapter_paths: Sequence[str | Path] = (), log_file: Path | None = None
) -> CMMCorePlus:
    """Return a core with `configuration` loaded.

    Parameters
    ----------
    configuration : str or Path
        A Micro-Manager .cfg file, or "demo" for the demo configuration of the installed test adapters.
    adapter_paths : sequence of path
        Folders with device adapters; empty: where pymmcore-plus finds them.
    log_file : Path, optional
        Where the core and pymmcore-plus log; none when omitted.

    Raises
    ------
    ConfigurationError
        The file is missing, names a device adapter that is not there, or does not load.
    """
    with fenced_import(log_file):
        from pymmcore_plus import CMMCorePlus, find_micromanager
    folders = [str(path) for path in adapter_paths] or _default_adapter_paths(find_micromanager())
    path = _configuration_path(configuration, folders)
    core = CMMCorePlus(adapter_paths=folders)
    if log_file:
        core.setPrimaryLogFile(str(log_file))
    try:
        core.loadSystemConfiguration(str(path))
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigurationError(_why_it_did_not_load(path, folders, str(error))) from error
    return core


def _default_adapter_paths(found: str | None) -> list[str]:
    if found is None:
        raise ConfigurationError(
            "No Micro-Manager device adapters were found. Install the demo adapters with "
            "'pip install mm-test-adapters', or name the Micro-Manager folder in hardware.adapter_paths."
        )
    return [found]


def _configuration_path(configuration: str | Path, folders: Sequence[str]) -> Path:
    if str(configuration) == DEMO:
        candidates = [Path(folder) / DEMO_CONFIGURATION for folder in folders]
    else:
        candidates = [Path(configuration).expanduser()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise ConfigurationError(
        f"The hardware configuration {configuration} was not found; looked for "
        f"{', '.join(str(candidate) for candidate in candidates)}. Correct hardware.config_file."
    )


def _why_it_did_not_load(path: Path, folders: Sequence[str], error: str) -> str:
    """Put MMCore's words into a sentence that names the line and what is there instead."""
    reason = " ".join(error.split())
    missing = _missing_adapters(path, folders)
    if missing:
        names = ", ".join(f"{library} (line {line})" for line, library in missing)
        return (
            f"{path} names device adapters that are not installed: {names}. Looked in {', '.join(folders)}. "
            f"Install them there, or correct hardware.adapter_paths. Micro-Manager said: {reason}"
        )
    return f"{path} did not load. Micro-Manager said: {reason}"


def _missing_adapters(path: Path, folders: Sequence[str]) -> list[tuple[int, str]]:
    installed = {
        match.group(1)
        for folder in folders
        for file in Path(folder).glob("*mmgr_dal_*")
        if (match := re.match(r"(?:lib)?mmgr_dal_([^.]+)", file.name))
    }
    missing = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        parts = [part.strip() for part in line.split(",")]
        if parts[0] == "Device" and len(parts) >= 4 and parts[2] not in installed:
            missing.append((number, parts[2]))
    return missing
