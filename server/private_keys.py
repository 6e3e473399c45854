"""Keys of the collector's own, each in a file of its data folder that only its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import SettingsError


def private_key_at(path: Path, way_out: str) -> Ed25519PrivateKey:
    """Return the key in a file; it is made when there is none.

    Parameters
    ----------
    path : Path
        The file.
    way_out : str
        What is to be done when it cannot be used.

    Raises
    ------
    SettingsError
        It cannot be made or read, or holds no key.
    """
    try:
        if not path.exists():
            _make(path)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"Cannot use {path}: {error}. {way_out}") from error


def _make(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex())
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # a full disk: half a key would be in the way of a whole one
        path.unlink(missing_ok=True)
        raise
