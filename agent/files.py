"""Files are moved and removed with patience, for Windows.

There an antivirus program, an indexer or a backup opens any file for a moment, and a delete or a rename fails meanwhile
with a sharing violation (5, 32, 33). All code of the agent that renames or deletes goes through here; elsewhere the
first try is the only one.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

SHARING_VIOLATIONS = (5, 32, 33)  # ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
RETRY_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def patiently(act: Callable[[], object]) -> None:
    """Do something to a file; try again, for about a second, while another program has it open.

    Raises
    ------
    OSError
        Of the last try, or at once any that is no sharing violation.
    """
    for pause_s in RETRY_S:
        try:
            act()
            return
        except OSError as error:
            if getattr(error, "winerror", None) not in SHARING_VIOLATIONS:
                raise
            time.sleep(pause_s)
    act()


def remove_file(path: Path) -> None:
    """Delete a file if it is there; needs no space on the disk. Raises OSError as `patiently` does."""
    patiently(lambda: path.unlink(missing_ok=True))


def move_file(path: Path, target: Path) -> None:
    """Rename a file within its volume, over one that is there. Raises OSError as `patiently` does."""
    patiently(lambda: path.replace(target))


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: whenever the power goes, the file is as it was or as it is to be."""
    half = path.with_name(path.name + ".half")
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move_file(half, path)
    finally:
        remove_file(half)


def remove_folder(path: Path) -> None:
    """Delete a folder with all in it, if it is there. Raises OSError as `patiently` does."""

    def remove() -> None:
        if path.exists():
            shutil.rmtree(path)

    patiently(remove)
