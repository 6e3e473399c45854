"""Who the agent is: an Ed25519 key that never leaves the computer, and the instrument it speaks of."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from filelock import FileLock, Timeout

from agent.errors import IdentityError
from agent.outbox.disk import write_atomically
from agent.records.wire import AGENT_HEADER, SIGNATURE_HEADER, agent_id_of, signing_bytes

_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The agent's key and names.

    Attributes
    ----------
    data_dir : Path
        Where they are kept.
    agent_id : str
        Fingerprint of the public key.
    instrument_id : str
        The instrument the agent speaks of.
    """

    data_dir: Path
    agent_id: str
    instrument_id: str
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def load_or_create(cls, data_dir: Path, instrument_id: str | None = None) -> Identity:
        """Return the identity kept in a data folder, made on first use; safe for several processes at once.

        Parameters
        ----------
        data_dir : Path
            Made when absent. The key lies in ``agent.key``, readable by its owner alone; on Windows it has the
            permissions of the folder, so put the folder where only the service account and administrators may read.
        instrument_id : str, optional
            The instrument's id; when absent the stored one, or a new ``ins-…`` the first time.

        Raises
        ------
        IdentityError
            The key cannot be read or made, is lost, or belongs to another instrument than the one asked for.
        """
        data_dir = Path(data_dir)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(data_dir / "identity.lock", timeout=_LOCK_TIMEOUT_S, thread_local=False):
                return cls._load_or_create(data_dir, instrument_id)
        except Timeout as error:
            raise IdentityError(
                f"Another process has held {data_dir / 'identity.lock'} for {_LOCK_TIMEOUT_S:.0f} s. Stop it and "
                "start again."
            ) from error
        except OSError as error:
            raise IdentityError(
                f"The agent's identity in {data_dir} cannot be read or written ({error}). Give the account that runs "
                "the agent full access to this folder."
            ) from error

    @classmethod
    def _load_or_create(cls, data_dir: Path, instrument_id: str | None) -> Identity:
        stored = _stored_names(data_dir / "identity.json")
        key = _load_or_make_key(data_dir / "agent.key", is_expected=stored is not None)
        agent_id = agent_id_of(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        if stored is None:
            stored = {"agent_id": agent_id, "instrument_id": instrument_id or f"ins-{secrets.token_hex(8)}"}
            write_atomically(data_dir / "identity.json", json.dumps(stored, indent=2).encode() + b"\n")
        _check(stored, agent_id, instrument_id, data_dir)
        return cls(data_dir, agent_id, stored["instrument_id"], key)

    @property
    def public_key(self) -> str:
        """Raw Ed25519 public key, base64."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode()

    def sign(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return `headers` with the agent's id and the signature added.

        Parameters
        ----------
        method, path : str
            As the collector will see them; the path with its query and without host.
        headers : mapping
            Every ``Scopestamp-*`` header in it is covered by the signature.
        body : bytes
            As it is transmitted, after compression.
        """
        complete = {**headers, AGENT_HEADER: self.agent_id}
        signature = self._key.sign(signing_bytes(method, path, complete, body))
        return {**complete, SIGNATURE_HEADER: base64.b64encode(signature).decode()}


def _stored_names(path: Path) -> dict[str, str] | None:
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise IdentityError(
            f"{path} is no JSON ({error}). Restore it from a backup, or delete it."
        ) from error
    if not isinstance(stored, dict) or not all(
        isinstance(stored.get(name), str) for name in ("agent_id", "instrument_id")
    ):
        raise IdentityError(
            f"{path} should name agent_id and instrument_id. Restore it from a backup, or delete it."
        )
    return stored


def _load_or_make_key(path: Path, *, is_expected: bool) -> Ed25519PrivateKey:
    if path.exists():
        return _load_key(path)
    if is_expected:
        raise IdentityError(
            f"The agent's key {path} is gone although identity.json is there. Restore the key from a backup; or delete "
            "identity.json too, start again, and enrol this computer anew."
        )
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(path, pem, mode=0o600)
    return key


def _load_key(path: Path) -> Ed25519PrivateKey:
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


def _check(stored: Mapping[str, str], agent_id: str, instrument_id: str | None, data_dir: Path) -> None:
    if stored["agent_id"] != agent_id:
        raise IdentityError(
            f"identity.json in {data_dir} belongs to {stored['agent_id']}, but agent.key to {agent_id}. Restore the two "
            "from one backup; or delete identity.json and enrol this computer anew."
        )
    if instrument_id is not None and stored["instrument_id"] != instrument_id:
        raise IdentityError(
            f"This agent speaks of instrument {stored['instrument_id']!r}, but the settings say {instrument_id!r}. "
            f"Correct the settings; or, if the computer was moved to another instrument, give it a new data folder "
            f"instead of {data_dir} and enrol it there."
        )
