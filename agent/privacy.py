"""What is published of people: the name, a keyed hash of it, or nothing.

Every name of a person at the computer goes through here before it gets into a record.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import SettingsError
from agent.files import move_file, remove_file
from agent.settings import PrivacySettings

SECRET_BYTES = 32
HASH_DIGITS = 32
_NAMED_USER = re.compile(r"\buser ([^,()]+)(?=[,)])")
_log = logging.getLogger("scopestamp.privacy")
Given = Literal["plain", "hashed", "omitted", "unknown"]


@dataclass(frozen=True, slots=True)
class Published:
    """A name as it may be published."""

    text: str | None
    given: Given


class Privacy:
    """How names are published.

    Parameters
    ----------
    mode : str
        plain, hashed or omitted.
    secret : bytes
        Key of the hash: without it, a hash is no guess at a list of names.
    """

    def __init__(self, mode: Literal["plain", "hashed", "omitted"], secret: bytes = b"") -> None:
        self._mode, self._secret = mode, secret

    @classmethod
    def of(cls, settings: PrivacySettings, data_dir: Path) -> Privacy:
        """Return what the settings say; a secret of this computer is made when hashes are wanted and none is named.

        Raises
        ------
        SettingsError
            The secret's file cannot be read, made, or is too short to be one.
        """
        if settings.user_names != "hashed":
            return cls(settings.user_names)
        return cls("hashed", _secret(settings.site_secret_file, data_dir))

    def publish(self, name: str | None) -> Published:
        """Return what may be published of a name; upper and lower case are the same person.

        >>> Privacy("omitted").publish("ada")
        Published(text=None, given='omitted')
        >>> Privacy("hashed", b"k").publish("Ada") == Privacy("hashed", b"k").publish("ada")
        True
        """
        if self._mode == "omitted":
            return Published(None, "omitted")
        if not name:
            return Published(None, "unknown")
        if self._mode == "plain":
            return Published(name, "plain")
        digest = hmac.new(self._secret, name.casefold().encode("utf-8", "surrogatepass"), hashlib.sha256)
        return Published(digest.hexdigest()[:HASH_DIGITS], "hashed")

    def in_words(self, message: str) -> str:
        """Return a message for publication: the user that it names (see `agent.hardware.holder`) as may be published.

        >>> Privacy("omitted").in_words("Studio (pid 7, user LAB\\\\ada, since 8:00) has it (user bob)")
        'Studio (pid 7, user not named, since 8:00) has it (user not named)'
        """
        return _NAMED_USER.sub(lambda found: f"user {self.publish(found[1]).text or 'not named'}", message)


def _secret(file: str, data_dir: Path) -> bytes:
    path = Path(file) if file else data_dir / "site.secret"
    try:
        if not file and not path.exists():
            _make_secret(path)
        secret = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(
            f"The secret for hashed user names, {path}, cannot be used: {error.strerror or error}. Set [privacy] "
            'site_secret_file to a file the agent may read, or user_names = "omitted".'
        ) from error
    if len(secret) < SECRET_BYTES:
        raise SettingsError(
            f"The secret for hashed user names, {path}, has {len(secret)} bytes; expected at least {SECRET_BYTES}. "
            'Make one with: python -c "import secrets; print(secrets.token_hex(32))".'
        )
    return secret


def _make_secret(path: Path) -> None:
    """Make a secret that only the agent's account may read; of two processes, the first one's counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(SECRET_BYTES))
    try:
        os.link(half, path)
    except FileExistsError:
        _log.debug("Another process has just made %s", path)
    except OSError:  # a file system without links
        move_file(half, path)
    remove_file(half)
