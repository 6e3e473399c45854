"""A file that is either as it was or as it is to be, whenever the power goes."""

from __future__ import annotations

import os
from pathlib import Path

from agent.files import move_file, remove_file


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step; tries again while a virus scanner holds the file (Windows)."""
    half = path.with_name(path.name + ".half")
    try:
        with half.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move_file(half, path)
    finally:
        remove_file(half)
