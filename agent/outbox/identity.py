"""Who the agent is: an Ed25519 key that never leaves the computer, and the instrument it speaks of."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from agent.errors import IdentityError
from agent.files import move_file
from agent.outbox.disk import sync_folder, write_atomically
from agent.records.wire import AGENT_HEADER, SIGNATURE_HEADER, agent_id_of, signing_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent.outbox.key_file import KeyFile

_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Identity:
    """The agent's key and names.

    Attributes
    ----------
    data_dir : Path
        Where they are kept.
    agent_id : str
        Fingerprint of the first public key; it stays when the key is replaced.
    instrument_id : str
        The instrument the agent speaks of.
    """

    data_dir: Path
    agent_id: str
    instrument_id: str

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
        key = _key_file(data_dir / "agent.key", is_expected=stored is not None)
        fingerprint = agent_id_of(key.public_bytes)
        if stored is None:
            stored = {
                "agent_id": fingerprint,
                "instrument_id": instrument_id or f"ins-{secrets.token_hex(8)}",
            }
            write_atomically(data_dir / "identity.json", json.dumps(stored, indent=2).encode() + b"\n")
        _check_key(stored, fingerprint, data_dir)
        _check_instrument(stored, instrument_id, data_dir)
        return cls(data_dir, stored["agent_id"], stored["instrument_id"])

    @classmethod
    def known(cls, data_dir: Path, instrument_id: str | None = None) -> Identity:
        """Return the identity kept in a data folder, for a process that signs nothing: its key is not read.

        Reading a key costs 7 MB of memory. Where no identity is kept yet, one is made (`load_or_create`).

        Raises
        ------
        IdentityError
            As `load_or_create`, but for what concerns the key.
        """
        stored = _stored_names(data_dir / "identity.json")
        if stored is None:
            return cls.load_or_create(data_dir, instrument_id)
        _check_instrument(stored, instrument_id, data_dir)
        return cls(data_dir, stored["agent_id"], stored["instrument_id"])

    @cached_property
    def _key(self) -> KeyFile:
        return _key_file(self.data_dir / "agent.key", is_expected=True)

    @property
    def public_key(self) -> str:
        """Raw Ed25519 public key, base64."""
        return base64.b64encode(self._key.public_bytes).decode()

    def next_key(self) -> Ed25519PrivateKey:
        """Return the key that is to replace ours, made on first use: asking again after a crash asks for the same."""
        return _key_file(self.data_dir / "agent.key.next").key

    def take_next_key(self) -> None:
        """Sign with the next key from now on, in every process; safe against a crash at any moment."""
        with FileLock(self.data_dir / "identity.lock", timeout=_LOCK_TIMEOUT_S, thread_local=False):
            following = self.data_dir / "agent.key.next"
            keys = (agent_id_of(self._key.public_bytes), agent_id_of(_key_file(following).public_bytes))
            told = {"agent_id": self.agent_id, "instrument_id": self.instrument_id, "keys": " ".join(keys)}
            write_atomically(self.data_dir / "identity.json", json.dumps(told, indent=2).encode() + b"\n")
            move_file(following, self.data_dir / "agent.key")
            sync_folder(self.data_dir)

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
        signature = self._key.key.sign(signing_bytes(method, path, complete, body))
        return {**complete, SIGNATURE_HEADER: base64.b64encode(signature).decode()}


def _key_file(path: Path, *, is_expected: bool = False) -> KeyFile:
    from agent.outbox.key_file import KeyFile  # lazy, for processes that sign nothing

    return KeyFile(path, is_expected=is_expected)


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


def _check_key(stored: Mapping[str, str], fingerprint: str, data_dir: Path) -> None:
    # After a rotation the id stays, and the names of the keys that may follow stand beside it.
    if fingerprint not in (stored["agent_id"], *stored.get("keys", "").split()):
        raise IdentityError(
            f"identity.json in {data_dir} belongs to {stored['agent_id']}, but agent.key to {fingerprint}. Restore the two "
            "from one backup; or delete identity.json and enrol this computer anew."
        )


def _check_instrument(stored: Mapping[str, str], instrument_id: str | None, data_dir: Path) -> None:
    if instrument_id is not None and stored["instrument_id"] != instrument_id:
        raise IdentityError(
            f"This agent speaks of instrument {stored['instrument_id']!r}, but the settings say {instrument_id!r}. "
            f"Correct the settings; or, if the computer was moved to another instrument, give it a new data folder "
            f"instead of {data_dir} and enrol it there."
        )
