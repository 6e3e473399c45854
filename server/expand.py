"""Decompression that stops at a limit.

65 kB of zstd can stand for 2 GiB. Nothing here ever expands more than the limit and one read beyond it, a window larger
than `MAX_WINDOW_BYTES` is declined before any memory is taken, and every decompressor belongs to one thread: to make one takes
three times as long as to expand ten records with it.
"""

from __future__ import annotations

import io
import threading
import zlib

import zstandard

from server.errors import RefusedError

MAX_WINDOW_BYTES = 8 << 20
"""Largest zstd window accepted; level 3 uses 2 MiB."""
_READ_BYTES = 64 << 10


class _Own(threading.local):
    """What a thread has for itself."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)


_own = _Own()
_GZIP_WBITS = 16 + zlib.MAX_WBITS


def expand(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return the body without its content encoding (``zstd``, ``gzip`` or ``identity``).

    Raises
    ------
    RefusedError
        413 ``too_large`` beyond `limit_bytes`; 400 ``malformed_batch`` when it is truncated, damaged or followed by
        anything; 415 for another encoding.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return _within(body, limit_bytes)
        case "gzip":
            return _gunzip(body, limit_bytes)
        case "zstd":
            return _unzstd(body, limit_bytes)
    raise RefusedError(
        415, "malformed_batch", f"Content-Encoding {encoding!r} is not understood; send zstd, gzip or none."
    )


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    stream = zlib.decompressobj(_GZIP_WBITS)
    try:
        expanded = stream.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise _damaged("gzip", str(error)) from error
    _within(expanded, limit_bytes)
    _whole("gzip", stream.eof, stream.unused_data)
    return expanded


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    try:
        told = zstandard.get_frame_parameters(body)
        if told.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            _measure_zstd(body, limit_bytes)
        elif told.content_size > limit_bytes:
            raise _too_large(limit_bytes)
        elif told.window_size > MAX_WINDOW_BYTES:
            raise _damaged("zstd", f"its window of {told.window_size} bytes is beyond {MAX_WINDOW_BYTES}")
        # Now known to be small. The stream reader cannot tell a truncated frame from a whole one; this object can, and it
        # also notices a frame that holds more than it says.
        stream = _own.zstd.decompressobj(write_size=max(_READ_BYTES, min(limit_bytes, told.content_size) + 1))
        expanded = stream.decompress(body)
    except zstandard.ZstdError as error:
        raise _damaged("zstd", str(error)) from error
    _whole("zstd", stream.eof, stream.unused_data)
    return expanded


def _measure_zstd(body: bytes, limit_bytes: int) -> None:
    n_bytes = 0
    with _own.zstd.stream_reader(io.BytesIO(body), read_size=_READ_BYTES) as reader:
        while chunk := reader.read(_READ_BYTES):
            n_bytes += len(chunk)
            if n_bytes > limit_bytes:
                raise _too_large(limit_bytes)


def _within(expanded: bytes, limit_bytes: int) -> bytes:
    if len(expanded) > limit_bytes:
        raise _too_large(limit_bytes)
    return expanded


def _whole(encoding: str, is_at_end: bool, rest: bytes) -> None:
    if not is_at_end:
        raise _damaged(encoding, "the stream ends too early")
    if rest:
        raise _damaged(encoding, f"{len(rest)} bytes follow the end of the stream")


def _too_large(limit_bytes: int) -> RefusedError:
    return RefusedError(
        413,
        "too_large",
        f"The batch expands to more than {limit_bytes} bytes. Send fewer records at a time.",
    )


def _damaged(encoding: str, why: str) -> RefusedError:
    return RefusedError(
        400, "malformed_batch", f"The body is not one whole {encoding} stream: {why}. Send it again."
    )
