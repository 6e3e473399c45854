"""A file that is either as it was or as it is to be, whenever the power goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TRIES, _PAUSE_S = 20, 0.05


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step; tries again while a virus scanner holds the file (Windows)."""
    half = path.with_name(path.name + ".half")
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for left in reversed(range(_TRIES)):
            try:
                half.replace(path)
                return
            except PermissionError:
                if not left:
                    raise
                time.sleep(_PAUSE_S)
    finally:
        half.unlink(missing_ok=True)
