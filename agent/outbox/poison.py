"""Records that can never be sent: kept as files, each with the reason beside it."""

from __future__ import annotations

from pathlib import Path

from agent.outbox.disk import write_atomically


def set_aside(data_dir: Path, name: str, record: bytes, reason: str) -> Path:
    """Keep a record in the poison folder.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    name : str
        Of the file, without ending; made of ids alone.
    record : bytes
        The encoded record.
    reason : str
        Why it cannot be sent, in words.

    Returns
    -------
    Path
        The record's file; the reason lies beside it with the ending ``.txt``.
    """
    folder = data_dir / "poison"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.txt", reason.encode() + b"\n")
    path = folder / f"{name}.json"
    write_atomically(path, record)
    return path


def n_poisoned(data_dir: Path) -> int:
    """Return how many records are kept there."""
    return sum(1 for _ in (data_dir / "poison").glob("*.json"))
