"""What travels between a client and Micro-Manager's bridge: JSON in Latin-1, and binary parts behind it.

A message is one JSON object in the first frame, then two frames for each array: its id (4 bytes, native order) and its
bytes. Of a reply's JSON the list of methods, most of its 34 kB for the core, is not used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivers.errors import BridgeError, JavaError

ENCODING = "iso-8859-1"
DAMAGED = "?"
"""What the bridge makes of every character that is not in Latin-1."""

DTYPE_OF_ARRAY = {
    "byte-array": np.dtype("u1"),
    "short-array": np.dtype("u2"),
    "int-array": np.dtype("i4"),
    "float-array": np.dtype("f4"),
    "double-array": np.dtype("f8"),
}
"""Pixels are unsigned where Java has no unsigned type; native byte order."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A Java object that the server keeps for us until it is told to destroy it."""

    java_class: str
    hash_code: str
    port: int
    types: frozenset[str] = field(default_factory=frozenset)


def encode(message: Mapping[str, Any]) -> list[bytes]:
    """Return the frames of a request; text beyond ASCII is escaped, so that the server reads it as it is."""
    return [json.dumps(message, default=_argument).encode(ENCODING)]


def _argument(value: Any) -> Mapping[str, str]:
    if isinstance(value, Handle):
        return {"hash-code": value.hash_code}
    raise TypeError(f"a JSON value or a handle, not {type(value).__name__}")


def decode(frames: Sequence[bytes]) -> Any:
    """Return what a reply says: None, a value, a text, an array, tags or a `Handle`.

    Raises
    ------
    JavaError
        The reply is an exception.
    BridgeError
        It is no reply of Micro-Manager's bridge.
    """
    try:
        reply = json.loads(frames[0].decode(ENCODING))
        kind = reply["type"]
        return _value(kind, reply, frames[1:])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        start = bytes(frames[0][:60]) if frames else b""
        raise BridgeError(
            f"What answers is not Micro-Manager's bridge: its reply begins with {start!r}. Does another program have "
            "this port?"
        ) from error


def _value(kind: str, reply: Mapping[str, Any], parts: Sequence[bytes]) -> Any:
    if kind == "none":
        return reply.get("version") or reply.get("api")
    if kind in ("primitive", "string"):
        return reply["value"]
    if kind == "object":
        return json.loads(reply["value"])
    if kind == "unserialized-object":
        types = frozenset([reply["class"], *reply.get("interfaces", ())])
        return Handle(reply["class"], reply["hash-code"], int(reply["port"]), types)
    if kind == "exception":
        raise _java_error(reply["value"])
    return _array(DTYPE_OF_ARRAY[kind], reply["value"], parts)


def _array(dtype: np.dtype[Any], placeholder: str, parts: Sequence[bytes]) -> np.ndarray[Any, Any]:
    """Return the array behind a placeholder such as ``[B@1a2b``: behind the @ stands its id in hexadecimal."""
    number = struct.pack("=I", int(placeholder.rpartition("@")[2], 16))
    place = list(parts[::2]).index(number)
    return np.frombuffer(parts[2 * place + 1], dtype)


def _java_error(trace: str) -> JavaError:
    """Return a stack trace as an error: its first line is 'class: message'."""
    first = trace.partition("\n")[0].strip()
    java_class, colon, words = first.partition(": ")
    return JavaError(java_class, words if colon else "")


def is_damaged(text: object) -> bool:
    """Return whether characters of a text may have been lost on the way.

    Examples
    --------
    >>> is_damaged("?? 60x"), is_damaged("10 µm")
    (True, False)
    """
    return isinstance(text, str) and DAMAGED in text
