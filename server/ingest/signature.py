"""Whether a request was signed with an agent's key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.records.wire import SIGNATURE_HEADER, signing_bytes
from server.errors import RefusedError

_SIGNATURE = SIGNATURE_HEADER.lower()


def is_signed_by(
    public_key: bytes,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    body_sha256: str | None = None,
) -> bool:
    """Return whether the request carries a valid Ed25519 signature of that raw public key.

    `body_sha256` stands for the body as it was transmitted where that is no longer whole.
    """
    told = next((value for name, value in headers.items() if name.lower() == _SIGNATURE), "")
    try:
        signature = base64.b64decode(told, validate=True)
        signed = signing_bytes(method, path, headers, body)
        if body_sha256 is not None:
            signed = signed[:-64] + body_sha256.encode()
        _key(public_key).verify(signature, signed)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def _key(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)


def check_signature(
    public_key: bytes, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> None:
    """Refuse with 401 ``bad_signature`` what was not signed with that key."""
    if not is_signed_by(public_key, method, path, headers, body):
        raise RefusedError(
            401,
            "bad_signature",
            f"{SIGNATURE_HEADER} does not fit the request and the agent's key. If a proxy rewrites paths, headers or "
            "bodies, let it pass them untouched.",
        )
