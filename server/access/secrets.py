"""Passwords and other secrets: how they are made, and the only form in which they are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets

_N, _R, _P = 2**15, 8, 3  # OWASP Password Storage Cheat Sheet, scrypt, 32 MiB
_MAX_MEMORY_BYTES = 64 << 20
_CODE_ALPHABET = (
    "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is mistaken for something else when read aloud
)
MIN_PASSWORD_LENGTH = 12


def new_secret() -> str:
    """Return a secret of 256 bits, safe in URLs and headers."""
    return secrets.token_urlsafe(32)


def new_join_code() -> str:
    """Return a join code of 98 bits, in five groups of four."""
    return "-".join("".join(secrets.choice(_CODE_ALPHABET) for _ in range(4)) for _ in range(5))


def hash_of(secret: str) -> str:
    """Return what is kept of a random secret; it has too many bits to be guessed, so one round does."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_of_join_code(code: str) -> str:
    """Return what is kept of a join code, however it was typed.

    >>> hash_of_join_code("k7qm 2xrt") == hash_of_join_code("K7QM-2XRT")
    True
    """
    return hash_of("".join(letter for letter in code.upper() if letter.isalnum()))


def hash_password(password: str) -> str:
    """Return what is kept of a password: scrypt with its parameters and salt."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def is_password(password: str, kept: str | None) -> bool:
    """Return whether the password is the one kept; takes as long when there is none, so that names cannot be probed."""
    _, n, r, p, salt, digest = (kept or _NOBODY).split("$")
    made = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made.hex(), digest) and kept is not None


def form_token(session_secret: str) -> str:
    """Return the token that the forms of a session carry against cross-site requests."""
    return hmac.new(session_secret.encode(), b"form", hashlib.sha256).hexdigest()


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY_BYTES)


_NOBODY = f"scrypt${_N}${_R}${_P}${'00' * 16}${'00' * 64}"
