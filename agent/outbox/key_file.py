"""The agent's private key on disk: made on first use, private to its owner, read again when it was replaced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agent.errors import IdentityError
from agent.outbox.disk import write_atomically


class KeyFile:
    """An Ed25519 key in a PEM file.

    Parameters
    ----------
    path : Path
        Made with a new key when it is not there.
    is_expected : bool
        Whether a missing file means a loss rather than a beginning.

    Raises
    ------
    IdentityError
        The key is lost or cannot be read.
    """

    def __init__(self, path: Path, *, is_expected: bool = False) -> None:
        self._path = path
        if not path.exists():
            _make(path, is_expected=is_expected)
        self._seen = _stamp_of(path)
        self._key = _load(path)

    @property
    def key(self) -> Ed25519PrivateKey:
        """The key as it stands in the file now: another process may have replaced it."""
        stamp = _stamp_of(self._path)
        if stamp is not None and stamp != self._seen:
            self._key, self._seen = _load(self._path), stamp
        return self._key

    @property
    def public_bytes(self) -> bytes:
        """Its raw public key."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:  # for a moment, while it is replaced; what was read stays good
        return None
    return told.st_mtime_ns, told.st_ino


def _make(path: Path, *, is_expected: bool) -> None:
    if is_expected:
        raise IdentityError(
            f"The agent's key {path} is gone although identity.json is there. Restore the key from a backup; or delete "
            "identity.json too, start again, and enrol this computer anew."
        )
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(path, pem, mode=0o600)


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityError(
            f"{path} holds no readable private key ({error}). Restore it from a backup; or delete it and "
            "identity.json, start again, and enrol this computer anew."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path} should hold an Ed25519 key; it holds a {type(key).__name__}.")
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        os.chmod(path, 0o600)  # noqa: PTH101 - a backup restored it with the wrong mode
    return key
